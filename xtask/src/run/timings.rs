//! The timings of this machine, and what there should be of them: which suites,
//! profiles and scenarios are out of date.

use std::path::PathBuf;

use anyhow::Result;

use super::{state::State, workbench::planned_file_system};
use crate::{
    cli::RunAll,
    measure::{
        protocol::Depth,
        scenario::{SHAPED, Scenario, UNSHAPED},
    },
    record::{
        cell::{ErrorWord, Id, Mark},
        limits::{LimitRow, LimitSamples, limit_rows},
        machine::{Machine, Session},
        paths,
        session::{Share, Unit, Wanted as Cell, forget_unused, mark_stale, offer_session, reasons},
        summarise,
        table::Table,
        timings::{EnvironmentRow, NodeRow, SampleRow, StartRow},
    },
};

/// The timings of this machine, and what there should be of them.
pub struct Wanted {
    pub machine: Machine,
    pub folder: PathBuf,
    pub data_root_fs: String,
    pub depth: Depth,
    refresh: bool,
    pub node: Table<NodeRow>,
    pub start: Table<StartRow>,
    limits: Table<LimitRow>,
    environment: Table<EnvironmentRow>,
}

/// Everything that a finished session has given.
pub struct Finished<'a> {
    pub unit: &'a Unit,
    pub session: &'a Session,
    pub samples: &'a [SampleRow],
    /// What the machine could do at best, for each variant.
    pub limits: &'a [(String, Vec<LimitSamples>)],
    pub facts: Vec<EnvironmentRow>,
    pub noisy: bool,
}

/// The machine that measures.
pub fn this_machine(state: &State) -> Machine {
    Machine::here(state.project.root())
}

/// Where its timings lie; `named` stands in for what the machine is. Those that
/// were seen through a published port have a folder of their own.
pub fn machine_folder(state: &State, named: Option<&str>) -> PathBuf {
    let name = named.map_or_else(|| this_machine(state).name(), str::to_owned);
    let name = name + state.probe().suffix();
    // A CI runner is another machine every day: its timings are nobody's.
    let in_ci = std::env::var_os("CI").is_some() && named.is_none();
    let results = if in_ci {
        state.project.lab().join("results")
    } else {
        state.project.results()
    };
    paths::machine(&results, &name)
}

/// How thoroughly a run measures.
pub fn depth(options: &RunAll, data_root_fs: &str) -> Depth {
    match (options.quick, options.thorough, data_root_fs) {
        (true, ..) => Depth::Quick,
        (_, true, _) => Depth::Thorough,
        (_, _, "tmpfs") => Depth::Full,
        _ => Depth::Disk,
    }
}

/// A unit that is out of date, and why.
pub struct Stale {
    pub unit: Unit,
    pub cells: usize,
    pub reason: String,
}

/// What became of a finished session.
pub struct Kept {
    /// Variants that have a row without numbers.
    pub failed: Vec<(String, ErrorWord)>,
    /// Whether any of its rows were taken.
    pub taken: bool,
}

impl Wanted {
    /// # Errors
    /// When a timing file cannot be read, or no data root can be had.
    pub fn of(state: &State, options: &RunAll) -> Result<Self> {
        let folder = machine_folder(state, options.machine.as_deref());
        let data_root_fs = planned_file_system(&state.project, &state.step.lab)?;
        Ok(Self {
            node: Table::load(&paths::node(&folder))?,
            start: Table::load(&paths::start(&folder))?,
            limits: Table::load(&paths::limits(&folder))?,
            environment: Table::load(&paths::environment(&folder))?,
            refresh: options.refresh,
            machine: this_machine(state),
            folder,
            depth: depth(options, &data_root_fs),
            data_root_fs,
        })
    }

    /// The networks that are measured. What a slow network adds is the same on
    /// any disk, and a quick run has no time for it.
    fn profiles(&self) -> &'static [&'static str] {
        match self.depth {
            Depth::Full | Depth::Thorough if self.data_root_fs == "tmpfs" => &[UNSHAPED, SHAPED],
            _ => &[UNSHAPED],
        }
    }

    fn unit(&self, state: &State, suite: &str, profile: &str) -> Unit {
        Unit {
            suite: suite.to_owned(),
            platform: state.platform.to_string(),
            profile: profile.to_owned(),
            data_root_fs: self.data_root_fs.clone(),
        }
    }

    fn units(&self, state: &State) -> Vec<Unit> {
        let profiles = self.profiles().iter();
        profiles
            .flat_map(|profile| {
                let suites = state.suites.iter();
                suites.map(|suite| self.unit(state, &suite.name, profile))
            })
            .collect()
    }

    /// The units that a run has to measure; those whose images are still to be
    /// built are among them.
    pub fn stale(&self, state: &State) -> Vec<Stale> {
        let units = self.units(state).into_iter();
        units
            .filter_map(|unit| self.stale_unit(state, unit))
            .collect()
    }

    fn stale_unit(&self, state: &State, unit: Unit) -> Option<Stale> {
        // Rows of one table come from one session, so a single variant is
        // never timed without the others of its suite.
        if !state.is_whole(&unit.suite) {
            return None;
        }
        let (node, start) = cells(state, &unit);
        let unbuilt = state
            .jobs()
            .into_iter()
            .find(|job| job.suite.name == unit.suite && state.build_reason(*job).is_some());
        let node = Share {
            table: &self.node,
            wanted: &node,
        };
        let start = Share {
            table: &self.start,
            wanted: &start,
        };
        let first = reasons(&unit, self.depth, &node, &start)
            .first()
            .map(ToString::to_string);
        let reason = if self.refresh {
            Some("asked for by --refresh".to_owned())
        } else {
            first.or_else(|| unbuilt.map(|job| format!("{} is still to be built", job.name())))
        };
        let variants = state
            .jobs()
            .into_iter()
            .filter(|job| job.suite.name == unit.suite)
            .count();
        Some(Stale {
            cells: state.scenarios(&unit).len() * variants,
            unit,
            reason: reason?,
        })
    }

    /// Marks what `--sizes-only` puts off, and drops rows of variants that are
    /// no longer declared.
    pub fn tidy(&mut self, state: &mut State, sizes_only: bool) -> Result<()> {
        if sizes_only {
            for unit in self.units(state) {
                let (node, start) = cells(state, &unit);
                mark_stale(&mut self.node, &unit, &node);
                mark_stale(&mut self.start, &unit, &start);
            }
        }
        let platform = state.platform.to_string();
        self.node.remove_undeclared(&platform, |suite, variant| {
            state.is_declared(suite, variant)
        });
        self.start.remove_undeclared(&platform, |suite, variant| {
            state.is_declared(suite, variant)
        });
        self.limits.remove_undeclared(&platform, |suite, variant| {
            state.is_declared(suite, variant)
        });
        self.save(state)
    }

    /// Puts a finished session's rows in the place of older ones.
    pub fn keep(&mut self, state: &State, finished: Finished<'_>) -> Kept {
        let (mut node, mut start) = summaries(state, &finished);
        let limits: Vec<LimitRow> = finished
            .limits
            .iter()
            .flat_map(|(variant, taken)| {
                let cold = node.iter().find(|row| {
                    &row.variant == variant && row.scenario == Scenario::NodeCold.word()
                });
                let warm = start
                    .iter()
                    .find(|row| &row.variant == variant && row.scenario == Scenario::Warm.word());
                let warm = warm.cloned().unwrap_or_default();
                cold.map_or_else(Vec::new, |cold| limit_rows(taken, cold, &warm))
            })
            .collect();
        let failed = failures(&node, &start);
        mark_violations(&limits, &mut node, &mut start);
        let taken = offer_session(&mut self.node, node) + offer_session(&mut self.start, start);
        // A quick session that replaces nothing leaves the limits as well.
        if taken > 0 {
            limits.into_iter().for_each(|row| self.limits.upsert(row));
            for row in finished.facts {
                self.environment.upsert(row);
            }
        }
        Kept {
            failed,
            taken: taken > 0,
        }
    }

    pub fn save(&mut self, state: &mut State) -> Result<()> {
        let mut saved = vec![
            (self.node.save()?, self.node.path().to_owned()),
            (self.start.save()?, self.start.path().to_owned()),
            (self.limits.save()?, self.limits.path().to_owned()),
        ];
        // Only now does nothing name the older sessions any more.
        forget_unused(&self.folder, &mut self.environment, &self.node, &self.start)?;
        saved.push((self.environment.save()?, self.environment.path().to_owned()));
        for (_, path) in saved.into_iter().filter(|(moved, _)| *moved) {
            state.note_written(&path);
        }
        Ok(())
    }
}

/// The cells that a unit should have in `node.csv` and in `start.csv`: those of
/// every variant that was built.
pub fn cells(state: &State, unit: &Unit) -> (Vec<Cell>, Vec<Cell>) {
    let scenarios = state.scenarios(unit).iter();
    let of = |file: fn(Scenario) -> bool| {
        let scenarios = scenarios.clone().filter(move |scenario| file(**scenario));
        scenarios
            .flat_map(|scenario| built(state, &unit.suite, scenario.word()))
            .collect()
    };
    (of(Scenario::is_of_node), of(Scenario::is_of_start))
}

fn built(state: &State, suite: &str, scenario: &str) -> Vec<Cell> {
    let jobs = state
        .jobs()
        .into_iter()
        .filter(|job| job.suite.name == suite);
    jobs.filter_map(|job| {
        state.built(job)?;
        Some(Cell {
            variant: job.variant.name.clone(),
            scenario: scenario.to_owned(),
            inputs: Id::from(&state.inputs(job)?),
        })
    })
    .collect()
}

fn summaries(state: &State, finished: &Finished<'_>) -> (Vec<NodeRow>, Vec<StartRow>) {
    let Finished { samples, .. } = finished;
    let (node, start) = cells(state, finished.unit);
    let node = node
        .iter()
        .map(|cell| summarise::node(node_cell(finished, cell), *samples));
    let start = start
        .iter()
        .map(|cell| summarise::start(start_cell(state, finished, cell), *samples));
    (node.collect(), start.collect())
}

fn failures(node: &[NodeRow], start: &[StartRow]) -> Vec<(String, ErrorWord)> {
    let of_node = node
        .iter()
        .filter_map(|row| Some((row.variant.clone(), row.error?)));
    let of_start = start
        .iter()
        .filter_map(|row| Some((row.variant.clone(), row.error?)));
    of_node.chain(of_start).collect()
}

/// A time below what the machine can do is a bug of ours. The numbers stay, and
/// the row says so.
fn mark_violations(limits: &[LimitRow], node: &mut [NodeRow], start: &mut [StartRow]) {
    let violated = limits
        .iter()
        .filter(|row| row.error == Some(ErrorWord::LimitViolated));
    for limit in violated {
        let of_pull = ["download", "pull"].contains(&limit.metric.as_str());
        let node = node.iter_mut().filter(|row| {
            of_pull && row.variant == limit.variant && row.scenario == Scenario::NodeCold.word()
        });
        node.for_each(|row| row.error = limit.error);
        let start = start.iter_mut().filter(|row| {
            !of_pull && row.variant == limit.variant && row.scenario == Scenario::Warm.word()
        });
        start.for_each(|row| row.error = limit.error);
    }
}

fn node_cell(finished: &Finished<'_>, cell: &Cell) -> NodeRow {
    let unit = finished.unit;
    NodeRow {
        suite: unit.suite.clone(),
        variant: cell.variant.clone(),
        platform: unit.platform.clone(),
        profile: unit.profile.clone(),
        scenario: cell.scenario.clone(),
        data_root_fs: unit.data_root_fs.clone(),
        session: finished.session.id.clone(),
        inputs: Some(cell.inputs.clone()),
        noisy: Mark(finished.noisy),
        ..NodeRow::default()
    }
}

fn start_cell(state: &State, finished: &Finished<'_>, cell: &Cell) -> StartRow {
    let unit = finished.unit;
    StartRow {
        suite: unit.suite.clone(),
        variant: cell.variant.clone(),
        platform: unit.platform.clone(),
        profile: unit.profile.clone(),
        scenario: cell.scenario.clone(),
        data_root_fs: unit.data_root_fs.clone(),
        probe: state.probe().word().to_owned(),
        session: finished.session.id.clone(),
        inputs: Some(cell.inputs.clone()),
        noisy: Mark(finished.noisy),
        ..StartRow::default()
    }
}
