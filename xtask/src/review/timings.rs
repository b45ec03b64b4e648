//! The times of both sides as context. Times of two sessions do not compare, so
//! nothing here is a change, a share or a verdict: it shows what was measured
//! again, and what came out.

use serde::Serialize;

use super::{
    changes::{Name, pairs},
    states::{Machine, State},
};
use crate::record::{
    session::Timing,
    table::Table,
    timings::{NodeRow, Phase, StartRow},
};

/// What every form of the report says of them.
pub const NOTE: &str = "Times of two sessions do not compare, so these are context and no verdict: `cargo xtask compare` \
                        measures both sides in one session. One stale cell has its suite, profile and machine measured \
                        again as a whole, so variants that did not move stand here too.";

/// A median, how well it is known, and by which session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    pub median_us: u64,
    pub low_us: Option<u64>,
    pub high_us: Option<u64>,
    pub n: u64,
    pub session: String,
}

/// A time that was not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeMove {
    pub machine: String,
    #[serde(flatten)]
    pub name: Name,
    pub profile: String,
    pub scenario: String,
    pub data_root_fs: String,
    /// As its columns begin: `pull`, `start_total`.
    pub time: &'static str,
    /// Empty where it was not measured, as `after`.
    pub before: Option<Known>,
    pub after: Option<Known>,
}

/// All there is to say of times.
#[derive(Debug, Default, Serialize)]
pub struct Timings {
    pub note: &'static str,
    pub moved: Vec<TimeMove>,
    /// Rows of head whose inputs moved without being measured again.
    pub stale_rows: usize,
    /// Machines whose timings only one side has.
    pub only_in_base: Vec<String>,
    pub only_in_head: Vec<String>,
}

/// A time, and the phase of a row that holds it.
type Time<T> = (&'static str, fn(&T) -> Phase);

/// What a user waits for.
const NODE: [Time<NodeRow>; 3] = [
    ("pull", |row| row.pull.phase),
    ("node_total", |row| row.node_total.phase),
    ("durable", |row| row.durable),
];

const START: [Time<StartRow>; 2] = [
    ("start_total", |row| row.start_total.phase),
    ("app", |row| row.app.phase),
];

impl Timings {
    pub fn between(base: &State, head: &State) -> Self {
        let only = |of: &State, other: &State| -> Vec<String> {
            let names = of.machines.keys();
            let alone = names.filter(|name| !other.machines.contains_key(*name));
            alone.cloned().collect()
        };
        let both = base.machines.iter().filter_map(|(name, old)| {
            let new = head.machines.get(name)?;
            Some(moves(name, old, new))
        });
        Self {
            note: NOTE,
            moved: both.flatten().collect(),
            stale_rows: head.machines.values().map(stale_rows).sum(),
            only_in_base: only(base, head),
            only_in_head: only(head, base),
        }
    }

    /// Whether both sides say the same; rows that are stale on both say nothing
    /// of what moved.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.only_in_base.is_empty() && self.only_in_head.is_empty()
    }
}

fn moves(name: &str, old: &Machine, new: &Machine) -> Vec<TimeMove> {
    let mut moves = times(name, &old.node, &new.node, &NODE);
    moves.extend(times(name, &old.start, &new.start, &START));
    moves
}

fn times<T: Timing>(
    machine: &str,
    old: &Table<T>,
    new: &Table<T>,
    times: &[Time<T>],
) -> Vec<TimeMove> {
    let mut moves = Vec::new();
    for (old, new) in pairs(old, new) {
        let Some(row) = new.or(old) else { continue };
        for &(time, phase) in times {
            let (before, after) = (known(old, phase), known(new, phase));
            if before != after {
                moves.push(TimeMove {
                    machine: machine.to_owned(),
                    name: Name::of(row),
                    profile: row.profile().to_owned(),
                    scenario: row.scenario().to_owned(),
                    data_root_fs: row.data_root_fs().to_owned(),
                    time,
                    before,
                    after,
                });
            }
        }
    }
    moves
}

fn known<T: Timing>(row: Option<&T>, phase: fn(&T) -> Phase) -> Option<Known> {
    let row = row?;
    let phase = phase(row);
    Some(Known {
        median_us: phase.median_us?,
        low_us: phase.low_us,
        high_us: phase.high_us,
        n: row.n(),
        session: row.session().to_owned(),
    })
}

fn stale_rows(machine: &Machine) -> usize {
    let node = machine.node.rows().filter(|row| row.stale()).count();
    node + machine.start.rows().filter(|row| row.stale()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::cell::Mark,
        review::testing::{node, state, text_of},
    };

    fn side(machine: &str, rows: impl IntoIterator<Item = NodeRow>) -> State {
        let path = format!("results/{machine}/node.csv");
        state("x", &[(path.as_str(), text_of(rows))])
    }

    #[test]
    fn what_was_measured_again_stands_with_both_sessions() {
        let old = side("m", [node("a", "s1", 5_000), node("b", "s1", 7_000)]);
        let new = side("m", [node("a", "s2", 5_000), node("b", "s1", 7_000)]);
        let timings = Timings::between(&old, &new);
        let [moved] = timings.moved.as_slice() else {
            panic!("{timings:?}")
        };
        assert_eq!((moved.name.variant.as_str(), moved.time), ("a", "pull"));
        let session = |known: &Option<Known>| known.as_ref().unwrap().session.clone();
        assert_eq!(
            (session(&moved.before), session(&moved.after)),
            ("s1".into(), "s2".into())
        );
        assert!(Timings::between(&old, &old).is_empty());
    }

    #[test]
    fn a_new_variant_has_no_time_before() {
        let old = side("m", [node("a", "s1", 5_000)]);
        let new = side("m", [node("a", "s1", 5_000), node("b", "s1", 7_000)]);
        let timings = Timings::between(&old, &new);
        assert_eq!(timings.moved.len(), 1);
        assert_eq!(timings.moved[0].before, None);
    }

    #[test]
    fn a_machine_that_one_side_lacks_is_named_and_its_rows_are_not() {
        let (old, new) = (
            side("m", [node("a", "s1", 5_000)]),
            side("n", [node("a", "s2", 6_000)]),
        );
        let timings = Timings::between(&old, &new);
        assert!(timings.moved.is_empty());
        assert_eq!(timings.only_in_base, ["m"]);
        assert_eq!(timings.only_in_head, ["n"]);
    }

    #[test]
    fn a_mark_is_counted_and_is_no_measurement() {
        let stale = NodeRow {
            stale: Mark(true),
            ..node("a", "s1", 5_000)
        };
        let timings = Timings::between(&side("m", [node("a", "s1", 5_000)]), &side("m", [stale]));
        assert!(timings.is_empty());
        assert_eq!(timings.stale_rows, 1);
    }
}
