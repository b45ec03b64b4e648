//! What a session pulls: the images of a suite, the bases they stand on and the
//! control image, pushed to a registry and read back, so that the registry's own
//! cache is warm for all of them alike.

use std::{any::Any, net::SocketAddr};

use anyhow::Result;

use super::state::{Job, State};
use crate::{
    digest::Digest,
    engine::{LABEL, Lab, REGISTRY_STORAGE},
    image::Layout,
    measure::{
        control,
        probe::ProbeSpec,
        scenario::{CONTROL, Scenario, UNSHAPED},
        session::Item,
        visit::{BaseImage, Target},
    },
    project::Project,
    proxy::{Options, Proxy},
    record::session::Unit,
    registry::{self, Registry, program::Program},
};

/// Where images are pushed and from where they are pulled: a registry and the
/// recording proxy in front of it.
pub struct Shelf {
    // Dropped from top to bottom: who asks comes before who answers.
    pub proxy: Proxy,
    registry: Registry,
    pub address: SocketAddr,
    /// What the names of all repositories begin with.
    prefix: String,
    /// The registry itself, which ends with this.
    _served: Box<dyn Any>,
}

impl Shelf {
    /// Starts both on free ports of 127.0.0.1, the registry in the lab and empty.
    ///
    /// # Errors
    /// When one of them does not start: the end of its log.
    pub fn open(lab: &Lab) -> Result<Self> {
        let address = registry::free_address()?;
        let config = registry::config_yaml(REGISTRY_STORAGE.as_ref(), address)?;
        let served = lab.registry(&config, address)?;
        Self::in_front_of(address, Box::new(served), String::new())
    }

    /// The same without the lab. The engine that pulls is somebody's, so what it
    /// will hold of ours carries our label in its name.
    ///
    /// # Errors
    /// When PATH has no registry, or it does not start: what to do about it.
    pub fn open_on_host(project: &Project) -> Result<Self> {
        let address = registry::free_address()?;
        let served = Program::find()?.serve(project, address)?;
        Self::in_front_of(address, Box::new(served), format!("{LABEL}/"))
    }

    fn in_front_of(address: SocketAddr, served: Box<dyn Any>, prefix: String) -> Result<Self> {
        Ok(Self {
            proxy: Proxy::start(address, Options::default())?,
            registry: Registry::at(address)?,
            address,
            prefix,
            _served: served,
        })
    }

    /// Everything that a unit's session visits in each block.
    pub fn items(&self, state: &State, unit: &Unit) -> Result<Vec<Item>> {
        let scenarios = state.scenarios(unit);
        let targets = self.variants(state, &unit.suite)?;
        let item = |target: &Target, scenarios: &[Scenario]| Item {
            target: target.clone(),
            scenarios: scenarios.to_vec(),
        };
        let mut items: Vec<Item> = targets.iter().map(|it| item(it, scenarios)).collect();
        items.push(item(&self.control(state, unit)?, &[Scenario::Control]));
        if unit.profile == UNSHAPED {
            let middle = middle(&targets).map(|it| item(it, &[Scenario::PullDirect]));
            items.extend(middle);
        }
        Ok(items)
    }

    fn variants(&self, state: &State, suite: &str) -> Result<Vec<Target>> {
        let jobs = state
            .jobs()
            .into_iter()
            .filter(|job| job.suite.name == suite && state.built(*job).is_some());
        jobs.map(|job| self.variant(state, job)).collect()
    }

    fn variant(&self, state: &State, job: Job<'_>) -> Result<Target> {
        self.variant_as(state, job, &job.suite.name, &job.variant.name)
    }

    /// A variant's image under another name.
    pub fn variant_as(
        &self,
        state: &State,
        job: Job<'_>,
        suite: &str,
        name: &str,
    ) -> Result<Target> {
        let base = job.variant.images.base.as_ref();
        let base = base.and_then(|name| state.find(name));
        let base = base.map(|base| {
            let repository = format!("bases/{}", base.id);
            let count = base.layout.layers().len();
            anyhow::Ok(BaseImage {
                reference: self.put(&base.layout, &repository)?.1,
                layers: base.layout.leading_layers(count),
            })
        });
        Ok(Target {
            base: base.transpose()?,
            ..self.image_as(state, job, suite, name)?
        })
    }

    /// A variant's image alone, without the base that a redeployment pulls.
    pub fn image(&self, state: &State, job: Job<'_>) -> Result<Target> {
        self.image_as(state, job, &job.suite.name, &job.variant.name)
    }

    fn image_as(&self, state: &State, job: Job<'_>, suite: &str, name: &str) -> Result<Target> {
        let probe = &job.suite.probe;
        let probe = ProbeSpec {
            port: job.suite.port,
            path: probe.path.clone(),
            status: probe.status,
            body: probe.body.clone().into_bytes(),
        };
        let layout = Layout::open(&state.project.image(&job.suite.name, &job.variant.name))?;
        self.target(&layout, suite, name, probe)
    }

    fn control(&self, state: &State, unit: &Unit) -> Result<Target> {
        let layout = control::image(&state.project, &state.platform)?;
        self.target(&layout, &unit.suite, CONTROL, control::probe())
    }

    fn target(
        &self,
        layout: &Layout,
        suite: &str,
        variant: &str,
        probe: ProbeSpec,
    ) -> Result<Target> {
        let (direct, reference) = self.put(layout, &format!("{suite}/{variant}"))?;
        let layers = layout.layers().iter().map(|layer| layer.digest.clone());
        Ok(Target {
            suite: suite.to_owned(),
            variant: variant.to_owned(),
            reference,
            direct,
            blobs: registry::blobs_of(layout.manifest_bytes())?,
            layers: layers.collect::<Vec<Digest>>(),
            base: None,
            probe,
        })
    }

    /// Pushes an image; its references, straight and through the proxy.
    fn put(&self, layout: &Layout, name: &str) -> Result<(String, String)> {
        let repository = format!("{}{name}", self.prefix);
        self.registry
            .push(layout.folder(), &repository, "measured")?;
        self.registry.read_back(&repository, layout.digest())?;
        let at = |host: SocketAddr| format!("{host}/{repository}@{}", layout.digest());
        Ok((at(self.address), at(self.proxy.address())))
    }
}

/// The variant of the middle size: the proxy's share of a pull is told by it.
fn middle(targets: &[Target]) -> Option<&Target> {
    let bytes = |target: &Target| target.blobs.iter().map(|blob| blob.size).sum::<u64>();
    let mut sorted: Vec<&Target> = targets.iter().collect();
    sorted.sort_by_key(|target| bytes(target));
    sorted.get(sorted.len() / 2).copied()
}
