//! From samples to rows: the one way that a summary is made, whether the samples
//! were just taken or are read back from `samples/`.

use std::collections::BTreeMap;

use super::{
    cell::ErrorWord,
    timings::{NodeRow, Phase, SampleRow, Spread, StartRow},
};
use crate::stats::Summary;

/// What one cell's samples say: those that count, and why others do not.
struct Samples<'a> {
    counting: Vec<&'a SampleRow>,
    invalid: BTreeMap<ErrorWord, u64>,
}

impl<'a> Samples<'a> {
    /// In a session that is recorded although it was disturbed throughout, what
    /// was disturbed counts as well: the row is marked, and the rest would be
    /// the few lucky ones.
    fn of(
        samples: impl IntoIterator<Item = &'a SampleRow>,
        variant: &str,
        scenario: &str,
        noisy: bool,
    ) -> Self {
        let mut of_cell = Self {
            counting: Vec::new(),
            invalid: BTreeMap::new(),
        };
        for sample in samples {
            if sample.variant != variant || sample.scenario != scenario {
                continue;
            }
            match sample.invalid {
                Some(ErrorWord::Disturbed) if noisy && sample.has_times() => {
                    of_cell.counting.push(sample);
                }
                Some(reason) => *of_cell.invalid.entry(reason).or_default() += 1,
                None => of_cell.counting.push(sample),
            }
        }
        of_cell
    }

    fn n(&self) -> Option<u64> {
        (!self.counting.is_empty()).then_some(self.counting.len() as u64)
    }

    fn invalid(&self) -> Option<u64> {
        let invalid = self.invalid.values().sum();
        (invalid > 0 || !self.counting.is_empty()).then_some(invalid)
    }

    /// The most frequent reason, if no sample counts.
    fn error(&self) -> Option<ErrorWord> {
        let most = self.invalid.iter().max_by_key(|(_, count)| **count);
        most.filter(|_| self.counting.is_empty())
            .map(|(reason, _)| *reason)
    }

    fn ns(&self, of: impl Fn(&SampleRow) -> Option<u64>) -> Vec<u64> {
        self.counting
            .iter()
            .filter_map(|sample| of(sample))
            .collect()
    }

    fn median(&self, of: impl Fn(&SampleRow) -> Option<u64>) -> Option<u64> {
        Summary::of(&self.ns(of)).map(|summary| summary.median)
    }

    fn phase(&self, of: impl Fn(&SampleRow) -> Option<u64>) -> Phase {
        Phase::of_ns(&self.ns(of))
    }

    fn spread(&self, of: impl Fn(&SampleRow) -> Option<u64>) -> Spread {
        Spread::of_ns(&self.ns(of))
    }
}

/// `cell` with the numbers that `samples` give it. Those of other variants and
/// scenarios are passed over; an error that it already has stays.
pub fn node<'a>(cell: NodeRow, samples: impl IntoIterator<Item = &'a SampleRow>) -> NodeRow {
    let samples = Samples::of(samples, &cell.variant, &cell.scenario, cell.noisy.0);
    NodeRow {
        n: samples.n(),
        pull: samples.spread(|sample| sample.pull_ns),
        node_total: samples.spread(|sample| sample.node_total_ns),
        resolve: samples.phase(|sample| sample.resolve_ns),
        download: samples.phase(|sample| sample.download_ns),
        tail: samples.phase(|sample| sample.tail_ns),
        create: samples.phase(|sample| sample.create_ns),
        engine: samples.phase(|sample| sample.engine_ns),
        app: samples.phase(|sample| sample.app_ns),
        start_total: samples.phase(|sample| sample.start_total_ns),
        durable: samples.phase(|sample| sample.durable_ns),
        delivered_bytes_per_s: samples.median(|sample| sample.delivered_bytes_per_s),
        invalid: samples.invalid(),
        error: cell.error.or(samples.error()),
        ..cell
    }
}

/// The same for a start with the image there.
pub fn start<'a>(cell: StartRow, samples: impl IntoIterator<Item = &'a SampleRow>) -> StartRow {
    let samples = Samples::of(samples, &cell.variant, &cell.scenario, cell.noisy.0);
    StartRow {
        n: samples.n(),
        start_total: samples.spread(|sample| sample.start_total_ns),
        app: samples.spread(|sample| sample.app_ns),
        create: samples.phase(|sample| sample.create_ns),
        engine: samples.phase(|sample| sample.engine_ns),
        invalid: samples.invalid(),
        error: cell.error.or(samples.error()),
        ..cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::cell::Mark;

    fn cell() -> NodeRow {
        NodeRow {
            variant: "alpine".to_owned(),
            scenario: "node_cold".to_owned(),
            session: "s1".to_owned(),
            ..NodeRow::default()
        }
    }

    fn sample(pull_ms: u64) -> SampleRow {
        SampleRow {
            variant: "alpine".to_owned(),
            scenario: "node_cold".to_owned(),
            pull_ns: Some(pull_ms * 1_000_000),
            ..SampleRow::default()
        }
    }

    fn invalid(reason: ErrorWord) -> SampleRow {
        SampleRow {
            invalid: Some(reason),
            ..sample(9_999)
        }
    }

    #[test]
    fn only_samples_of_the_cell_that_count_are_summarised() {
        let samples = [
            sample(10),
            sample(12),
            sample(11),
            invalid(ErrorWord::Disturbed),
            SampleRow {
                variant: "debian".to_owned(),
                ..sample(500)
            },
            SampleRow {
                scenario: "pull_durable".to_owned(),
                ..sample(500)
            },
        ];
        let row = node(cell(), &samples);
        assert_eq!((row.n, row.invalid, row.error), (Some(3), Some(1), None));
        assert_eq!(row.pull.phase.median_us, Some(11_000));
        assert_eq!(
            (row.pull.min_us, row.pull.max_us),
            (Some(10_000), Some(12_000))
        );
        assert_eq!(row.tail, Phase::default(), "never measured, never 0");
        assert_eq!(row.session, "s1", "what names the row stays");
    }

    #[test]
    fn in_a_noisy_session_that_is_recorded_disturbed_samples_count() {
        let disturbed = SampleRow {
            invalid: Some(ErrorWord::Disturbed),
            ..sample(14)
        };
        let without_times = SampleRow {
            pull_ns: None,
            ..disturbed.clone()
        };
        let samples = [sample(10), disturbed, without_times];
        let noisy = NodeRow {
            noisy: Mark(true),
            ..cell()
        };
        let row = node(noisy, &samples);
        assert_eq!((row.n, row.invalid), (Some(2), Some(1)));
        assert_eq!(row.pull.max_us, Some(14_000));
        assert_eq!(node(cell(), &samples).n, Some(1));
    }

    #[test]
    fn without_a_sample_that_counts_the_row_says_why() {
        let samples = [
            invalid(ErrorWord::Disturbed),
            invalid(ErrorWord::NotCold),
            invalid(ErrorWord::NotCold),
        ];
        let row = node(cell(), &samples);
        assert_eq!((row.n, row.error), (None, Some(ErrorWord::NotCold)));
        assert_eq!((row.invalid, row.pull), (Some(3), Spread::default()));
    }

    #[test]
    fn a_start_takes_its_own_times() {
        let warm = |app_us: u64| SampleRow {
            scenario: "warm".to_owned(),
            app_ns: Some(app_us * 1_000),
            start_total_ns: Some(150_000_000),
            ..sample(1)
        };
        let NodeRow { variant, .. } = cell();
        let cell = StartRow {
            variant,
            scenario: "warm".to_owned(),
            ..StartRow::default()
        };
        let row = start(cell, &[warm(900), warm(1_000), warm(1_100)]);
        assert_eq!(row.app.phase.median_us, Some(1_000));
        assert_eq!(row.start_total.phase.median_us, Some(150_000));
        assert_eq!((row.n, row.create), (Some(3), Phase::default()));
    }

    #[test]
    fn a_cell_that_was_never_reached_has_nothing() {
        let row = node(cell(), &[]);
        assert_eq!((row.n, row.invalid, row.error), (None, None, None));
    }
}
