//! How the risk of a false flag is shared among the looks at a session.
//!
//! A session that looks at 15, 30 and 60 blocks has three chances to be wrong.
//! Bonferroni's equal split bounds the chance of being wrong at any of them by
//! the sum, whatever the looks have in common and for whatever reason a cell
//! stops early. Pocock's boundary (Biometrika 64, 1977) would allow a little
//! more at each (2.94 % for two looks instead of 2.5 %), but it is derived for
//! a normal statistic and a stop on significance; these tests are exact, and
//! cells stop when they are precise.

use std::num::NonZeroU32;

/// The chance of any false flag that one comparison of two versions may have.
pub const ALPHA: f64 = 0.05;

/// The level of each of `looks` planned looks, whether or not all are taken.
pub fn alpha_per_look(alpha: f64, looks: NonZeroU32) -> f64 {
    alpha / f64::from(looks.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_looks_together_spend_what_there_is() {
        for (looks, level) in [(1, 0.05), (2, 0.025), (3, 0.05 / 3.0)] {
            let got = alpha_per_look(ALPHA, NonZeroU32::new(looks).unwrap());
            assert!((got - level).abs() < 1e-15, "{looks} looks: {got}");
        }
    }
}
