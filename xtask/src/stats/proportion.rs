//! How well a rate is known from a count: Clopper and Pearson's exact interval
//! ("The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26, 1934), which covers at least what it says.

use statrs::distribution::{Beta, ContinuousCDF};

/// The exact interval of the chance of an event that was seen `hits` times in
/// `trials`, as fractions. It misses the true chance with a chance of at most
/// `alpha`. Without trials it is everything.
pub fn interval(hits: u64, trials: u64, alpha: f64) -> (f64, f64) {
    let quantile = |a: u64, b: u64, chance: f64| {
        Beta::new(a as f64, b as f64).map_or(0.0, |beta| beta.inverse_cdf(chance))
    };
    let misses = trials.saturating_sub(hits);
    let low = match hits {
        0 => 0.0,
        _ => quantile(hits, misses + 1, alpha / 2.0),
    };
    let high = match misses {
        0 => 1.0,
        _ => quantile(hits + 1, misses, 1.0 - alpha / 2.0),
    };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_scipys() {
        // scipy 1.17.1: stats.binomtest(k, n).proportion_ci(.95, 'exact')
        for (hits, trials, low, high) in [
            (0, 200, 0.0, 0.018275),
            (4, 200, 0.005476, 0.050414),
            (10, 200, 0.024234, 0.090028),
            (18, 20, 0.683017, 0.987651),
            (20, 20, 0.831567, 1.0),
            (0, 0, 0.0, 1.0),
        ] {
            let got = interval(hits, trials, 0.05);
            assert!((got.0 - low).abs() < 1e-6, "{hits}/{trials}: {got:?}");
            assert!((got.1 - high).abs() < 1e-6, "{hits}/{trials}: {got:?}");
        }
    }

    #[test]
    fn more_trials_make_it_narrower_and_the_rate_lies_inside() {
        let mut width = 2.0;
        for trials in [10, 100, 1000, 10_000] {
            let (low, high) = interval(trials / 10, trials, 0.05);
            assert!(low < 0.1 && 0.1 < high && high - low < width);
            width = high - low;
        }
    }
}
