//! Which process is the container, as this side of the engine's PID namespace
//! sees it.
//!
//! Every process may end between two looks at it; that is an ordinary `None`
//! here, never an error.

use std::{fs, io};

/// A chain of parents longer than this is a loop made by a reused PID.
const MAX_GENERATIONS: usize = 64;

/// The PID namespace an engine works in, named by that namespace's first
/// process; PID 1 for an engine that runs directly on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineNs {
    pub init_pid: u32,
}

impl EngineNs {
    /// Is `pid` the first process of a container of this engine?
    ///
    /// It is PID 1 of a namespace exactly one level below the engine's, and its
    /// parents lead to the engine's first process. An exec of such a process is
    /// the entrypoint's: `runc create` clones the container's PID 1 without an
    /// exec, and `runc start` lets it execute the entrypoint.
    pub fn is_container_init(self, pid: u32) -> bool {
        // Asked of every exec on the machine, so the cheap answer comes first.
        let Some(process) = Status::read(pid).filter(|it| it.ns_pids.last() == Some(&1)) else {
            return false;
        };
        Status::read(self.init_pid)
            .is_some_and(|engine| process.ns_pids.len() == engine.ns_pids.len() + 1)
            && self.is_ancestor_of(&process)
    }

    fn is_ancestor_of(self, process: &Status) -> bool {
        let mut parent = process.parent;
        for _ in 0..MAX_GENERATIONS {
            if parent == self.init_pid {
                return true;
            }
            match Status::read(parent) {
                Some(status) => parent = status.parent,
                None => return false,
            }
        }
        false
    }
}

/// The PID here of the process that the engine calls `pid_in_engine_ns`; `None`
/// when there is no such process (any more).
pub fn map_ns_pid(engine: EngineNs, pid_in_engine_ns: u32) -> io::Result<Option<u32>> {
    let Some(level) = Status::read(engine.init_pid).map(|init| init.ns_pids.len() - 1) else {
        return Ok(None);
    };
    Ok(all_pids()?.find(|&pid| {
        Status::read(pid).is_some_and(|status| {
            status.ns_pids.get(level) == Some(&pid_in_engine_ns)
                // Another engine's namespace may lie at the same level.
                && (pid == engine.init_pid || engine.is_ancestor_of(&status))
        })
    }))
}

/// The children of `pid`: the first process of a namespace, seen from the
/// process that made it.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let is_child = |&other: &u32| Status::read(other).is_some_and(|status| status.parent == pid);
    Ok(all_pids()?.filter(is_child).collect())
}

/// Every process below `pid`, each after its parent.
pub fn descendants(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = children(pid)?;
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid)?);
        next += 1;
    }
    Ok(found)
}

fn all_pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// What `/proc/<pid>/status` says of a process's place.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    /// 0 where the parent lies outside the namespace that /proc shows.
    parent: u32,
    /// Its PID in each PID namespace it is in, from the outermost one that
    /// /proc shows to its own; never empty.
    ns_pids: Vec<u32>,
}

impl Status {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let ns_pids: Vec<u32> = field("NSpid:")?
            .split_ascii_whitespace()
            .map(|pid| pid.parse().ok())
            .collect::<Option<_>>()?;
        (!ns_pids.is_empty()).then_some(Self {
            parent: field("PPid:")?.trim().parse().ok()?,
            ns_pids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_gives_the_parent_and_every_level() {
        let text = "Name:\tsrv\nPPid:\t77\nNSpid:\t1234\t56\t1\n";
        let parent = 77;
        let ns_pids = vec![1234, 56, 1];
        assert_eq!(Status::parse(text), Some(Status { parent, ns_pids }));
        assert_eq!(Status::parse("Name:\tsrv\nPPid:\t77\n"), None);
        assert_eq!(Status::parse("PPid:\t77\nNSpid:\n"), None);
    }

    #[test]
    fn this_process_is_no_container_of_the_machine_it_runs_on() {
        assert!(!EngineNs { init_pid: 1 }.is_container_init(std::process::id()));
    }

    #[test]
    fn a_process_that_is_gone_is_nobody() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        assert!(children(std::process::id()).unwrap().contains(&pid));
        child.wait().unwrap();
        assert!(!EngineNs { init_pid: 1 }.is_container_init(pid));
        assert_eq!(map_ns_pid(EngineNs { init_pid: pid }, 1).unwrap(), None);
    }
}
