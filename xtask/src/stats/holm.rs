//! Holm's adjustment for many tests at once.
//!
//! Source: S. Holm, "A simple sequentially rejective multiple test procedure",
//! Scandinavian Journal of Statistics 6 (1979). Whatever is flagged at an
//! adjusted p ≤ α, the chance that any of the flags is false is at most α, and
//! the tests may depend on each other in any way, as phases of the same pull do.

/// The adjusted p values, in the order of `p_values`: the k-th smallest of m is
/// multiplied by m − k + 1, is at most 1, and never falls below a smaller one.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut floor: f64 = 0.0;
    for (done, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - done) as f64;
        floor = floor.max(p_values[index] * left).min(1.0);
        adjusted[index] = floor;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn adjusted_values_are_statsmodels() {
        // statsmodels 0.15.0: multipletests(p, .05, 'holm')[1]
        let cases: [(&[f64], &[f64]); 4] = [
            (
                &[0.01, 0.04, 0.03, 0.005, 0.5, 0.04, 0.0001, 0.9],
                &[0.06, 0.16, 0.15, 0.035, 1.0, 0.16, 0.0008, 1.0],
            ),
            (&[0.001, 0.02, 0.02, 0.2], &[0.004, 0.06, 0.06, 0.2]),
            (&[0.03], &[0.03]),
            (&[], &[]),
        ];
        for (p_values, expected) in cases {
            let got = adjusted(p_values);
            assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-15, "{p_values:?}: {got}");
            }
        }
    }

    fn some_p_values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0..=1000_u32).prop_map(|p| f64::from(p) / 1000.0), 1..40)
    }

    proptest! {
        #[test]
        fn the_order_of_the_tests_stays_the_same(p_values in some_p_values()) {
            let got = adjusted(&p_values);
            for (a, &p) in p_values.iter().enumerate() {
                prop_assert!(p <= got[a] && got[a] <= 1.0);
                for (b, &q) in p_values.iter().enumerate() {
                    prop_assert!(p > q || got[a] <= got[b]);
                    prop_assert!(p != q || got[a] == got[b]);
                }
            }
        }

        #[test]
        fn between_no_adjustment_and_bonferronis(p_values in some_p_values()) {
            let m = p_values.len() as f64;
            for (got, p) in adjusted(&p_values).into_iter().zip(p_values) {
                prop_assert!(p <= got && got <= (p * m).min(1.0));
            }
        }
    }
}
