//! What a session's samples say about the session itself.

use std::{collections::BTreeMap, fmt};

use super::{cell::ErrorWord, timings::SampleRow};
use crate::{
    measure::scenario::Scenario,
    stats::{
        Summary,
        effect::{Effect, Pair},
        looks::ALPHA,
    },
};

/// A session of which more samples than this were disturbed, in thousandths, is
/// noisy: what counts in it was taken on a machine that did other work.
pub const NOISY_PERMILLE: u64 = 100;

/// How often other work disturbed a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    pub samples: u64,
    pub disturbed: u64,
}

impl Noise {
    pub fn of(samples: &[SampleRow]) -> Self {
        let disturbed = samples
            .iter()
            .filter(|row| row.invalid == Some(ErrorWord::Disturbed));
        Self {
            samples: samples.len() as u64,
            disturbed: disturbed.count() as u64,
        }
    }

    pub fn is_noisy(&self) -> bool {
        self.disturbed * 1000 > self.samples * NOISY_PERMILLE
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "other work on this machine disturbed {} of {} samples",
            self.disturbed, self.samples
        )
    }
}

/// The facts for the environment file.
pub fn of(samples: &[SampleRow]) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("samples", samples.len().to_string()),
        ("invalid_samples", invalid(samples)),
    ];
    let guarded = samples.iter().any(|row| row.foreign_cpu_permille.is_some());
    let guard = if guarded { "on" } else { "unavailable" };
    facts.push(("noise_guard", guard.to_owned()));
    facts.extend(control(samples));
    facts.extend(proxy_overhead(samples));
    facts
}

/// Reason and count of what does not count, `disturbed=3 not_cold=1`.
fn invalid(samples: &[SampleRow]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for word in samples.iter().filter_map(|row| row.invalid) {
        *counts.entry(word.word()).or_default() += 1;
    }
    let words: Vec<String> = counts
        .iter()
        .map(|(word, count)| format!("{word}={count}"))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(" ")
    }
}

/// The control cell's start, and how far its second half lies from its first:
/// the engine and the machine alone move it.
fn control(samples: &[SampleRow]) -> Vec<(&'static str, String)> {
    let totals: Vec<u64> = samples
        .iter()
        .filter(|row| row.scenario == Scenario::Control.word() && row.invalid.is_none())
        .filter_map(|row| row.start_total_ns)
        .collect();
    let (first, second) = totals.split_at(totals.len() / 2);
    let Some(whole) = Summary::of(&totals) else {
        return Vec::new();
    };
    let mut facts = vec![("control_start_total_us", (whole.median / 1000).to_string())];
    if let (Some(first), Some(second)) = (Summary::of(first), Summary::of(second)) {
        let moved = i128::from(second.median) - i128::from(first.median);
        let permille = moved * 1000 / i128::from(first.median.max(1));
        facts.push(("control_drift_permille", permille.to_string()));
    }
    facts
}

/// How much longer a pull takes through the recording proxy than straight from
/// the registry, by the pairs of the same block, in thousandths.
fn proxy_overhead(samples: &[SampleRow]) -> Vec<(&'static str, String)> {
    let pull_of = |row: &SampleRow, scenario: Scenario| {
        let counts = row.scenario == scenario.word() && row.invalid.is_none();
        row.pull_ns.filter(|_| counts)
    };
    let direct = samples
        .iter()
        .filter_map(|row| Some((row, pull_of(row, Scenario::PullDirect)?)));
    let pairs: Vec<Pair> = direct
        .filter_map(|(direct, base)| {
            let same =
                |row: &&SampleRow| (row.block, &row.variant) == (direct.block, &direct.variant);
            let mut recorded = samples.iter().filter(same);
            let head = recorded.find_map(|row| pull_of(row, Scenario::NodeCold))?;
            Some(Pair { base, head })
        })
        .collect();
    let Some(effect) = Effect::of(&pairs, ALPHA) else {
        return Vec::new();
    };
    let permille = |effect: f64| ((effect * 1000.0).round() as i64).to_string();
    let mut facts = vec![
        ("proxy_overhead_pairs", effect.n.to_string()),
        ("proxy_overhead_permille", permille(effect.estimate)),
    ];
    if let Some(interval) = effect.interval {
        facts.push(("proxy_overhead_low_permille", permille(interval.low)));
        facts.push(("proxy_overhead_high_permille", permille(interval.high)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control_sample(block: u64, start_total_ns: u64) -> SampleRow {
        SampleRow {
            block,
            scenario: "control".to_owned(),
            start_total_ns: Some(start_total_ns),
            foreign_cpu_permille: Some(0),
            ..SampleRow::default()
        }
    }

    fn fact(samples: &[SampleRow], name: &str) -> Option<String> {
        let found = of(samples).into_iter().find(|(fact, _)| *fact == name);
        found.map(|(_, value)| value)
    }

    #[test]
    fn the_controls_drift_is_that_of_its_halves() {
        let samples: Vec<SampleRow> = [100, 102, 101, 110, 112, 111]
            .iter()
            .zip(0..)
            .map(|(ms, block)| control_sample(block, ms * 1_000_000))
            .collect();
        // The median of both halves together, and 111 beside 101.
        assert_eq!(fact(&samples, "control_start_total_us").unwrap(), "106000");
        assert_eq!(fact(&samples, "control_drift_permille").unwrap(), "99");
        assert_eq!(fact(&samples[..1], "control_drift_permille"), None);
        assert_eq!(fact(&[], "control_start_total_us"), None);
    }

    #[test]
    fn the_proxys_cost_is_that_of_pairs_in_the_same_block() {
        let pull = |block, scenario: Scenario, pull_us: u64| SampleRow {
            block,
            variant: "middle".to_owned(),
            scenario: scenario.word().to_owned(),
            pull_ns: Some(pull_us * 1_000),
            ..SampleRow::default()
        };
        // The machine slows down; the proxy always adds two in a hundred.
        let samples: Vec<SampleRow> = (0..15)
            .flat_map(|block| {
                let direct = 100_000 + 10_000 * block;
                [
                    pull(block, Scenario::PullDirect, direct),
                    pull(block, Scenario::NodeCold, direct * 102 / 100),
                ]
            })
            .collect();
        assert_eq!(fact(&samples, "proxy_overhead_pairs").unwrap(), "15");
        for name in ["", "_low", "_high"] {
            let name = format!("proxy_overhead{name}_permille");
            assert_eq!(fact(&samples, &name).unwrap(), "20", "{name}");
        }
        assert_eq!(fact(&samples[..1], "proxy_overhead_pairs"), None);
    }

    #[test]
    fn what_does_not_count_is_counted_by_its_reason() {
        let mut samples: Vec<SampleRow> = (0..20).map(|i| control_sample(i, 1)).collect();
        assert_eq!(fact(&samples, "invalid_samples").unwrap(), "none");
        assert!(!Noise::of(&samples).is_noisy());
        samples[3].invalid = Some(ErrorWord::Disturbed);
        samples[4].invalid = Some(ErrorWord::NotCold);
        samples[5].invalid = Some(ErrorWord::Disturbed);
        assert_eq!(
            fact(&samples, "invalid_samples").unwrap(),
            "disturbed=2 not_cold=1"
        );
        assert!(!Noise::of(&samples).is_noisy(), "a tenth is not more");
        samples[6].invalid = Some(ErrorWord::Disturbed);
        assert!(Noise::of(&samples).is_noisy());
        assert_eq!(fact(&samples, "noise_guard").unwrap(), "on");
        assert_eq!(fact(&[], "noise_guard").unwrap(), "unavailable");
    }
}
