//! One session: warm-ups, then blocks of visits in random order, until every
//! variant's intervals are narrow enough or the blocks are used up.

use std::time::Duration;

use anyhow::Result;

use super::{
    protocol::{LONG_SAMPLE, Precision, Protocol},
    subject::Subject,
    visit::{Invalid, NodeCold, Start, Target, node_cold, warm},
};
use crate::{
    proxy::Exchange,
    record::{
        cell::{Cell as _, ErrorWord},
        timings::SampleRow,
    },
    stats::Summary,
};

pub const NODE_COLD: &str = "node_cold";
pub const WARM: &str = "warm";

/// A variant that has failed this often without one sample that counts is given
/// up: its cause is not noise, and each failure may cost a time-out.
const FAILURES_MAX: usize = 2;

/// What a session reports as it goes.
pub enum Event<'a> {
    /// A discarded cycle is over.
    WarmedUp { target: &'a Target },
    /// A sample, which counts unless it is marked invalid; `why` is for the log.
    Sample {
        target: &'a Target,
        row: &'a SampleRow,
        why: Option<String>,
    },
    /// A visit is over.
    Visited { target: &'a Target },
    /// A variant needs no more samples.
    Stopped { target: &'a Target, blocks: u32 },
}

/// Runs a session over `targets`.
///
/// # Errors
/// Only what `on` returns: a variant that fails is a row, and the rest go on.
pub fn run(
    subject: &dyn Subject,
    take_log: &dyn Fn() -> Vec<Exchange>,
    protocol: &Protocol,
    targets: &[Target],
    on: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    let visitor = Visitor { subject, take_log };
    for _ in 0..protocol.warm_ups() {
        for target in targets {
            // Whatever a warm-up gives is discarded, its failure too: the first
            // block will meet it again and record it.
            let _ = visitor.visit(target);
            on(Event::WarmedUp { target })?;
        }
    }
    let mut states: Vec<State> = targets.iter().map(|_| State::default()).collect();
    let indices: Vec<usize> = (0..targets.len()).collect();
    for block in 0..protocol.blocks_max() {
        for (place, &index) in protocol.block(block, &indices).into_iter().enumerate() {
            let (target, state) = (&targets[index], &mut states[index]);
            if state.stopped {
                continue;
            }
            for (row, why) in visitor.samples(target, u64::from(block), 2 * place as u64) {
                on(Event::Sample {
                    target,
                    row: &row,
                    why,
                })?;
                state.samples.push(row);
            }
            on(Event::Visited { target })?;
            if state.is_done(protocol, block + 1) {
                state.stopped = true;
                on(Event::Stopped {
                    target,
                    blocks: block + 1,
                })?;
            }
        }
        if states.iter().all(|state| state.stopped) {
            break;
        }
    }
    Ok(())
}

#[derive(Default)]
struct State {
    samples: Vec<SampleRow>,
    stopped: bool,
}

impl State {
    /// Whether this variant needs no more visits after `blocks` blocks.
    fn is_done(&self, protocol: &Protocol, blocks: u32) -> bool {
        blocks >= protocol.blocks_max()
            || self.is_hopeless(NODE_COLD)
            || self.is_hopeless(WARM)
            || protocol.is_look(blocks) && (self.is_long() || self.is_precise(protocol, blocks))
    }

    /// Noise passes; any other cause will come again, and may cost a time-out.
    fn is_hopeless(&self, scenario: &str) -> bool {
        let mut of_scenario = self
            .samples
            .iter()
            .filter(|row| row.scenario == scenario)
            .peekable();
        let failures =
            |row: &SampleRow| row.invalid.is_some_and(|word| word != ErrorWord::Disturbed);
        of_scenario.peek().is_some()
            && of_scenario.clone().filter(|row| failures(row)).count() >= FAILURES_MAX
            && of_scenario.all(failures)
    }

    /// A cold start this long has a small spread beside its length, and its
    /// warm starts are not worth more of them.
    fn is_long(&self) -> bool {
        let total = self.summary(NODE_COLD, |row| row.node_total_ns);
        total.is_some_and(|total| Duration::from_nanos(total.median) > LONG_SAMPLE)
    }

    fn is_precise(&self, protocol: &Protocol, blocks: u32) -> bool {
        let done = |scenario, precision, of: fn(&SampleRow) -> Option<u64>| {
            self.summary(scenario, of)
                .is_some_and(|summary| protocol.is_done(blocks, &summary, precision))
        };
        done(NODE_COLD, Precision::RELATIVE, |row| row.node_total_ns)
            && done(WARM, Precision::RELATIVE, |row| row.start_total_ns)
            && done(WARM, Precision::APP, |row| row.app_ns)
    }

    fn summary(&self, scenario: &str, of: fn(&SampleRow) -> Option<u64>) -> Option<Summary> {
        let counting = self
            .samples
            .iter()
            .filter(|row| row.scenario == scenario && row.invalid.is_none());
        Summary::of(&counting.filter_map(of).collect::<Vec<_>>())
    }
}

struct Visitor<'a> {
    subject: &'a dyn Subject,
    take_log: &'a dyn Fn() -> Vec<Exchange>,
}

type Visit = (Result<NodeCold, Invalid>, Option<Result<Start, Invalid>>);

impl Visitor<'_> {
    /// The warm start is only made of an image that the cold one has started.
    fn visit(&self, target: &Target) -> Visit {
        let cold = node_cold(self.subject, target, self.take_log);
        let warm = cold.is_ok().then(|| warm(self.subject, target));
        (cold, warm)
    }

    fn samples(&self, target: &Target, block: u64, order: u64) -> Vec<(SampleRow, Option<String>)> {
        let (cold, warm) = self.visit(target);
        let row = |scenario: &str, order| SampleRow {
            block,
            order,
            variant: target.variant.clone(),
            scenario: scenario.to_owned(),
            ..SampleRow::default()
        };
        let mut samples = vec![sample(row(NODE_COLD, order), cold, with_node_cold)];
        if let Some(warm) = warm {
            samples.push(sample(row(WARM, order + 1), warm, with_start));
        }
        samples
    }
}

fn sample<T>(
    row: SampleRow,
    outcome: Result<T, Invalid>,
    with: fn(SampleRow, &T) -> SampleRow,
) -> (SampleRow, Option<String>) {
    match outcome {
        Ok(value) => (with(row, &value), None),
        Err(Invalid { word, detail }) => {
            // Every word that a visit can give is one of the fixed ones; a test
            // holds the two lists together.
            let invalid = Some(ErrorWord::parse(word).unwrap_or(ErrorWord::ProbeFailed));
            let cold = (word == ErrorWord::NotCold.word()).then_some(false);
            (
                SampleRow {
                    invalid,
                    cold,
                    ..row
                },
                Some(detail),
            )
        }
    }
}

fn with_node_cold(row: SampleRow, cold: &NodeCold) -> SampleRow {
    SampleRow {
        pull_ns: Some(cold.pull_ns),
        resolve_ns: Some(cold.pull.resolve_ns),
        download_ns: Some(cold.pull.download_ns),
        tail_ns: Some(cold.pull.tail_ns),
        node_total_ns: Some(cold.total_ns),
        served_bytes: Some(cold.served_bytes),
        cold: Some(true),
        ..with_start(row, &cold.start)
    }
}

fn with_start(row: SampleRow, start: &Start) -> SampleRow {
    let ns = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).ok();
    SampleRow {
        create_ns: ns(start.phases.create),
        engine_ns: ns(start.phases.engine),
        app_ns: ns(start.phases.app),
        start_total_ns: ns(start.phases.start_total),
        probe_attempts: Some(u64::from(start.attempts)),
        ..row
    }
}
