//! The processes of an engine that we have not started: whose work is the
//! engine's, and which files it sees. What the kernel does not say is an error
//! and never guessed.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use tokio::{net::UnixStream, runtime};

use super::data_root::file_system_in;

/// A dockerd on this machine.
pub struct Daemon {
    pid: u32,
    processes: Vec<Process>,
}

impl Daemon {
    /// The one behind a socket.
    ///
    /// # Errors
    /// When it cannot be told which process that is: the engine may run in a
    /// virtual machine, or in a PID namespace that is not seen from here.
    pub fn behind(socket: &Path) -> Result<Self> {
        let processes = Process::all()?;
        let pid = dockerd(&processes, listener(socket)?)?;
        Ok(Self { pid, processes })
    }

    /// dockerd and its containerd: they and everything below them do the
    /// engine's work.
    ///
    /// # Errors
    /// When it cannot be told which containerd is this engine's.
    pub fn roots(&self) -> Result<[u32; 2]> {
        Ok([self.pid, containerd(&self.processes, self.pid)?])
    }

    /// The file system that holds `path` where the engine looks for it.
    ///
    /// # Errors
    /// When the engine's mounts cannot be read.
    pub fn file_system_of(&self, path: &Path) -> Result<String> {
        let file = format!("/proc/{}/mounts", self.pid);
        let mounts = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        file_system_in(&mounts, path)
    }
}

/// The process that listens at a socket; none where it is not seen from here.
fn listener(socket: &Path) -> Result<Option<u32>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Not by rustix, whose PID of a peer cannot be the 0 that the kernel gives
    // for a process outside our PID namespace.
    let peer = runtime
        .block_on(async { UnixStream::connect(socket).await?.peer_cred() })
        .with_context(|| format!("cannot connect to {}", socket.display()))?;
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    Ok(pid.filter(|pid| *pid != 0))
}

/// The listener, if that is a dockerd. The service manager may have opened the
/// socket in its place; then it is the only dockerd there is.
fn dockerd(processes: &[Process], listener: Option<u32>) -> Result<u32> {
    let all = called(processes, "dockerd");
    match listener.filter(|pid| all.contains(pid)) {
        Some(pid) => Ok(pid),
        None => the_only(&all, "dockerd"),
    }
}

/// Its own child, or a service beside it; then it is the only containerd there
/// is, because no dockerd runs without one.
fn containerd(processes: &[Process], dockerd: u32) -> Result<u32> {
    let all = called(processes, "containerd");
    let is_own = |pid: &&u32| is_below(processes, **pid, dockerd);
    match all.iter().find(is_own) {
        Some(pid) => Ok(*pid),
        None => the_only(&all, "containerd"),
    }
}

fn called(processes: &[Process], name: &str) -> Vec<u32> {
    let so_called = processes.iter().filter(|process| process.name == name);
    so_called.map(|process| process.pid).collect()
}

fn the_only(pids: &[u32], name: &str) -> Result<u32> {
    match pids {
        [only] => Ok(*only),
        [] => bail!("no process that is seen from here is called {name}"),
        _ => bail!(
            "{} processes are called {name}, and nothing tells which of them is this engine's",
            pids.len()
        ),
    }
}

fn is_below(processes: &[Process], pid: u32, ancestor: u32) -> bool {
    let mut next = pid;
    // Processes come and go while they are listed: no chain is followed for longer.
    for _ in 0..processes.len() {
        let Some(process) = processes.iter().find(|process| process.pid == next) else {
            return false;
        };
        if process.parent == ancestor {
            return true;
        }
        next = process.parent;
    }
    false
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
}

impl Process {
    fn all() -> Result<Vec<Self>> {
        let entries = fs::read_dir("/proc").context("cannot read /proc")?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(pids.filter_map(Self::read).collect())
    }

    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        Some(Self {
            pid,
            parent: field("PPid:")?.trim().parse().ok()?,
            name: field("Name:")?.trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(all: &[(u32, u32, &str)]) -> Vec<Process> {
        let process = |(pid, parent, name): &(u32, u32, &str)| Process {
            pid: *pid,
            parent: *parent,
            name: (*name).to_owned(),
        };
        all.iter().map(process).collect()
    }

    #[test]
    fn the_one_that_listens_is_the_engine() {
        let two = processes(&[(1, 0, "init"), (7, 1, "dockerd"), (8, 1, "dockerd")]);
        assert_eq!(dockerd(&two, Some(8)).unwrap(), 8);
        // Opened by the service manager, or by nobody that is seen.
        for listener in [Some(1), None] {
            let error = dockerd(&two, listener).unwrap_err().to_string();
            assert!(error.contains("2 processes are called dockerd"), "{error}");
            assert_eq!(dockerd(&two[..2], listener).unwrap(), 7);
        }
        let error = dockerd(&two[..1], Some(1)).unwrap_err().to_string();
        assert!(error.contains("no process"), "{error}");
    }

    #[test]
    fn its_containerd_is_its_own_or_the_only_one() {
        let all = processes(&[
            (1, 0, "systemd"),
            (5, 1, "containerd"),
            (7, 1, "dockerd"),
            (8, 7, "sh"),
            (9, 8, "containerd"),
        ]);
        assert_eq!(containerd(&all, 7).unwrap(), 9);
        assert_eq!(containerd(&all[..4], 7).unwrap(), 5);
        let kubelets = processes(&[(4, 1, "containerd"), (5, 1, "containerd")]);
        assert!(containerd(&kubelets, 7).is_err());
        assert!(containerd(&kubelets[..0], 7).is_err());
    }

    #[test]
    fn who_listens_is_told_by_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("x.sock");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(listener(&socket).unwrap(), Some(std::process::id()));
        assert!(listener(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn the_process_sees_itself_among_the_others() {
        let all = Process::all().unwrap();
        let parent = std::os::unix::process::parent_id();
        assert!(is_below(&all, std::process::id(), parent));
        assert!(!is_below(&all, parent, std::process::id()));
    }
}
