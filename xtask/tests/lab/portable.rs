//! The portable probe and the host engine's subject, on an ordinary engine.

use std::{
    fmt,
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use xtask::{
    clock::MonoNs,
    engine::Span,
    measure::{
        exec_events::ExecEvents,
        pids::EngineNs,
        portable::HostSubject,
        probe::{ProbeSpec, Signs, until_ready},
        subject::Subject as _,
        watch::{Phases, Requests, Started, watch_start},
    },
    proxy::cold::{NotCold, prove_cold},
};

use crate::{
    bridged::{Bridged, Image, Serving},
    host::FOREIGN,
    sandbox::Sandbox,
    tiny,
};

const PORT: u16 = 8080;
const STARTS: usize = 7;
const DEADLINE: Duration = Duration::from_secs(10);

/// How far the portable probe may be from the one inside, in milliseconds.
const TOLERANCE_MS: f64 = 5.0;

fn probe() -> ProbeSpec {
    ProbeSpec {
        port: PORT,
        path: "/".to_owned(),
        status: 200,
        body: b"hello".to_vec(),
    }
}

/// A sandbox with a built variant for each of these waits before it listens.
fn built(name: &str, waits_ms: &[u32]) -> Result<Sandbox> {
    let sandbox = tiny::sandbox(name)?;
    for wait in waits_ms {
        let options = format!("host=0.0.0.0 listen_after_ms={wait}");
        tiny::add(&sandbox, &variant(*wait), &tiny::dockerfile(&options))?;
    }
    sandbox.run(&["size"])?.expect(0)?;
    Ok(sandbox)
}

fn variant(wait_ms: u32) -> String {
    format!("waits-{wait_ms}")
}

pub fn it_is_right_where_a_connection_is_not() -> Result<()> {
    let waits_ms = [0, 100, 300];
    let sandbox = built("portable", &waits_ms)?;
    let engine = Bridged::start(&sandbox)?;
    let serving = Serving::start(&engine)?;
    let subject = HostSubject::new(&engine.client)?;
    for wait in waits_ms {
        let image = serving.push(&sandbox, &engine, &variant(wait))?;
        subject.pull(&image.reference)?;
        let trial = Trial {
            engine: &engine,
            subject: &subject,
            image: &image,
        };
        let portable = trial.portable()?;
        let connection = trial.beside(until_accepted)?;
        eprintln!(
            "{wait} ms before it listens: portable probe {portable}; connection {connection}"
        );
        ensure!(
            portable.late.abs() <= TOLERANCE_MS,
            "the portable probe is {portable}"
        );
        ensure!(
            connection.late <= -f64::from(wait),
            "a connection is {connection}, so there is no trap here"
        );
        if wait == 0 {
            let hasty = trial.beside(until_answered)?;
            eprintln!("asked from the start request on: {hasty}");
            ensure!(
                hasty.late > TOLERANCE_MS,
                "asking at once is {hasty}, so the probe need not wait"
            );
        }
    }
    Ok(())
}

/// Medians of milliseconds, of a point that is taken for the first 200.
struct Seen {
    /// From the start request to that point.
    at: f64,
    /// From the start request to the first 200 as it is seen inside.
    inside: f64,
    /// How late the point is, negative when it is early.
    late: f64,
}

impl Seen {
    /// Of start requests, first 200s inside, what these are held against, and
    /// the points.
    fn of(points: &[[MonoNs; 4]]) -> Self {
        let median = |from: usize, to: usize| {
            let mut all: Vec<_> = points.iter().map(|it| ms(it[from], it[to])).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self {
            at: median(0, 3),
            inside: median(0, 1),
            late: median(2, 3),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, inside, late } = self;
        write!(
            f,
            "at {at:.1} ms, {late:+.1} ms off (inside at {inside:.1} ms)"
        )
    }
}

/// Starts of one image, each also watched from inside the container.
struct Trial<'a> {
    engine: &'a Bridged,
    subject: &'a HostSubject<'a>,
    image: &'a Image,
}

impl Trial<'_> {
    /// The portable probe. It cannot see the first 200 before the start request
    /// is answered, so it is held against the later of the two.
    fn portable(&self) -> Result<Seen> {
        let mut points = Vec::new();
        for _ in 0..STARTS {
            let ((span, outcome), started) =
                self.watched(|container| self.subject.start_and_ask(container, &probe()))?;
            let inside = started.t_200;
            points.push([span.start, inside, inside.max(span.end), outcome?.t_200]);
        }
        Ok(Seen::of(&points))
    }

    /// Something that looks at the published port from the start request on.
    fn beside(&self, look: fn(u16) -> Result<MonoNs>) -> Result<Seen> {
        let mut points = Vec::new();
        for _ in 0..STARTS {
            let ((span, at), started) = self.watched(|container| {
                thread::scope(|scope| {
                    let looking = scope.spawn(|| look(self.subject.port()));
                    let span = self.engine.client.start(container)?;
                    let at = looking
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                    Ok((span, at))
                })
            })?;
            points.push([span.start, started.t_200, started.t_200, at]);
        }
        Ok(Seen::of(&points))
    }

    /// One start, seen from inside while `from_outside` makes it in the engine's
    /// network.
    fn watched<T: Send>(
        &self,
        from_outside: impl FnOnce(&str) -> Result<T> + Send,
    ) -> Result<(T, Started)> {
        let (container, _) = self.subject.create(&self.image.reference, PORT)?;
        let engine = EngineNs {
            init_pid: self.engine.namespace.pid(),
        };
        let deadline = MonoNs::now() + DEADLINE;
        let watch = watch_start(ExecEvents::subscribe()?, engine, probe(), deadline)?;
        let seen = self.engine.network.inside(|| from_outside(&container))?;
        let started = watch.join()?;
        self.subject.remove(&container)?;
        Ok((seen, started))
    }
}

/// What "the port is open" would call ready.
fn until_accepted(port: u16) -> Result<MonoNs> {
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(Instant::now() < deadline, "nothing accepts on port {port}");
        thread::sleep(Duration::from_micros(250));
    }
    Ok(MonoNs::now())
}

/// What a probe sees that does not wait for the start request's answer.
fn until_answered(port: u16) -> Result<MonoNs> {
    let spec = ProbeSpec { port, ..probe() };
    Ok(until_ready(&spec, Signs::default(), MonoNs::now() + DEADLINE)?.t_200)
}

/// Milliseconds from `from` to `to`, negative where that comes first.
fn ms(from: MonoNs, to: MonoNs) -> f64 {
    (to.0 as f64 - from.0 as f64) / 1e6
}

pub fn it_times_what_was_cold_and_removes_what_is_ours() -> Result<()> {
    let sandbox = built("portable-cold", &[0])?;
    let engine = Bridged::start(&sandbox)?;
    let serving = Serving::start(&engine)?;
    let subject = HostSubject::new(&engine.client)?;
    let image = serving.push(&sandbox, &engine, &variant(0))?;
    let pull = || -> Result<Result<Span, NotCold>> {
        serving.proxy.take_log();
        let span = subject.pull(&image.reference)?;
        Ok(prove_cold(&image.blobs, &serving.proxy.take_log()).map(|()| span))
    };
    engine.sh(FOREIGN)?;
    let theirs = holds(&engine)?;

    // Twice, so that the second time there is something to remove.
    for _ in 0..2 {
        subject.empty()?;
        ensure!(holds(&engine)? == theirs, "empty took or left too much");
        pull()??;
        start(&engine, &subject, &image)?;
    }
    ensure!(
        pull()?.is_err(),
        "the image was there, and the pull is cold"
    );

    engine.sh(&format!("docker tag {} theirs:1", image.reference))?;
    subject.empty()?;
    engine.sh("docker image inspect theirs:1")?;
    match pull()? {
        Err(doubt) if doubt.to_string().contains("never asked for") => Ok(()),
        other => bail!("somebody has the same layers, and it gave {other:?}"),
    }
}

/// A start that is left running; its port is open to this machine alone.
fn start(engine: &Bridged, subject: &HostSubject<'_>, image: &Image) -> Result<()> {
    let (container, create) = subject.create(&image.reference, PORT)?;
    let (start_sent, outcome) = engine
        .network
        .inside(|| subject.start(&container, &probe()))?;
    let requests = Requests {
        create_sent: create.start,
        create_answered: create.end,
        start_sent,
    };
    Phases::of(requests, &outcome?).context("the points are not in their order")?;
    let published = engine.sh(&format!("docker port {container}"))?;
    let expected = format!("{PORT}/tcp -> 127.0.0.1:{}", subject.port());
    ensure!(published == expected, "{published} instead of {expected}");
    Ok(())
}

/// The engine's images and containers.
pub fn holds(engine: &Bridged) -> Result<String> {
    engine.sh("docker images --all --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}'; docker ps --all --quiet --no-trunc")
}
