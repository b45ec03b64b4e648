//! What is made of an effect: one word, by one rule.

use std::fmt;

use serde::Serialize;

use super::{effect::Effect, hodges_lehmann::Range};

/// The largest relative change that is as good as none: 5 %.
pub const DELTA: f64 = 0.05;

/// What a comparison says of head against base, where more is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The change is real and not shown to be small: head takes longer.
    Worse,
    /// The change is real and not shown to be small: head takes less.
    Better,
    /// If there is a change, it is shown to be smaller than [`DELTA`].
    Same,
    /// Neither was shown. The minimum detectable effect says what could have
    /// been.
    Inconclusive,
}

impl Verdict {
    /// The verdict on an effect whose interval was asked for at `alpha`, and
    /// whose p was adjusted for all tests of the look.
    ///
    /// `Same` comes first: a change that is significant and yet lies inside ±δ
    /// as a whole is real and too small to matter, and to flag it would punish
    /// precise measurements. It needs an interval that does cover 1 − `alpha`,
    /// which few blocks cannot give. A flag needs both a p of at most `alpha`
    /// and an interval on one side of zero: where blocks are tied the two may
    /// disagree, and then nothing was shown.
    pub fn of(effect: &Effect, p_adjusted: f64, alpha: f64) -> Self {
        let Some(interval) = effect.interval else {
            return Self::Inconclusive;
        };
        if interval.coverage >= 1.0 - alpha && is_small(interval) {
            return Self::Same;
        }
        let significant = p_adjusted <= alpha;
        if significant && interval.low > 0.0 {
            Self::Worse
        } else if significant && interval.high < 0.0 {
            Self::Better
        } else {
            Self::Inconclusive
        }
    }
}

/// Whether neither version takes more than [`DELTA`] longer than the other, so
/// that swapping them cannot change the verdict: from −4.76 % to +5 %.
fn is_small(interval: Range) -> bool {
    let slowest = 1.0 + DELTA;
    interval.low >= 1.0 / slowest - 1.0 && interval.high <= slowest - 1.0
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COVERAGE: f64 = 0.952;

    fn verdict(low: f64, high: f64, coverage: f64, p_adjusted: f64) -> Verdict {
        let effect = Effect {
            n: 15,
            estimate: (low + high) / 2.0,
            interval: Some(Range {
                low,
                high,
                coverage,
            }),
            p: p_adjusted,
        };
        Verdict::of(&effect, p_adjusted, 0.05)
    }

    #[test]
    fn each_verdict_has_its_place() {
        for (low, high, p, expected) in [
            (0.06, 0.12, 0.001, Verdict::Worse),
            (-0.12, -0.06, 0.001, Verdict::Better),
            // Real, and perhaps larger than delta.
            (0.02, 0.08, 0.05, Verdict::Worse),
            (-0.08, -0.02, 0.05, Verdict::Better),
            // Large, but no longer significant among so many tests.
            (0.06, 0.12, 0.051, Verdict::Inconclusive),
            // Real and small: significance does not make it a flag.
            (0.02, 0.05, 0.001, Verdict::Same),
            (-0.04, 0.04, 0.9, Verdict::Same),
            (0.0, 0.0, 1.0, Verdict::Same),
            // Nothing shown, in either direction.
            (-0.04, 0.051, 0.9, Verdict::Inconclusive),
            (-0.048, 0.04, 0.9, Verdict::Inconclusive),
            (-0.2, 0.3, 0.9, Verdict::Inconclusive),
            // Ties let the test and the interval disagree.
            (0.0, 0.1, 0.01, Verdict::Inconclusive),
        ] {
            assert_eq!(verdict(low, high, COVERAGE, p), expected, "{low} {high}");
        }
    }

    #[test]
    fn few_blocks_are_never_enough_for_same() {
        assert_eq!(verdict(-0.01, 0.01, 0.9375, 0.3), Verdict::Inconclusive);
        assert_eq!(verdict(-0.01, 0.01, 0.95, 0.3), Verdict::Same);
        let single = Effect {
            n: 1,
            estimate: 0.0,
            interval: None,
            p: 1.0,
        };
        assert_eq!(Verdict::of(&single, 1.0, 0.05), Verdict::Inconclusive);
    }

    #[test]
    fn verdicts_are_written_as_the_method_names_them() {
        let all = [
            Verdict::Worse,
            Verdict::Better,
            Verdict::Same,
            Verdict::Inconclusive,
        ];
        let words = all.map(|verdict| verdict.to_string());
        assert_eq!(words, ["worse", "better", "same", "inconclusive"]);
    }

    proptest! {
        #[test]
        fn swapping_the_versions_mirrors_the_verdict(
            ends in (-0.2..0.2_f64, -0.2..0.2_f64), p in 0.0..0.1_f64
        ) {
            // On the scale of logarithms, where a swap is a sign.
            let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
            let here = verdict(low.exp_m1(), high.exp_m1(), COVERAGE, p);
            let there = verdict((-high).exp_m1(), (-low).exp_m1(), COVERAGE, p);
            let mirrored = match here {
                Verdict::Worse => Verdict::Better,
                Verdict::Better => Verdict::Worse,
                other => other,
            };
            prop_assert_eq!(there, mirrored);
        }
    }
}
