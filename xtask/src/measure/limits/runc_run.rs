//! What starting a container costs at least: `runc` alone, without an engine.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{command::ImageCommand, gate::Gate, rootfs::Rootfs};
use crate::{
    engine::{LabEngine, Scratch},
    files,
    measure::probe::ProbeSpec,
    shell,
};

const RUNC: &str = "/usr/bin/runc";
const ENVIRONMENT: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/// Apart from the engine's own containers.
const STATE: &str = "/run/limits";
const CONTAINER: &str = "limit";

/// What Docker leaves to a container's root.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A folder that `runc` can run: the image's files and what to start in them.
pub struct Bundle {
    scratch: Scratch,
}

/// One `runc run`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Request to the exec of the container's first process.
    pub engine_ns: u64,
    /// Request to the last byte of the first right answer.
    pub start_total_ns: u64,
}

impl Bundle {
    /// `runc`'s own default bundle with the image's files and command: the
    /// mounts and namespaces that Docker gives too, but no seccomp filter.
    ///
    /// # Errors
    /// When `runc` cannot write its default.
    pub fn write(subject: &LabEngine, rootfs: &Rootfs, command: &ImageCommand) -> Result<Self> {
        let scratch = subject.scratch("bundle")?;
        let mut spec = subject.command(RUNC);
        shell::read(spec.args(["spec", "--bundle"]).arg(scratch.inside()))?;
        let path = scratch.outside().join("config.json");
        let default = std::fs::read(&path).context("runc has written no config.json")?;
        let config = configure(serde_json::from_slice(&default)?, rootfs, command);
        files::write_atomic(&path, config.to_string())?;
        Ok(Self { scratch })
    }

    /// Runs it to its first right answer, and removes the container.
    ///
    /// # Errors
    /// When it does not start or answer: the failure and what `runc` said.
    pub fn run(&self, subject: &LabEngine, probe: &ProbeSpec) -> Result<Run> {
        let bundle = self.scratch.inside().display().to_string();
        let words = [RUNC, "--root", STATE, "run", "--bundle", &bundle, CONTAINER];
        let words = words.map(str::to_owned);
        let gate = Gate::open(subject, &[], "true", &words, &[ENVIRONMENT.to_owned()])?;
        let outcome = gate.start(probe);
        if outcome.is_err() {
            let mut delete = subject.command(RUNC);
            delete.args(["--root", STATE, "delete", "--force", CONTAINER]);
            shell::read(&mut delete)?;
        }
        let (requested, started) = outcome?;
        let since = |point: crate::clock::MonoNs| -> Result<u64> {
            let passed = point
                .since(requested)
                .context("a start before its request")?;
            Ok(u64::try_from(passed.as_nanos())?)
        };
        Ok(Run {
            engine_ns: since(started.t_exec)?,
            start_total_ns: since(started.t_200)?,
        })
    }
}

fn configure(mut config: Value, rootfs: &Rootfs, command: &ImageCommand) -> Value {
    config["root"] = json!({ "path": rootfs.inside() });
    config["process"] = json!({
        "args": command.words,
        "env": command.environment,
        "cwd": command.folder,
        "user": { "uid": command.uid, "gid": command.gid },
        "capabilities": {
            "bounding": CAPABILITIES,
            "effective": CAPABILITIES,
            "permitted": CAPABILITIES,
        },
    });
    config
}
