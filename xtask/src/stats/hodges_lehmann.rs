//! The Hodges–Lehmann estimate of a shift and its exact interval.
//!
//! Source: J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank
//! tests", Annals of Mathematical Statistics 34 (1963). The estimate is the
//! median of all Walsh averages, the means of two differences (each also with
//! itself). For normally distributed differences it needs 5 % more of them than
//! the mean does, and one bad block cannot carry it away.
//!
//! The interval holds exactly those shifts that the signed-rank test does not
//! reject, so the two agree by construction where no differences are tied or
//! zero. Where some are, its ends belong to it and it covers at least what it
//! says (Noether, 1967).

use super::signed_rank::Critical;

/// An interval of a shift and the chance that it holds the true one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    pub coverage: f64,
}

/// By how much a set of differences lies off zero, in their own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    pub estimate: f64,
    /// `None` for a single difference, which says nothing about the next one.
    pub interval: Option<Range>,
}

impl Shift {
    /// The shift of finite differences, with an interval that misses the true
    /// one with a chance of at most `alpha`. Below six differences no interval
    /// reaches 95 %; it is then the widest there is, smallest to largest
    /// difference, with its real coverage of 1 − 2^(1−n).
    ///
    /// `None` when there are no differences.
    pub fn of(differences: &[f64], alpha: f64) -> Option<Self> {
        let walsh = walsh_averages(differences);
        let n = walsh.len();
        let estimate = mean(*walsh.get(n.checked_sub(1)? / 2)?, walsh[n / 2]);
        let interval = (differences.len() > 1).then(|| {
            let Critical { rank, level } = Critical::of(differences.len(), alpha);
            Range {
                low: walsh[rank - 1],
                high: walsh[n - rank],
                coverage: 1.0 - level,
            }
        });
        Some(Self { estimate, interval })
    }
}

/// The n(n+1)/2 means of two, in ascending order.
fn walsh_averages(differences: &[f64]) -> Vec<f64> {
    let mut averages: Vec<f64> = differences
        .iter()
        .enumerate()
        .flat_map(|(index, a)| differences[index..].iter().map(|b| mean(*a, *b)))
        .collect();
    averages.sort_unstable_by(f64::total_cmp);
    averages
}

fn mean(a: f64, b: f64) -> f64 {
    (a + b) / 2.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::signed_rank::SignedRank, *};

    fn shift(differences: &[f64], alpha: f64) -> (f64, f64, f64) {
        let shift = Shift::of(differences, alpha).unwrap();
        let interval = shift.interval.unwrap();
        (shift.estimate, interval.low, interval.high)
    }

    #[test]
    fn the_interval_holds_what_scipys_test_does_not_reject() {
        // Darwin's maize. scipy 1.17.1: the smallest and the largest s, by
        // bisection, with stats.wilcoxon(d - s, method='exact').pvalue > alpha.
        let darwin = [
            49., -67., 8., 16., 6., 23., 28., 41., 14., 29., 56., 24., 75., 60., -48.,
        ];
        assert_eq!(shift(&darwin, 0.05), (25.0, 4.0, 41.5));
        assert_eq!(shift(&darwin, 0.025), (25.0, -9.0, 44.5));
        assert_eq!(shift(&darwin, 0.01), (25.0, -13.0, 49.0));
    }

    #[test]
    fn the_depression_scores_are_as_hollander_and_wolfe_print_them() {
        // "Nonparametric statistical methods", examples 3.3 and 3.4: the
        // estimate −0.46 and the 96.1 % interval −0.786 to −0.010.
        let differences = [
            -0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01,
        ];
        let got = Shift::of(&differences, 0.05).unwrap();
        let interval = got.interval.unwrap();
        assert!((got.estimate + 0.46).abs() < 1e-12);
        assert!((interval.low + 0.786).abs() < 1e-12);
        assert!((interval.high + 0.010).abs() < 1e-12);
        assert_eq!(interval.coverage, 0.9609375);
    }

    #[test]
    fn few_differences_give_the_widest_interval_and_its_real_coverage() {
        let five = Shift::of(&[3.0, 1.0, 9.0, -2.0, 5.0], 0.05).unwrap();
        let interval = five.interval.unwrap();
        assert_eq!((interval.low, interval.high), (-2.0, 9.0));
        assert_eq!(interval.coverage, 0.9375);
        let one = Shift::of(&[7.0], 0.05).unwrap();
        assert_eq!((one.estimate, one.interval), (7.0, None));
        assert_eq!(Shift::of(&[], 0.05), None);
    }

    proptest! {
        #[test]
        fn everything_lies_where_it_must(
            differences in prop::collection::vec(-1e3..1e3_f64, 2..70),
            alpha in prop::sample::select(vec![0.05, 0.025, 0.001, 0.9])
        ) {
            let (estimate, low, high) = shift(&differences, alpha);
            let walsh = walsh_averages(&differences);
            prop_assert!(walsh[0] <= low && low <= estimate);
            prop_assert!(estimate <= high && high <= walsh[walsh.len() - 1]);
        }

        #[test]
        fn opposite_differences_give_the_opposite_shift(
            differences in prop::collection::vec(-1e3..1e3_f64, 2..70)
        ) {
            let opposite: Vec<f64> = differences.iter().map(|d| -d).collect();
            let (estimate, low, high) = shift(&differences, 0.05);
            prop_assert_eq!(shift(&opposite, 0.05), (-estimate, -high, -low));
        }

        #[test]
        fn the_interval_excludes_zero_exactly_when_the_test_rejects(
            differences in prop::collection::vec(-1.0..2.0_f64, 6..40)
        ) {
            let (_, low, high) = shift(&differences, 0.05);
            let p = SignedRank::of(&differences).p;
            prop_assert_eq!(p <= 0.05, low > 0.0 || high < 0.0, "p = {}", p);
        }

        #[test]
        fn a_stricter_level_never_gives_a_narrower_interval(
            differences in prop::collection::vec(-1e3..1e3_f64, 2..40)
        ) {
            let (_, low, high) = shift(&differences, 0.05);
            let (_, lower, higher) = shift(&differences, 0.01);
            prop_assert!(lower <= low && high <= higher);
        }
    }
}
