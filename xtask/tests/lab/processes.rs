//! What a run has in the kernel, and whether any of it is left.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use xtask::measure::pids::descendants;

/// The processes and sockets of a run, to be looked for when it has ended.
pub struct Traces {
    /// PID and start time: PIDs are used again.
    processes: BTreeSet<(u32, String)>,
    sockets: BTreeSet<String>,
    lab: PathBuf,
}

impl Traces {
    /// Everything below the process `pid`, which works in the folder `lab`.
    pub fn of(pid: u32, lab: &Path) -> Result<Self> {
        let below = descendants(pid)?;
        let known = below
            .iter()
            .filter_map(|&pid| Some((pid, start_time(pid)?)));
        let traces = Self {
            processes: known.collect(),
            sockets: below
                .iter()
                .chain([&pid])
                .flat_map(|&pid| sockets(pid))
                .collect(),
            lab: lab.to_owned(),
        };
        // What sees nothing now would prove nothing later.
        ensure!(
            !traces.working_in_lab().is_empty() && !traces.open_sockets().is_empty(),
            "a running lab has processes and sockets"
        );
        Ok(traces)
    }

    /// # Errors
    /// When something is left after `limit`: what.
    pub fn are_gone_within(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let left = self.left();
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "left after {limit:?}: {left:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn left(&self) -> Vec<String> {
        let alive = self
            .processes
            .iter()
            .filter(|(pid, start)| start_time(*pid).as_ref() == Some(start))
            .map(|(pid, _)| format!("process {pid}: {}", command_line(*pid)));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let lab = self.lab.display().to_string();
        let mounts = mounts.lines().filter(|line| line.contains(&lab));
        alive
            .chain(self.working_in_lab())
            .chain(self.open_sockets())
            .chain(mounts.map(|line| format!("mount {line}")))
            .collect()
    }

    /// Processes that name the lab's folder, or have their root in it.
    fn working_in_lab(&self) -> Vec<String> {
        let lab = self.lab.display().to_string();
        let is_ours = |pid: &u32| {
            let root = fs::read_link(format!("/proc/{pid}/root"));
            is_alive(*pid)
                && (command_line(*pid).contains(&lab)
                    || root.is_ok_and(|it| it.starts_with(&self.lab)))
        };
        let ours = all().into_iter().filter(is_ours);
        ours.map(|pid| format!("process {pid} in the lab: {}", command_line(pid)))
            .collect()
    }

    /// Of the sockets that the run had, those that still exist.
    fn open_sockets(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (table, column) in [("tcp", 9), ("tcp6", 9), ("unix", 6)] {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            left.extend(text.lines().filter_map(|line| {
                let inode = line.split_whitespace().nth(column)?;
                let ours = self.sockets.contains(inode);
                ours.then(|| format!("{table} socket {line}"))
            }));
        }
        left
    }
}

/// A process's words, separated by spaces.
pub fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Fields 3 and 22 of /proc/PID/stat; the name before them may hold anything.
fn stat(pid: u32) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.nth(18)?.to_owned()))
}

/// A dead process whose parent has not asked after it is no process any more.
fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn start_time(pid: u32) -> Option<String> {
    is_alive(pid)
        .then(|| stat(pid))
        .flatten()
        .map(|(_, start)| start)
}

/// The inodes of a process's sockets.
fn sockets(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    let links = entries.into_iter().flatten().flatten();
    links
        .filter_map(|entry| {
            let link = fs::read_link(entry.path()).ok()?;
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect()
}
