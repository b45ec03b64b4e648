//! What the methods promise together, held against simulated sessions: how
//! often they flag a change that is not there, and one that is.

use std::num::NonZeroU32;

use statrs::distribution::{ContinuousCDF, Normal};

use super::{
    effect::{Effect, Pair},
    holm,
    looks::{ALPHA, alpha_per_look},
    power::{POWER, minimum_detectable_effect},
    verdict::Verdict,
};
use crate::measure::protocol::SplitMix64;

/// Draws from a distribution of median 0 and a scale of about 1.
type Noise = fn(&mut SplitMix64) -> f64;

/// Strictly between 0 and 1.
fn uniform(random: &mut SplitMix64) -> f64 {
    ((random.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn normal(random: &mut SplitMix64) -> f64 {
    Normal::standard().inverse_cdf(uniform(random))
}

fn laplace(random: &mut SplitMix64) -> f64 {
    let side = uniform(random) - 0.5;
    -side.signum() * (1.0 - 2.0 * side.abs()).ln()
}

/// Long to the right, as times are.
fn skewed(random: &mut SplitMix64) -> f64 {
    -uniform(random).ln()
}

/// No noise at all: the differences then have the noise of the other version.
fn still(_: &mut SplitMix64) -> f64 {
    0.0
}

/// Blocks of base and head with the noise of each, on a machine that drifts by
/// far more than that.
fn session(random: &mut SplitMix64, blocks: usize, noise: [Noise; 2], effect: f64) -> Vec<Pair> {
    (0..blocks)
        .map(|_| {
            let block_ns = 1e8 * uniform(random).exp();
            let factors = noise.map(|noise| (0.05 * noise(random)).exp());
            Pair {
                base: (block_ns * factors[0]).round() as u64,
                head: (block_ns * (1.0 + effect) * factors[1]).round() as u64,
            }
        })
        .collect()
}

/// The count that a chance of `chance` gives in `n` trials, and three standard
/// deviations of it.
fn expected(n: usize, chance: f64) -> (f64, f64) {
    let mean = n as f64 * chance;
    (mean, 3.0 * (mean * (1.0 - chance)).sqrt())
}

#[test]
fn two_names_of_one_version_are_told_apart_as_rarely_as_alpha_says() {
    const COMPARISONS: usize = 2000;
    let mut random = SplitMix64(15);
    for noise in [normal, laplace, skewed] as [Noise; 3] {
        let (mut rejected, mut missed) = (0, 0);
        for _ in 0..COMPARISONS {
            let pairs = session(&mut random, 15, [noise; 2], 0.0);
            let effect = Effect::of(&pairs, ALPHA).unwrap();
            let interval = effect.interval.unwrap();
            rejected += usize::from(effect.p <= ALPHA);
            missed += usize::from(interval.low > 0.0 || interval.high < 0.0);
        }
        // The test's real level at n = 15 is 4.79 %.
        let (mean, tolerance) = expected(COMPARISONS, 0.0479);
        for count in [rejected, missed] {
            assert!((count as f64 - mean).abs() <= tolerance, "{count} flags");
        }
    }
}

#[test]
fn one_request_has_a_false_flag_as_rarely_as_alpha_says() {
    const REQUESTS: usize = 400;
    const TESTS: usize = 12;
    const LOOKS: [usize; 2] = [15, 30];
    let alpha = alpha_per_look(ALPHA, NonZeroU32::new(LOOKS.len() as u32).unwrap());
    let mut random = SplitMix64(30);
    let mut flagged = 0;
    for _ in 0..REQUESTS {
        let sessions: Vec<_> = (0..TESTS)
            .map(|_| session(&mut random, 30, [skewed; 2], 0.0))
            .collect();
        flagged += usize::from(LOOKS.iter().any(|&blocks| {
            let p_values: Vec<f64> = sessions
                .iter()
                .map(|pairs| Effect::of(&pairs[..blocks], alpha).unwrap().p)
                .collect();
            // Not the verdict, which is `same` for some of them.
            holm::adjusted(&p_values).iter().any(|p| *p <= alpha)
        }));
    }
    println!("{flagged} of {REQUESTS} requests flagged");
    let (mean, tolerance) = expected(REQUESTS, ALPHA);
    assert!(flagged as f64 <= mean + tolerance, "{flagged} requests");
    assert!(flagged > 0, "chance alone should have flagged some");
}

#[test]
fn the_minimum_detectable_effect_is_found_with_about_the_stated_power() {
    const SESSIONS: usize = 1000;
    let mut random = SplitMix64(80);
    for noise in [normal, laplace] as [Noise; 2] {
        // The last level is what Holm asks of one of twelve tests at a look of
        // two.
        for (blocks, alpha) in [
            (15, ALPHA),
            (30, ALPHA),
            (15, ALPHA / 24.0),
            (30, ALPHA / 24.0),
        ] {
            let found = (0..SESSIONS)
                .filter(|_| {
                    let pilot = session(&mut random, blocks, [still, noise], 0.0);
                    let effect = minimum_detectable_effect(&pilot, alpha, POWER).unwrap();
                    let pairs = session(&mut random, blocks, [still, noise], effect);
                    Effect::of(&pairs, alpha).unwrap().p <= alpha
                })
                .count();
            let power = found as f64 / SESSIONS as f64;
            println!("power of {blocks} blocks at {alpha:.4}: {power:.3}");
            assert!((power - POWER).abs() <= 0.1, "{blocks} {alpha}: {power}");
        }
    }
}

#[test]
fn ten_percent_are_called_worse_and_the_swap_better() {
    let mut random = SplitMix64(10);
    let pairs = session(&mut random, 30, [laplace; 2], 0.10);
    let swapped: Vec<Pair> = pairs
        .iter()
        .map(|pair| Pair {
            base: pair.head,
            head: pair.base,
        })
        .collect();
    let verdict = |pairs: &[Pair]| {
        let effect = Effect::of(pairs, ALPHA).unwrap();
        Verdict::of(&effect, effect.p, ALPHA)
    };
    assert_eq!(verdict(&pairs), Verdict::Worse);
    assert_eq!(verdict(&swapped), Verdict::Better);
    assert_eq!(
        verdict(&session(&mut random, 60, [normal; 2], 0.0)),
        Verdict::Same
    );
}
