//! What a set of samples says: the median and how well it is known.
//!
//! Its children say what two sets say of each other, in the order they are
//! asked: the effect of a change (`effect`, from `hodges_lehmann` and
//! `signed_rank`), at how much risk (`looks`, `holm`), what is made of it
//! (`verdict`), and what could have been seen at all (`power`).
//!
//! No I/O, no unit and no randomness. Samples are unsigned integers of whatever
//! unit the caller measures in, and results are integers of the same unit, so
//! that the same samples give the same bytes on every machine. Where a result
//! falls between two integers it is rounded to the nearest, a half upwards. Only
//! ratios and chances are floating point numbers, which another machine's
//! logarithm may give in another last bit: who writes them rounds them first.

pub mod effect;
pub mod hodges_lehmann;
pub mod holm;
pub mod looks;
pub mod power;
pub mod proportion;
pub mod signed_rank;
pub mod verdict;

#[cfg(test)]
mod simulation_tests;

use std::cmp::min;

/// The confidence of every interval that is published.
pub const CONFIDENCE: f64 = 0.95;

/// From this many samples on, the largest one lies above the true 90th
/// percentile with 95 % confidence: 1 − 0.9^29 ≥ 0.95. With fewer, a p90 would
/// be a guess about a tail that was hardly seen.
pub const P90_SAMPLES_MIN: usize = 29;

/// The same for the 95th percentile: 1 − 0.95^59 ≥ 0.95.
pub const P95_SAMPLES_MIN: usize = 59;

/// Makes the median absolute deviation of normally distributed samples equal
/// to their standard deviation (1 ÷ Φ⁻¹(¾)), in ten-thousandths.
const MAD_SCALE_E4: u128 = 14_826;

/// An interval and the chance that it holds the true value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: u64,
    pub high: u64,
    pub coverage: f64,
}

impl Interval {
    /// Half the interval's width, rounded up: what a precision is held against.
    pub fn half_width(&self) -> u64 {
        (self.high - self.low).div_ceil(2)
    }
}

/// One cell's samples in a few numbers. Nothing was dropped for being extreme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub n: usize,
    pub median: u64,
    /// `None` for a single sample, which says nothing about the next one.
    pub interval: Option<Interval>,
    /// Median absolute deviation × 1.4826.
    pub mad: u64,
    pub min: u64,
    pub max: u64,
    /// Only from [`P90_SAMPLES_MIN`] samples on.
    pub p90: Option<u64>,
    /// Only from [`P95_SAMPLES_MIN`] samples on.
    pub p95: Option<u64>,
    /// Samples beyond Tukey's fences: counted, never dropped.
    pub outliers: usize,
}

impl Summary {
    /// `None` when there is nothing to summarise.
    pub fn of(samples: &[u64]) -> Option<Self> {
        let sorted = Sorted::of(samples)?;
        let n = sorted.n();
        Some(Self {
            n,
            median: sorted.median(),
            interval: sorted.median_interval(CONFIDENCE),
            mad: sorted.mad(),
            min: sorted.0[0],
            max: sorted.0[n - 1],
            p90: (n >= P90_SAMPLES_MIN).then(|| sorted.percentile(90)),
            p95: (n >= P95_SAMPLES_MIN).then(|| sorted.percentile(95)),
            outliers: sorted.outliers(),
        })
    }
}

/// At least one sample, in ascending order.
struct Sorted(Vec<u64>);

impl Sorted {
    fn of(samples: &[u64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    fn n(&self) -> usize {
        self.0.len()
    }

    /// Twice the median, which is always an integer.
    fn median_doubled(&self) -> u128 {
        let n = self.n();
        u128::from(self.0[(n - 1) / 2]) + u128::from(self.0[n / 2])
    }

    fn median(&self) -> u64 {
        rounded(self.median_doubled(), 2)
    }

    /// The exact interval of the median from two order statistics, which
    /// assumes nothing about the samples' distribution.
    ///
    /// Below six samples no such interval reaches 95 %. It is then the widest
    /// there is, smallest to largest sample, with its real coverage of
    /// 1 − 2^(1−n): 93.75 % for the five of a quick run.
    fn median_interval(&self, confidence: f64) -> Option<Interval> {
        let n = self.n();
        (n > 1).then(|| {
            let (rank, coverage) = median_rank(n, confidence);
            Interval {
                low: self.0[rank - 1],
                high: self.0[n - rank],
                coverage,
            }
        })
    }

    fn mad(&self) -> u64 {
        let centre = self.median_doubled();
        let mut deviations: Vec<u128> = self
            .0
            .iter()
            .map(|&sample| (2 * u128::from(sample)).abs_diff(centre))
            .collect();
        deviations.sort_unstable();
        let n = deviations.len();
        // Deviations are doubled, and their median is doubled once more.
        let quadrupled = deviations[(n - 1) / 2] + deviations[n / 2];
        rounded(quadrupled * MAD_SCALE_E4, 4 * 10_000)
    }

    /// The smallest sample that at least `percent` of all samples do not
    /// exceed: a value that was observed, never one in between.
    fn percentile(&self, percent: usize) -> u64 {
        let rank = (self.n() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// Four times the quartile, interpolated linearly between the two nearest
    /// samples (the usual definition, R's type 7).
    fn quartile_quadrupled(&self, quartile: usize) -> i128 {
        let position = (self.n() - 1) * quartile;
        let (index, quarters) = (position / 4, position % 4);
        let here = i128::from(self.0[index]);
        let next = i128::from(self.0[min(index + 1, self.n() - 1)]);
        4 * here + (next - here) * quarters as i128
    }

    /// Samples more than one and a half interquartile ranges outside the
    /// quartiles.
    fn outliers(&self) -> usize {
        let (low, high) = (self.quartile_quadrupled(1), self.quartile_quadrupled(3));
        let reach = 3 * (high - low);
        let outside = |&&sample: &&u64| {
            let eightfold = 8 * i128::from(sample);
            eightfold < 2 * low - reach || eightfold > 2 * high + reach
        };
        self.0.iter().filter(outside).count()
    }
}

/// The largest rank `k` whose interval, the k-th smallest to the k-th largest
/// of `n` samples, holds the median with at least `confidence`; and its real
/// coverage, 1 − 2·P(Binomial(n, ½) < k). Rank 1 where none is good enough.
fn median_rank(n: usize, confidence: f64) -> (usize, f64) {
    let weights = binomial_weights(n);
    let total: f64 = weights.iter().sum();
    let mut best = (1, 1.0 - 2.0 * weights[0] / total);
    let mut below = 0.0;
    for (rank, weight) in (1..=n / 2).zip(&weights) {
        below += weight;
        let coverage = 1.0 - 2.0 * below / total;
        if coverage < confidence {
            break;
        }
        best = (rank, coverage);
    }
    best
}

/// The binomial coefficients of `n` relative to the largest of them: they
/// neither overflow nor, where it matters, underflow for any number of samples.
fn binomial_weights(n: usize) -> Vec<f64> {
    let centre = n / 2;
    let mut weights = vec![1.0; n + 1];
    for k in (0..centre).rev() {
        weights[k] = weights[k + 1] * (k + 1) as f64 / (n - k) as f64;
    }
    for k in centre + 1..=n {
        weights[k] = weights[n - k];
    }
    weights
}

fn rounded(numerator: u128, denominator: u128) -> u64 {
    u64::try_from((numerator + denominator / 2) / denominator).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 60 values from a small generator, two of them far out; the figures that
    /// the tests expect of them are scipy 1.17.1's and numpy 2.4.6's.
    fn reference_samples(n: usize) -> Vec<u64> {
        let mut state: u64 = 3;
        let mut samples: Vec<u64> = (0..60)
            .map(|_| {
                state = (state * 1_103_515_245 + 12_345) % (1 << 31);
                1_000_000 + state % 40_000
            })
            .collect();
        (samples[7], samples[33]) = (1_300_000, 700_000);
        samples.truncate(n);
        samples
    }

    fn summary(samples: &[u64]) -> Summary {
        Summary::of(samples).unwrap()
    }

    #[test]
    fn ranks_and_coverages_are_those_of_the_binomial_table() {
        // scipy: the largest k with 1 - 2*binom.cdf(k-1, n, .5) >= .95; the
        // ranks also stand in the usual printed tables (n = 15: 4th and 12th).
        for (n, rank, coverage) in [
            (2, 1, 0.5),
            (3, 1, 0.75),
            (5, 1, 0.9375),
            (6, 1, 0.96875),
            (8, 1, 0.992188),
            (9, 2, 0.960938),
            (10, 2, 0.978516),
            (15, 4, 0.964844),
            (20, 6, 0.958611),
            (25, 8, 0.956715),
            (29, 9, 0.97588),
            (30, 10, 0.957226),
            (50, 18, 0.967161),
            (59, 22, 0.963657),
            (60, 22, 0.97266),
            (100, 40, 0.9648),
            (500, 228, 0.955937),
            (2000, 956, 0.953447),
        ] {
            let (k, real) = median_rank(n, 0.95);
            assert_eq!(k, rank, "n = {n}");
            assert!((real - coverage).abs() < 1e-6, "n = {n}: {real}");
        }
        for (n, rank) in [(5, 1), (10, 1), (15, 3), (30, 8), (60, 20), (500, 221)] {
            assert_eq!(median_rank(n, 0.99).0, rank, "99 %, n = {n}");
        }
    }

    #[test]
    fn summaries_equal_scipys() {
        // np.median, stats.median_abs_deviation(a)*1.4826,
        // stats.quantile_test(a, p=.5).confidence_interval(.95),
        // np.percentile(a, q, method='inverted_cdf'), Tukey's fences on
        // np.percentile(a, [25, 75]).
        let expected = [
            (15, 1_025_290, 11_938, (1_015_989, 1_031_980), None, None, 1),
            (
                30,
                1_022_720, // 1022719.5
                11_084,
                (1_015_989, 1_027_066),
                Some(1_032_869),
                None,
                1,
            ),
            (
                60,
                1_022_720, // 1022719.5
                14_223,
                (1_018_439, 1_027_066),
                Some(1_034_771),
                Some(1_036_543),
                2,
            ),
        ];
        for (n, median, mad, (low, high), p90, p95, outliers) in expected {
            let got = summary(&reference_samples(n));
            let interval = got.interval.unwrap();
            assert_eq!((got.n, got.median, got.mad), (n, median, mad), "n = {n}");
            assert_eq!((interval.low, interval.high), (low, high), "n = {n}");
            assert_eq!((got.p90, got.p95), (p90, p95), "n = {n}");
            assert_eq!(got.outliers, outliers, "n = {n}");
        }
    }

    #[test]
    fn few_samples_give_the_widest_interval_and_its_real_coverage() {
        let five = summary(&reference_samples(5));
        assert_eq!((five.median, five.mad), (1_024_702, 10_790));
        assert_eq!(
            five.interval,
            Some(Interval {
                low: 1_014_495,
                high: 1_034_432,
                coverage: 0.9375
            })
        );
        assert_eq!(summary(&[7]).interval, None);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_gates_of_the_percentiles_are_where_the_largest_sample_passes_them() {
        for (gate, percentile) in [(P90_SAMPLES_MIN, 0.9_f64), (P95_SAMPLES_MIN, 0.95)] {
            assert!(1.0 - percentile.powi(gate as i32) >= CONFIDENCE);
            assert!(1.0 - percentile.powi(gate as i32 - 1) < CONFIDENCE);
        }
        assert_eq!(summary(&[1; 28]).p90, None);
        assert_eq!(summary(&[1; 29]).p90, Some(1));
        assert_eq!(summary(&[1; 58]).p95, None);
        assert_eq!(summary(&[1; 59]).p95, Some(1));
    }

    #[test]
    fn halves_are_rounded_upwards_and_extremes_do_not_overflow() {
        assert_eq!(summary(&[1, 2]).median, 2);
        assert_eq!(summary(&[2, 3]).mad, 1); // 0.5 × 1.4826 = 0.74
        let wide = summary(&[0, u64::MAX]);
        assert_eq!(wide.median, 1 << 63);
        assert_eq!((wide.min, wide.max, wide.outliers), (0, u64::MAX, 0));
        assert_eq!(wide.interval.unwrap().half_width(), 1 << 63);
    }

    #[test]
    fn outliers_lie_beyond_the_fences_and_not_on_them() {
        // Quartiles 120 and 140: the fences are at 90 and 170.
        let outliers = |low, high| summary(&[low, 120, 130, 140, high]).outliers;
        assert_eq!(outliers(90, 170), 0);
        assert_eq!(outliers(89, 170), 1);
        assert_eq!(outliers(90, 171), 1);
    }

    #[test]
    fn the_rank_never_falls_as_samples_are_added() {
        let ranks: Vec<usize> = (2..400).map(|n| median_rank(n, CONFIDENCE).0).collect();
        assert!(ranks.is_sorted());
    }

    proptest! {
        #[test]
        fn the_order_of_samples_does_not_matter(
            (samples, shuffled) in prop::collection::vec(0..10_000_u64, 1..80)
                .prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle()))
        ) {
            prop_assert_eq!(Summary::of(&samples), Summary::of(&shuffled));
        }

        #[test]
        fn everything_lies_where_it_must(samples in prop::collection::vec(any::<u64>(), 2..200)) {
            let got = summary(&samples);
            let interval = got.interval.unwrap();
            prop_assert!(got.min <= interval.low && interval.low <= got.median);
            prop_assert!(got.median <= interval.high && interval.high <= got.max);
            prop_assert!(samples.len() < 6 || interval.coverage >= CONFIDENCE);
            prop_assert!(got.p90.is_none_or(|p90| got.median <= p90 && p90 <= got.max));
            prop_assert!(got.p95.is_none_or(|p95| got.p90.unwrap() <= p95));
            // At most half of the samples can lie beyond the fences.
            prop_assert!(got.outliers * 2 <= samples.len());
        }

        #[test]
        fn a_shift_moves_the_place_and_not_the_spread(
            samples in prop::collection::vec(0..1_000_000_u64, 1..100), by in 0..1_000_000_u64
        ) {
            let here = summary(&samples);
            let there = summary(&samples.iter().map(|sample| sample + by).collect::<Vec<_>>());
            prop_assert_eq!(there.median, here.median + by);
            prop_assert_eq!((there.mad, there.outliers), (here.mad, here.outliers));
            prop_assert_eq!(
                there.interval.map(|i| (i.low, i.high)),
                here.interval.map(|i| (i.low + by, i.high + by))
            );
        }

        #[test]
        fn an_even_factor_scales_the_median_exactly(
            samples in prop::collection::vec(0..1_000_000_u64, 1..100)
        ) {
            let doubled: Vec<u64> = samples.iter().map(|sample| sample * 2).collect();
            let sorted = Sorted::of(&samples).unwrap();
            prop_assert_eq!(u128::from(summary(&doubled).median), sorted.median_doubled());
        }
    }
}
