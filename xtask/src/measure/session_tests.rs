//! The session's loop against a scripted subject: order, warm-ups, stopping,
//! and what becomes of failures.

use std::cell::{Cell, RefCell};

use anyhow::{Result, bail};
use hyper::Method;

use super::{
    ledger::Ledger,
    noise::Look,
    probe::{NotReady, ProbeSpec},
    protocol::{Depth, Protocol},
    sample::Taker,
    scenario::Scenario,
    session::{Event, Item, run},
    subject::Subject,
    visit::{BaseImage, Lane, Target},
    watch::{Answered, StartFailure},
};
use crate::{
    clock::MonoNs,
    digest::Digest,
    engine::Span,
    proxy::{End, Exchange, Kind, cold::Blob},
    record::{cell::ErrorWord, timings::SampleRow},
};

const MS: u64 = 1_000_000;
const PORT: u16 = 8080;

/// A subject whose clock only moves when it does something.
#[derive(Default)]
struct Scripted {
    now_ns: Cell<u64>,
    calls: RefCell<Vec<String>>,
    served: RefCell<Vec<Exchange>>,
    /// Its service never answers.
    mute: Option<&'static str>,
    /// Nobody sees when it executes a program.
    from_outside: bool,
    /// Its store keeps what it had: the second pull fetches nothing.
    keeps_images: bool,
    pulled: RefCell<Vec<String>>,
    /// Its store forgets the base with the image that stands on it.
    loses_the_base: bool,
    /// The pulls that break off, counted from 0.
    failing_pulls: Vec<u64>,
    pulls: Cell<u64>,
    /// Milliseconds that every further start of this one takes longer.
    slower: Option<(&'static str, u64)>,
    starts: Cell<u64>,
    /// Milliseconds that a pull of this one takes.
    long: Option<(&'static str, u64)>,
    /// At which looks at the machine others had used a core since the last one.
    disturbed_looks: Vec<u64>,
    looks: Cell<u64>,
    foreign_ns: Cell<u64>,
}

/// What an image is made of.
fn layers_of(reference: &str) -> Vec<&str> {
    match reference {
        "stacked" => vec!["base", "stacked"],
        other => vec![other],
    }
}

impl Scripted {
    fn pass(&self, ns: u64) -> MonoNs {
        self.now_ns.set(self.now_ns.get() + ns);
        MonoNs(self.now_ns.get())
    }

    fn say(&self, what: impl Into<String>) {
        self.calls.borrow_mut().push(what.into());
    }

    /// Whether an image that was pulled has the layer.
    fn holds(&self, layer: &str) -> bool {
        let pulled = self.pulled.borrow();
        pulled.iter().any(|it| layers_of(it).contains(&layer))
    }

    fn look(&self) -> Look {
        let number = self.looks.get();
        self.looks.set(number + 1);
        if self.disturbed_looks.contains(&number) {
            self.foreign_ns.set(self.foreign_ns.get() + 1_000 * MS);
        }
        Look {
            at: self.pass(MS),
            steal_ns: 0,
            tick_ns: 1,
            threads: [(1, self.foreign_ns.get())].into(),
            reaped: [].into(),
        }
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

    fn forget(&self, reference: &str) -> Result<()> {
        self.say(format!("forget {reference}"));
        let loses = |it: &String| it == reference || self.loses_the_base && it == "base";
        self.pulled.borrow_mut().retain(|it| !loses(it));
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.say("settle");
        Ok(())
    }

    fn drop_caches(&self) -> Result<()> {
        self.say("drop caches");
        Ok(())
    }

    fn sync_data_root(&self) -> Result<MonoNs> {
        self.say("sync data root");
        Ok(self.pass(7 * MS))
    }

    fn pull(&self, reference: &str) -> Result<Span> {
        self.say(format!("pull {reference}"));
        let start = self.pass(MS);
        if let Some((_, ms)) = self.long.filter(|(name, _)| *name == reference) {
            self.pass(ms * MS);
        }
        let fails = self.failing_pulls.contains(&self.pulls.get());
        self.pulls.set(self.pulls.get() + 1);
        if fails {
            bail!("the registry went away");
        }
        for layer in layers_of(reference) {
            if !self.holds(layer) {
                self.serve(Digest::of(layer));
            }
        }
        self.pulled.borrow_mut().push(reference.to_owned());
        Ok(Span {
            start,
            end: self.pass(5 * MS),
        })
    }

    fn create(&self, reference: &str, port: u16) -> Result<(String, Span)> {
        assert_eq!(port, PORT);
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

    fn start(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(MonoNs, Result<Answered, StartFailure>)> {
        self.say(format!("start {container}"));
        let sent = self.pass(MS);
        if self.mute == Some(container) {
            return Ok((
                sent,
                Err(NotReady::NeverListened { port: probe.port }.into()),
            ));
        }
        let t_exec = self.pass(100 * MS);
        let slower = self.slower.filter(|(name, _)| *name == container);
        let starts = self.starts.replace(self.starts.get() + 1);
        let t_200 = self.pass(2 * MS + slower.map_or(0, |(_, ms)| ms * starts * MS));
        Ok((
            sent,
            Ok(Answered {
                t_exec: (!self.from_outside).then_some(t_exec),
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
    let layers: Vec<Digest> = layers_of(name).into_iter().map(Digest::of).collect();
    Target {
        suite: "s".to_owned(),
        variant: name.to_owned(),
        reference: name.to_owned(),
        direct: format!("direct {name}"),
        base: Some(BaseImage {
            reference: "base".to_owned(),
            layers: [Digest::of("base")].into(),
        }),
        blobs: layers
            .iter()
            .map(|digest| Blob {
                digest: digest.clone(),
                size: 10,
            })
            .collect(),
        layers,
        probe: ProbeSpec {
            port: PORT,
            path: "/".to_owned(),
            status: 200,
            body: vec![],
        },
    }
}

const BOTH: &[Scenario] = &[Scenario::NodeCold, Scenario::Warm];

fn item(name: &str, scenarios: &[Scenario]) -> Item {
    Item {
        target: target(name),
        scenarios: scenarios.to_vec(),
    }
}

/// What a session gives: its samples, those that were not taken anew among them.
#[derive(Default)]
struct Taken {
    rows: Vec<SampleRow>,
    replayed: usize,
    dropped: usize,
    stopped: Vec<(String, u32)>,
}

fn session(subject: &Scripted, items: &[Item], depth: Depth, kept: &[SampleRow]) -> Taken {
    let mut outcome = Taken::default();
    let lane = Lane {
        subject,
        take_log: &|| std::mem::take(&mut *subject.served.borrow_mut()),
        ledger: &Ledger::default(),
    };
    let protocol = Protocol::new(7, depth);
    let look = || Some(subject.look());
    let taker = Taker { lane, look: &look };
    run(taker, &protocol, items, kept, &mut |event| {
        match event {
            Event::Sample { row, .. } => outcome.rows.push(row.clone()),
            Event::Replayed { row } => {
                outcome.rows.push(row.clone());
                outcome.replayed += 1;
            }
            Event::Stopped { target, blocks } => {
                outcome.stopped.push((target.variant.clone(), blocks));
            }
            Event::Dropped { rows } => outcome.dropped += rows.len(),
            Event::WarmedUp { .. } | Event::Visited { .. } => {}
        }
        Ok(())
    })
    .unwrap();
    outcome
}

fn samples(subject: &Scripted, names: &[&str], depth: Depth) -> Vec<SampleRow> {
    let items: Vec<Item> = names.iter().map(|name| item(name, BOTH)).collect();
    session(subject, &items, depth, &[]).rows
}

fn count(rows: &[SampleRow], variant: &str, scenario: &str) -> usize {
    let of_cell = |row: &&SampleRow| row.variant == variant && row.scenario == scenario;
    rows.iter().filter(of_cell).count()
}

#[test]
fn a_visit_is_a_cold_start_a_warm_one_and_a_redeployment() {
    let subject = Scripted::default();
    let scenarios = [BOTH, &[Scenario::Redeploy]].concat();
    let rows = session(&subject, &[item("a", &scenarios)], Depth::Quick, &[]).rows;
    // One warm-up visit and five blocks, each the same calls.
    let calls = subject.calls.take();
    assert_eq!(calls.len(), 6 * 17);
    assert_eq!(
        calls[..17].join(", "),
        "empty, settle, pull a, create a, start a, remove a, \
         settle, create a, start a, remove a, \
         pull base, forget a, settle, pull a, create a, start a, remove a"
    );
    assert_eq!(rows.len(), 15);
    let cold = &rows[0];
    assert_eq!(
        (cold.scenario.as_str(), cold.block, cold.order, cold.retry),
        ("node_cold", 0, 0, 0)
    );
    assert_eq!(cold.resolve_ns, Some(MS));
    assert_eq!(cold.download_ns, Some(9 * MS));
    assert_eq!(cold.concurrent_downloads, Some(1));
    // 10 bytes in the 8 ms from the first to the last of them.
    assert_eq!(cold.delivered_bytes_per_s, Some(1_250));
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
    assert_eq!(cold.foreign_cpu_permille, Some(0));
    let warm = &rows[1];
    assert_eq!(
        (warm.scenario.as_str(), warm.pull_ns, warm.app_ns),
        ("warm", None, Some(2 * MS))
    );
    let redeploy = &rows[2];
    assert_eq!(
        (redeploy.scenario.as_str(), redeploy.cold, redeploy.order),
        ("redeploy", Some(true), 2)
    );
    assert_eq!(redeploy.node_total_ns, cold.node_total_ns);
}

#[test]
fn a_redeployment_fetches_what_lies_above_the_base_and_nothing_else() {
    let scenarios = [Scenario::NodeCold, Scenario::Redeploy];
    let items = [item("stacked", &scenarios)];
    let rows = session(&Scripted::default(), &items, Depth::Quick, &[]).rows;
    let served: Vec<Option<u64>> = rows.iter().map(|row| row.served_bytes).collect();
    assert_eq!(served[..2], [Some(20), Some(10)]);
    assert!(rows.iter().all(|row| row.cold == Some(true)));
    let forgetful = Scripted {
        loses_the_base: true,
        ..Scripted::default()
    };
    let rows = session(&forgetful, &items, Depth::Quick, &[]).rows;
    let redeployed = rows.iter().filter(|row| row.scenario == "redeploy");
    let words: Vec<_> = redeployed.map(|row| row.invalid).collect();
    assert!(!words.is_empty());
    assert!(words.iter().all(|it| *it == Some(ErrorWord::NotCold)));
}

#[test]
fn a_disks_visit_drops_the_caches_and_syncs_the_data_root() {
    let subject = Scripted::default();
    let scenarios = [
        Scenario::NodeCold,
        Scenario::CacheDropped,
        Scenario::PullDurable,
    ];
    let rows = session(&subject, &[item("a", &scenarios)], Depth::Disk, &[]).rows;
    let calls = subject.calls.take();
    assert_eq!(
        calls[6..16].join(", "),
        "settle, drop caches, settle, create a, start a, remove a, \
         empty, settle, pull a, sync data root"
    );
    assert_eq!(rows.len(), 15 * 3);
    let durable = &rows[2];
    assert_eq!(
        (durable.pull_ns, durable.durable_ns, durable.node_total_ns),
        (Some(15 * MS), Some(22 * MS), None)
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
fn a_probe_from_outside_leaves_two_phases_empty_and_is_done_without_them() {
    let subject = Scripted {
        from_outside: true,
        ..Scripted::default()
    };
    let rows = samples(&subject, &["a"], Depth::Full);
    assert_eq!(rows.len(), 15 * 2, "nothing varies");
    for row in &rows {
        assert_eq!((row.engine_ns, row.app_ns), (None, None));
        assert_eq!(row.create_ns, Some(20 * MS));
        assert_eq!(row.start_total_ns, Some(123 * MS));
        assert_eq!(row.invalid, None);
    }
}

#[test]
fn what_varies_goes_on_and_what_accompanies_it_too() {
    let subject = Scripted {
        slower: Some(("b", 1)),
        ..Scripted::default()
    };
    let items = [
        item("a", BOTH),
        item("b", BOTH),
        item("c", &[Scenario::Control]),
    ];
    let outcome = session(&subject, &items, Depth::Full, &[]);
    assert_eq!(count(&outcome.rows, "a", "warm"), 15);
    assert_eq!(count(&outcome.rows, "b", "warm"), 30);
    assert_eq!(count(&outcome.rows, "c", "control"), 30);
    assert_eq!(outcome.stopped[0], ("a".to_owned(), 15));
}

#[test]
fn one_that_takes_long_stops_at_the_first_look_however_it_varies() {
    let subject = Scripted {
        slower: Some(("a", 100)),
        long: Some(("a", 6_000)),
        ..Scripted::default()
    };
    let rows = samples(&subject, &["a"], Depth::Full);
    assert_eq!(count(&rows, "a", "node_cold"), 15);
    assert_eq!(count(&rows, "a", "warm"), 15);
}

#[test]
fn a_disturbed_sample_is_taken_again_at_most_three_times_a_block() {
    // Two looks a sample; one warm-up visit of two samples comes first.
    let all_later = (4..1_000).collect();
    for (disturbed_looks, taken, counting) in [
        (vec![5], 11, 10),
        (vec![5, 7, 9], 13, 10),
        // Every sample of every block, and three more in each.
        (all_later, 5 * (2 + 3), 0),
    ] {
        let subject = Scripted {
            disturbed_looks,
            ..Scripted::default()
        };
        let rows = samples(&subject, &["a"], Depth::Quick);
        let valid = rows.iter().filter(|row| row.invalid.is_none());
        assert_eq!((rows.len(), valid.count()), (taken, counting));
        let disturbed = rows.iter().find(|row| row.invalid.is_some()).unwrap();
        assert_eq!(disturbed.invalid, Some(ErrorWord::Disturbed));
        assert!(disturbed.foreign_cpu_permille > Some(1000));
        assert!(disturbed.pull_ns.is_some(), "it keeps its numbers");
        let retries: Vec<u64> = rows.iter().take(3).map(|row| row.retry).collect();
        assert_eq!(retries[..2], [0, 1]);
    }
}

#[test]
fn a_session_that_was_stopped_goes_on_and_makes_a_broken_visit_again() {
    let items = [item("a", BOTH), item("b", BOTH)];
    let whole = session(&Scripted::default(), &items, Depth::Quick, &[]).rows;
    for stopped_after in 0..=whole.len() {
        let kept = &whole[..stopped_after];
        let outcome = session(&Scripted::default(), &items, Depth::Quick, kept);
        assert_eq!(outcome.replayed, stopped_after / 2 * 2);
        let places = |rows: &[SampleRow]| -> Vec<_> {
            rows.iter()
                .map(|row| {
                    (
                        row.block,
                        row.order,
                        row.variant.clone(),
                        row.scenario.clone(),
                    )
                })
                .collect()
        };
        assert_eq!(places(&outcome.rows), places(&whole));
    }
}

#[test]
fn a_resumed_session_keeps_what_failed_and_what_was_disturbed() {
    // A disturbed sample with its retry in block 1, a broken pull in block 2.
    let subject = || Scripted {
        disturbed_looks: vec![9],
        failing_pulls: vec![4],
        ..Scripted::default()
    };
    let items = [item("a", BOTH)];
    let whole = session(&subject(), &items, Depth::Quick, &[]).rows;
    let words: Vec<_> = whole.iter().filter_map(|row| row.invalid).collect();
    assert_eq!(words, [ErrorWord::Disturbed, ErrorWord::PullFailed]);
    assert_eq!(count(&whole, "a", "warm"), 4, "no image, no warm start");
    let outcome = session(&Scripted::default(), &items, Depth::Quick, &whole);
    assert_eq!((outcome.replayed, outcome.dropped), (whole.len(), 0));
    assert_eq!(outcome.rows, whole);
    // Stopped between the disturbed sample and its visit's end.
    let broken = whole.iter().position(|row| row.retry > 0).unwrap();
    let outcome = session(&Scripted::default(), &items, Depth::Quick, &whole[..broken]);
    assert_eq!(outcome.replayed + outcome.dropped, broken);
    assert!(outcome.dropped > 0);
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
fn what_a_warm_up_found_there_is_tried_once_more_and_the_others_go_on() {
    let subject = Scripted {
        keeps_images: true,
        pulled: RefCell::new(vec!["a".to_owned()]),
        ..Scripted::default()
    };
    let items = [item("a", BOTH), item("c", &[Scenario::Control])];
    let outcome = session(&subject, &items, Depth::Full, &[]);
    let of_a = outcome.rows.iter().filter(|row| row.variant == "a");
    let words: Vec<_> = of_a.map(|row| row.invalid).collect();
    assert_eq!(words, [Some(ErrorWord::NotCold)]);
    assert_eq!(outcome.stopped, [("a".to_owned(), 1)]);
    // Two warm-ups and one sample of each, and then nothing is left to decide.
    assert_eq!(count(&outcome.rows, "c", "control"), 1);
    let calls = subject.calls.take();
    let pulls = calls.iter().filter(|call| *call == "pull a").count();
    assert_eq!(pulls, 3);
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
