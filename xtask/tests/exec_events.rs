//! The kernel's exec events: true times, none lost silently, clear refusals.

use std::{
    collections::HashSet,
    env,
    process::{Command, ExitCode, Stdio},
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

const WAIT: Duration = Duration::from_secs(2);
/// Tells a copy of this test program that it runs inside a PID namespace.
const NESTED: &str = "XTASK_TEST_IN_PID_NAMESPACE";

fn main() -> ExitCode {
    root::run(&[
        (
            "an_exec_is_reported_with_the_time_it_happened",
            an_exec_is_reported_with_the_time_it_happened,
        ),
        ("a_burst_of_execs_loses_none", a_burst_of_execs_loses_none),
        ("a_full_buffer_is_an_error", a_full_buffer_is_an_error),
        ("waiting_ends_at_the_deadline", waiting_ends_at_the_deadline),
        (
            "another_network_namespace_is_told_so",
            another_network_namespace_is_told_so,
        ),
        (
            "another_pid_namespace_gets_no_answer",
            another_pid_namespace_gets_no_answer,
        ),
    ])
}

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

fn an_exec_is_reported_with_the_time_it_happened() {
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

fn a_burst_of_execs_loses_none() {
    let events = ExecEvents::subscribe().unwrap();
    let mut expected: HashSet<u32> = (0..2000).map(|_| run_true()).collect();
    // A reused PID would make the set smaller, which is no loss.
    while let Some(exec) = events.try_next().unwrap() {
        expected.remove(&exec.pid);
    }
    assert!(expected.is_empty(), "{} execs are missing", expected.len());
}

fn a_full_buffer_is_an_error() {
    let events = ExecEvents::subscribe().unwrap();
    set_socket_recv_buffer_size(&events, 4096).unwrap();
    for _ in 0..100 {
        run_true();
    }
    let dropped = std::iter::from_fn(|| events.try_next().transpose())
        .any(|event| matches!(event, Err(EventsError::Dropped)));
    assert!(dropped);
}

fn waiting_ends_at_the_deadline() {
    let events = ExecEvents::subscribe().unwrap();
    let deadline = MonoNs::now() + Duration::from_millis(30);
    while events.next(deadline).unwrap().is_some() {}
    assert!(MonoNs::now() >= deadline);
}

fn another_network_namespace_is_told_so() {
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

fn another_pid_namespace_gets_no_answer() {
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
