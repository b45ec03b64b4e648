//! What the program itself costs at least: no engine, no `runc`.

use anyhow::{Context, Result};

use super::{
    command::{ImageCommand, unshare},
    gate::Gate,
    rootfs::Rootfs,
};
use crate::{engine::LabEngine, measure::probe::ProbeSpec};

/// A network of its own, so that its port is free.
const NETWORK: &[&str] = &["/usr/bin/unshare", "--net"];

/// Sets the loopback up, which is down in a new network: SIOCSIFFLAGS with
/// IFF_UP | IFF_RUNNING. The Debian root has perl and no `ip`.
const LOOPBACK_UP: &str = r#"/usr/bin/perl -e '
    socket S, 2, 2, 0 or die $!;
    my $request = pack "a16 s x22", "lo", 0x41;
    ioctl S, 0x8914, $request or die $!'"#;

/// Nanoseconds from the exec of the image's program in the image's own files to
/// its first right answer, seen exactly as a container's start is.
///
/// It is the first process of a PID namespace, by which it is recognised. It
/// has no `/proc`, no `/dev` and no limits.
///
/// # Errors
/// When it does not start or answer: the failure and what the program said.
pub fn bare_exec(
    subject: &LabEngine,
    rootfs: &Rootfs,
    command: &ImageCommand,
    probe: &ProbeSpec,
) -> Result<u64> {
    let words = unshare(&["--pid"], rootfs.inside(), command);
    let gate = Gate::open(subject, NETWORK, LOOPBACK_UP, &words, &command.environment)?;
    let (_, started) = gate.start(probe)?;
    let app = started.t_200.since(started.t_exec);
    let app = app.context("the answer came before the program was there")?;
    Ok(u64::try_from(app.as_nanos())?)
}
