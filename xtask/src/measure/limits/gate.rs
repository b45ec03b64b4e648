//! A start that waits for its request.
//!
//! Entering the engine's namespaces and setting the environment are no part of
//! any limit. So a shell does all that first, says that it is ready, and
//! becomes the program when a line arrives: from writing that line the clock
//! runs. Living in the engine's namespace, nothing of it can outlive the lab.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    io::Errno,
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

/// Entering the namespaces and preparing take milliseconds; a shell that is not
/// ready by then never will be.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// When the shell does not become ready in time: its command, and what it
    /// said.
    pub fn open(
        subject: &LabEngine,
        wrapper: &[&str],
        preparation: &str,
        words: &[String],
        environment: &[String],
    ) -> Result<Self> {
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
            .args(words);
        Self::before(command, OPEN_TIMEOUT)
    }

    /// The gate whose shell is the one child of the program that `command` starts.
    fn before(mut command: Command, timeout: Duration) -> Result<Self> {
        // In memory: what the program logs must not wait for a disk.
        let mut said = File::from(memfd_create("said", MemfdFlags::CLOEXEC)?);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone()?);
        let mut child = shell::spawn(&mut command)?;
        let request = child.stdin.take();
        match wait_for_shell(&mut child, timeout) {
            Ok(shell) => Ok(Self {
                child,
                request,
                shell,
                said,
            }),
            Err(error) => {
                end_all(&mut child)?;
                let said = read_back(&mut said);
                Err(error.context(format!("`{}`: {said}", shell::shown(&command))))
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
fn wait_for_shell(child: &mut Child, timeout: Duration) -> Result<u32> {
    let mut stdout = child.stdout.take().context("stdout is piped")?;
    let deadline = MonoNs::now() + timeout;
    let mut line = [0; READY.len()];
    let mut read = 0;
    while read < line.len() {
        ensure!(
            is_readable(&stdout, deadline)?,
            "the shell was not ready after {timeout:?}"
        );
        match stdout.read(&mut line[read..])? {
            0 => bail!("the shell ended before it was ready"),
            bytes => read += bytes,
        }
    }
    // `nsenter` waits outside for the one process that it put inside.
    let inside = pids::children(child.id())?;
    inside.first().copied().context("the shell has ended")
}

/// Whether there is something to read, or an end to be seen, by `deadline`.
fn is_readable(stdout: &ChildStdout, deadline: MonoNs) -> Result<bool> {
    let mut fds = [PollFd::new(stdout, PollFlags::IN)];
    loop {
        let timeout = Timespec::try_from(deadline.remaining()).unwrap_or_default();
        match poll(&mut fds, Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// Ends a program that did not get ready, with everything that it has started:
/// whatever hangs there does not read the end of its input.
fn end_all(child: &mut Child) -> Result<()> {
    // A shell whose child is killed has something to say about it, so it goes
    // first.
    let below = pids::descendants(child.id())?;
    child.kill()?;
    below.into_iter().for_each(kill);
    child.wait()?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A gate as `nsenter` opens one: the program waits for its one child, which
    /// runs `script`.
    fn gate(script: &str, timeout: Duration) -> Result<Gate> {
        let mut command = shell::command("sh");
        command.args(["-c", "sh -c \"$1\"; exit $?", "sh", script]);
        Gate::before(command, timeout)
    }

    fn refusal(script: &str, timeout: Duration) -> String {
        match gate(script, timeout) {
            Ok(_) => panic!("it opened"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_shell_that_hangs_is_given_up_and_ended() {
        let begun = Instant::now();
        let said = refusal("echo $$ >&2; sleep 60; true", Duration::from_secs(1));
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
        assert!(said.starts_with("`sh -c "), "{said}");
        assert!(said.ends_with("the shell was not ready after 1s"), "{said}");
        let pid = said
            .split_once("the program said: ")
            .and_then(|(_, rest)| rest.split_once(':'))
            .map_or("", |(pid, _)| pid);
        let command_line = format!("/proc/{pid}/cmdline");
        let gone = || fs::read(&command_line).unwrap_or_default().is_empty();
        let deadline = Instant::now() + END_TIMEOUT;
        while !gone() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(pid.parse::<u32>().is_ok() && gone(), "{said}");
    }

    #[test]
    fn a_shell_that_ends_too_early_is_told_with_its_last_words() {
        let said = refusal("echo why >&2; exit 3", END_TIMEOUT);
        assert!(
            said.ends_with("the program said: why: the shell ended before it was ready"),
            "{said}"
        );
    }

    #[test]
    fn a_shell_that_is_ready_is_waited_for_no_longer() {
        let mut gate = gate("echo ready && read -r go", END_TIMEOUT).unwrap();
        assert!(gate.is_open().unwrap());
        gate.release().unwrap();
        let deadline = Instant::now() + END_TIMEOUT;
        while gate.is_open().unwrap() {
            assert!(Instant::now() < deadline, "it does not go on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
