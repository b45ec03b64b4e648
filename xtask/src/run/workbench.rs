//! The engines of a run, made when they are first needed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    build::Builder,
    cli::LabOptions,
    engine::{Client, DataRoot, HostEngine, Lab, LabEngine, Lock, Role, Store, rootfs},
    files,
    progress::Progress,
    project::Project,
    shell,
};

/// The single-stage Go image, the largest that we know, unpacked.
pub const LARGEST_IMAGE_BYTES: u64 = 1_300_000_000;

pub struct Workbench {
    // Dropped before the lab that it lives in.
    builder: Option<Box<dyn Builder>>,
    lab: Option<Lab>,
    _lock: Option<Lock>,
    project: Project,
}

impl Workbench {
    /// # Errors
    /// When the lab cannot be made, or the host's engine cannot be used.
    pub fn open(
        project: &Project,
        lock: Lock,
        options: &LabOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let project = project.clone();
        if options.is_host() {
            let builder = HostBuilder::connect(&project)?;
            return Ok(Self {
                builder: Some(Box::new(builder)),
                lab: None,
                _lock: Some(lock),
                project,
            });
        }
        let task = progress.task("lab engine");
        if !rootfs::archive(&project.lab()).is_file() {
            task.set("making its Debian root, once, in about 40 s");
        }
        let lab = Lab::open(&project, lock)?;
        task.done("ready");
        Ok(Self {
            builder: None,
            lab: Some(lab),
            _lock: None,
            project,
        })
    }

    pub fn lab(&self) -> Option<&Lab> {
        self.lab.as_ref()
    }

    /// The builder, started now if it was not.
    pub fn start_builder(&mut self) -> Result<()> {
        let (None, Some(lab)) = (&self.builder, &self.lab) else {
            return Ok(());
        };
        let engine = lab.engine(Role::Builder, Store::Containerd, self.data_root(None)?)?;
        let id = builder_id(engine.client(), engine.command("docker"))?;
        files::write_atomic(&id_file(&self.project, false), &id)?;
        self.builder = Some(Box::new(LabBuilder { engine, id }));
        Ok(())
    }

    /// The builder that [`start_builder`](Self::start_builder) has started.
    pub fn builder(&self) -> Result<&dyn Builder> {
        self.builder
            .as_deref()
            .context("the builder was started before")
    }

    /// Ends the builder: it must not disturb what is timed, nor hold memory.
    pub fn close_builder(&mut self) {
        self.builder = None;
    }

    pub fn data_root(&self, chosen: Option<&Path>) -> Result<DataRoot> {
        DataRoot::choose(
            chosen,
            &self.project.lab().join("data"),
            LARGEST_IMAGE_BYTES,
        )
    }
}

/// The builder's version as it was when this project last started one: it enters
/// the inputs of every row, and a run with nothing to do starts no engine.
pub fn known_builder_id(project: &Project, options: &LabOptions) -> Option<String> {
    let host = options.is_host();
    let there = host || rootfs::archive(&project.lab()).is_file();
    std::fs::read_to_string(id_file(project, host))
        .ok()
        .filter(|_| there)
}

/// The file system that a subject's data root will have, before there is one.
pub fn planned_file_system(project: &Project, options: &LabOptions) -> Result<String> {
    if options.is_host() {
        return Ok(HostEngine::planned_file_system());
    }
    DataRoot::planned_file_system(
        options.data_root.as_deref(),
        &project.lab().join("data"),
        LARGEST_IMAGE_BYTES,
    )
}

fn id_file(project: &Project, host: bool) -> PathBuf {
    project
        .lab()
        .join(if host { "builder-host" } else { "builder" })
}

/// Docker's and buildx's versions without the distribution's suffixes, which
/// change with every rebuild of a package.
fn builder_id(client: &Client, mut docker: Command) -> Result<String> {
    let plain = |version: &str| {
        let version = version.trim_start_matches('v');
        version
            .split(['+', '~', '-'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let engine = plain(&client.versions()?.docker);
    let line = shell::read(docker.args(["buildx", "version"]))?;
    let buildx = plain(line.split_whitespace().nth(1).unwrap_or_default());
    Ok(format!("docker {engine} buildx {buildx}"))
}

/// The lab's builder.
struct LabBuilder {
    engine: LabEngine,
    id: String,
}

impl Builder for LabBuilder {
    fn docker(&self) -> Command {
        self.engine.command("docker")
    }

    fn sees(&self, path: &Path) -> Result<PathBuf> {
        self.engine.inside(path)
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn forget(&self) -> Result<bool> {
        shell::read(self.docker().args(["builder", "prune", "--all", "--force"]))
            .context("cannot empty the build cache")?;
        Ok(true)
    }
}

/// The engine that is there already.
struct HostBuilder {
    engine: HostEngine,
    id: String,
}

impl HostBuilder {
    fn connect(project: &Project) -> Result<Self> {
        let engine = HostEngine::connect()?;
        let id = builder_id(engine.client(), engine.docker())?;
        files::write_atomic(&id_file(project, true), &id)?;
        Ok(Self { engine, id })
    }
}

impl Builder for HostBuilder {
    fn docker(&self) -> Command {
        self.engine.docker()
    }

    fn sees(&self, path: &Path) -> Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn id(&self) -> &str {
        &self.id
    }

    /// Its cache is somebody's.
    fn forget(&self) -> Result<bool> {
        Ok(false)
    }
}
