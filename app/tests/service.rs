//! What the running binary promises, asked of it from outside.

mod support;

use std::time::Duration;

use support::{Service, can_be_pid_1, command, command_as_pid_1, run_with_port};

/// "At once": a tenth of what would be noticed, many times what it takes.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn greets_in_exactly_these_bytes() {
    let response = Service::start().get("/");
    assert_eq!(response.status, 200);
    assert_eq!(response.content_type.as_deref(), Some("application/json"));
    assert_eq!(
        response.body,
        r#"{"message":"Hello goni!","status":"success"}"#
    );
}

#[test]
fn knows_no_other_path() {
    let service = Service::start();
    assert_eq!(service.get("/nowhere").status, 404);
    assert_eq!(service.get("/panic").status, 404, "not unless asked for");
}

#[test]
fn logs_one_line_per_request() {
    let service = Service::start();
    service.get("/");
    service.get("/nowhere?with=query");
    service.get("/");
    for expected in ["GET / 200", "GET /nowhere 404", "GET / 200"] {
        assert_request_line(&service.log_line(), expected);
    }
    assert!(service.rest_of_log().is_empty());
}

#[test]
fn outlives_a_panic() {
    let mut command = command();
    command
        .env("APP_TEST_PANIC", "1")
        .env("RUST_BACKTRACE", "0");
    let service = Service::spawn(command);
    for _ in 0..3 {
        assert_eq!(service.get("/panic").status, 500);
        assert_request_line(&service.log_line(), "GET /panic 500");
        assert_eq!(service.get("/").status, 200);
        assert_request_line(&service.log_line(), "GET / 200");
    }
}

#[test]
fn refuses_a_port_that_is_none() {
    for port in ["", "http", "-1", "65536", "80 "] {
        let output = run_with_port(port);
        assert_eq!(output.status.code(), Some(2), "PORT={port:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            format!("error: PORT is {port:?}, expected a number from 0 to 65535\n")
        );
    }
}

#[test]
fn says_which_port_is_taken() {
    let service = Service::start();
    let port = service.port().to_string();
    let output = run_with_port(&port);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with(&format!("error: port {port}: ")),
        "{stderr}"
    );
}

#[test]
fn ends_cleanly_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut service = Service::start();
        service.get("/");
        let pid = service.pid();
        assert_ends_cleanly(&mut service, signal, pid);
    }
}

#[test]
fn an_open_connection_does_not_hold_the_end_up() {
    let mut service = Service::start();
    let idle = service.connect();
    let pid = service.pid();
    assert_ends_cleanly(&mut service, "TERM", pid);
    drop(idle);
}

#[test]
fn ends_cleanly_as_pid_1() {
    if !can_be_pid_1() {
        assert!(
            std::env::var_os("CI").is_none(),
            "making a PID namespace is not allowed here, and under CI every test runs"
        );
        eprintln!("skipped: making a PID namespace is not allowed here");
        return;
    }
    for signal in ["TERM", "INT"] {
        let mut service = Service::spawn(command_as_pid_1());
        assert_eq!(service.get("/").status, 200);
        let pid = service.forked_pid();
        assert_ends_cleanly(&mut service, signal, pid);
    }
}

fn assert_ends_cleanly(service: &mut Service, signal: &str, pid: u32) {
    let (status, took) = service.end_by(signal, pid);
    assert_eq!(status.code(), Some(0), "{signal}: {status}");
    assert!(took < AT_ONCE, "{signal}: took {took:?}");
}

fn assert_request_line(line: &str, expected: &str) {
    let micros = line
        .strip_prefix(expected)
        .and_then(|rest| rest.trim_start().strip_suffix("us"));
    assert!(
        micros.is_some_and(|micros| micros.parse::<u64>().is_ok()),
        "{line:?} is {expected:?} and a time in us"
    );
}
