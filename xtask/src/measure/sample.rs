//! One sample: a scenario measured once, and what else the machine did meanwhile.

use std::time::Duration;

use super::{
    noise::{Look, Noise},
    scenario::Scenario,
    visit::{Invalid, Lane, Measured, Target},
};
use crate::record::{
    cell::{Cell as _, ErrorWord},
    timings::SampleRow,
};

/// Takes samples on one engine, with an eye on the rest of the machine.
#[derive(Clone, Copy)]
pub struct Taker<'a> {
    pub lane: Lane<'a>,
    /// None where the kernel keeps no such times.
    pub look: &'a dyn Fn() -> Option<Look>,
}

impl Taker<'_> {
    pub fn take(&self, target: &Target, scenario: Scenario) -> Taken {
        if let Err(invalid) = self.lane.prepare(scenario, target) {
            return Taken {
                outcome: Err(invalid),
                noise: None,
            };
        }
        let before = (self.look)();
        let outcome = self.lane.measure(scenario, target);
        let after = (self.look)();
        let noise = before
            .zip(after)
            .and_then(|(before, after)| Noise::between(&before, &after));
        Taken { outcome, noise }
    }
}

/// What came of one repetition, and what went on beside it.
pub struct Taken {
    pub outcome: Result<Measured, Invalid>,
    pub noise: Option<Noise>,
}

impl Taken {
    /// `row` with what was taken; a reason for the log where it does not count.
    /// What was disturbed keeps its numbers, for who wants to see by how much.
    pub fn into_row(self, row: SampleRow) -> (SampleRow, Option<String>) {
        let row = SampleRow {
            foreign_cpu_permille: self.noise.map(|noise| noise.foreign_permille),
            steal_cpu_permille: self.noise.map(|noise| noise.steal_permille),
            ..row
        };
        let disturbing = self.noise.filter(Noise::is_disturbing);
        match (self.outcome, disturbing) {
            (Ok(measured), None) => (filled(row, &measured), None),
            (Ok(measured), Some(noise)) => {
                let invalid = Some(ErrorWord::Disturbed);
                let row = SampleRow {
                    invalid,
                    ..filled(row, &measured)
                };
                (row, Some(format!("{noise:?}")))
            }
            (Err(Invalid { word, detail }), _) => {
                // Every word that a visit can give is one of the fixed ones; a
                // test holds the two lists together.
                let invalid = Some(ErrorWord::parse(word).unwrap_or(ErrorWord::ProbeFailed));
                let cold = (word == ErrorWord::NotCold.word()).then_some(false);
                let row = SampleRow {
                    invalid,
                    cold,
                    ..row
                };
                (row, Some(detail))
            }
        }
    }
}

fn filled(mut row: SampleRow, measured: &Measured) -> SampleRow {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).ok();
    if let Some(pull) = &measured.pull {
        row.pull_ns = Some(pull.total_ns);
        row.served_bytes = pull.served_bytes;
        row.cold = pull.served_bytes.map(|_| true);
        row.resolve_ns = pull.phases.map(|phases| phases.resolve_ns);
        row.download_ns = pull.phases.map(|phases| phases.download_ns);
        row.concurrent_downloads = pull.phases.map(|phases| phases.concurrent_downloads);
        row.delivered_bytes_per_s = pull.delivered_bytes_per_s;
        row.tail_ns = pull.phases.map(|phases| phases.tail_ns);
    }
    if let Some(start) = &measured.start {
        row.create_ns = ns(start.phases.create);
        row.engine_ns = start.phases.engine.and_then(ns);
        row.app_ns = start.phases.app.and_then(ns);
        row.start_total_ns = ns(start.phases.start_total);
        row.probe_attempts = Some(u64::from(start.attempts));
    }
    row.node_total_ns = measured.node_total_ns();
    row.durable_ns = measured.durable_ns;
    row
}
