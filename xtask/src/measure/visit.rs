//! One scenario of one variant, once: what has to be prepared, and what is then
//! timed.
//!
//! A visit goes through its scenarios in order, because a warm start needs the
//! image that the cold one has just pulled: a pull of its own for it would
//! double the session and measure nothing. Each scenario prepares its own
//! ground, so that it can be repeated alone when something disturbed it.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    ledger::{Ledger, Part},
    probe::ProbeSpec,
    scenario::Scenario,
    subject::Subject,
    watch::{Phases as StartPhases, Requests},
};
use crate::{
    clock::MonoNs,
    digest::Digest,
    engine::Span,
    proxy::{
        Exchange,
        cold::{Blob, prove_cold},
        phases::{Phases as PullPhases, delivered_bits_per_second, phases},
    },
};

/// An image in the registry, and what its service answers.
#[derive(Clone, Debug)]
pub struct Target {
    pub suite: String,
    pub variant: String,
    /// By digest, through the recording proxy.
    pub reference: String,
    /// By digest, straight from the registry.
    pub direct: String,
    /// Config and layers: what a cold pull must fetch.
    pub blobs: Vec<Blob>,
    pub layers: Vec<Digest>,
    /// The image that it stands on; none for `scratch`.
    pub base: Option<BaseImage>,
    pub probe: ProbeSpec,
}

/// An image whose layers are the lowest ones of others.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// By digest, through the recording proxy.
    pub reference: String,
    pub layers: BTreeSet<Digest>,
}

/// A cold pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    pub start: MonoNs,
    /// Request written → response EOF.
    pub total_ns: u64,
    /// None for a pull that no proxy has seen, and for one without layers.
    pub phases: Option<PullPhases>,
    /// Blob bytes that the registry side served.
    pub served_bytes: Option<u64>,
    /// The rate at which layers arrived while any was on its way.
    pub delivered_bytes_per_s: Option<u64>,
}

/// A start, from the create request to the first 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub phases: StartPhases,
    pub attempts: u32,
    pub end: MonoNs,
}

/// What a scenario gives; it has the parts that it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub pull: Option<Pull>,
    pub start: Option<Start>,
    /// Pull request → everything on the disk.
    pub durable_ns: Option<u64>,
}

impl Measured {
    /// Pull request → first 200.
    pub fn node_total_ns(&self) -> Option<u64> {
        Some(self.start?.end.0 - self.pull?.start.0)
    }
}

/// Why a repetition is not a sample: the word that stands in the row, and the
/// text for the log.
#[derive(Debug, thiserror::Error)]
#[error("{word}: {detail}")]
pub struct Invalid {
    pub word: &'static str,
    pub detail: String,
}

impl Invalid {
    pub fn new(word: &'static str, detail: impl std::fmt::Display) -> Self {
        Self {
            word,
            detail: detail.to_string(),
        }
    }

    /// A full data root is told from everything else that may stop an engine,
    /// because the remedy is another.
    pub fn because(word: &'static str) -> impl Fn(anyhow::Error) -> Self {
        move |error| {
            let detail = format!("{error:#}");
            if detail.contains("no space left on device") {
                let mend =
                    "mend: give the subject more room, with --data-root DIR on a larger disk";
                return Self::new("out_of_space", format!("{detail}; {mend}"));
            }
            Self::new(word, detail)
        }
    }
}

/// The engine that is visited and the record of what it fetched.
#[derive(Clone, Copy)]
pub struct Lane<'a> {
    pub subject: &'a dyn Subject,
    pub take_log: &'a dyn Fn() -> Vec<Exchange>,
    /// Where its time goes.
    pub ledger: &'a Ledger,
}

impl Lane<'_> {
    /// Brings the engine into the state that the scenario begins with. Nothing
    /// of it is timed.
    pub fn prepare(&self, scenario: Scenario, target: &Target) -> Result<(), Invalid> {
        let part = match Part::of(scenario) {
            Part::Proofs => Part::Proofs,
            _ => Part::Preparing,
        };
        self.ledger
            .book(part, || self.make_ready(scenario, target))?;
        self.ledger
            .book(Part::Settling, || self.subject.settle())
            .map_err(Invalid::because("disturbed"))?;
        (self.take_log)();
        Ok(())
    }

    fn make_ready(&self, scenario: Scenario, target: &Target) -> Result<(), Invalid> {
        let subject = self.subject;
        let (prepared, word) = match scenario {
            Scenario::NodeCold | Scenario::PullDurable | Scenario::PullDirect => {
                (subject.empty(), "pull_failed")
            }
            Scenario::Warm => (Ok(()), "start_failed"),
            Scenario::CacheDropped => {
                let dropped = subject.settle().and_then(|()| subject.drop_caches());
                (dropped, "start_failed")
            }
            Scenario::Redeploy => (self.keep_only_the_base(target), "pull_failed"),
            Scenario::Control => (self.have_started(target), "start_failed"),
        };
        prepared.map_err(Invalid::because(word))
    }

    /// Takes the times. What the subject's store held is proved afterwards, by
    /// what the registry side served.
    ///
    /// Method: METHODOLOGY.md, "Pull and start".
    pub fn measure(&self, scenario: Scenario, target: &Target) -> Result<Measured, Invalid> {
        self.ledger
            .book(Part::of(scenario), || self.timed(scenario, target))
    }

    fn timed(&self, scenario: Scenario, target: &Target) -> Result<Measured, Invalid> {
        match scenario {
            Scenario::NodeCold => self.pull_and_start(target, &target.blobs),
            Scenario::Redeploy => self.pull_and_start(target, &blobs_above_the_base(target)),
            Scenario::Warm | Scenario::CacheDropped | Scenario::Control => Ok(Measured {
                start: Some(self.start(target)?),
                ..Measured::default()
            }),
            Scenario::PullDurable => self.pull_durable(target),
            Scenario::PullDirect => self.pull_direct(target),
        }
    }

    /// The base's image holds its layers when the variant's image goes; while
    /// that one is still there, nothing of it has to be fetched again.
    fn keep_only_the_base(&self, target: &Target) -> Result<()> {
        if let Some(base) = &target.base {
            self.subject.pull(&base.reference)?;
        }
        self.subject.forget(&target.reference)
    }

    fn have_started(&self, target: &Target) -> Result<()> {
        self.subject.pull(&target.reference)?;
        let (container, _) = self.create(target)?;
        let outcome = self.subject.start(&container, &target.probe);
        self.subject.remove(&container)?;
        outcome?.1?;
        Ok(())
    }

    fn pull_and_start(&self, target: &Target, expected: &[Blob]) -> Result<Measured, Invalid> {
        let span = self
            .subject
            .pull(&target.reference)
            .map_err(Invalid::because("pull_failed"))?;
        let start = self.start(target);
        let pull = proven(span, target, expected, &(self.take_log)())?;
        Ok(Measured {
            pull: Some(pull),
            start: Some(start?),
            durable_ns: None,
        })
    }

    fn pull_durable(&self, target: &Target) -> Result<Measured, Invalid> {
        let span = self
            .subject
            .pull(&target.reference)
            .map_err(Invalid::because("pull_failed"))?;
        let durable = self
            .subject
            .sync_data_root()
            .map_err(Invalid::because("pull_failed"))?;
        Ok(Measured {
            pull: Some(proven(span, target, &target.blobs, &(self.take_log)())?),
            start: None,
            durable_ns: Some(durable.0 - span.start.0),
        })
    }

    /// Nothing of it passes the proxy, so that the store was empty follows from
    /// its having been emptied alone.
    fn pull_direct(&self, target: &Target) -> Result<Measured, Invalid> {
        let span = self
            .subject
            .pull(&target.direct)
            .map_err(Invalid::because("pull_failed"))?;
        if !(self.take_log)().is_empty() {
            return Err(Invalid::new(
                "pull_failed",
                "a direct pull went through the proxy",
            ));
        }
        Ok(Measured {
            pull: Some(Pull {
                start: span.start,
                total_ns: span.end.0 - span.start.0,
                phases: None,
                served_bytes: None,
                delivered_bytes_per_s: None,
            }),
            ..Measured::default()
        })
    }

    fn create(&self, target: &Target) -> Result<(String, Span)> {
        self.subject.create(&target.reference, target.probe.port)
    }

    fn start(&self, target: &Target) -> Result<Start, Invalid> {
        let (container, create) = self
            .create(target)
            .map_err(Invalid::because("start_failed"))?;
        let outcome = self.subject.start(&container, &target.probe);
        // Outside the timed span, and whatever the outcome: a container left
        // running would disturb every later sample.
        let removed = self.subject.remove(&container);
        let (start_sent, outcome) = outcome.map_err(Invalid::because("start_failed"))?;
        let answered = outcome.map_err(|failure| Invalid::new(failure.word(), failure))?;
        removed.map_err(Invalid::because("start_failed"))?;
        let requests = Requests {
            create_sent: create.start,
            create_answered: create.end,
            start_sent,
        };
        let phases = StartPhases::of(requests, &answered).ok_or_else(|| {
            Invalid::new(
                "probe_failed",
                "the points of the start are not in their order",
            )
        })?;
        Ok(Start {
            phases,
            attempts: answered.attempts,
            end: answered.t_200,
        })
    }
}

/// What a pull must fetch when the base's layers are present.
fn blobs_above_the_base(target: &Target) -> Vec<Blob> {
    let base = target.base.as_ref();
    let is_of_base = |blob: &Blob| base.is_some_and(|base| base.layers.contains(&blob.digest));
    let above = target.blobs.iter().filter(|blob| !is_of_base(blob));
    above.cloned().collect()
}

/// A pull whose store held nothing of what was `expected`, and everything else.
fn proven(
    span: Span,
    target: &Target,
    expected: &[Blob],
    log: &[Exchange],
) -> Result<Pull, Invalid> {
    prove_cold(expected, log).map_err(|doubt| Invalid::new("not_cold", doubt))?;
    let layers: Vec<Digest> = target
        .layers
        .iter()
        .filter(|layer| expected.iter().any(|blob| blob.digest == **layer))
        .cloned()
        .collect();
    // A Dockerfile that only sets an environment adds no layer to its base.
    let phases = (!layers.is_empty())
        .then(|| phases(span.start.0, span.end.0, &layers, log))
        .transpose()
        .map_err(|error| Invalid::new("not_cold", error))?;
    let served = log
        .iter()
        .filter(|exchange| exchange.served_blob().is_some())
        .map(|exchange| exchange.body_bytes);
    let of_layers: Vec<Exchange> = log
        .iter()
        .filter(|exchange| exchange.served_blob().is_some_and(|it| layers.contains(it)))
        .cloned()
        .collect();
    Ok(Pull {
        start: span.start,
        total_ns: span.end.0 - span.start.0,
        phases,
        served_bytes: Some(served.sum()),
        delivered_bytes_per_s: delivered_bits_per_second(&of_layers).map(|bits| bits / 8),
    })
}
