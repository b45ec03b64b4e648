//! The session's loop against a scripted subject: order, warm-ups, stopping,
//! and what becomes of failures.

use std::cell::{Cell, RefCell};

use anyhow::{Result, bail};
use hyper::Method;

use super::{
    probe::{NotReady, ProbeSpec},
    protocol::{Depth, Protocol},
    session::{Event, run},
    subject::Subject,
    visit::Target,
    watch::{Outcome, Started},
};
use crate::{
    clock::MonoNs,
    digest::Digest,
    engine::Span,
    proxy::{End, Exchange, Kind, cold::Blob},
    record::{cell::ErrorWord, timings::SampleRow},
};

const MS: u64 = 1_000_000;

/// A subject whose clock only moves when it does something.
#[derive(Default)]
struct Scripted {
    now_ns: Cell<u64>,
    calls: RefCell<Vec<String>>,
    served: RefCell<Vec<Exchange>>,
    /// Its service never answers.
    mute: Option<&'static str>,
    /// Its store keeps what it had: the second pull fetches nothing.
    keeps_images: bool,
    pulled: RefCell<Vec<String>>,
}

impl Scripted {
    fn pass(&self, ns: u64) -> MonoNs {
        self.now_ns.set(self.now_ns.get() + ns);
        MonoNs(self.now_ns.get())
    }

    fn say(&self, what: impl Into<String>) {
        self.calls.borrow_mut().push(what.into());
    }

    fn serve(&self, digest: Digest) {
        self.served.borrow_mut().push(Exchange {
            method: Method::GET,
            path: String::new(),
            kind: Kind::Blob {
                repository: "s/v".to_owned(),
                digest,
            },
            status: Some(200),
            range: None,
            started_ns: self.pass(MS).0,
            first_byte_ns: Some(self.pass(MS).0),
            last_byte_ns: Some(self.pass(8 * MS).0),
            body_bytes: 10,
            end: End::Complete,
        });
    }
}

impl Subject for Scripted {
    fn empty(&self) -> Result<()> {
        self.say("empty");
        if !self.keeps_images {
            self.pulled.borrow_mut().clear();
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.say("settle");
        Ok(())
    }

    fn pull(&self, reference: &str) -> Result<Span> {
        self.say(format!("pull {reference}"));
        let start = self.pass(MS);
        if !self.pulled.borrow().contains(&reference.to_owned()) {
            self.serve(Digest::of(reference));
            self.pulled.borrow_mut().push(reference.to_owned());
        }
        Ok(Span {
            start,
            end: self.pass(5 * MS),
        })
    }

    fn create(&self, reference: &str) -> Result<(String, Span)> {
        self.say(format!("create {reference}"));
        let start = self.pass(MS);
        Ok((
            reference.to_owned(),
            Span {
                start,
                end: self.pass(20 * MS),
            },
        ))
    }

    fn start(&self, container: &str, probe: &ProbeSpec) -> Result<(MonoNs, Outcome)> {
        self.say(format!("start {container}"));
        let sent = self.pass(MS);
        if self.mute == Some(container) {
            return Ok((
                sent,
                Err(NotReady::NeverListened { port: probe.port }.into()),
            ));
        }
        let (t_exec, t_listen, t_200) = (self.pass(100 * MS), self.pass(MS), self.pass(MS));
        Ok((
            sent,
            Ok(Started {
                pid: 1,
                t_exec,
                t_listen,
                t_200,
                attempts: 3,
            }),
        ))
    }

    fn remove(&self, container: &str) -> Result<()> {
        self.say(format!("remove {container}"));
        if self
            .calls
            .borrow()
            .iter()
            .all(|call| call != &format!("start {container}"))
        {
            bail!("there is no such container");
        }
        Ok(())
    }
}

fn target(name: &str) -> Target {
    let digest = Digest::of(name);
    Target {
        suite: "s".to_owned(),
        variant: name.to_owned(),
        reference: name.to_owned(),
        blobs: vec![Blob {
            digest: digest.clone(),
            size: 10,
        }],
        layers: vec![digest],
        probe: ProbeSpec {
            port: 8080,
            path: "/".to_owned(),
            status: 200,
            body: vec![],
        },
    }
}

fn samples(subject: &Scripted, names: &[&str], depth: Depth) -> Vec<SampleRow> {
    let targets: Vec<Target> = names.iter().map(|name| target(name)).collect();
    let mut rows = Vec::new();
    let take_log = || std::mem::take(&mut *subject.served.borrow_mut());
    run(
        subject,
        &take_log,
        &Protocol::new(7, depth),
        &targets,
        &mut |event| {
            if let Event::Sample { row, .. } = event {
                rows.push(row.clone());
            }
            Ok(())
        },
    )
    .unwrap();
    rows
}

#[test]
fn a_visit_is_a_cold_start_and_then_a_warm_one() {
    let subject = Scripted::default();
    let rows = samples(&subject, &["a"], Depth::Quick);
    // One warm-up visit and five blocks, each the same ten calls.
    let calls = subject.calls.take();
    assert_eq!(calls.len(), 6 * 10);
    assert_eq!(
        calls[..10].join(", "),
        "empty, settle, pull a, create a, start a, remove a, settle, create a, start a, remove a"
    );
    assert_eq!(rows.len(), 10);
    let cold = &rows[0];
    assert_eq!(
        (cold.scenario.as_str(), cold.block, cold.order),
        ("node_cold", 0, 0)
    );
    assert_eq!(cold.resolve_ns, Some(MS));
    assert_eq!(cold.download_ns, Some(9 * MS));
    assert_eq!(cold.tail_ns, Some(5 * MS));
    assert_eq!(cold.pull_ns, Some(15 * MS));
    assert_eq!(
        (cold.create_ns, cold.engine_ns, cold.app_ns),
        (Some(20 * MS), Some(100 * MS), Some(2 * MS))
    );
    assert_eq!(cold.start_total_ns, Some(123 * MS));
    assert_eq!(cold.node_total_ns, Some(139 * MS));
    assert_eq!(
        (cold.served_bytes, cold.cold, cold.probe_attempts),
        (Some(10), Some(true), Some(3))
    );
    let warm = &rows[1];
    assert_eq!(
        (warm.scenario.as_str(), warm.pull_ns, warm.app_ns),
        ("warm", None, Some(2 * MS))
    );
}

#[test]
fn a_full_session_looks_at_fifteen_blocks_and_stops_when_nothing_varies() {
    let rows = samples(&Scripted::default(), &["a", "b"], Depth::Full);
    assert_eq!(rows.len(), 15 * 2 * 2);
    assert!(rows.iter().all(|row| row.invalid.is_none()));
    let order_of_a: Vec<u64> = rows
        .iter()
        .filter(|row| row.variant == "a" && row.scenario == "node_cold")
        .map(|row| row.order)
        .collect();
    assert!(
        order_of_a.contains(&0) && order_of_a.contains(&2),
        "the order never changes: {order_of_a:?}"
    );
}

#[test]
fn a_pull_that_finds_its_image_there_is_no_sample() {
    let subject = Scripted {
        keeps_images: true,
        ..Scripted::default()
    };
    let rows = samples(&subject, &["a"], Depth::Quick);
    // The warm-up fetched it; every later pull found it.
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(
            (row.invalid, row.cold, row.pull_ns),
            (Some(ErrorWord::NotCold), Some(false), None)
        );
    }
}

#[test]
fn a_variant_that_never_answers_is_given_up_and_the_others_go_on() {
    let subject = Scripted {
        mute: Some("b"),
        ..Scripted::default()
    };
    let rows = samples(&subject, &["a", "b"], Depth::Quick);
    let of = |name: &str| rows.iter().filter(|row| row.variant == name).count();
    assert_eq!(of("a"), 10);
    assert_eq!(of("b"), 2, "each failure may cost a time-out");
    assert!(
        rows.iter()
            .filter(|row| row.variant == "b")
            .all(|row| row.invalid == Some(ErrorWord::NeverListened))
    );
    // Its containers are gone all the same.
    let calls = subject.calls.take();
    let count = |verb: &str| calls.iter().filter(|call| *call == verb).count();
    assert_eq!(count("start b"), count("remove b"));
}
