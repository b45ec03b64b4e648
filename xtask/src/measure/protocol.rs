//! In which order cells are measured, how often, and when it is enough.
//!
//! Knows nothing of engines: a cell is whatever the caller measures. Every
//! block is a random permutation of all cells, so that drift of the machine
//! hits each of them alike, and the seed alone decides the order.
//!
//! The generator and the shuffle are written out here, not taken from a crate:
//! the order must be the same for the same seed in ten years, and `rand`
//! promises that for its generators (`rand_chacha`) but not for its shuffles.

use std::time::Duration;

use crate::stats::Summary;

/// Warm-up cycles of each cell before the first block. They fill the caches
/// that every later sample finds filled, and are never recorded.
const WARM_UPS: u32 = 2;
const WARM_UPS_QUICK: u32 = 1;

/// Blocks after which the intervals are looked at, and never in between: a
/// look after every sample would stop on lucky ones.
const LOOKS: &[u32] = &[15, 30];
const LOOKS_THOROUGH: &[u32] = &[15, 30, 60];
const LOOKS_QUICK: &[u32] = &[5];
/// A disk's write-back makes each sample long, and its own spread is no smaller
/// after thirty.
const LOOKS_DISK: &[u32] = &[15];

/// The fewest samples of a full run; a row with fewer comes from `--quick`.
pub const FULL_BLOCKS_MIN: u32 = LOOKS[0];

/// A cell whose samples take longer than this stops at the first look: its
/// spread is small beside its length, and an hour has only so many of them.
pub const LONG_SAMPLE: Duration = Duration::from_secs(5);

/// How much of the measuring hour a run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Quick,
    Full,
    Thorough,
    /// A full run whose data root is on a disk.
    Disk,
    /// Two versions up to the first look at them. They stop together, whoever
    /// is known well enough: a block without one of them is no pair.
    FirstLook,
    /// The same, gone on with up to the second look.
    SecondLook,
}

impl Depth {
    /// The fewest samples that a cell measured at this depth has.
    pub fn blocks_min(self) -> u32 {
        self.looks()[0]
    }

    fn looks(self) -> &'static [u32] {
        match self {
            Self::Quick => LOOKS_QUICK,
            Self::Full => LOOKS,
            Self::Thorough => LOOKS_THOROUGH,
            Self::Disk => LOOKS_DISK,
            Self::FirstLook => &LOOKS[..1],
            Self::SecondLook => &LOOKS[1..],
        }
    }
}

/// When the median of a cell is known well enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The interval's half-width, in thousandths of the median.
    Permille(u64),
    /// The interval's half-width, in nanoseconds.
    Ns(u64),
}

impl Precision {
    /// For everything that takes long: 3 % of the median.
    pub const RELATIVE: Self = Self::Permille(30);
    /// For the app phase, a few milliseconds of which most are the same for
    /// all variants: 0.2 ms.
    pub const APP: Self = Self::Ns(200_000);

    /// Whether a summary of nanoseconds is this precise. One sample never is.
    pub fn reached(self, summary: &Summary) -> bool {
        let Some(interval) = summary.interval else {
            return false;
        };
        let half_width = u128::from(interval.half_width());
        match self {
            Self::Permille(permille) => {
                half_width * 1000 <= u128::from(summary.median) * u128::from(permille)
            }
            Self::Ns(ns) => half_width <= u128::from(ns),
        }
    }
}

/// The schedule of one session: how many blocks there are at most, and the
/// order of the cells in each.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    seed: u64,
    depth: Depth,
}

impl Protocol {
    pub fn new(seed: u64, depth: Depth) -> Self {
        Self { seed, depth }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Discarded cycles of every cell before the first block.
    pub fn warm_ups(&self) -> u32 {
        match self.depth {
            Depth::Quick => WARM_UPS_QUICK,
            Depth::Full | Depth::Thorough | Depth::Disk | Depth::FirstLook => WARM_UPS,
            // The engine has not been left since the first look.
            Depth::SecondLook => 0,
        }
    }

    /// The number of blocks after which intervals are first looked at.
    pub fn blocks_min(&self) -> u32 {
        self.depth.blocks_min()
    }

    /// The number of blocks after which every cell has stopped.
    pub fn blocks_max(&self) -> u32 {
        let looks = self.depth.looks();
        looks[looks.len() - 1]
    }

    /// Whether intervals are looked at after `blocks` blocks.
    pub fn is_look(&self, blocks: u32) -> bool {
        self.depth.looks().contains(&blocks)
    }

    /// The cells in the order of block `block` (counted from 0).
    ///
    /// Each block has its own generator, so that an interrupted session goes on
    /// where it was. Give it all cells every time and skip those that are done:
    /// the others then keep the order they would have had.
    pub fn block<'a, T>(&self, block: u32, cells: &'a [T]) -> Vec<&'a T> {
        let mut order: Vec<&T> = cells.iter().collect();
        let mut random = SplitMix64(SplitMix64(self.seed).next() ^ u64::from(block));
        shuffle(&mut order, &mut random);
        order
    }
}

/// Fisher and Yates's shuffle: every permutation is equally likely.
fn shuffle<T>(items: &mut [T], random: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// Steele, Lea and Flood's SplitMix64 ("Fast splittable pseudorandom number
/// generators", 2014): small enough to be read, and far better than a shuffle
/// of a few cells needs.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`. Those drawn from the incomplete last stretch of
    /// the range are drawn again, because they would favour small results.
    fn below(&mut self, bound: u64) -> u64 {
        let incomplete = (u64::MAX % bound + 1) % bound;
        loop {
            let drawn = self.next();
            if drawn <= u64::MAX - incomplete {
                return drawn % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const CELLS: [&str; 5] = ["alpine", "debian", "distroless", "scratch", "single"];

    #[test]
    fn the_generator_is_the_published_one() {
        // The reference outputs for seed 1234567 that implementations of
        // SplitMix64 in other languages are checked with.
        let mut random = SplitMix64(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([(); 5].map(|()| random.next()), expected);
    }

    #[test]
    fn a_seed_gives_the_same_order_for_ever() {
        // If this changes, no published session can be repeated from its seed.
        let protocol = Protocol::new(42, Depth::Full);
        insta::assert_snapshot!(
            (0..3).map(|block| format!("{:?}\n", protocol.block(block, &CELLS))).collect::<String>(),
            @r#"
            ["single", "alpine", "distroless", "debian", "scratch"]
            ["alpine", "debian", "single", "distroless", "scratch"]
            ["distroless", "alpine", "scratch", "debian", "single"]
            "#
        );
    }

    #[test]
    fn blocks_and_seeds_differ() {
        let order = |seed, block| {
            let cells: Vec<u32> = (0..20).collect();
            let protocol = Protocol::new(seed, Depth::Full);
            protocol
                .block(block, &cells)
                .into_iter()
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!(order(1, 7), order(1, 7));
        assert_ne!(order(1, 7), order(1, 8));
        assert_ne!(order(1, 7), order(2, 7));
        // Neighbouring seeds must not be neighbouring blocks in disguise.
        assert_ne!(order(1, 8), order(2, 7));
    }

    #[test]
    fn every_permutation_is_equally_likely() {
        let mut seen: BTreeMap<Vec<char>, u32> = BTreeMap::new();
        let protocol = Protocol::new(7, Depth::Full);
        for block in 0..24_000 {
            let order = protocol.block(block, &['a', 'b', 'c', 'd']);
            *seen
                .entry(order.into_iter().copied().collect())
                .or_default() += 1;
        }
        // 24 permutations, 1000 expected of each; chi-squared with 23 degrees
        // of freedom exceeds 49.7 once in a thousand seeds.
        assert_eq!(seen.len(), 24);
        let chi: f64 = seen
            .values()
            .map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0)
            .sum();
        assert!(chi < 49.7, "{chi}");
    }

    fn summary(samples: &[u64]) -> Summary {
        Summary::of(samples).unwrap()
    }

    #[test]
    fn precisions_are_met_at_their_edge() {
        let at = |low, high| Summary {
            interval: summary(&[low, high]).interval,
            ..summary(&[10_000_000])
        };
        assert!(Precision::RELATIVE.reached(&at(9_700_000, 10_300_000)));
        assert!(!Precision::RELATIVE.reached(&at(9_700_000, 10_300_001)));
        assert!(Precision::APP.reached(&at(9_800_000, 10_200_000)));
        assert!(!Precision::APP.reached(&at(9_800_000, 10_200_001)));
        assert!(!Precision::APP.reached(&summary(&[1])));
    }

    #[test]
    fn intervals_are_looked_at_when_it_was_said_and_never_in_between() {
        let looks = |depth| -> Vec<u32> {
            let protocol = Protocol::new(1, depth);
            (0..=100)
                .filter(|&blocks| protocol.is_look(blocks))
                .collect()
        };
        assert_eq!(looks(Depth::Full), [15, 30]);
        assert_eq!(looks(Depth::Thorough), [15, 30, 60]);
        assert_eq!(looks(Depth::Disk), [15]);
        assert_eq!(looks(Depth::Quick), [5]);
    }

    #[test]
    fn a_quick_run_is_one_warm_up_and_five_blocks() {
        let quick = Protocol::new(1, Depth::Quick);
        assert_eq!((quick.warm_ups(), quick.blocks_max()), (1, 5));
        assert!(Depth::Quick.blocks_min() < FULL_BLOCKS_MIN);
    }

    proptest! {
        #[test]
        fn a_block_holds_every_cell_once(seed: u64, block in 0..100_u32, n in 0..40_u32) {
            let cells: Vec<u32> = (0..n).collect();
            let mut order: Vec<u32> =
                Protocol::new(seed, Depth::Full).block(block, &cells).into_iter().copied().collect();
            order.sort_unstable();
            prop_assert_eq!(order, cells);
        }

        #[test]
        fn numbers_stay_below_their_bound(seed: u64, bound in 1..u64::MAX) {
            prop_assert!(SplitMix64(seed).below(bound) < bound);
        }
    }
}
