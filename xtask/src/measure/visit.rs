//! One visit to one variant: a new node's whole way to its first answer, then a
//! warm start of the same image.
//!
//! Both scenarios happen in one visit because a warm start needs the image that
//! the cold one has just pulled: a pull of its own for it would double the
//! session and measure nothing. The visits' order is random within each block.

use anyhow::Result;

use super::{
    probe::ProbeSpec,
    subject::Subject,
    watch::{Phases as StartPhases, Requests},
};
use crate::{
    clock::MonoNs,
    digest::Digest,
    proxy::{
        Exchange,
        cold::{Blob, prove_cold},
        phases::{Phases as PullPhases, phases},
    },
};

/// An image in the registry, and what its service answers.
#[derive(Clone, Debug)]
pub struct Target {
    pub suite: String,
    pub variant: String,
    /// By digest, through the recording proxy.
    pub reference: String,
    /// Config and layers: what a cold pull must fetch.
    pub blobs: Vec<Blob>,
    pub layers: Vec<Digest>,
    pub probe: ProbeSpec,
}

/// A start, from the create request to the first 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub phases: StartPhases,
    pub attempts: u32,
    end: MonoNs,
}

/// A new node: pull request → create → start → first 200, nothing in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCold {
    pub pull_ns: u64,
    pub pull: PullPhases,
    pub start: Start,
    /// Pull request → first 200.
    pub total_ns: u64,
    /// Blob bytes that the registry side served.
    pub served_bytes: u64,
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
    fn new(word: &'static str, detail: impl std::fmt::Display) -> Self {
        Self {
            word,
            detail: detail.to_string(),
        }
    }
}

/// Measures the whole cold way. The subject's store is emptied first; that it
/// was empty is proved afterwards, by what the registry side served.
///
/// Method: METHODOLOGY.md, "Pull" and "Start".
pub fn node_cold(
    subject: &dyn Subject,
    target: &Target,
    take_log: &dyn Fn() -> Vec<Exchange>,
) -> Result<NodeCold, Invalid> {
    subject
        .empty()
        .map_err(|error| Invalid::new("start_failed", format!("{error:#}")))?;
    subject
        .settle()
        .map_err(|error| Invalid::new("disturbed", format!("{error:#}")))?;
    take_log();
    let pull = subject
        .pull(&target.reference)
        .map_err(|error| Invalid::new("pull_failed", format!("{error:#}")))?;
    let start = start(subject, target);
    let log = take_log();
    prove_cold(&target.blobs, &log).map_err(|doubt| Invalid::new("not_cold", doubt))?;
    let start = start?;
    let pull_phases = phases(pull.start.0, pull.end.0, &target.layers, &log)
        .map_err(|error| Invalid::new("not_cold", error))?;
    Ok(NodeCold {
        pull_ns: pull.end.0 - pull.start.0,
        pull: pull_phases,
        start,
        total_ns: start.end.0 - pull.start.0,
        served_bytes: log
            .iter()
            .filter(|exchange| exchange.served_blob().is_some())
            .map(|exchange| exchange.body_bytes)
            .sum(),
    })
}

/// Measures a start of an image that is there and has been started before.
pub fn warm(subject: &dyn Subject, target: &Target) -> Result<Start, Invalid> {
    subject
        .settle()
        .map_err(|error| Invalid::new("disturbed", format!("{error:#}")))?;
    start(subject, target)
}

fn start(subject: &dyn Subject, target: &Target) -> Result<Start, Invalid> {
    let (container, create) = subject
        .create(&target.reference)
        .map_err(|error| Invalid::new("start_failed", format!("{error:#}")))?;
    let outcome = subject.start(&container, &target.probe);
    // Outside the timed span, and whatever the outcome: a container left
    // running would disturb every later sample.
    let removed = subject.remove(&container);
    let (start_sent, outcome) =
        outcome.map_err(|error| Invalid::new("start_failed", format!("{error:#}")))?;
    let started = outcome.map_err(|failure| Invalid::new(failure.word(), failure))?;
    removed.map_err(|error| Invalid::new("start_failed", format!("{error:#}")))?;
    let requests = Requests {
        create_sent: create.start,
        create_answered: create.end,
        start_sent,
    };
    let phases = StartPhases::of(requests, &started).ok_or_else(|| {
        Invalid::new(
            "probe_failed",
            "the points of the start are not in their order",
        )
    })?;
    Ok(Start {
        phases,
        attempts: started.attempts,
        end: started.t_200,
    })
}
