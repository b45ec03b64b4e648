//! A mount and PID namespace that cannot outlive us.
//!
//! Process 1 of the namespace is xtask itself (`init`), which prepares the
//! mounts and then waits for two things: its command's end, and the end of its
//! standard input, whose other end only the xtask outside holds. However that
//! one dies, the kernel closes the pipe, process 1 leaves, and with it go every
//! process and every mount of the namespace. There is nothing to clean up, so
//! nothing can be left behind.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{files, shell};

/// What process 1 does before it runs its command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    pub steps: Vec<Step>,
    /// Becomes the root directory after the steps.
    pub root: Option<PathBuf>,
    /// The environment of the command, nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Empty: the namespace is only held open.
    pub command: Vec<String>,
}

/// One preparation, in paths of the world outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Mounts a tmpfs of at most `size_bytes`, writable for everybody, as /tmp
    /// must be, or for root alone.
    Tmpfs {
        at: PathBuf,
        size_bytes: u64,
        shared: bool,
    },
    /// Makes `from` appear at `at` as well, with what is mounted below it.
    Bind {
        from: PathBuf,
        at: PathBuf,
        read_only: bool,
    },
    /// Mounts a fresh /proc.
    Proc { at: PathBuf },
    /// Unpacks a zstd-compressed tar.
    Unpack { archive: PathBuf, into: PathBuf },
    /// Writes a file.
    Write {
        path: PathBuf,
        text: String,
        mode: u32,
    },
}

/// A running namespace; dropping it ends everything inside.
pub struct Namespace {
    name: String,
    log: PathBuf,
    child: Child,
    tether: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    pid: u32,
}

impl Namespace {
    /// Starts a namespace and returns when its steps are done and its command
    /// is running. Inside another one (`within`), it sees that one's mounts.
    ///
    /// The command's standard output can be read with
    /// [`take_stdout`](Self::take_stdout); standard error goes to `log`.
    ///
    /// # Errors
    /// When a step fails: the step and its cause, from the log.
    pub fn start(name: &str, spec: &Spec, within: Option<&Self>, log: &Path) -> Result<Self> {
        let mut child = shell::spawn(&mut unshare_command(spec, within, log)?)?;
        let tether = child.stdin.take();
        let mut stdout = child.stdout.take().context("stdout is piped")?;
        let ready = read_ready(&mut stdout);
        let mut namespace = Self {
            name: name.to_owned(),
            log: log.to_owned(),
            pid: 0,
            child,
            tether,
            stdout: Some(stdout),
        };
        if !ready {
            namespace.end();
            bail!(
                "{name} did not start:\n{}\nnote: full log in {}",
                shell::tail(log),
                log.display()
            );
        }
        namespace.pid = first_process(namespace.child.id())
            .with_context(|| format!("{name} ended while it was starting"))?;
        Ok(namespace)
    }

    /// Process 1 of the namespace, as the outside numbers it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A path inside the namespace's root, as seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// A command that will run inside, with nothing of our environment.
    pub fn command(&self, program: &str, env: &[(&str, &str)]) -> Command {
        let mut command = self.enter();
        command.args(["--root", "--wd=/", "--", "/usr/bin/env", "-i"]);
        command.args(env.iter().map(|(key, value)| format!("{key}={value}")));
        command.arg(program);
        command
    }

    /// `None` while the command runs.
    pub fn exit_code(&mut self) -> Result<Option<i32>> {
        Ok(self
            .child
            .try_wait()?
            .map(|status| status.code().unwrap_or(-1)))
    }

    /// What the command writes to its standard output.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdout.take().map(OwnedFd::from)
    }

    /// Waits for the command's own end.
    ///
    /// # Errors
    /// When it fails: the end of its log.
    pub fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!(
                "{} failed ({status}):\n{}\nnote: full log in {}",
                self.name,
                shell::tail(&self.log),
                self.log.display()
            );
        }
        Ok(())
    }

    fn enter(&self) -> Command {
        let mut command = shell::command("nsenter");
        command.args(["--target", &self.pid.to_string(), "--mount", "--pid"]);
        command
    }

    fn end(&mut self) {
        drop(self.tether.take());
        drop(self.stdout.take());
        // The child is `unshare` (or `nsenter`), which ends with process 1.
        let _ = self.child.wait();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end();
    }
}

fn unshare_command(spec: &Spec, within: Option<&Namespace>, log: &Path) -> Result<Command> {
    let mut command = match within {
        Some(outer) => {
            let mut command = outer.enter();
            command.args(["--", "unshare"]);
            command
        }
        None => shell::command("unshare"),
    };
    command
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "--",
        ])
        .arg(std::env::current_exe().context("cannot find our own program file")?)
        .arg(super::init::SUBCOMMAND)
        .arg(serde_json::to_string(spec)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(files::append(log)?);
    Ok(command)
}

/// Reads process 1's one line byte by byte: what follows belongs to its command.
fn read_ready(stdout: &mut ChildStdout) -> bool {
    let mut line = [0; super::init::READY.len()];
    stdout.read_exact(&mut line).is_ok() && line == super::init::READY.as_bytes()
}

/// The namespace's process 1: the first descendant of `pid` whose innermost
/// number is 1.
fn first_process(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find(|line| line.starts_with("NSpid:"))?;
    if numbers.split_whitespace().last() == Some("1") {
        return Some(pid);
    }
    let children = std::fs::File::open(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let child = BufReader::new(children).split(b' ').next()?.ok()?;
    first_process(String::from_utf8(child).ok()?.trim().parse().ok()?)
}
