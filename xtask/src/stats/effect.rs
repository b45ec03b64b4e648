//! What a change does to a time: the relative effect, from pairs of one block.
//!
//! A pair is one sample of each version in the same block, so what the machine
//! was like in that block cancels. Times differ by factors and not by amounts,
//! hence logarithms of ratios: `+0.10` says that head takes 10 % longer than
//! base, and seconds or nanoseconds say the same.

use super::{
    hodges_lehmann::{Range, Shift},
    signed_rank::SignedRank,
};

/// One sample of each version from the same block, in the same unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub base: u64,
    pub head: u64,
}

impl Pair {
    /// ln(head ÷ base). The larger is divided by the smaller, so that swapping
    /// them changes the sign and not one bit more, and equal ratios are tied.
    fn log_ratio(self) -> f64 {
        let (base, head) = (self.base as f64, self.head as f64);
        if head >= base {
            (head / base).ln()
        } else {
            -(base / head).ln()
        }
    }
}

/// The logarithm of each pair's ratio. `None` if a sample is 0, which no clock
/// can have measured.
pub(super) fn log_ratios(pairs: &[Pair]) -> Option<Vec<f64>> {
    let timed = pairs.iter().all(|pair| pair.base > 0 && pair.head > 0);
    timed.then(|| pairs.iter().map(|pair| pair.log_ratio()).collect())
}

/// The relative effect of head against base: 0.10 is 10 % slower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// Blocks that have a sample of both.
    pub n: usize,
    /// exp(Hodges–Lehmann estimate of the log ratios) − 1.
    pub estimate: f64,
    /// Of the same scale; `None` for a single pair.
    pub interval: Option<Range>,
    /// Of the signed-rank test, two-sided, before any adjustment.
    pub p: f64,
}

impl Effect {
    /// The effect and its interval, which misses the true effect with a chance
    /// of at most `alpha`. `None` when there are no pairs or a sample is 0.
    pub fn of(pairs: &[Pair], alpha: f64) -> Option<Self> {
        let log_ratios = log_ratios(pairs)?;
        let shift = Shift::of(&log_ratios, alpha)?;
        Some(Self {
            n: pairs.len(),
            estimate: shift.estimate.exp_m1(),
            interval: shift.interval.map(|interval| Range {
                low: interval.low.exp_m1(),
                high: interval.high.exp_m1(),
                coverage: interval.coverage,
            }),
            p: SignedRank::of(&log_ratios).p,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair((base, head): (u64, u64)) -> Pair {
        Pair { base, head }
    }

    /// Pairs from the generator of the summaries' tests; head is 1.2 % slower.
    fn reference_pairs(n: usize) -> Vec<Pair> {
        let mut state: u64 = 3;
        let mut next = || {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            1_000_000 + state % 40_000
        };
        (0..n).map(|_| pair((next(), next() + 12_000))).collect()
    }

    fn effect(pairs: &[Pair]) -> Effect {
        Effect::of(pairs, 0.05).unwrap()
    }

    #[test]
    fn effects_equal_numpys_and_scipys() {
        // d = np.log(head / base); np.expm1 of np.median of the Walsh averages
        // and of the ends of {s: stats.wilcoxon(d - s, method='exact').pvalue >
        // .05}, found by bisection; numpy 2.4.6, scipy 1.17.1. The last p is
        // Python's, from integers of any length: scipy's is off by 2e-9 of it,
        // because it subtracts from 1.
        for (n, estimate, low, high, p) in [
            (
                6,
                0.004710612061079884,
                -0.0038673230101358147,
                0.02003955809751501,
                0.21875,
            ),
            (
                15,
                0.007480893643653682,
                0.001132674221049228,
                0.012831918805653065,
                0.02154541015625,
            ),
            (
                30,
                0.01043923104972457,
                0.004534067764330497,
                0.01618864401701338,
                0.0007978975772857666,
            ),
            (
                60,
                0.012169758417814112,
                0.008015245739485689,
                0.016138883281268366,
                1.0225312869517611e-7,
            ),
        ] {
            let got = effect(&reference_pairs(n));
            let interval = got.interval.unwrap();
            assert_eq!(got.n, n);
            assert!((got.estimate - estimate).abs() < 1e-12, "n = {n}: {got:?}");
            assert!((interval.low - low).abs() < 1e-12, "n = {n}: {got:?}");
            assert!((interval.high - high).abs() < 1e-12, "n = {n}: {got:?}");
            assert!((got.p / p - 1.0).abs() < 1e-12, "n = {n}: {got:?}");
        }
    }

    #[test]
    fn a_constant_factor_is_found_exactly() {
        let pairs: Vec<Pair> = (1..=20).map(|ms| pair((ms * 1000, ms * 1100))).collect();
        let got = effect(&pairs);
        assert!((got.estimate - 0.1).abs() < 1e-15);
        assert_eq!(got.p, 2.0_f64.powi(1 - 20));
    }

    #[test]
    fn a_sample_of_zero_is_no_time() {
        assert_eq!(Effect::of(&[pair((0, 5)), pair((4, 5))], 0.05), None);
        assert_eq!(Effect::of(&[pair((4, 0))], 0.05), None);
        assert_eq!(Effect::of(&[], 0.05), None);
    }

    fn some_pairs() -> impl Strategy<Value = Vec<(u64, u64)>> {
        // Some of single digits, so that ties and equal pairs are common.
        let pair = prop_oneof![
            (1..9_u64, 1..9_u64),
            (1_000_000..9_000_000_u64, 1_000_000..9_000_000_u64)
        ];
        prop::collection::vec(pair, 2..50)
    }

    proptest! {
        #[test]
        fn swapping_base_and_head_mirrors_the_effect_and_keeps_p(some in some_pairs()) {
            let here = effect(&some.iter().copied().map(pair).collect::<Vec<_>>());
            let there = effect(&some.iter().map(|&(b, h)| pair((h, b))).collect::<Vec<_>>());
            let mirrors = |a: f64, b: f64| ((1.0 + a) * (1.0 + b) - 1.0).abs() < 1e-12;
            let (i, j) = (here.interval.unwrap(), there.interval.unwrap());
            prop_assert_eq!(here.p.to_bits(), there.p.to_bits());
            prop_assert!(mirrors(here.estimate, there.estimate));
            prop_assert!(mirrors(i.low, j.high) && mirrors(i.high, j.low));
        }

        #[test]
        fn the_unit_of_time_does_not_matter(some in some_pairs(), power in 1..20_u32) {
            let here = effect(&some.iter().copied().map(pair).collect::<Vec<_>>());
            let unit = 1 << power;
            let there = some.iter().map(|&(b, h)| pair((b * unit, h * unit)));
            prop_assert_eq!(here, effect(&there.collect::<Vec<_>>()));
        }

        #[test]
        fn the_order_of_blocks_does_not_change_a_bit(
            (some, shuffled) in some_pairs()
                .prop_flat_map(|some| (Just(some.clone()), Just(some).prop_shuffle()))
        ) {
            let bits = |some: Vec<(u64, u64)>| {
                let got = effect(&some.into_iter().map(pair).collect::<Vec<_>>());
                let interval = got.interval.unwrap();
                [got.estimate, interval.low, interval.high, got.p].map(f64::to_bits)
            };
            prop_assert_eq!(bits(some), bits(shuffled));
        }
    }
}
