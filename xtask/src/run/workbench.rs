//! The engines of a run, made when they are first needed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    build::Builder,
    cli::LabOptions,
    engine::{DataRoot, Lab, LabEngine, Lock, Role, Store},
    files,
    progress::Progress,
    project::Project,
};

/// The single-stage Go image, the largest that we know, unpacked.
pub const LARGEST_IMAGE_BYTES: u64 = 1_300_000_000;

pub struct Workbench {
    // Dropped before the lab that it lives in.
    builder: Option<LabBuilder>,
    lab: Lab,
    project: Project,
}

impl Workbench {
    pub fn open(
        project: &Project,
        lock: Lock,
        _options: &LabOptions,
        progress: &Progress,
    ) -> Result<Self> {
        let task = progress.task("lab engine");
        task.set("unpacking its Debian root (made first, in about 40 s, if this is the first run)");
        let lab = Lab::open(project, lock)?;
        task.done("ready");
        Ok(Self {
            builder: None,
            lab,
            project: project.clone(),
        })
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The builder, started now if it was not.
    pub fn start_builder(&mut self) -> Result<()> {
        if self.builder.is_none() {
            let engine =
                self.lab
                    .engine(Role::Builder, Store::Containerd, self.data_root(None)?)?;
            let id = builder_id(&engine)?;
            files::write_atomic(&id_file(&self.project), &id)?;
            self.builder = Some(LabBuilder { engine, id });
        }
        Ok(())
    }

    /// The builder that [`start_builder`](Self::start_builder) has started.
    pub fn builder(&self) -> Result<&LabBuilder> {
        self.builder
            .as_ref()
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
pub fn known_builder_id(project: &Project) -> Option<String> {
    std::fs::read_to_string(id_file(project))
        .ok()
        .filter(|_| crate::engine::rootfs::archive(&project.lab()).is_file())
}

fn id_file(project: &Project) -> PathBuf {
    project.lab().join("builder")
}

/// Docker's and buildx's versions without the distribution's suffixes, which
/// change with every rebuild of a package.
fn builder_id(engine: &LabEngine) -> Result<String> {
    let plain = |version: &str| {
        version
            .trim_start_matches('v')
            .split(['+', '~', '-'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let docker = plain(&engine.client().versions()?.docker);
    let line = crate::shell::read(engine.command("docker").args(["buildx", "version"]))?;
    let buildx = plain(line.split_whitespace().nth(1).unwrap_or_default());
    Ok(format!("docker {docker} buildx {buildx}"))
}

/// The lab's builder.
pub struct LabBuilder {
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
}

/// The file system that a subject's data root will have, before there is one.
pub fn planned_file_system(project: &Project, chosen: Option<&Path>) -> Result<String> {
    DataRoot::planned_file_system(chosen, &project.lab().join("data"), LARGEST_IMAGE_BYTES)
}
