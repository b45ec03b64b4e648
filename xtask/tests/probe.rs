//! The probe against real processes: each way of not being ready is a failure of
//! its own, inside its deadline. No namespaces here, so no root.

use std::{
    net::TcpListener,
    os::fd::AsFd as _,
    process::{Child, Command},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use xtask::clock::MonoNs;
use xtask::measure::probe::{NotReady, ProbeSpec, Ready, Signs, until_ready};

const DEADLINE: Duration = Duration::from_millis(400);
/// A busy machine may wake the probe late; this is far from a second deadline.
const GRACE: Duration = Duration::from_millis(200);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already, as some of the tests want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn probe(options: &[&str]) -> (Result<Ready, NotReady>, Duration) {
    let port = free_port();
    let mut server = Command::new(env!("CARGO_BIN_EXE_test-server"));
    let server = Server(server.arg(port.to_string()).args(options).spawn().unwrap());
    let pid = Pid::from_raw(server.0.id() as i32).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let signs = Signs {
        exit: Some(process.as_fd()),
        stop: None,
    };
    let start = MonoNs::now();
    let outcome = until_ready(&spec(port), signs, start + DEADLINE);
    (outcome, MonoNs::now().since(start).unwrap())
}

fn spec(port: u16) -> ProbeSpec {
    ProbeSpec {
        port,
        path: "/".to_owned(),
        status: 200,
        body: b"hello".to_vec(),
    }
}

/// The failure of a server with `options`, which must come inside the deadline.
fn failure(options: &[&str]) -> NotReady {
    let (outcome, took) = probe(options);
    assert!(took < DEADLINE + GRACE, "{options:?} took {took:?}");
    outcome.expect_err("the server is never ready")
}

#[test]
fn every_framing_of_the_expected_answer_is_ready() {
    for answer in ["answer=hello", "answer=chunked", "answer=until_closed"] {
        let ready = probe(&[answer]).0.unwrap();
        assert!(ready.t_listen < ready.t_200, "{answer}");
    }
}

#[test]
fn the_time_is_that_of_the_last_byte() {
    let ready = probe(&["answer=chunked"]).0.unwrap();
    let answering = ready.t_200.since(ready.t_listen).unwrap();
    assert!(answering >= Duration::from_millis(10), "{answering:?}");
}

#[test]
fn a_503_is_asked_again() {
    let ready = probe(&["unavailable_ms=50"]).0.unwrap();
    assert!(ready.attempts > 10, "{} attempts", ready.attempts);
    let refused = failure(&["unavailable_ms=60000"]);
    let NotReady::NeverReady { status, body } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((status, body.as_str()), (503, "wait"));
}

#[test]
fn each_way_of_not_being_ready_has_its_own_word() {
    for (answer, word) in [
        ("never_listen", "never_listened"),
        ("hang_up", "never_answered"),
        ("exit", "exited"),
        ("half", "truncated"),
        ("half_then_exit", "truncated"),
        ("wrong_body", "wrong_body"),
        ("silence", "hung"),
        ("slow", "hung"),
        ("huge", "too_large"),
        ("ssh", "not_http"),
    ] {
        let failure = failure(&[&format!("answer={answer}")]);
        assert_eq!(failure.word(), word, "{answer}: {failure}");
    }
}

#[test]
fn an_exit_ends_the_probe_at_once() {
    let (outcome, took) = probe(&["listen_after_ms=50", "answer=exit"]);
    assert!(matches!(outcome, Err(NotReady::Exited)), "{outcome:?}");
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn closing_the_other_end_of_the_pipe_stops_the_probe() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    drop(write);
    let signs = Signs {
        exit: None,
        stop: Some(read.as_fd()),
    };
    let outcome = until_ready(&spec(free_port()), signs, MonoNs::now() + DEADLINE);
    assert!(matches!(outcome, Err(NotReady::Stopped)), "{outcome:?}");
}
