//! Two versions measured in the same blocks: what is made of their samples. No
//! I/O: the same samples give the same findings.
//!
//! Method: METHODOLOGY.md, "Comparing two versions".

use std::num::NonZeroU32;

use serde::Serialize;

use super::scenario::Scenario;
use crate::{
    record::timings::SampleRow,
    stats::{
        Summary,
        effect::{Effect, Pair},
        holm,
        looks::{ALPHA, alpha_per_look},
        power::{POWER, minimum_detectable_effect},
        verdict::Verdict,
    },
};

/// Looks that a comparison may take, each at an equal share of [`ALPHA`].
pub const LOOKS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// What is visited for each variant: the pull and the first start come of the
/// one, the start on a node that has the image of the other.
pub const SCENARIOS: [Scenario; 2] = [Scenario::NodeCold, Scenario::Warm];

/// Which of the two versions a sample is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Base,
    Head,
}

impl Side {
    /// The variant's name in the samples: `head/gin/scratch`.
    pub fn label(self, variant: &str) -> String {
        let side = match self {
            Self::Base => "base",
            Self::Head => "head",
        };
        format!("{side}/{variant}")
    }
}

/// A time that is tested.
struct Time {
    name: &'static str,
    scenario: Scenario,
    of: fn(&SampleRow) -> Option<u64>,
}

/// Few, because each costs the others power; these are what a user waits for.
const TIMES: [Time; 4] = [
    Time {
        name: "pull",
        scenario: Scenario::NodeCold,
        of: |row| row.pull_ns,
    },
    Time {
        name: "node_cold",
        scenario: Scenario::NodeCold,
        of: |row| row.node_total_ns,
    },
    Time {
        name: "warm start",
        scenario: Scenario::Warm,
        of: |row| row.start_total_ns,
    },
    Time {
        name: "warm app",
        scenario: Scenario::Warm,
        of: |row| row.app_ns,
    },
];

/// What one test found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// As `gin/scratch`.
    pub variant: String,
    /// `pull`, `node_cold`, `warm start` or `warm app`.
    pub time: &'static str,
    /// Blocks in which both versions have a sample that counts.
    pub blocks: usize,
    pub base_median_us: Option<u64>,
    pub head_median_us: Option<u64>,
    /// How much longer head takes, as a fraction of base.
    pub effect: Option<f64>,
    pub effect_low: Option<f64>,
    pub effect_high: Option<f64>,
    /// After Holm's adjustment over all findings.
    pub p_adjusted: Option<f64>,
    /// The increase that these blocks would have shown, as a fraction of base.
    pub minimum_detectable_effect: Option<f64>,
    pub verdict: Verdict,
}

/// The findings at one look, variants in the order given.
pub fn findings(samples: &[SampleRow], variants: &[String]) -> Vec<Finding> {
    let alpha = alpha_per_look(ALPHA, LOOKS);
    let tests: Vec<Test<'_>> = variants
        .iter()
        .flat_map(|variant| TIMES.iter().map(move |time| (variant, time)))
        .map(|(variant, time)| Test::of(samples, variant, time, alpha))
        .collect();
    let p_values: Vec<f64> = tests.iter().filter_map(Test::p).collect();
    let mut adjusted = holm::adjusted(&p_values).into_iter();
    let strictest = alpha / p_values.len().max(1) as f64;
    tests
        .into_iter()
        .map(|test| {
            let p = test.p().and_then(|_| adjusted.next());
            test.finding(p, alpha, strictest)
        })
        .collect()
}

/// Whether a further look could tell nothing more.
pub fn is_decided(findings: &[Finding]) -> bool {
    let open = |finding: &Finding| finding.verdict == Verdict::Inconclusive;
    !findings.iter().any(open)
}

/// One time of one variant, in both versions.
struct Test<'a> {
    variant: &'a str,
    time: &'static Time,
    pairs: Vec<Pair>,
    effect: Option<Effect>,
}

impl<'a> Test<'a> {
    fn of(samples: &[SampleRow], variant: &'a str, time: &'static Time, alpha: f64) -> Self {
        let pairs = pairs(samples, variant, time);
        Self {
            variant,
            time,
            effect: Effect::of(&pairs, alpha),
            pairs,
        }
    }

    fn p(&self) -> Option<f64> {
        self.effect.map(|effect| effect.p)
    }

    fn finding(self, p_adjusted: Option<f64>, alpha: f64, strictest: f64) -> Finding {
        let interval = self.effect.and_then(|effect| effect.interval);
        let tested = self.effect.zip(p_adjusted);
        Finding {
            variant: self.variant.to_owned(),
            time: self.time.name,
            blocks: self.pairs.len(),
            base_median_us: median_us(self.pairs.iter().map(|pair| pair.base)),
            head_median_us: median_us(self.pairs.iter().map(|pair| pair.head)),
            effect: self.effect.map(|effect| effect.estimate),
            effect_low: interval.map(|interval| interval.low),
            effect_high: interval.map(|interval| interval.high),
            p_adjusted,
            minimum_detectable_effect: minimum_detectable_effect(&self.pairs, strictest, POWER),
            verdict: tested.map_or(Verdict::Inconclusive, |(effect, p)| {
                Verdict::of(&effect, p, alpha)
            }),
        }
    }
}

/// Blocks in which both versions have a sample that counts.
fn pairs(samples: &[SampleRow], variant: &str, time: &Time) -> Vec<Pair> {
    let of = |side: Side| {
        let label = side.label(variant);
        let counting = samples.iter().filter(move |row| {
            row.invalid.is_none() && row.variant == label && row.scenario == time.scenario.word()
        });
        counting.filter_map(|row| Some((row.block, (time.of)(row)?)))
    };
    let heads: Vec<(u64, u64)> = of(Side::Head).collect();
    let head_of = |block: u64| heads.iter().find(|(of, _)| *of == block);
    of(Side::Base)
        .filter_map(|(block, base)| {
            let &(_, head) = head_of(block)?;
            Some(Pair { base, head })
        })
        .collect()
}

fn median_us(times: impl Iterator<Item = u64>) -> Option<u64> {
    let times: Vec<u64> = times.collect();
    Some((Summary::of(&times)?.median + 500) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::protocol::SplitMix64, record::cell::ErrorWord};

    /// `blocks` blocks of a 200 ms pull and a 100 ms start with a spread of a
    /// few in a hundred; head pulls `longer_permille` longer and starts alike.
    fn samples(variant: &str, blocks: u64, longer_permille: u64) -> Vec<SampleRow> {
        let mut random = SplitMix64(11);
        let mut noise = |ns: u64| ns + (0..4).map(|_| random.next() % (ns / 50)).sum::<u64>();
        let mut rows = Vec::new();
        for block in 0..blocks {
            for side in [Side::Base, Side::Head] {
                let longer = if side == Side::Head {
                    longer_permille
                } else {
                    0
                };
                let pull = noise(200_000_000) * (1000 + longer) / 1000;
                let cold = noise(100_000_000);
                let row = SampleRow {
                    block,
                    variant: side.label(variant),
                    ..SampleRow::default()
                };
                rows.push(SampleRow {
                    scenario: "node_cold".to_owned(),
                    pull_ns: Some(pull),
                    node_total_ns: Some(pull + cold),
                    ..row.clone()
                });
                rows.push(SampleRow {
                    scenario: "warm".to_owned(),
                    start_total_ns: Some(noise(100_000_000)),
                    app_ns: Some(noise(3_000_000)),
                    ..row
                });
            }
        }
        rows
    }

    fn verdicts(found: &[Finding]) -> Vec<(&str, Verdict)> {
        found.iter().map(|it| (it.time, it.verdict)).collect()
    }

    #[test]
    fn a_longer_pull_is_found_where_it_is_and_nowhere_else() {
        let found = findings(&samples("gin/a", 30, 250), &["gin/a".to_owned()]);
        assert_eq!(
            verdicts(&found),
            [
                ("pull", Verdict::Worse),
                ("node_cold", Verdict::Worse),
                ("warm start", Verdict::Same),
                ("warm app", Verdict::Same),
            ]
        );
        assert!(is_decided(&found));
        let pull = &found[0];
        assert!((pull.effect.unwrap() - 0.25).abs() < 0.03, "{pull:?}");
        assert!(pull.effect_low < pull.effect && pull.effect < pull.effect_high);
    }

    #[test]
    fn one_version_twice_is_never_flagged_here() {
        let found = findings(&samples("gin/a", 15, 0), &["gin/a".to_owned()]);
        let flagged = |it: &Finding| matches!(it.verdict, Verdict::Worse | Verdict::Better);
        assert!(!found.iter().any(flagged), "{found:?}");
        assert!(
            found
                .iter()
                .all(|it| it.minimum_detectable_effect.is_some())
        );
    }

    #[test]
    fn more_tests_make_each_stricter() {
        let mut rows = samples("gin/a", 15, 30);
        let alone = findings(&rows, &["gin/a".to_owned()]);
        rows.extend(samples("gin/b", 15, 0));
        let both = findings(&rows, &["gin/a".to_owned(), "gin/b".to_owned()]);
        assert_eq!((alone.len(), both.len()), (4, 8));
        assert!(both[0].p_adjusted > alone[0].p_adjusted);
        assert!(both[0].minimum_detectable_effect > alone[0].minimum_detectable_effect);
    }

    #[test]
    fn what_does_not_count_makes_no_pair() {
        let mut rows = samples("gin/a", 15, 0);
        for row in rows.iter_mut().filter(|row| row.block < 14) {
            row.invalid = Some(ErrorWord::Disturbed);
        }
        let found = findings(&rows, &["gin/a".to_owned(), "gin/never".to_owned()]);
        assert_eq!(found[0].blocks, 1);
        assert_eq!(found[0].verdict, Verdict::Inconclusive);
        let never = &found[4];
        assert_eq!((never.blocks, never.p_adjusted), (0, None));
        assert!(!is_decided(&found));
    }
}
