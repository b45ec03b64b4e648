//! One watched start, in namespaces that are made as an engine makes them: an
//! "engine" in a PID namespace of its own, below it a "container" whose first
//! process is cloned into its namespaces and then executes the service.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use xtask::clock::MonoNs;
use xtask::measure::{
    exec_events::ExecEvents,
    pids::{EngineNs, children, map_ns_pid},
    probe::ProbeSpec,
    watch::{Outcome, Phases, Requests, Started, Watch, watch_start},
};

#[path = "support/root.rs"]
mod root;

const DEADLINE: Duration = Duration::from_secs(2);
const PORT: u16 = 8080;

fn main() -> ExitCode {
    root::run(&[
        (
            "what_the_service_waits_before_it_listens_is_the_app_phase_and_no_other",
            what_the_service_waits_before_it_listens_is_the_app_phase_and_no_other,
        ),
        (
            "a_503_moves_the_200_and_not_the_listening",
            a_503_moves_the_200_and_not_the_listening,
        ),
        (
            "the_probing_begins_at_the_exec",
            the_probing_begins_at_the_exec,
        ),
        (
            "a_service_that_never_gets_ready_fails_inside_the_deadline",
            a_service_that_never_gets_ready_fails_inside_the_deadline,
        ),
        (
            "a_start_that_is_never_made_is_seen_or_cancelled",
            a_start_that_is_never_made_is_seen_or_cancelled,
        ),
        (
            "a_container_belongs_to_the_engine_that_started_it",
            a_container_belongs_to_the_engine_that_started_it,
        ),
    ])
}

/// Waits for a line, then starts the container: the network namespace first, so
/// that its loopback is up before the service runs, as an engine does it.
const ENGINE: &str = r#"echo ready; read -r start
unshare -n sh -c 'ip link set lo up && exec unshare -p -f --kill-child "$@"' container "$@"
read -r end"#;

struct Engine {
    unshare: Child,
    ns: EngineNs,
}

impl Engine {
    fn new(service: &[&str]) -> Self {
        let mut unshare = Command::new("unshare")
            .args(["-p", "-f", "--kill-child", "sh", "-c", ENGINE, "engine"])
            .arg(env!("CARGO_BIN_EXE_test-server"))
            .arg(PORT.to_string())
            .args(service)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        let init_pid = children(unshare.id()).unwrap()[0];
        let ns = EngineNs { init_pid };
        Self { unshare, ns }
    }

    fn arm(&self) -> Watch {
        let probe = ProbeSpec {
            port: PORT,
            path: "/".to_owned(),
            status: 200,
            body: b"hello".to_vec(),
        };
        let events = ExecEvents::subscribe().unwrap();
        watch_start(events, self.ns, probe, MonoNs::now() + DEADLINE).unwrap()
    }

    fn start(&mut self) -> MonoNs {
        let sent = MonoNs::now();
        self.unshare
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"start\n")
            .unwrap();
        sent
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Its child, the first process of the namespace, dies with it, and the
        // namespace with that.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// One watched start of a service with these options, and its start request.
fn start(service: &[&str]) -> (Outcome, MonoNs) {
    let mut engine = Engine::new(service);
    let watch = engine.arm();
    let sent = engine.start();
    (watch.join(), sent)
}

/// The median milliseconds of exec to listen, exec to 200 and request to exec.
#[derive(Debug)]
struct Medians {
    listen: f64,
    app: f64,
    engine: f64,
}

/// Samples of each service.
const SAMPLES: usize = 21;

/// The services are started in turns, so that a machine that becomes busy
/// becomes so for all of them.
fn medians<const N: usize>(services: [&[&str]; N]) -> [Medians; N] {
    let mut starts: [Vec<(Started, Phases)>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..SAMPLES {
        for (service, starts) in services.iter().zip(&mut starts) {
            let (outcome, start_sent) = start(service);
            let started = outcome.unwrap();
            let requests = Requests {
                create_sent: start_sent,
                create_answered: start_sent,
                start_sent,
            };
            starts.push((started, Phases::of(requests, &started.into()).unwrap()));
        }
    }
    starts.map(|starts| medians_of(&starts))
}

fn medians_of(starts: &[(Started, Phases)]) -> Medians {
    let median = |value: &dyn Fn(&(Started, Phases)) -> Duration| {
        let mut sorted: Vec<_> = starts.iter().map(value).collect();
        sorted.sort();
        sorted[sorted.len() / 2].as_secs_f64() * 1e3
    };
    Medians {
        listen: median(&|(started, _)| started.t_listen.since(started.t_exec).unwrap()),
        app: median(&|(_, phases)| phases.app.unwrap()),
        engine: median(&|(_, phases)| phases.engine.unwrap()),
    }
}

#[track_caller]
fn assert_about(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (got - expected).abs() <= tolerance,
        "{what}: {got:.3} ms, not {expected:.3}"
    );
}

fn what_the_service_waits_before_it_listens_is_the_app_phase_and_no_other() {
    let [at_once, after_20, after_100] =
        medians([&[], &["listen_after_ms=20"], &["listen_after_ms=100"]]);
    println!("{at_once:?}");
    for (wait, waited) in [(20.0, after_20), (100.0, after_100)] {
        println!("{wait} ms: {waited:?}");
        assert_about(waited.app - at_once.app, wait, 1.0, "app");
        assert_about(waited.engine, at_once.engine, 5.0, "engine");
    }
}

fn a_503_moves_the_200_and_not_the_listening() {
    let [at_once, unavailable] = medians([&[], &["unavailable_ms=50"]]);
    assert_about(unavailable.app - at_once.app, 50.0, 1.0, "app");
    assert_about(unavailable.listen, at_once.listen, 1.0, "listen");
}

fn the_probing_begins_at_the_exec() {
    let (outcome, sent) = start(&[]);
    let started = outcome.unwrap();
    assert!(sent < started.t_exec && started.t_exec < started.t_listen);
    let first = started.t_200.since(started.t_exec).unwrap();
    assert!(first < Duration::from_millis(50), "{first:?}");
}

fn a_service_that_never_gets_ready_fails_inside_the_deadline() {
    let soon = Duration::from_millis(500);
    // It lives long enough to be told from a stranger's process on a busy
    // machine.
    let exit: &[_] = &["listen_after_ms=50", "answer=exit"];
    for (service, word, within) in [
        (exit, "exited", soon),
        (&["answer=half"], "truncated", soon),
        (&["answer=wrong_body"], "wrong_body", soon),
        (&["answer=silence"], "hung", DEADLINE),
        (&["answer=never_listen"], "never_listened", DEADLINE),
    ] {
        let (outcome, sent) = start(service);
        let took = MonoNs::now().since(sent).unwrap();
        assert_eq!(outcome.unwrap_err().word(), word);
        assert!(
            took < within + Duration::from_millis(200),
            "{service:?} took {took:?}"
        );
    }
}

fn a_start_that_is_never_made_is_seen_or_cancelled() {
    let engine = Engine::new(&[]);
    assert_eq!(engine.arm().join().unwrap_err().word(), "no_exec");
    let before = MonoNs::now();
    assert_eq!(engine.arm().cancel().unwrap_err().word(), "stopped");
    assert!(MonoNs::now().since(before).unwrap() < Duration::from_millis(200));
}

fn a_container_belongs_to_the_engine_that_started_it() {
    let other = Engine::new(&[]);
    let mut engine = Engine::new(&[]);
    let (watch, others) = (engine.arm(), other.arm());
    engine.start();
    let pid = watch.join().unwrap().pid;
    assert_eq!(others.join().unwrap_err().word(), "no_exec");

    assert!(engine.ns.is_container_init(pid));
    assert!(!other.ns.is_container_init(pid));
    assert!(!engine.ns.is_container_init(engine.ns.init_pid));
    for ns in [engine.ns, other.ns] {
        assert_eq!(map_ns_pid(ns, 1).unwrap(), Some(ns.init_pid));
    }
    let inside = pid_in_engine(pid);
    assert_eq!(map_ns_pid(engine.ns, inside).unwrap(), Some(pid));
    assert_ne!(map_ns_pid(other.ns, inside).unwrap(), Some(pid));
}

/// The middle one of the container's three PIDs: here, engine, container.
fn pid_in_engine(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let levels = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap();
    levels.split_whitespace().nth(1).unwrap().parse().unwrap()
}
