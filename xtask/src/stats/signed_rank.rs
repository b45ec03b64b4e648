//! Wilcoxon's signed-rank test, exact for every number of differences.
//!
//! Source: F. Wilcoxon, "Individual comparisons by ranking methods",
//! Biometrics Bulletin 1 (1945). The null hypothesis is that differences are
//! symmetric about zero. For a pair measured in the same block in random order
//! that needs no assumption about the times themselves: if both versions are
//! the same, either of the two could have been called base.
//!
//! Nothing is approximated by a normal distribution. Under the null hypothesis
//! each rank is positive or negative by the toss of a coin, so the distribution
//! of the rank sum grows by one rank at a time. All its terms are positive and
//! halving is exact, so a probability is off by n roundings at most: relatively
//! about 10⁻¹³ at n = 1000. Time grows with the cube of n.

/// What the test says of a set of differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Differences that are not zero. Those that are were dropped before
    /// ranking, as Wilcoxon did: they speak for neither side.
    pub n: usize,
    /// Two-sided: the chance of a rank sum at least this far from its mean if
    /// there is no difference. 1 where all differences are zero.
    pub p: f64,
}

impl SignedRank {
    /// Tests finite differences. Equal absolute values share the mean of their
    /// ranks, and p is exact given those ties.
    pub fn of(differences: &[f64]) -> Self {
        let sorted = sorted_by_size(differences);
        let ranks = ranks_doubled(&sorted);
        let total: usize = ranks.iter().sum();
        let positive: usize = sorted
            .iter()
            .zip(&ranks)
            .filter(|(difference, _)| **difference > 0.0)
            .map(|(_, rank)| rank)
            .sum();
        let smaller = positive.min(total - positive);
        let tail: f64 = distribution(&ranks)[..=smaller].iter().sum();
        Self {
            n: sorted.len(),
            p: (2.0 * tail).min(1.0),
        }
    }
}

/// The differences that are not zero, by absolute value.
fn sorted_by_size(differences: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    sorted.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    sorted
}

/// Twice the rank of each, which the mean of tied ranks leaves an integer.
fn ranks_doubled(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for tied in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let (first, last) = (ranks.len() + 1, ranks.len() + tied.len());
        ranks.resize(last, first + last);
    }
    ranks
}

/// The probability of each sum, from 0 to the sum of all, of the ranks that
/// fair coins choose.
fn distribution(ranks: &[usize]) -> Vec<f64> {
    let total: usize = ranks.iter().sum();
    let mut probabilities = vec![0.0; total + 1];
    probabilities[0] = 1.0;
    let mut reached = 0;
    for &rank in ranks {
        reached += rank;
        // Downwards, so that no entry is counted with this rank twice.
        for sum in (0..=reached).rev() {
            let without = probabilities[sum];
            let with = sum
                .checked_sub(rank)
                .map_or(0.0, |rest| probabilities[rest]);
            probabilities[sum] = (without + with) / 2.0;
        }
    }
    probabilities
}

/// A critical value of the test on `n` differences without ties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Critical {
    /// The test rejects where the smaller rank sum is below this. It is also
    /// the rank of the Walsh averages, counted from either end, that bound the
    /// interval of all shifts that the test does not reject. At least 1.
    pub rank: usize,
    /// The real two-sided level of that test: at most the one asked for, unless
    /// even the smallest, 2^(1−n) at rank 1, is above it.
    pub level: f64,
}

impl Critical {
    /// The largest rank whose level does not exceed `alpha`, or rank 1.
    pub(super) fn of(n: usize, alpha: f64) -> Self {
        let ranks: Vec<usize> = (1..=n).collect();
        let probabilities = distribution(&ranks);
        let mut best = Self {
            rank: 1,
            level: 2.0 * probabilities[0],
        };
        let mut below = 0.0;
        for (rank, probability) in (1..=n * (n + 1) / 4).zip(&probabilities) {
            below += probability;
            let level = 2.0 * below;
            if level > alpha {
                break;
            }
            best = Self { rank, level };
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Darwin's heights of maize, crossed less self-fertilised, in eighths of
    /// an inch ("The effects of cross and self fertilisation", 1876).
    const DARWIN: [f64; 15] = [
        49., -67., 8., 16., 6., 23., 28., 41., 14., 29., 56., 24., 75., 60., -48.,
    ];

    #[track_caller]
    fn assert_close(got: f64, expected: f64) {
        assert!(
            (got / expected - 1.0).abs() < 1e-12,
            "{got:e}, not {expected:e}"
        );
    }

    #[test]
    fn p_of_differences_without_ties_is_scipys() {
        // scipy 1.17.1: stats.wilcoxon(d, method='exact').pvalue
        let darwin = SignedRank::of(&DARWIN);
        assert_eq!((darwin.n, darwin.p), (15, 0.041259765625));
        // Hollander and Wolfe's depression scores, p = 0.0391 in R's help too.
        let depression = [
            -0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01,
        ];
        assert_eq!(SignedRank::of(&depression).p, 0.0390625);
    }

    #[test]
    fn p_of_tied_and_zero_differences_is_scipys() {
        // scipy 1.17.1: stats.wilcoxon(d, zero_method='wilcox',
        // method=stats.PermutationMethod(n_resamples=np.inf)).pvalue, which
        // goes through all 2^n signs.
        let cases: [(&[f64], usize, f64); 5] = [
            (
                &[1., 1., 2., -2., 3., 0., 4., -1., 5., 5., 0., 6.],
                10,
                0.033203125,
            ),
            (&[3.; 6], 6, 0.03125),
            (&[-1., 1., 1., 1., 2., 2., -2., 3., 3., 3.], 10, 0.05859375),
            (&[0., 0., 5.], 1, 1.0),
            (&[1., -1., 1., -1.], 4, 1.0),
        ];
        for (differences, n, p) in cases {
            assert_eq!(SignedRank::of(differences), SignedRank { n, p });
        }
        assert_eq!(SignedRank::of(&[0.0, -0.0]), SignedRank { n: 0, p: 1.0 });
        assert_eq!(SignedRank::of(&[]), SignedRank { n: 0, p: 1.0 });
    }

    #[test]
    fn tails_are_exact_up_to_two_hundred_differences() {
        // Python 3.11, integers of any length: the number of subsets of
        // {1..n} with a sum of at most t, times 2 / 2^n, as a Fraction.
        for (n, sum, p) in [
            (60, 500, 0.0019102074009172965),
            (60, 732, 0.18043204190807027),
            (100, 1500, 0.0003491070296167632),
            (100, 2000, 0.07121724051156464),
            (200, 6000, 5.003084992669022e-7),
            (200, 8000, 0.012178229704149402),
            (200, 0, 1.2446030555722283e-60),
        ] {
            let ranks: Vec<usize> = (1..=n).collect();
            let tail: f64 = distribution(&ranks)[..=sum].iter().sum();
            assert_close(2.0 * tail, p);
        }
    }

    #[test]
    fn critical_values_are_those_of_the_printed_tables() {
        // For n = 6 to 30 (5 %) and 8 to 30 (1 %) the largest rank sum that is
        // significant, two-sided: McCornack, "Extended tables of the Wilcoxon
        // matched pair signed rank statistic", JASA 60 (1965). Counted again
        // with Python's integers.
        let five = [
            0, 2, 3, 5, 8, 10, 13, 17, 21, 25, 29, 34, 40, 46, 52, 58, 65, 73, 81, 89, 98, 107,
            116, 126, 137,
        ];
        for (n, sum) in (6..=30).zip(five) {
            assert_eq!(Critical::of(n, 0.05).rank, sum + 1, "5 %, n = {n}");
        }
        let one = [
            0, 1, 3, 5, 7, 9, 12, 15, 19, 23, 27, 32, 37, 42, 48, 54, 61, 68, 75, 83, 91, 100, 109,
        ];
        for (n, sum) in (8..=30).zip(one) {
            assert_eq!(Critical::of(n, 0.01).rank, sum + 1, "1 %, n = {n}");
        }
        for (n, rank, coverage) in [
            (15, 26, 0.95208740234375),
            (30, 138, 0.9502898789942265),
            (60, 649, 0.9507184940156387),
            (100, 1956, 0.9500762403957075),
            (200, 8445, 0.9500303687000252),
        ] {
            let critical = Critical::of(n, 0.05);
            assert_eq!(critical.rank, rank, "n = {n}");
            assert_close(1.0 - critical.level, coverage);
        }
    }

    #[test]
    fn few_differences_cannot_be_significant() {
        for (n, level) in [(2, 0.5), (4, 0.125), (5, 0.0625)] {
            assert_eq!(Critical::of(n, 0.05), Critical { rank: 1, level });
            assert_eq!(SignedRank::of(&DARWIN[2..2 + n]).p, level, "n = {n}");
        }
    }

    proptest! {
        #[test]
        fn p_knows_neither_sign_nor_scale_nor_order(
            (some, shuffled) in prop::collection::vec(-9_i32..9, 0..40)
                .prop_flat_map(|some| (Just(some.clone()), Just(some).prop_shuffle())),
            scale in prop::sample::select(vec![-3.0, -1.0, 0.25, 7.0])
        ) {
            let here: Vec<f64> = some.into_iter().map(f64::from).collect();
            let there: Vec<f64> = shuffled.into_iter().map(|d| f64::from(d) * scale).collect();
            prop_assert_eq!(SignedRank::of(&here), SignedRank::of(&there));
        }

        #[test]
        fn probabilities_sum_to_one(ranks in prop::collection::vec(1_usize..60, 0..60)) {
            let sum: f64 = distribution(&ranks).iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }
    }
}
