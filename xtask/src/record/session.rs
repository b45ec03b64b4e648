//! When timings are out of date, and how those of a new session get in.
//!
//! Timings of different sessions do not compare, and the variants of a table
//! are compared. So one stale cell makes its whole unit stale: all cells of a
//! suite and profile on a machine, which are then measured in one session.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{
    cell::{ErrorWord, Id, Mark},
    paths,
    row::{OfVariant, Row},
    table::Table,
    timings::{EnvironmentRow, NodeRow, StartRow},
};
use crate::measure::{
    protocol::{Depth, FULL_BLOCKS_MIN},
    scenario::Scenario,
};

/// What the summary rows of a session have in common.
pub trait Timing: Row + OfVariant {
    fn profile(&self) -> &str;
    fn scenario(&self) -> &str;
    fn data_root_fs(&self) -> &str;
    fn n(&self) -> u64;
    fn invalid(&self) -> u64;
    fn error(&self) -> Option<ErrorWord>;
    fn inputs(&self) -> Option<&Id>;
    fn session(&self) -> &str;
    fn noisy(&self) -> bool;
    fn stale(&self) -> bool;
    fn set_stale(&mut self, stale: bool);
}

macro_rules! timing {
    ($($name:ident),+) => {$(
        impl Timing for $name {
            fn profile(&self) -> &str { &self.profile }
            fn scenario(&self) -> &str { &self.scenario }
            fn data_root_fs(&self) -> &str { &self.data_root_fs }
            fn n(&self) -> u64 { self.n.unwrap_or(0) }
            fn invalid(&self) -> u64 { self.invalid.unwrap_or(0) }
            fn error(&self) -> Option<ErrorWord> { self.error }
            fn inputs(&self) -> Option<&Id> { self.inputs.as_ref() }
            fn session(&self) -> &str { &self.session }
            fn noisy(&self) -> bool { self.noisy.0 }
            fn stale(&self) -> bool { self.stale.0 }
            fn set_stale(&mut self, stale: bool) { self.stale = Mark(stale); }
        }
    )+};
}
timing!(NodeRow, StartRow);

/// What is measured again as a whole. The machine is the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    pub suite: String,
    pub platform: String,
    pub profile: String,
    pub data_root_fs: String,
}

impl Unit {
    pub fn holds<T: Timing>(&self, row: &T) -> bool {
        row.suite() == self.suite
            && row.platform() == self.platform
            && row.profile() == self.profile
            && row.data_root_fs() == self.data_root_fs
    }
}

/// A cell that there should be a row for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub variant: String,
    pub scenario: String,
    pub inputs: Id,
}

/// Why a unit is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Missing { cell: String },
    InputsMoved { cell: String },
    Failed { cell: String, error: ErrorWord },
    Postponed { cell: String },
    TooFew { cell: String, n: u64, wanted: u64 },
    Sessions { count: usize },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { cell } => write!(f, "{cell} was never measured"),
            Self::InputsMoved { cell } => write!(f, "the inputs of {cell} moved"),
            Self::Failed { cell, error } => write!(f, "{cell} failed: {error}"),
            Self::Postponed { cell } => write!(f, "{cell} is marked stale"),
            Self::TooFew { cell, n, wanted } => {
                write!(f, "{cell} has {n} of {wanted} samples")
            }
            Self::Sessions { count } => write!(f, "its rows come from {count} sessions"),
        }
    }
}

/// One of the two summary files and the cells wanted in it.
pub struct Share<'a, T: Timing> {
    pub table: &'a Table<T>,
    pub wanted: &'a [Wanted],
}

/// Why `unit` is to be measured at `depth`; empty when it is up to date.
pub fn reasons(
    unit: &Unit,
    depth: Depth,
    node: &Share<'_, NodeRow>,
    start: &Share<'_, StartRow>,
) -> Vec<Reason> {
    let mut sessions = BTreeSet::new();
    let blocks = blocks(unit, node.table);
    let mut reasons = share_reasons(unit, depth, node, &blocks, &mut sessions);
    reasons.extend(share_reasons(unit, depth, start, &blocks, &mut sessions));
    // A quick run may not replace fuller rows, so it cannot mend this.
    if sessions.len() > 1 && depth != Depth::Quick {
        reasons.push(Reason::Sessions {
            count: sessions.len(),
        });
    }
    reasons
}

/// The blocks in which each variant was visited. A visit whose cold start failed
/// has no samples of what comes later in it, and took its block all the same.
fn blocks<'a>(unit: &Unit, node: &'a Table<NodeRow>) -> BTreeMap<&'a str, u64> {
    let cold = node
        .rows()
        .filter(|row| unit.holds(*row) && row.scenario() == Scenario::NodeCold.word());
    cold.map(|row| (row.variant(), tried(row))).collect()
}

/// Samples that were taken, whether or not they count.
fn tried<T: Timing>(row: &T) -> u64 {
    row.n() + row.invalid()
}

fn share_reasons<'a, T: Timing>(
    unit: &Unit,
    depth: Depth,
    share: &Share<'a, T>,
    blocks: &BTreeMap<&str, u64>,
    sessions: &mut BTreeSet<&'a str>,
) -> Vec<Reason> {
    let reason = |wanted: &Wanted| {
        let cell = format!("{}/{} {}", unit.suite, wanted.variant, wanted.scenario);
        let row = share.table.rows().find(|row| {
            unit.holds(*row) && row.variant() == wanted.variant && row.scenario() == wanted.scenario
        });
        let Some(row) = row else {
            return Some(Reason::Missing { cell });
        };
        sessions.insert(row.session());
        let visits = blocks.get(row.variant()).copied().unwrap_or_default();
        row_reason(row, wanted, depth, visits, cell)
    };
    share.wanted.iter().filter_map(reason).collect()
}

fn row_reason<T: Timing>(
    row: &T,
    wanted: &Wanted,
    depth: Depth,
    visits: u64,
    cell: String,
) -> Option<Reason> {
    let fewest = u64::from(depth.blocks_min());
    if row.inputs() != Some(&wanted.inputs) {
        Some(Reason::InputsMoved { cell })
    } else if let Some(error) = row.error() {
        // Faster than the machine can be is a bug of ours, and would come out again.
        (error != ErrorWord::LimitViolated).then_some(Reason::Failed { cell, error })
    } else if row.stale() {
        Some(Reason::Postponed { cell })
    } else {
        // An invalid sample took a block as well: more blocks were never planned.
        (tried(row).max(visits) < fewest).then_some(Reason::TooFew {
            cell,
            n: row.n(),
            wanted: fewest,
        })
    }
}

/// Puts a session's rows into the table and returns how many it took. A quick
/// session replaces nothing where it would only replace fuller rows of the same
/// inputs, and a failed row never erases numbers of the same inputs; otherwise
/// a session's rows come all together, or they would not compare.
pub fn offer_session<T: Timing>(table: &mut Table<T>, rows: Vec<T>) -> usize {
    let same_inputs = |row: &T| {
        let old = table.get(&row.key());
        old.filter(|old| old.inputs().is_some() && old.inputs() == row.inputs())
    };
    let is_quick = rows
        .iter()
        .all(|row| tried(row) < u64::from(FULL_BLOCKS_MIN));
    let fuller = |row: &T| same_inputs(row).is_some_and(|old| tried(old) > tried(row));
    if is_quick && !rows.is_empty() && rows.iter().all(fuller) {
        return 0;
    }
    let erases = |row: &T| row.n() == 0 && same_inputs(row).is_some_and(|old| old.n() > 0);
    let erasing: Vec<bool> = rows.iter().map(erases).collect();
    let mut taken = 0;
    for (row, erases) in rows.into_iter().zip(erasing) {
        if !erases {
            table.upsert(row);
            taken += 1;
        }
    }
    taken
}

/// Marks the rows whose inputs moved while measuring is put off, and takes the
/// mark from those whose inputs are back. Returns how many are now marked.
pub fn mark_stale<T: Timing>(table: &mut Table<T>, unit: &Unit, wanted: &[Wanted]) -> usize {
    let mut marked = 0;
    table.retain(|row| {
        let now = wanted
            .iter()
            .find(|wanted| wanted.variant == row.variant() && wanted.scenario == row.scenario());
        if let Some(wanted) = now.filter(|_| unit.holds(row)) {
            let stale = row.inputs() != Some(&wanted.inputs);
            row.set_stale(stale);
            marked += usize::from(stale);
        }
        true
    });
    marked
}

/// Removes what belongs to sessions of which no summary row is left: their
/// environment rows and their samples.
///
/// # Errors
/// When the samples cannot be listed or removed.
pub fn forget_unused(
    machine: &Path,
    environment: &mut Table<EnvironmentRow>,
    node: &Table<NodeRow>,
    start: &Table<StartRow>,
) -> Result<()> {
    let mut used: BTreeSet<&str> = node.rows().map(Timing::session).collect();
    used.extend(start.rows().map(Timing::session));
    environment.retain(|row| used.contains(row.session.as_str()));
    let folder = paths::samples_folder(machine);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot list {}", folder.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        let session = paths::session_of_samples(&path);
        if session.is_some_and(|session| !used.contains(session)) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
