//! The portable probe and the host engine's subject, on an ordinary engine.

use std::{
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
        portable::{HostSubject, Phases},
        probe::ProbeSpec,
        watch::{Started, watch_start},
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
    let subject = HostSubject::new(&engine.client, serving.proxy.address())?;
    for wait in waits_ms {
        let image = serving.push(&sandbox, &engine, &variant(wait))?;
        subject.pull(&image.reference)?;
        let trial = Trial {
            engine: &engine,
            subject: &subject,
            image: &image,
        };
        let (late, inside) = trial.portable()?;
        let early = trial.connecting()?;
        eprintln!(
            "{wait} ms before it listens: first 200 {inside:.1} ms after the start request; \
             the portable probe is {late:+.1} ms off, the first connection {early:+.1} ms"
        );
        ensure!(
            late.abs() <= TOLERANCE_MS,
            "the portable probe is {late} ms off"
        );
        ensure!(
            early <= -f64::from(wait),
            "a connection came only {early} ms early, so there is no trap here"
        );
    }
    Ok(())
}

/// Starts of one image, each also watched from inside the container.
struct Trial<'a> {
    engine: &'a Bridged,
    subject: &'a HostSubject<'a>,
    image: &'a Image,
}

impl Trial<'_> {
    /// How late the portable probe sees the first 200, and when that is after
    /// the start request: medians of milliseconds. It cannot see it before the
    /// start request is answered, so it is held against the later of the two.
    fn portable(&self) -> Result<(f64, f64)> {
        let (mut late, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let ((span, outcome), started) =
                self.watched(|container| self.subject.start(container, &probe()))?;
            late.push(ms(started.t_200.max(span.end), outcome?.t_200));
            inside.push(ms(span.start, started.t_200));
        }
        Ok((median(late), median(inside)))
    }

    /// How late the first accepted connection is: what "the port is open" would
    /// call ready.
    fn connecting(&self) -> Result<f64> {
        let mut late = Vec::new();
        for _ in 0..STARTS {
            let (accepted, started) = self.watched(|container| {
                thread::scope(|scope| {
                    let connecting = scope.spawn(|| until_accepted(self.subject.port()));
                    self.engine.client.start(container)?;
                    connecting
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
            late.push(ms(started.t_200, accepted));
        }
        Ok(median(late))
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

fn until_accepted(port: u16) -> Result<MonoNs> {
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(Instant::now() < deadline, "nothing accepts on port {port}");
        thread::sleep(Duration::from_micros(250));
    }
    Ok(MonoNs::now())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds from `from` to `to`, negative where that comes first.
fn ms(from: MonoNs, to: MonoNs) -> f64 {
    (to.0 as f64 - from.0 as f64) / 1e6
}

pub fn it_times_what_was_cold_and_removes_what_is_ours() -> Result<()> {
    let sandbox = built("portable-cold", &[0])?;
    let engine = Bridged::start(&sandbox)?;
    let serving = Serving::start(&engine)?;
    let subject = HostSubject::new(&engine.client, serving.proxy.address())?;
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
    let (span, outcome) = engine
        .network
        .inside(|| subject.start(&container, &probe()))?;
    Phases::of(create, span, &outcome?).context("the points are not in their order")?;
    let published = engine.sh(&format!("docker port {container}"))?;
    let expected = format!("{PORT}/tcp -> 127.0.0.1:{}", subject.port());
    ensure!(published == expected, "{published} instead of {expected}");
    Ok(())
}

/// The engine's images and containers.
fn holds(engine: &Bridged) -> Result<String> {
    engine.sh("docker images --all --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}'; docker ps --all --quiet --no-trunc")
}
