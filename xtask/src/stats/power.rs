//! The smallest effect that a comparison could have shown: what an
//! `inconclusive` is worth.
//!
//! The signed-rank test finds a shift of (z(α/2) + z(1−power)) · τ ÷ √n with the
//! wanted power, where z are the upper normal quantiles and τ = 1 ÷ (√12 ∫f²)
//! belongs to the differences' density f, whatever its shape (E. L. Lehmann,
//! "Nonparametrics", 1975, chapter 4; the test's efficiency against the t test
//! is what τ differs from the standard deviation by). τ needs no estimate of f:
//! the interval of the same level has a half-width of about z(α/2) · τ ÷ √n
//! (E. L. Lehmann, "Nonparametric confidence intervals for a shift parameter",
//! Annals of Mathematical Statistics 34, 1963). Dividing one by the other leaves
//!
//!   minimum detectable effect = half-width · (1 + z(1−power) ÷ z(α/2)),
//!
//! with the level that the exact test really has as α. Noether's sample size
//! (1987) is the same limit, but answers "none" for the strict levels of many
//! tests at 15 blocks, where a large effect is found all the same.
//!
//! It is an estimate from the same blocks and a little hopeful for few of them:
//! `simulation_tests` holds the real power to within 0.1 of a stated 0.8.

use statrs::distribution::{ContinuousCDF, Normal};

use super::{
    effect::{Pair, log_ratios},
    hodges_lehmann::Shift,
};

/// The chance with which the minimum detectable effect is found.
pub const POWER: f64 = 0.8;

/// The relative increase of head against base that, in blocks like these, would
/// be significant at `alpha` with a chance of about `power`. For the one of m
/// tests that Holm asks the most of, `alpha` is that of the look divided by m.
///
/// `None` where no effect whatever can be significant at that level with so few
/// blocks, or when a sample is 0.
pub fn minimum_detectable_effect(pairs: &[Pair], alpha: f64, power: f64) -> Option<f64> {
    let interval = Shift::of(&log_ratios(pairs)?, alpha)?.interval?;
    if interval.coverage < 1.0 - alpha {
        return None;
    }
    let half_width = (interval.high - interval.low) / 2.0;
    let level = 1.0 - interval.coverage;
    let upper_quantile = |chance: f64| -Normal::standard().inverse_cdf(chance);
    let ratio = upper_quantile(1.0 - power) / upper_quantile(level / 2.0);
    Some((half_width * (1.0 + ratio)).exp_m1())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Log ratios of about −0.02, −0.01 … 0.02: their interval at any level that
    /// five differences can have is from the first to the last.
    fn five_pairs(spread: u64) -> Vec<Pair> {
        (0..5)
            .map(|step| Pair {
                base: 1_000_000 + 2 * spread,
                head: 1_000_000 + step * spread,
            })
            .collect()
    }

    #[test]
    fn the_half_width_is_stretched_by_the_quantiles() {
        // The level of five differences is 2/2^5. scipy 1.17.1:
        // d = np.log((1e6 + 10000*np.arange(5)) / 1.02e6);
        // np.expm1((d[4] - d[0])/2 * (1 + norm.ppf(.8)/norm.isf(.0625/2)))
        let got = minimum_detectable_effect(&five_pairs(10_000), 0.0625, POWER).unwrap();
        assert!((got - 0.028879890969708256).abs() < 1e-9, "{got}");
        // At a power of one half the quantile is 0.
        let half = minimum_detectable_effect(&five_pairs(10_000), 0.0625, 0.5).unwrap();
        assert!(
            (half - (1.04_f64.ln() / 2.0).exp_m1()).abs() < 1e-9,
            "{half}"
        );
    }

    #[test]
    fn nothing_is_detectable_where_no_result_is_significant() {
        assert_eq!(
            minimum_detectable_effect(&five_pairs(10_000), 0.06, POWER),
            None
        );
        assert_eq!(
            minimum_detectable_effect(&five_pairs(10_000)[..1], 0.5, POWER),
            None
        );
        assert_eq!(minimum_detectable_effect(&[], 0.5, POWER), None);
    }

    proptest! {
        #[test]
        fn spread_strictness_and_power_have_their_price(
            spread in 1_000..20_000_u64, blocks in 12..40_usize
        ) {
            let pairs = |spread| -> Vec<Pair> {
                five_pairs(spread).into_iter().cycle().take(blocks).collect()
            };
            let found = |spread, alpha, power| {
                minimum_detectable_effect(&pairs(spread), alpha, power).unwrap()
            };
            let here = found(spread, 0.05, POWER);
            prop_assert!(here > 0.0);
            prop_assert!(here < found(spread * 2, 0.05, POWER));
            prop_assert!(here <= found(spread, 0.005, 0.9));
            prop_assert!(here < found(spread, 0.05, 0.9));
        }
    }
}
