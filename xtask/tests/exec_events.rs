//! The kernel's exec events: true times, none lost silently, clear refusals.

use std::{
    collections::HashSet,
    env,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use xtask::clock::MonoNs;
use xtask::measure::{
    exec_events::{EventsError, Exec, ExecEvents},
    probe::enter_net_ns,
};

#[path = "support/root.rs"]
mod root;
use root::is_root;

const WAIT: Duration = Duration::from_secs(2);
/// Tells a copy of this test program that it runs inside a PID namespace.
const NESTED: &str = "XTASK_TEST_IN_PID_NAMESPACE";

/// Runs /bin/true once and returns its PID.
fn run_true() -> u32 {
    let mut child = Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

fn next_of(events: &ExecEvents, pid: u32) -> Option<Exec> {
    let deadline = MonoNs::now() + WAIT;
    while let Some(exec) = events.next(deadline).unwrap() {
        if exec.pid == pid {
            return Some(exec);
        }
    }
    None
}

#[test]
fn an_exec_is_reported_with_the_time_it_happened() {
    if !is_root() {
        return;
    }
    let events = ExecEvents::subscribe().unwrap();
    for _ in 0..20 {
        let before = MonoNs::now();
        let pid = run_true();
        let after = MonoNs::now();
        let exec = next_of(&events, pid).expect("the exec is reported");
        assert!(
            before <= exec.at && exec.at <= after,
            "{before:?} {exec:?} {after:?}"
        );
    }
}

#[test]
fn a_burst_of_execs_loses_none() {
    if !is_root() {
        return;
    }
    let events = ExecEvents::subscribe().unwrap();
    let mut expected: HashSet<u32> = (0..2000).map(|_| run_true()).collect();
    // A reused PID would make the set smaller, which is no loss.
    while let Some(exec) = events.try_next().unwrap() {
        expected.remove(&exec.pid);
    }
    assert!(expected.is_empty(), "{} execs are missing", expected.len());
}

#[test]
fn a_full_buffer_is_an_error() {
    if !is_root() {
        return;
    }
    let events = ExecEvents::subscribe().unwrap();
    set_socket_recv_buffer_size(&events, 4096).unwrap();
    for _ in 0..100 {
        run_true();
    }
    let dropped = std::iter::from_fn(|| events.try_next().transpose())
        .any(|event| matches!(event, Err(EventsError::Dropped)));
    assert!(dropped);
}

#[test]
fn waiting_ends_at_the_deadline() {
    if !is_root() {
        return;
    }
    let events = ExecEvents::subscribe().unwrap();
    let deadline = MonoNs::now() + Duration::from_millis(30);
    while events.next(deadline).unwrap().is_some() {}
    assert!(MonoNs::now() >= deadline);
}

#[test]
fn another_network_namespace_is_told_so() {
    if !is_root() {
        return;
    }
    let mut elsewhere = Command::new("unshare")
        .args(["-n", "sh", "-c", "echo made; read -r end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(&mut elsewhere);
    let pid = elsewhere.id();
    let outcome = thread::spawn(move || {
        enter_net_ns(pid).unwrap();
        ExecEvents::subscribe().map(drop)
    });
    let outcome = outcome.join().unwrap();
    drop(elsewhere.stdin.take());
    elsewhere.wait().unwrap();
    assert!(
        matches!(outcome, Err(EventsError::NotInitialNetwork)),
        "{outcome:?}"
    );
}

fn wait_for_line(child: &mut std::process::Child) {
    use std::io::{BufRead as _, BufReader};
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "made\n");
}

#[test]
fn another_pid_namespace_gets_no_answer() {
    if !is_root() {
        return;
    }
    if env::var_os(NESTED).is_some() {
        let outcome = ExecEvents::subscribe().map(drop);
        assert!(matches!(outcome, Err(EventsError::NoAnswer)), "{outcome:?}");
        return;
    }
    let output = Command::new("unshare")
        .args(["-p", "-f", "--kill-child"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "another_pid_namespace_gets_no_answer"])
        .env(NESTED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
fn without_root_the_error_says_so() {
    if rustix::process::geteuid().is_root() {
        return; // There is nobody to refuse.
    }
    let outcome = ExecEvents::subscribe().map(drop);
    assert!(
        matches!(outcome, Err(EventsError::NotPermitted)),
        "{outcome:?}"
    );
}
