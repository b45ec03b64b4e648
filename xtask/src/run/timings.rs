//! Measuring what is out of date: one session per suite, its samples kept as
//! they come, its rows written when it is over.

use std::{path::PathBuf, time::SystemTime};

use anyhow::{Context, Result, ensure};
use xshell::cmd;

use super::{
    state::{Job, State},
    workbench::Workbench,
};
use crate::{
    cli::RunAll,
    engine::{LabEngine, Role, Store},
    files,
    image::Layout,
    interrupt,
    measure::{
        probe::ProbeSpec,
        protocol::{Depth, Protocol},
        session::{self, Event, NODE_COLD, WARM},
        subject::LabSubject,
        visit::Target,
    },
    progress::{Progress, Step},
    proxy::{Options, Proxy},
    record::{
        cell::{ErrorWord, Id},
        machine::{Machine, Session, Tool},
        paths,
        session::{Share, Unit, Wanted as Cell, forget_unused, mark_stale, offer_session, reasons},
        summarise,
        table::Table,
        timings::{EnvironmentRow, NodeRow, SampleRow, StartRow},
    },
    registry::{self, Registry},
    shell,
};

/// The network as it is: loopback.
pub const UNSHAPED: &str = "unshaped";

/// How readiness was seen: from within the container's network namespace.
const PROBE: &str = "namespace";

/// The timings of this machine, and what there should be of them.
pub struct Wanted {
    machine: Machine,
    folder: PathBuf,
    pub data_root_fs: String,
    depth: Depth,
    refresh: bool,
    pub node: Table<NodeRow>,
    pub start: Table<StartRow>,
    environment: Table<EnvironmentRow>,
}

/// How thoroughly a run measures.
pub fn depth(options: &RunAll) -> Depth {
    if options.quick {
        Depth::Quick
    } else {
        Depth::Full
    }
}

/// A unit that is out of date, and why.
pub struct Stale {
    pub unit: Unit,
    pub cells: usize,
    pub reason: String,
}

impl Wanted {
    /// # Errors
    /// When a timing file cannot be read, or no data root can be had.
    pub fn of(state: &State, options: &RunAll) -> Result<Self> {
        let machine = Machine::here(state.project.root());
        let name = options.machine.clone().unwrap_or_else(|| machine.name());
        // A CI runner is another machine every day: its timings are nobody's.
        let in_ci = std::env::var_os("CI").is_some() && options.machine.is_none();
        let results = if in_ci {
            state.project.lab().join("results")
        } else {
            state.project.results()
        };
        let folder = paths::machine(&results, &name);
        let data_root_fs = super::workbench::planned_file_system(
            &state.project,
            state.step.lab.data_root.as_deref(),
        )?;
        Ok(Self {
            node: Table::load(&paths::node(&folder))?,
            start: Table::load(&paths::start(&folder))?,
            environment: Table::load(&paths::environment(&folder))?,
            refresh: options.refresh,
            machine,
            folder,
            data_root_fs,
            depth: depth(options),
        })
    }

    fn unit(&self, state: &State, suite: &str) -> Unit {
        Unit {
            suite: suite.to_owned(),
            platform: state.platform.to_string(),
            profile: UNSHAPED.to_owned(),
            data_root_fs: self.data_root_fs.clone(),
        }
    }

    /// The cells that a suite should have: every variant that was built.
    fn cells(state: &State, suite: &str, scenario: &str) -> Vec<Cell> {
        let jobs = state
            .jobs()
            .into_iter()
            .filter(|job| job.suite.name == suite);
        jobs.filter_map(|job| {
            state.built(job)?;
            let inputs = Id::from(&state.inputs(job)?);
            Some(Cell {
                variant: job.variant.name.clone(),
                scenario: scenario.to_owned(),
                inputs,
            })
        })
        .collect()
    }

    /// The units that a run has to measure; those whose images are still to be
    /// built are among them.
    pub fn stale(&self, state: &State) -> Vec<Stale> {
        state
            .suites
            .iter()
            .filter_map(|suite| self.stale_unit(state, &suite.name))
            .collect()
    }

    fn stale_unit(&self, state: &State, suite: &str) -> Option<Stale> {
        // Rows of one table come from one session, so a single variant is
        // never timed without the others of its suite.
        if !state.is_whole(suite) {
            return None;
        }
        let unit = self.unit(state, suite);
        let (cold, warm) = (
            Self::cells(state, suite, NODE_COLD),
            Self::cells(state, suite, WARM),
        );
        let unbuilt = state
            .jobs()
            .into_iter()
            .find(|job| job.suite.name == suite && state.build_reason(*job).is_some());
        let node = Share {
            table: &self.node,
            wanted: &cold,
        };
        let start = Share {
            table: &self.start,
            wanted: &warm,
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
            .filter(|job| job.suite.name == suite)
            .count();
        Some(Stale {
            unit,
            cells: 2 * variants,
            reason: reason?,
        })
    }

    /// Marks what `--sizes-only` puts off, and drops rows of variants that are
    /// no longer declared.
    pub fn tidy(&mut self, state: &mut State, sizes_only: bool) -> Result<()> {
        if sizes_only {
            for suite in &state.suites {
                let unit = self.unit(state, &suite.name);
                mark_stale(
                    &mut self.node,
                    &unit,
                    &Self::cells(state, &suite.name, NODE_COLD),
                );
                mark_stale(
                    &mut self.start,
                    &unit,
                    &Self::cells(state, &suite.name, WARM),
                );
            }
        }
        let platform = state.platform.to_string();
        self.node.remove_undeclared(&platform, |suite, variant| {
            state.is_declared(suite, variant)
        });
        self.start.remove_undeclared(&platform, |suite, variant| {
            state.is_declared(suite, variant)
        });
        self.save(state)
    }

    /// Measures the units, each in a session of its own on a fresh data root.
    ///
    /// # Errors
    /// When the lab cannot measure at all; a variant that fails is a row.
    pub fn measure(
        mut self,
        state: &mut State,
        units: &[Stale],
        bench: &Workbench,
        options: &RunAll,
        progress: &Progress,
    ) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        let Some(lab) = bench.lab() else {
            progress.note("timings are taken by the lab engine only; this run built and counted");
            return Ok(());
        };
        let address = registry::free_address()?;
        let config = registry::config_yaml(crate::engine::REGISTRY_STORAGE.as_ref(), address)?;
        let _registry = lab.registry(&config, address)?;
        let registry = Registry::at(address)?;
        let proxy = Proxy::start(address, Options::default())?;
        for stale in units {
            let targets = push(state, &stale.unit.suite, &registry, &proxy)?;
            let data_root = bench.data_root(options.step.lab.data_root.as_deref())?;
            ensure!(
                data_root.file_system()? == self.data_root_fs,
                "memory became short while this run went on; mend: choose where the subject keeps its images, with --data-root"
            );
            let subject = lab.engine(Role::Subject, Store::Containerd, data_root)?;
            self.session(state, stale, &targets, &subject, &proxy, options, progress)?;
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a session is where everything meets"
    )]
    fn session(
        &mut self,
        state: &mut State,
        stale: &Stale,
        targets: &[Target],
        subject: &LabEngine,
        proxy: &Proxy,
        options: &RunAll,
        progress: &Progress,
    ) -> Result<()> {
        let started = SystemTime::now();
        let now = started.duration_since(SystemTime::UNIX_EPOCH)?;
        let seed = options.seed.unwrap_or(now.as_secs());
        let session = Session::begin(&self.machine.name(), seed, started);
        let protocol = Protocol::new(seed, self.depth);
        let suite = &stale.unit.suite;
        // Until the session is over its samples lie outside results/, where
        // rows that nobody summarised would only confuse.
        let unfinished = state
            .project
            .lab()
            .join("sessions")
            .join(format!("{suite}-{}.csv", session.id));
        let mut samples = Table::<SampleRow>::empty(&unfinished);
        let log = state
            .project
            .logs()
            .join(format!("{suite}-{UNSHAPED}.session.log"));
        files::write_atomic(&log, "")?;
        let visits = targets.len() as u64 * u64::from(protocol.warm_ups() + protocol.blocks_max());
        let step = progress.step(format!("measure {suite} {UNSHAPED}"), visits);
        let mut on = |event: Event<'_>| record(event, &mut samples, &log, &step, &protocol);
        session::run(
            &LabSubject(subject),
            &|| proxy.take_log(),
            &protocol,
            targets,
            &mut on,
        )?;
        step.done(format!("{} samples", samples.rows().count()));
        let final_path = paths::samples(&self.folder, suite, UNSHAPED, &session.id);
        self.keep(state, stale, &session, &samples, subject)?;
        files::write_atomic(&final_path, samples.text())?;
        std::fs::remove_file(&unfinished).context("cannot remove the unfinished session's file")?;
        self.save(state)?;
        state.note_written(&final_path);
        interrupt::keeps(format!(
            "bases, images, sizes and the finished session of {suite} are kept"
        ));
        Ok(())
    }

    /// Puts a finished session's rows in the place of older ones.
    fn keep(
        &mut self,
        state: &mut State,
        stale: &Stale,
        session: &Session,
        samples: &Table<SampleRow>,
        subject: &LabEngine,
    ) -> Result<()> {
        let rows: Vec<SampleRow> = samples.rows().cloned().collect();
        let (mut node, mut start) = (Vec::new(), Vec::new());
        for cell in Self::cells(state, &stale.unit.suite, NODE_COLD) {
            node.push(summarise::node(
                self.node_cell(stale, session, &cell),
                &rows,
            ));
        }
        for cell in Self::cells(state, &stale.unit.suite, WARM) {
            start.push(summarise::start(
                self.start_cell(stale, session, &cell),
                &rows,
            ));
        }
        let failed = node
            .iter()
            .filter_map(|row| Some((row.variant.clone(), row.error?)));
        let failed: Vec<(String, ErrorWord)> = failed.collect();
        for (variant, word) in failed {
            state
                .errors
                .insert((stale.unit.suite.clone(), variant), word);
        }
        offer_session(&mut self.node, node);
        offer_session(&mut self.start, start);
        let versions = subject.client().versions()?;
        let facts = [
            ("data_root_fs", self.data_root_fs.clone()),
            ("docker", versions.docker),
            ("containerd", versions.containerd),
            ("runc", versions.runc),
            ("image_store", versions.store),
            ("max_concurrent_downloads", "3".to_owned()),
            ("decompressor", decompressor(subject)),
        ];
        for row in session.environment(&self.machine, &tool(state), &facts) {
            self.environment.upsert(row);
        }
        Ok(())
    }

    fn node_cell(&self, stale: &Stale, session: &Session, cell: &Cell) -> NodeRow {
        NodeRow {
            suite: stale.unit.suite.clone(),
            variant: cell.variant.clone(),
            platform: stale.unit.platform.clone(),
            profile: stale.unit.profile.clone(),
            scenario: cell.scenario.clone(),
            data_root_fs: self.data_root_fs.clone(),
            session: session.id.clone(),
            inputs: Some(cell.inputs.clone()),
            ..NodeRow::default()
        }
    }

    fn start_cell(&self, stale: &Stale, session: &Session, cell: &Cell) -> StartRow {
        StartRow {
            suite: stale.unit.suite.clone(),
            variant: cell.variant.clone(),
            platform: stale.unit.platform.clone(),
            profile: stale.unit.profile.clone(),
            scenario: cell.scenario.clone(),
            data_root_fs: self.data_root_fs.clone(),
            probe: PROBE.to_owned(),
            session: session.id.clone(),
            inputs: Some(cell.inputs.clone()),
            ..StartRow::default()
        }
    }

    fn save(&mut self, state: &mut State) -> Result<()> {
        let mut saved = vec![
            (self.node.save()?, self.node.path().to_owned()),
            (self.start.save()?, self.start.path().to_owned()),
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

/// Pushes a suite's images and reads them back, so that the registry's own
/// cache is warm for all of them alike.
fn push(state: &State, suite: &str, registry: &Registry, proxy: &Proxy) -> Result<Vec<Target>> {
    let jobs = state
        .jobs()
        .into_iter()
        .filter(|job| job.suite.name == suite && state.built(*job).is_some());
    jobs.map(|job| push_one(state, job, registry, proxy))
        .collect()
}

fn push_one(state: &State, job: Job<'_>, registry: &Registry, proxy: &Proxy) -> Result<Target> {
    let folder = state.project.image(&job.suite.name, &job.variant.name);
    let layout = Layout::open(&folder)?;
    let repository = job.name();
    registry.push(&folder, &repository, "measured")?;
    registry.read_back(&repository, layout.digest())?;
    let probe = &job.suite.probe;
    Ok(Target {
        suite: job.suite.name.clone(),
        variant: job.variant.name.clone(),
        reference: format!("{}/{repository}@{}", proxy.address(), layout.digest()),
        blobs: registry::blobs_of(layout.manifest_bytes())?,
        layers: layout
            .layers()
            .iter()
            .map(|layer| layer.digest.clone())
            .collect(),
        probe: ProbeSpec {
            port: job.suite.port,
            path: probe.path.clone(),
            status: probe.status,
            body: probe.body.clone().into_bytes(),
        },
    })
}

fn record(
    event: Event<'_>,
    samples: &mut Table<SampleRow>,
    log: &std::path::Path,
    step: &Step,
    protocol: &Protocol,
) -> Result<()> {
    use std::io::Write as _;
    match event {
        Event::WarmedUp { .. } | Event::Visited { .. } => step.advance(1),
        Event::Sample { target, row, why } => {
            if let Some(why) = why {
                let mut log = files::append(log)?;
                writeln!(
                    log,
                    "{}/{} block {} {}: {why}",
                    target.suite, target.variant, row.block, row.scenario
                )?;
            }
            samples.upsert(row.clone());
            samples.save()?;
        }
        // The blocks that it no longer needs are done as well.
        Event::Stopped { blocks, .. } => step.advance(u64::from(protocol.blocks_max() - blocks)),
    }
    Ok(())
}

/// containerd picks an external decompressor silently when one is installed.
fn decompressor(subject: &LabEngine) -> String {
    let found = ["igzip", "unpigz"]
        .into_iter()
        .find(|name| subject.has(name));
    found.unwrap_or("built in").to_owned()
}

/// The commit of this program, and whether its files differ from it.
fn tool(state: &State) -> Tool {
    let git = |arguments: &[&str]| {
        let (sh, root) = (shell::shell().ok()?, state.project.root());
        // The checkout may belong to the user who called sudo.
        let safe = "safe.directory=*";
        let git = cmd!(
            sh,
            "git --no-optional-locks -c {safe} -C {root} {arguments...}"
        );
        git.quiet().ignore_stderr().read().ok()
    };
    Tool {
        commit: git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default(),
        dirty: git(&[
            "status",
            "--porcelain",
            "--",
            ".",
            ":!results",
            ":!experiments/bases.lock",
        ])
        .is_none_or(|changes| !changes.is_empty()),
    }
}
