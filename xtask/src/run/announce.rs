//! What a run is about to do, for the person who started it: cells, downloads,
//! space and minutes.

use std::time::Duration;

use super::{Todo, state::State, workbench::LARGEST_IMAGE_BYTES};
use crate::{
    engine::rootfs,
    measure::{
        protocol::{LONG_SAMPLE, Protocol},
        scenario::{SHAPED, Scenario},
    },
    progress::plan::{Plan, PlannedSession},
    record::{exact::SizeRow, session::Unit},
};

// Rough figures, each read off a run on two cores.
const LAB_DOWNLOAD_BYTES: u64 = 180_000_000;
const DOWNLOAD_PER_BASE_BYTES: u64 = 90_000_000;
const BASE_TIME: Duration = Duration::from_secs(25);
const BUILD_TIME: Duration = Duration::from_secs(20);
/// A pull, four starts and their ends.
const ASK_TIME: Duration = Duration::from_secs(5);
/// A scenario without its bytes: settling, create, start, removing.
const SCENARIO_TIME: Duration = Duration::from_millis(500);
/// How fast an engine pulls and unpacks from loopback.
const PULL_BYTES_PER_S: u64 = 35_000_000;
const SHAPED_BYTES_PER_S: u64 = 12_500_000;
const UNKNOWN_TRANSFER_BYTES: u64 = 100_000_000;

pub fn plan(todo: &Todo) -> Plan {
    let Todo {
        state,
        work,
        asks,
        units,
        ..
    } = todo;
    let mut builds: Vec<_> = work
        .bases
        .iter()
        .map(|base| (format!("base {base}"), "not in target/lab".to_owned()))
        .collect();
    builds.extend(work.builds.iter().cloned());
    let protocol = Protocol::new(0, todo.depth);
    let sessions = units.iter().map(|stale| PlannedSession {
        suite: stale.unit.suite.clone(),
        profile: stale.unit.profile.clone(),
        cells: stale.cells,
        blocks_max: protocol.blocks_max(),
        reason: stale.reason.clone(),
    });
    let measuring: Duration = units
        .iter()
        .map(|stale| expected(state, &stale.unit, &protocol))
        .sum();
    let on_host = state.step.lab.is_host();
    let fresh = !on_host && !rootfs::archive(&state.project.lab()).is_file();
    let (lab_bytes, lab_time) = if fresh {
        (LAB_DOWNLOAD_BYTES, rootfs::USUAL_TIME)
    } else {
        (0, Duration::ZERO)
    };
    Plan {
        counts: work.rows,
        asks: *asks,
        download_bytes: DOWNLOAD_PER_BASE_BYTES * work.bases.len() as u64 + lab_bytes,
        space_bytes: LARGEST_IMAGE_BYTES * 4,
        space_at: if on_host {
            "the engine's own store and target/lab".to_owned()
        } else {
            "memory, or target/lab where that is short".to_owned()
        },
        sessions: sessions.collect(),
        expected: measuring
            + BASE_TIME * work.bases.len() as u32
            + BUILD_TIME * work.builds.len() as u32
            + ASK_TIME * *asks as u32
            + lab_time,
        kept: state
            .jobs()
            .into_iter()
            .filter(|job| !state.row_is_missing(*job))
            .count(),
        builds,
    }
}

/// How long a unit's session takes at most, from what its images weigh.
fn expected(state: &State, unit: &Unit, protocol: &Protocol) -> Duration {
    let rows = state
        .jobs()
        .into_iter()
        .filter(|job| job.suite.name == unit.suite)
        .map(|job| {
            let key = (
                unit.suite.clone(),
                job.variant.name.clone(),
                unit.platform.clone(),
            );
            state.sizes.get(&key)
        });
    let scenarios = state.scenarios(unit);
    rows.map(|row| visits(row, unit, scenarios, protocol)).sum()
}

/// The same for one variant.
fn visits(
    row: Option<&SizeRow>,
    unit: &Unit,
    scenarios: &[Scenario],
    protocol: &Protocol,
) -> Duration {
    let whole = row.and_then(|row| row.transfer_bytes);
    let whole = pull(whole.unwrap_or(UNKNOWN_TRANSFER_BYTES), unit);
    let above_base = row.and_then(|row| row.app_transfer_bytes);
    let above_base = pull(above_base.unwrap_or_default(), unit);
    let visit: Duration = scenarios
        .iter()
        .map(|scenario| {
            SCENARIO_TIME
                + match scenario {
                    Scenario::NodeCold | Scenario::PullDurable => whole,
                    Scenario::Redeploy => above_base,
                    _ => Duration::ZERO,
                }
        })
        .sum();
    let blocks = if whole > LONG_SAMPLE {
        protocol.blocks_min()
    } else {
        protocol.blocks_max()
    };
    visit * (protocol.warm_ups() + blocks)
}

fn pull(bytes: u64, unit: &Unit) -> Duration {
    let per_s = if unit.profile == SHAPED {
        SHAPED_BYTES_PER_S
    } else {
        PULL_BYTES_PER_S
    };
    Duration::from_millis(bytes * 1000 / per_s)
}
