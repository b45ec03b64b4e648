//! A start that waits for its request.
//!
//! Entering the engine's namespaces and setting the environment are no part of
//! any limit. So a shell does all that first, says that it is ready, and
//! becomes the program when a line arrives: from writing that line the clock
//! runs. Living in the engine's namespace, nothing of it can outlive the lab.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    process::{Child, ChildStdin, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, Signal, kill_process},
};

use crate::{
    clock::MonoNs,
    engine::LabEngine,
    measure::{
        exec_events::ExecEvents,
        pids::{self, EngineNs},
        probe::ProbeSpec,
        subject::READY_TIMEOUT,
        watch::{Started, watch_start},
    },
    shell,
};

const READY: &[u8] = b"ready\n";

/// The shell's part: what the program prints is nobody's here, and neither is
/// the standard input that carries the request.
const WAIT: &str = "echo ready && read -r go && exec \"$@\" </dev/null >/dev/null";

/// What is killed is gone in milliseconds; `runc` takes some more to tidy up.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A shell in the engine's namespace, waiting to become a program. Whatever it
/// has become ends when this is dropped.
pub struct Gate {
    child: Child,
    request: Option<ChildStdin>,
    shell: u32,
    said: File,
}

impl Gate {
    /// A gate before the program `words`. Its shell is started by `wrapper`,
    /// which may be empty, and first runs the shell command `preparation`.
    ///
    /// # Errors
    /// When the shell does not become ready: what it said.
    pub fn open(
        subject: &LabEngine,
        wrapper: &[&str],
        preparation: &str,
        words: &[String],
        environment: &[String],
    ) -> Result<Self> {
        // In memory: what the program logs must not wait for a disk.
        let mut said = File::from(memfd_create("said", MemfdFlags::CLOEXEC)?);
        let mut command = subject.command("env");
        command
            .arg("-i")
            .args(environment)
            .args(wrapper)
            .args([
                "/usr/bin/sh",
                "-c",
                &format!("cd / && {preparation} && {WAIT}"),
                "sh",
            ])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone()?);
        let mut child = shell::spawn(&mut command)?;
        let request = child.stdin.take();
        match wait_for_shell(&mut child) {
            Ok(shell) => Ok(Self {
                child,
                request,
                shell,
                said,
            }),
            Err(error) => {
                drop(request); // The shell reads its end and leaves.
                child.wait()?;
                Err(error.context(read_back(&mut said)))
            }
        }
    }

    /// The program's process is seen as a container's: the first one of a PID
    /// namespace right below the gate's.
    pub fn namespace(&self) -> EngineNs {
        EngineNs {
            init_pid: self.shell,
        }
    }

    /// Writes the request; returns when.
    pub fn release(&mut self) -> Result<MonoNs> {
        let mut request = self.request.take().context("a gate opens once")?;
        let now = MonoNs::now();
        request.write_all(b"go\n")?;
        Ok(now)
    }

    /// Releases the gate and follows the program to its first right answer.
    ///
    /// # Errors
    /// A [`StartFailure`](crate::measure::watch::StartFailure), with what the
    /// program said.
    pub fn start(mut self, probe: &ProbeSpec) -> Result<(MonoNs, Started)> {
        let events = ExecEvents::subscribe()?;
        let deadline = MonoNs::now() + READY_TIMEOUT;
        let watch = watch_start(events, self.namespace(), probe.clone(), deadline)?;
        let requested = self.release()?;
        match watch.join() {
            Ok(started) => Ok((requested, started)),
            Err(failure) => Err(anyhow::Error::from(failure).context(self.said())),
        }
    }

    /// Whether the program, or the shell before it, still runs.
    pub fn is_open(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What the program has written to its standard error so far.
    pub fn said(&mut self) -> String {
        read_back(&mut self.said)
    }

    /// Kills what the shell has started, and leaves it to whoever waits for that
    /// to tidy up; one that does not end by itself is killed, too.
    fn end(&mut self) -> Result<()> {
        self.request = None; // A shell that still waits reads its end.
        let deadline = Instant::now() + END_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            pids::children(self.shell)?.into_iter().for_each(kill);
            if Instant::now() > deadline {
                kill(self.shell);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "a program of the limits may run until the lab ends");
        }
    }
}

/// Waits until the shell is ready: its process, as the outside numbers it.
fn wait_for_shell(child: &mut Child) -> Result<u32> {
    let mut line = [0; READY.len()];
    let mut stdout = child.stdout.take().context("stdout is piped")?;
    stdout
        .read_exact(&mut line)
        .context("the shell ended before it was ready")?;
    // `nsenter` waits outside for the one process that it put inside.
    let inside = pids::children(child.id())?;
    inside.first().copied().context("the shell has ended")
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Gone already is just as well.
    let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
}

/// What a program wrote to its standard error.
fn read_back(said: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = said.rewind().and_then(|()| said.read_to_end(&mut bytes));
    match (read, String::from_utf8_lossy(&bytes).trim()) {
        (Ok(_), text) if !text.is_empty() => format!("the program said: {text}"),
        _ => "the program said nothing".to_owned(),
    }
}
