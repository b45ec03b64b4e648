//! What starting a variant was measured to take: on this machine where it was
//! measured here, else on the one whose results are published.

use anyhow::Result;

use super::report::{Phase, Scenario, Start, Times};
use crate::{
    project::Project,
    publish::Settings,
    record::{
        machine::Machine,
        paths,
        row::Row,
        table::Table,
        timings::{self, NodeRow, StartRow},
    },
    table::timing_remarks,
};

const NODE_COLD: &str = "node_cold";
const WARM: &str = "warm";

/// The rows of a suite, platform and file system on one machine.
pub struct Timings {
    machine: String,
    this_machine: bool,
    data_root_fs: String,
    /// Of the variant itself.
    own_node: Vec<NodeRow>,
    own_start: Vec<StartRow>,
    /// Of all variants.
    node: Vec<NodeRow>,
}

impl Timings {
    /// `None` where the variant was measured on neither machine.
    ///
    /// # Errors
    /// When a file is broken.
    pub fn find(
        project: &Project,
        suite: &str,
        variant: &str,
        platform: &str,
    ) -> Result<Option<Self>> {
        let here = Machine::here(project.root()).name();
        // Without that file there is no published machine, and `publish` says so.
        let settings = Settings::load(project).ok();
        let published = settings.as_ref().map(|it| it.machine.clone());
        let fs = settings.map(|it| it.data_root_fs).unwrap_or_default();
        for (machine, this_machine) in [(Some(here), true), (published, false)] {
            let Some(machine) = machine else { continue };
            let folder = paths::machine(&project.results(), &machine);
            let is_ours = |row: &NodeRow| row.suite == suite && row.platform == platform;
            let mut node = rows(Table::load(&paths::node(&folder))?, is_ours);
            let is_own = |row: &NodeRow| row.variant == variant && row.scenario == NODE_COLD;
            let mut own = node.iter().filter(|row| is_own(row));
            let first = own
                .clone()
                .find(|row| row.data_root_fs == fs)
                .or(own.next());
            let Some(data_root_fs) = first.map(|row| row.data_root_fs.clone()) else {
                continue;
            };
            node.retain(|row| row.data_root_fs == data_root_fs && row.scenario == NODE_COLD);
            let own_start = rows(Table::load(&paths::start(&folder))?, |row: &StartRow| {
                (row.suite == suite && row.variant == variant && row.platform == platform)
                    && (row.data_root_fs == data_root_fs && row.scenario == WARM)
            });
            return Ok(Some(Self {
                machine,
                this_machine,
                data_root_fs,
                own_node: node.iter().filter(|row| is_own(row)).cloned().collect(),
                own_start,
                node,
            }));
        }
        Ok(None)
    }

    /// The times of another variant that compare with this one's: those of the
    /// same sessions.
    pub fn of_variant(&self, variant: &str) -> Vec<Times> {
        let beside = |own: &NodeRow| {
            let row = self.node.iter().find(|row| {
                row.variant == variant && row.profile == own.profile && row.session == own.session
            })?;
            Some(Times {
                profile: row.profile.clone(),
                pull_median_us: row.pull.phase.median_us,
                node_total_median_us: row.node_total.phase.median_us,
            })
        };
        self.own_node.iter().filter_map(beside).collect()
    }

    pub fn start(&self) -> Start {
        let cold = self.own_node.iter().map(node_cold);
        Start {
            machine: self.machine.clone(),
            this_machine: self.this_machine,
            data_root_fs: self.data_root_fs.clone(),
            scenarios: cold.chain(self.own_start.iter().map(warm)).collect(),
        }
    }
}

fn rows<R: Row>(table: Table<R>, keep: impl Fn(&R) -> bool) -> Vec<R> {
    table.rows().filter(|row| keep(row)).cloned().collect()
}

fn node_cold(row: &NodeRow) -> Scenario {
    Scenario {
        scenario: row.scenario.clone(),
        profile: row.profile.clone(),
        session: row.session.clone(),
        samples: row.n.unwrap_or(0),
        total: phase("node_total", row.node_total.phase),
        phases: vec![
            phase("resolve", row.resolve),
            phase("download", row.download),
            phase("tail", row.tail),
            phase("create", row.create),
            phase("engine", row.engine),
            phase("app", row.app),
        ],
        remarks: timing_remarks(row),
    }
}

fn warm(row: &StartRow) -> Scenario {
    Scenario {
        scenario: row.scenario.clone(),
        profile: row.profile.clone(),
        session: row.session.clone(),
        samples: row.n.unwrap_or(0),
        total: phase("start_total", row.start_total.phase),
        phases: vec![
            phase("create", row.create),
            phase("engine", row.engine),
            phase("app", row.app.phase),
        ],
        remarks: timing_remarks(row),
    }
}

fn phase(name: &str, times: timings::Phase) -> Phase {
    Phase {
        phase: name.to_owned(),
        median_us: times.median_us,
        low_us: times.low_us,
        high_us: times.high_us,
    }
}
