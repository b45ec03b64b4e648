//! Whether the harness tells true differences from none: what is made of the
//! samples of `cargo xtask selftest`. No I/O: the committed samples give the
//! committed rows.

use super::scenario::Scenario;
use crate::{
    record::{
        cell::ErrorWord,
        limits::LimitRow,
        timings::{ProofRow, SampleRow},
    },
    stats::{
        effect::{Effect, Pair},
        looks::ALPHA,
        power::POWER,
        proportion,
        verdict::Verdict,
    },
};

/// Blocks of one comparison: as many as a full session has at its first look.
pub const BLOCKS: u32 = 15;

/// Fewer pairs cannot be significant whatever they say (2 · 2⁻⁵ > 5 %), and
/// would count as comparisons that found nothing.
const PAIRS_MIN: usize = 6;

/// The image under its own name, the same digest under another one, and the
/// same once more with a registry that is late.
pub const LABELS: [&str; 3] = ["a", "b", "late"];

/// A time of a cold start that is compared. Pull and start lie one after the
/// other, so that what disturbs one does not disturb the other.
type Time = fn(&SampleRow) -> Option<u64>;
const PULL: Time = |row| row.pull_ns;
const START: Time = |row| row.start_total_ns;
const TOTAL: Time = |row| row.node_total_ns;

/// One line for each thing that is to be proved. `limits` are the machine's own,
/// from its sessions: none of them may be violated.
pub fn proofs<'a>(
    samples: &[SampleRow],
    limits: impl IntoIterator<Item = &'a LimitRow>,
    session: &str,
) -> Vec<ProofRow> {
    let same: Vec<Effect> = [PULL, START]
        .into_iter()
        .flat_map(|time| effects(samples, LABELS[1], time))
        .collect();
    let late = effects(samples, LABELS[2], TOTAL);
    let verdict = |effect: &Effect| Verdict::of(effect, effect.p, ALPHA);
    let is_flag = |effect: &&Effect| matches!(verdict(effect), Verdict::Worse | Verdict::Better);
    let most = permille(ALPHA);
    let limits: Vec<&LimitRow> = limits.into_iter().collect();
    let violated = limits
        .iter()
        .filter(|row| row.error == Some(ErrorWord::LimitViolated));
    vec![
        ProofRow {
            holds: violated.clone().count() == 0,
            ..proof(
                "limits_violated",
                limits.len(),
                violated.count(),
                Claim::AtMost(0),
                session,
            )
        },
        proof(
            "aa_significant",
            same.len(),
            same.iter().filter(|effect| effect.p <= ALPHA).count(),
            Claim::AtMost(most),
            session,
        ),
        proof(
            "aa_flagged",
            same.len(),
            same.iter().filter(is_flag).count(),
            Claim::AtMost(most),
            session,
        ),
        proof(
            "injected_found",
            late.len(),
            late.iter()
                .filter(|effect| verdict(effect) == Verdict::Worse)
                .count(),
            Claim::AtLeast(permille(POWER)),
            session,
        ),
    ]
}

/// The effect in each comparison of `label` with the image's own name.
fn effects(samples: &[SampleRow], label: &str, time: Time) -> Vec<Effect> {
    let comparison = |row: &SampleRow| row.block / u64::from(BLOCKS);
    let last = samples.iter().map(comparison).max();
    let all = 0..last.map_or(0, |last| last + 1);
    all.filter_map(|number| {
        let of_comparison: Vec<&SampleRow> = samples
            .iter()
            .filter(|row| comparison(row) == number)
            .collect();
        let pairs = pairs(&of_comparison, label, time);
        let enough = pairs.len() >= PAIRS_MIN;
        Effect::of(&pairs, ALPHA).filter(|_| enough)
    })
    .collect()
}

/// Blocks in which both have a sample that counts.
fn pairs(samples: &[&SampleRow], label: &str, time: Time) -> Vec<Pair> {
    let counting =
        |row: &&&SampleRow| row.invalid.is_none() && row.scenario == Scenario::NodeCold.word();
    let of = |block: u64, label: &str| {
        let mut rows = samples.iter().filter(counting);
        let row = rows.find(|row| (row.block, row.variant.as_str()) == (block, label))?;
        time(row)
    };
    let mut blocks: Vec<u64> = samples.iter().map(|row| row.block).collect();
    blocks.dedup();
    blocks
        .into_iter()
        .filter_map(|block| {
            Some(Pair {
                base: of(block, LABELS[0])?,
                head: of(block, label)?,
            })
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Claim {
    AtMost(u64),
    AtLeast(u64),
}

fn permille(fraction: f64) -> u64 {
    (fraction * 1000.0).round() as u64
}

/// A claim holds while the interval of what was seen does not contradict it.
fn proof(name: &str, trials: usize, hits: usize, claim: Claim, session: &str) -> ProofRow {
    let (trials, hits) = (trials as u64, hits as u64);
    let (low, high) = proportion::interval(hits, trials, ALPHA);
    let (low, high) = (permille(low), permille(high));
    let (claimed, holds) = match claim {
        Claim::AtMost(most) => (most, low <= most),
        Claim::AtLeast(least) => (least, high >= least),
    };
    // What was never compared is no proof.
    let holds = holds && trials > 0;
    ProofRow {
        proof: name.to_owned(),
        comparisons: trials,
        found: hits,
        rate_permille: (hits * 1000).checked_div(trials),
        low_permille: low,
        high_permille: high,
        claim_permille: claimed,
        holds,
        session: session.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::protocol::SplitMix64;

    /// Cold starts of about 150 ms whose labels differ by `late_permille`.
    fn samples(comparisons: u64, late_permille: u64) -> Vec<SampleRow> {
        let mut random = SplitMix64(5);
        let blocks = 0..comparisons * u64::from(BLOCKS);
        let all = blocks.flat_map(|block| (0_u64..).zip(LABELS).map(move |it| (block, it)));
        all.map(|(block, (order, label))| {
            // Roughly normal, a spread of about three in a hundred.
            let mut noise = || (0..4).map(|_| random.next() % 2_600_000).sum::<u64>();
            let late = if label == "late" { late_permille } else { 0 };
            let (pull, start) = (50_000_000 + noise(), 100_000_000 + noise());
            SampleRow {
                block,
                order,
                variant: label.to_owned(),
                scenario: "node_cold".to_owned(),
                pull_ns: Some(pull),
                start_total_ns: Some(start),
                node_total_ns: Some((pull + start) * (1000 + late) / 1000),
                ..SampleRow::default()
            }
        })
        .collect()
    }

    fn row(rows: &[ProofRow], name: &str) -> ProofRow {
        let found = rows.iter().find(|row| row.proof == name);
        found.unwrap().clone()
    }

    #[test]
    fn no_difference_is_seldom_found_and_a_tenth_is() {
        let rows = proofs(&samples(100, 100), [], "s");
        let same = row(&rows, "aa_significant");
        assert_eq!(same.comparisons, 200);
        assert!(same.holds && same.found < 25, "{same:?}");
        let late = row(&rows, "injected_found");
        assert_eq!((late.comparisons, late.found), (100, 100));
        assert!(late.holds && late.claim_permille == 800);
    }

    #[test]
    fn a_harness_that_is_blind_or_sees_ghosts_does_not_hold() {
        let blind = row(&proofs(&samples(20, 0), [], "s"), "injected_found");
        assert!(!blind.holds, "{blind:?}");
        let mut ghosts = samples(20, 0);
        for row in ghosts.iter_mut().filter(|row| row.variant == "b") {
            row.pull_ns = row.pull_ns.map(|ns| ns * 11 / 10);
        }
        let ghosts = row(&proofs(&ghosts, [], "s"), "aa_flagged");
        assert!(!ghosts.holds, "{ghosts:?}");
    }

    #[test]
    fn what_was_disturbed_makes_no_pair() {
        let mut rows = samples(1, 0);
        for row in rows.iter_mut().filter(|row| row.variant == "b") {
            row.invalid = Some(ErrorWord::Disturbed);
        }
        let same = row(&proofs(&rows, [], "s"), "aa_significant");
        assert_eq!(
            (same.comparisons, same.holds),
            (0, false),
            "nothing is no proof"
        );
        let late = row(&proofs(&rows, [], "s"), "injected_found");
        assert_eq!(late.comparisons, 1);
        // Ten blocks lost leave five, which cannot be significant.
        for row in rows.iter_mut().filter(|row| row.block > 4) {
            row.invalid = Some(ErrorWord::Disturbed);
        }
        let late = row(&proofs(&rows, [], "s"), "injected_found");
        assert_eq!((late.comparisons, late.rate_permille), (0, None));
    }

    #[test]
    fn one_time_below_what_the_machine_can_do_is_one_too_many() {
        let limit = |error| LimitRow {
            error,
            ..LimitRow::default()
        };
        let violated = limit(Some(ErrorWord::LimitViolated));
        let fine = vec![limit(None); 50];
        let all = |extra: Option<&LimitRow>| {
            let limits = fine.iter().chain(extra);
            row(&proofs(&[], limits, "s"), "limits_violated").holds
        };
        assert!(all(None) && !all(Some(&violated)));
    }
}
