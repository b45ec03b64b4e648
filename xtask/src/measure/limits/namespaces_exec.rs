//! What starting a program in a container's namespaces costs at least.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{
    command::{ImageCommand, unshare},
    gate::Gate,
    rootfs::Rootfs,
};
use crate::{
    clock::MonoNs,
    engine::LabEngine,
    measure::{exec_events::ExecEvents, subject::READY_TIMEOUT},
};

/// Those that Docker makes for a container.
const NAMESPACES: &[&str] = &["--mount", "--uts", "--ipc", "--net", "--pid"];

/// How soon it is noticed that the program ended before its exec.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Nanoseconds from the request to the exec of the image's program. Whether it
/// answers is not asked: the new network's loopback is down.
///
/// # Errors
/// When there is no such exec: what the program said.
pub fn namespaces_exec(
    subject: &LabEngine,
    rootfs: &Rootfs,
    command: &ImageCommand,
) -> Result<u64> {
    let words = unshare(NAMESPACES, rootfs.inside(), command);
    let mut gate = Gate::open(subject, &[], "true", &words, &command.environment)?;
    let events = ExecEvents::subscribe()?;
    let requested = gate.release()?;
    let deadline = MonoNs::now() + READY_TIMEOUT;
    while MonoNs::now() < deadline {
        while let Some(exec) = events.next(MonoNs::now() + LOOK_INTERVAL)? {
            if gate.namespace().is_container_init(exec.pid) {
                let engine = exec.at.since(requested);
                let engine = engine.context("the exec came before its request")?;
                return Ok(u64::try_from(engine.as_nanos())?);
            }
        }
        ensure!(gate.is_open()?, "the program ended; {}", gate.said());
    }
    bail!("the program was not executed; {}", gate.said())
}
