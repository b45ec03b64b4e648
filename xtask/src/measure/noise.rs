//! What else kept the machine's cores busy while a sample was taken.
//!
//! Foreign is the CPU time of every process that is not ours: not xtask, in
//! which the proxy and the probe run, and not one of its descendants, which the
//! engines, the registry and every container are. It is added up from the
//! foreign side, in the scheduler's nanoseconds, because what is ours is made of
//! hundreds of short-lived processes whose times are lost or rounded when they
//! end. The kernel's own threads are nobody's: most of what they do is done for
//! us.
//!
//! An engine that we have not started is no descendant. Its processes are ours
//! for the time; and what it leaves behind at each start (a container's shim)
//! becomes a child of a process above it, in whose account it then ends beside
//! whatever else that one waits for. So those accounts are nobody's, too.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use crate::clock::MonoNs;

/// A sample is disturbed above this much foreign CPU time, in thousandths of
/// one core.
pub const FOREIGN_PERMILLE_MAX: u64 = 50;
/// The same for time that the hypervisor gave to somebody else.
pub const STEAL_PERMILLE_MAX: u64 = 20;

/// A kernel thread's flag in `/proc/<pid>/stat` (`PF_KTHREAD`, linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The CPU times of the machine at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub at: MonoNs,
    /// Given to others by the hypervisor since boot.
    pub steal_ns: u64,
    /// The unit that the kernel counts `steal_ns` in.
    pub tick_ns: u64,
    /// Time on a core of every foreign thread.
    pub threads: HashMap<u32, u64>,
    /// Time of the children that foreign processes have waited for; by its keys
    /// also which processes there are.
    pub reaped: HashMap<u32, u64>,
}

/// What disturbed one sample, in thousandths of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    pub foreign_permille: u64,
    pub steal_permille: u64,
    /// Steal above one tick: less than that the kernel cannot tell.
    steal_is_certain: bool,
}

impl Noise {
    pub fn is_disturbing(&self) -> bool {
        self.foreign_permille > FOREIGN_PERMILLE_MAX
            || (self.steal_permille > STEAL_PERMILLE_MAX && self.steal_is_certain)
    }

    /// What happened between two looks; none where no time passed.
    pub fn between(before: &Look, after: &Look) -> Option<Self> {
        let elapsed = after.at.0.checked_sub(before.at.0).filter(|ns| *ns > 0)?;
        let steal = after.steal_ns.saturating_sub(before.steal_ns);
        let permille = |ns: u64| u64::try_from(u128::from(ns) * 1000 / u128::from(elapsed));
        Some(Self {
            foreign_permille: permille(foreign_ns(before, after)).ok()?,
            steal_permille: permille(steal).ok()?,
            steal_is_certain: steal > after.tick_ns,
        })
    }
}

/// Threads that ran on, threads that are new, and those that came and went: of
/// the last, only what their parents were told when they waited for them.
fn foreign_ns(before: &Look, after: &Look) -> u64 {
    let ran = |(thread, now): (&u32, &u64)| {
        let then = before.threads.get(thread).copied().unwrap_or(0);
        // A smaller time is that of a new thread under a used number.
        if *now < then { *now } else { now - then }
    };
    let running: u64 = after.threads.iter().map(ran).sum();
    let reaped: u64 = after
        .reaped
        .iter()
        .map(|(process, now)| {
            let then = before.reaped.get(process).copied().unwrap_or(0);
            now.saturating_sub(then)
        })
        .sum();
    // What an ended process had used before the first look is in its parent's
    // account as well. Threads of a process that goes on are in nobody's.
    let known: u64 = before
        .threads
        .iter()
        .filter(|(thread, _)| {
            before.reaped.contains_key(thread) && !after.reaped.contains_key(thread)
        })
        .map(|(_, ns)| ns)
        .sum();
    running + reaped.saturating_sub(known)
}

/// Looks at this machine; none where the kernel keeps no such times.
pub fn look() -> Option<Look> {
    look_beside(&[])
}

/// The same while the processes of an `engine` that we have not started work
/// for us.
pub fn look_beside(engine: &[u32]) -> Option<Look> {
    look_from(std::process::id(), engine)
}

/// The same for the trees of processes below `ours` and the engine's.
fn look_from(ours: u32, engine: &[u32]) -> Option<Look> {
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    let tick_ns = 1_000_000_000 / ticks_per_s.max(1);
    let at = MonoNs::now();
    let processes: Vec<Process> = pids(Path::new("/proc"))
        .filter_map(|pid| Process::read(pid, tick_ns))
        .collect();
    let roots = [&[ours][..], engine].concat();
    let (ours, reapers) = (trees_below(&roots, &processes), above(engine, &processes));
    let (mut threads, mut reaped) = (HashMap::new(), HashMap::new());
    for process in &processes {
        if process.is_kernel || ours.contains(&process.pid) {
            continue;
        }
        let is_nobodys = reapers.contains(&process.pid);
        let reaped_ns = if is_nobodys { 0 } else { process.reaped_ns };
        reaped.insert(process.pid, reaped_ns);
        for thread in pids(
            &Path::new("/proc")
                .join(process.pid.to_string())
                .join("task"),
        ) {
            if let Some(ns) = time_on_core(process.pid, thread) {
                threads.insert(thread, ns);
            }
        }
    }
    // Process 1 is always somebody else; no times at all means no such kernel.
    (!threads.is_empty()).then_some(Look {
        at,
        steal_ns: steal_ticks()? * tick_ns,
        tick_ns,
        threads,
        reaped,
    })
}

struct Process {
    pid: u32,
    parent: u32,
    is_kernel: bool,
    reaped_ns: u64,
}

impl Process {
    fn read(pid: u32, tick_ns: u64) -> Option<Self> {
        Self::parse(
            pid,
            &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
            tick_ns,
        )
    }

    /// proc_pid_stat(5); the name in brackets may hold anything.
    fn parse(pid: u32, text: &str, tick_ns: u64) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        // Counted from the field after the name: 0 state, 1 parent, 6 flags,
        // 13 and 14 what waited-for children used in user and kernel mode.
        Some(Self {
            pid,
            parent: u32::try_from(number(1)?).ok()?,
            is_kernel: number(6)? & KERNEL_THREAD != 0,
            reaped_ns: (number(13)? + number(14)?) * tick_ns,
        })
    }
}

/// The `roots` and every process below them.
fn trees_below(roots: &[u32], processes: &[Process]) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in processes {
        children
            .entry(process.parent)
            .or_default()
            .push(process.pid);
    }
    let mut next = roots.to_vec();
    let mut trees: HashSet<u32> = roots.iter().copied().collect();
    while let Some(pid) = next.pop() {
        let below = children.get(&pid).into_iter().flatten();
        next.extend(below.filter(|child| trees.insert(**child)));
    }
    trees
}

/// Every process that one of `pids` descends from.
fn above(pids: &[u32], processes: &[Process]) -> HashSet<u32> {
    let parents: HashMap<u32, u32> = processes.iter().map(|it| (it.pid, it.parent)).collect();
    let mut found = HashSet::new();
    for pid in pids {
        let mut next = parents.get(pid);
        // Above one that was found already there is nothing new.
        while let Some(parent) = next.filter(|parent| found.insert(**parent)) {
            next = parents.get(parent);
        }
    }
    found
}

fn pids(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The first number of `schedstat`: nanoseconds on a core.
fn time_on_core(process: u32, thread: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{thread}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// The eighth number of the first line of `/proc/stat`, proc_stat(5).
fn steal_ticks() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let all = text.lines().next()?.strip_prefix("cpu ")?;
    all.split_ascii_whitespace().nth(7)?.parse().ok()
}

/// What pressure stall information says: microseconds since boot in which some
/// process waited for a core; none on a kernel without it. Recorded, and never
/// a criterion: our own unpacking raises it.
pub fn pressure_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.rsplit_once("total=")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Child, Command},
        time::{Duration, Instant},
    };

    use super::*;

    fn at(ms: u64, threads: &[(u32, u64)], reaped: &[(u32, u64)]) -> Look {
        Look {
            at: MonoNs(ms * 1_000_000),
            steal_ns: 0,
            tick_ns: 10_000_000,
            threads: threads
                .iter()
                .map(|(id, ms)| (*id, ms * 1_000_000))
                .collect(),
            reaped: reaped
                .iter()
                .map(|(id, ms)| (*id, ms * 1_000_000))
                .collect(),
        }
    }

    fn foreign(before: &Look, after: &Look) -> u64 {
        Noise::between(before, after).unwrap().foreign_permille
    }

    #[test]
    fn what_ran_on_what_came_and_what_went_is_added_up() {
        let before = at(1000, &[(1, 5_000), (2, 70), (3, 40)], &[(1, 900), (3, 0)]);
        assert_eq!(
            foreign(
                &before,
                &at(1100, &[(1, 5_000), (2, 70), (3, 40)], &[(1, 900)])
            ),
            0
        );
        let ran_on = at(1100, &[(1, 5_004), (2, 70), (3, 40)], &[(1, 900)]);
        assert_eq!(foreign(&before, &ran_on), 40);
        let came = at(1100, &[(1, 5_000), (2, 70), (3, 40), (9, 6)], &[(1, 900)]);
        assert_eq!(foreign(&before, &came), 60);
        // 3 ended after 8 ms more, and process 1 waited for it.
        let went = at(1100, &[(1, 5_000), (2, 70)], &[(1, 948)]);
        assert_eq!(foreign(&before, &went), 80);
        // 2 is a thread of 1, and its end is in nobody's account.
        let thread_went = at(1100, &[(1, 5_000), (3, 40)], &[(1, 907), (3, 0)]);
        assert_eq!(foreign(&before, &thread_went), 70);
        // A shell that came, and has waited for a child by now.
        let shell = at(
            1100,
            &[(1, 5_000), (2, 70), (3, 40), (8, 1)],
            &[(1, 900), (3, 0), (8, 9)],
        );
        assert_eq!(foreign(&before, &shell), 100);
        // A number that was used again.
        let again = at(1100, &[(1, 5_000), (2, 3), (3, 40)], &[(1, 900)]);
        assert_eq!(foreign(&before, &again), 30);
    }

    #[test]
    fn the_limits_are_those_of_the_contract() {
        let before = at(0, &[(1, 0)], &[]);
        let noise = |foreign_ms, steal_ms: u64| {
            let mut after = at(1000, &[(1, foreign_ms)], &[]);
            after.steal_ns = steal_ms * 1_000_000;
            Noise::between(&before, &after).unwrap()
        };
        assert!(!noise(50, 20).is_disturbing());
        assert!(noise(51, 0).is_disturbing());
        assert!(noise(0, 21).is_disturbing());
        // In 100 ms one tick is 10 %, and the least that the kernel can say.
        let mut after = at(100, &[(1, 0)], &[]);
        after.steal_ns = 10_000_000;
        assert!(!Noise::between(&before, &after).unwrap().is_disturbing());
        assert_eq!(Noise::between(&after, &after), None);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "77 (a) b (c) S 12 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 100";
        let process = Process::parse(77, text, 10).unwrap();
        assert_eq!((process.parent, process.is_kernel), (12, false));
        assert_eq!(process.reaped_ns, (7 + 8) * 10);
        let kernel = Process::parse(
            3,
            "3 (kworker/R-rcu_g) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0",
            1,
        );
        assert!(kernel.unwrap().is_kernel);
        assert!(Process::parse(1, "1 (cut", 1).is_none());
    }

    /// A process that uses a core until it is dropped.
    struct Busy(Child);

    impl Busy {
        fn start() -> Self {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn();
            Self(child.unwrap())
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// How much of a core `pid` ran between the looks, where it is foreign.
    fn seen(pid: u32, before: &Look, after: &Look) -> Option<Duration> {
        let now = after.threads.get(&pid)?;
        let ns = now - before.threads.get(&pid).copied().unwrap_or(0);
        Some(Duration::from_nanos(ns))
    }

    #[test]
    fn our_own_tree_is_not_foreign_and_everybody_else_is() {
        let busy = Busy::start();
        let pid = busy.0.id();
        let look_from_a_stranger = || look_from(u32::MAX, &[]).unwrap();
        let (ours, before) = (look().unwrap(), look_from_a_stranger());
        let until = Instant::now() + Duration::from_secs(5);
        // However busy the machine is, it gets a core now and then.
        let ran = loop {
            std::thread::sleep(Duration::from_millis(50));
            let ran = seen(pid, &before, &look_from_a_stranger()).unwrap();
            if ran > Duration::from_millis(20) || Instant::now() > until {
                break ran;
            }
        };
        assert!(ran > Duration::from_millis(20), "{ran:?}");
        assert_eq!(seen(pid, &ours, &look().unwrap()), None);
    }

    #[test]
    fn an_engine_beside_us_is_ours_and_the_accounts_above_it_are_nobodys() {
        let process = |pid, parent| Process {
            pid,
            parent,
            is_kernel: false,
            reaped_ns: 0,
        };
        // 1 ─┬─ 2 (containerd) ── 5
        //    └─ 3 ── 4 (dockerd) ── 6
        let links = [(1, 0), (2, 1), (3, 1), (4, 3), (5, 2), (6, 4), (7, 1)];
        let processes: Vec<_> = links.map(|(pid, parent)| process(pid, parent)).into();
        let ours = HashSet::from([2, 4, 5, 6]);
        assert_eq!(trees_below(&[2, 4], &processes), ours);
        assert_eq!(above(&[2, 4], &processes), HashSet::from([0, 1, 3]));
        assert_eq!(above(&[], &processes), HashSet::new());
        // Gone by the time of the look.
        assert_eq!(above(&[9], &processes), HashSet::new());

        let engine = Busy::start();
        let pid = engine.0.id();
        let parent = std::process::id();
        let before = look_from(u32::MAX, &[pid]).unwrap();
        assert!(before.reaped.contains_key(&parent) && !before.reaped.contains_key(&pid));
        assert_eq!(before.reaped[&parent], 0);
    }
}
