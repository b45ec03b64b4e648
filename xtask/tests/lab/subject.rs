//! A lab in this process: registry, recording proxy and subject, as a session
//! has them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use xtask::{
    engine::{DataRoot, Lab, LabEngine, LabRegistry, Lock, REGISTRY_STORAGE, Role, Store},
    image::Layout,
    measure::{
        ledger::Ledger,
        probe::ProbeSpec,
        scenario::Scenario,
        subject::{LabSubject, Subject},
        visit::{Invalid, Lane, Measured, Target},
    },
    project::Project,
    proxy::{Options, Proxy},
    registry::{self, Registry},
    suite::{self, Selection},
};

/// The single-stage Go image, unpacked.
const LARGEST_IMAGE_BYTES: u64 = 1_300_000_000;

/// Dropped from top to bottom: who uses comes before who is used.
pub struct Bench {
    pub subject: LabEngine,
    pub proxy: Proxy,
    pub registry: Registry,
    pub registry_address: SocketAddr,
    _served: LabRegistry,
    _lab: Lab,
    project: Project,
}

impl Bench {
    pub fn open(project: Project, store: Store, size_bytes: Option<u64>) -> Result<Self> {
        let data_root = match size_bytes {
            Some(size_bytes) => DataRoot::Tmpfs { size_bytes },
            None => DataRoot::choose(None, &project.lab().join("data"), LARGEST_IMAGE_BYTES)?,
        };
        Self::open_on(project, store, data_root)
    }

    pub fn open_on(project: Project, store: Store, data_root: DataRoot) -> Result<Self> {
        let lock = Lock::take(&project, false, |_| ())?;
        let lab = Lab::open(&project, lock)?;
        let address = registry::free_address()?;
        let config = registry::config_yaml(REGISTRY_STORAGE.as_ref(), address)?;
        let served = lab.registry(&config, address)?;
        Ok(Self {
            subject: lab.engine(Role::Subject, store, data_root)?,
            proxy: Proxy::start(address, Options::default())?,
            registry: Registry::at(address)?,
            registry_address: address,
            _served: served,
            _lab: lab,
            project,
        })
    }

    /// Pushes a built variant; its target pulls through the proxy.
    pub fn push(&self, suite: &str, variant: &str) -> Result<Target> {
        let folder = self.project.image(suite, variant);
        let layout = Layout::open(&folder)?;
        let repository = format!("{suite}/{variant}");
        self.registry.push(&folder, &repository, "test")?;
        let selection = Selection::parse(&[suite])?;
        let suites = suite::load(&self.project, &selection, "linux/amd64")?;
        let suite = suites.first().context("the suite was selected")?;
        let layers = layout.layers().iter().map(|layer| layer.digest.clone());
        Ok(Target {
            suite: suite.name.clone(),
            variant: variant.to_owned(),
            reference: format!("{}/{repository}@{}", self.proxy.address(), layout.digest()),
            direct: format!("{}/{repository}@{}", self.registry_address, layout.digest()),
            base: None,
            blobs: registry::blobs_of(layout.manifest_bytes())?,
            layers: layers.collect(),
            probe: ProbeSpec {
                port: suite.port,
                path: suite.probe.path.clone(),
                status: suite.probe.status,
                body: suite.probe.body.clone().into_bytes(),
            },
        })
    }

    /// One sample, as a session takes it.
    pub fn sample(
        &self,
        subject: &dyn Subject,
        scenario: Scenario,
        target: &Target,
    ) -> Result<Measured, Invalid> {
        let lane = Lane {
            subject,
            take_log: &|| self.proxy.take_log(),
            ledger: &Ledger::default(),
        };
        lane.prepare(scenario, target)?;
        lane.measure(scenario, target)
    }

    /// The same for a cold start on this bench's own subject.
    pub fn node_cold(&self, target: &Target) -> Result<Measured, Invalid> {
        let subject = LabSubject(&self.subject);
        self.sample(&subject, Scenario::NodeCold, target)
    }
}
