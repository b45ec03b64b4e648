//! `cargo xtask compare BASE [HEAD]`: both revisions are built, and what differs
//! between them is measured in the same blocks of one session, with a verdict.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};

use super::{
    checkout, confirm_host_package, hold, prepare_host,
    session::record,
    state::{Job, State},
    targets::Shelf,
    timings::this_machine,
    unfinished::begin,
    workbench::Workbench,
};
use crate::{
    clean, cli, doctor, elevate,
    engine::{Role, Store},
    files, human,
    image::Layout,
    measure::{
        comparison::{SCENARIOS, Side, findings, is_decided},
        ledger::Ledger,
        noise,
        protocol::{Depth, Protocol},
        sample::Taker,
        session::{self, Item},
        subject::LabSubject,
        visit::Lane,
    },
    progress::Progress,
    project::Project,
    record::{facts, table::Table, timings::SampleRow},
    review::comparison::{Comparison, Weight},
    suite::folder_of,
};

/// # Errors
/// When a revision is unknown or the lab cannot measure. A verdict `worse` is an
/// exit code, and only with `--fail-on-worse`.
pub fn run(project: &Project, options: &cli::Compare) -> Result<ExitCode> {
    let lab = &options.step().lab;
    ensure!(
        !lab.is_host(),
        "a comparison is taken by the lab engine only; mend: --engine lab"
    );
    if !elevate::is_root() {
        confirm_host_package(project, lab)?;
        return elevate::rerun_through_sudo();
    }
    ensure!(
        doctor::is_optimised(),
        "this xtask was built without optimisation and must not time anything; use `cargo xtask compare`"
    );
    let progress = Progress::to_stderr();
    let sides = Sides::build(project, options)?;
    let (compared, identical) = sides.split(options.all)?;
    let mut comparison = sides.comparison(options, identical)?;
    if compared.is_empty() {
        comparison.print(options.format)?;
        return Ok(sides.exit_code());
    }
    eprint!("{}", announcement(&compared));
    let session = Session {
        sides: &sides,
        compared: &compared,
        options,
        progress: &progress,
    };
    let samples = session.measure(project)?;
    let noise = facts::Noise::of(&samples);
    if noise.is_noisy() && !options.allow_noisy {
        bail!(
            "{noise}; no verdict is given. mend: let this machine do nothing else and run again, or take it as it \
             is with --allow-noisy"
        );
    }
    comparison.noise = Some(noise.to_string());
    comparison.findings = findings(&samples, &compared);
    comparison.print(options.format)?;
    let untimed = comparison.untimed();
    if !untimed.is_empty() {
        eprintln!(
            "error: nothing could be timed on both sides of {}; why: {}",
            untimed.join(", "),
            kept(project).1.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    if options.fail_on_worse && comparison.is_worse() {
        eprintln!(
            "error: {} is slower than {}",
            comparison.head, comparison.base
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(sides.exit_code())
}

/// What will be done, in the words of `run-all`.
fn announcement(compared: &[String]) -> String {
    let visits = 2 * compared.len();
    format!(
        "This comparison will\n  measure   {}: each version in every block, {} a block, 15 blocks or 30\n",
        compared.join(", "),
        human::count(visits, "visit"),
    )
}

/// The two versions, built.
struct Sides {
    base: State,
    head: State,
    /// A variant of one of them could not be built.
    failed: bool,
}

impl Sides {
    fn build(project: &Project, options: &cli::Compare) -> Result<Self> {
        let step = options.step();
        let (base, head) = Self::projects(project, options, &step)?;
        let base_step = selected(&base, &step, &options.base)?;
        let mut failed = false;
        for (side, step, name) in [
            (&base, &base_step, &options.base),
            (&head, &step, &options.head_name()),
        ] {
            eprintln!("{name}:");
            // A checkout has a lock of its own, and another run here would be
            // disturbed all the same.
            let elsewhere = side.lab() != project.lab();
            let _held = elsewhere.then(|| hold(project, &step.lab)).transpose()?;
            failed |= !super::build(side, step.clone())?;
        }
        Ok(Self {
            base: State::load(&base, &base_step)?,
            head: State::load(&head, &step)?,
            failed,
        })
    }

    /// The two versions as projects, checked out while nobody else does it.
    fn projects(
        project: &Project,
        options: &cli::Compare,
        step: &cli::Step,
    ) -> Result<(Project, Project)> {
        let _held = hold(project, &step.lab)?;
        let of = |revision: &str| {
            checkout::checkout(project, &checkout::commit(project, revision)?)
                .with_context(|| format!("cannot take {revision} as one of the two versions"))
        };
        let head = match &options.head {
            Some(revision) => of(revision)?,
            None => project.clone(),
        };
        Ok((of(&options.base)?, head))
    }

    fn exit_code(&self) -> ExitCode {
        if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn state(&self, side: Side) -> &State {
        match side {
            Side::Base => &self.base,
            Side::Head => &self.head,
        }
    }

    /// The variants that are in hand on both sides: those whose images differ,
    /// and those whose images are the same.
    fn split(&self, all: bool) -> Result<(Vec<String>, Vec<String>)> {
        let (mut compared, mut identical) = (Vec::new(), Vec::new());
        for name in self.in_both() {
            let same =
                self.image(Side::Base, &name)?.digest() == self.image(Side::Head, &name)?.digest();
            if same && !all {
                identical.push(name);
            } else {
                compared.push(name);
            }
        }
        Ok((compared, identical))
    }

    fn in_both(&self) -> Vec<String> {
        let base = built(&self.base);
        built(&self.head)
            .into_iter()
            .filter(|name| base.contains(name))
            .collect()
    }

    fn job(&self, side: Side, name: &str) -> Result<Job<'_>> {
        let mut jobs = self.state(side).jobs().into_iter();
        jobs.find(|job| job.name() == name)
            .with_context(|| format!("there is no {name}"))
    }

    fn image(&self, side: Side, name: &str) -> Result<Layout> {
        let job = self.job(side, name)?;
        Layout::open(
            &self
                .state(side)
                .project
                .image(&job.suite.name, &job.variant.name),
        )
    }

    /// Everything that is known without a clock.
    fn comparison(&self, options: &cli::Compare, identical: Vec<String>) -> Result<Comparison> {
        let (base, head) = (declared(&self.base), declared(&self.head));
        let lacks = |of: &[String], other: &[String]| -> Vec<String> {
            of.iter()
                .filter(|name| !other.contains(name))
                .cloned()
                .collect()
        };
        let both = self.in_both();
        let weights = both.iter().map(|name| {
            anyhow::Ok(Weight {
                variant: name.clone(),
                base_transfer_bytes: self.image(Side::Base, name)?.transfer_bytes(),
                head_transfer_bytes: self.image(Side::Head, name)?.transfer_bytes(),
            })
        });
        Ok(Comparison {
            base: options.base.clone(),
            head: options.head_name(),
            weights: weights.collect::<Result<_>>()?,
            identical,
            bases: crate::bases::diff(&self.base.lock, &self.head.lock),
            added: lacks(&head, &base),
            removed: lacks(&base, &head),
            failed: head
                .iter()
                .filter(|name| base.contains(name) && !both.contains(name))
                .cloned()
                .collect(),
            noise: None,
            findings: Vec::new(),
        })
    }
}

/// What of the selection base has: a variant that is new in head is only there.
fn selected(base: &Project, step: &cli::Step, name: &str) -> Result<cli::Step> {
    let mut selection = Vec::new();
    for word in &step.selection {
        if base.experiments().join(folder_of(word)?).is_dir() {
            selection.push(word.clone());
        }
    }
    ensure!(
        step.selection.is_empty() || !selection.is_empty(),
        "{name} has nothing of --only {}; mend: leave --only out, or name what both versions have",
        step.selection.join(" ")
    );
    Ok(cli::Step {
        selection,
        ..step.clone()
    })
}

fn declared(state: &State) -> Vec<String> {
    state.jobs().iter().map(Job::name).collect()
}

fn built(state: &State) -> Vec<String> {
    let jobs = state.jobs().into_iter();
    jobs.filter(|job| state.built(*job).is_some())
        .map(|job| job.name())
        .collect()
}

/// The measuring of both, in the same blocks.
struct Session<'a> {
    sides: &'a Sides,
    compared: &'a [String],
    options: &'a cli::Compare,
    progress: &'a Progress,
}

impl Session<'_> {
    fn measure(&self, project: &Project) -> Result<Vec<SampleRow>> {
        let step = self.options.step();
        let lock = hold(project, &step.lab)?;
        clean::sweep(project)?;
        clean::sweep_data_roots(project, step.lab.data_root.as_deref())?;
        prepare_host(project, &step.lab)?;
        let bench = Workbench::open(project, lock, &step.lab, self.progress)?;
        let lab = bench
            .lab()
            .context("a comparison is taken by the lab engine only")?;
        let shelf = Shelf::open(lab)?;
        let items = self.items(&shelf)?;
        let data_root = bench.data_root(step.lab.data_root.as_deref())?;
        let subject = lab.engine(Role::Subject, Store::Containerd, data_root)?;
        let taker = Taker {
            lane: Lane {
                subject: &LabSubject(&subject),
                take_log: &|| shelf.proxy.take_log(),
                ledger: &Ledger::default(),
            },
            look: &noise::look,
        };
        self.blocks(project, taker, &items)
    }

    /// Two items for each variant, pushed under names of their own.
    fn items(&self, shelf: &Shelf) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for name in self.compared {
            for side in [Side::Base, Side::Head] {
                let job = self.sides.job(side, name)?;
                let state = self.sides.state(side);
                items.push(Item {
                    target: shelf.variant_as(state, job, "compare", &side.label(name))?,
                    scenarios: SCENARIOS.to_vec(),
                });
            }
        }
        Ok(items)
    }

    /// Goes on to the second look while anything is undecided at the first.
    fn blocks(
        &self,
        project: &Project,
        taker: Taker<'_>,
        items: &[Item],
    ) -> Result<Vec<SampleRow>> {
        let machine = this_machine(&self.sides.head).name();
        let seed = begin(&machine, self.options.seed)?.seed;
        let (samples, log) = kept(project);
        files::write_atomic(&log, "")?;
        let mut samples = Table::<SampleRow>::empty(&samples);
        let mut taken = Vec::new();
        for depth in [Depth::FirstLook, Depth::SecondLook] {
            let protocol = Protocol::new(seed, depth);
            let cycles = u64::from(protocol.warm_ups() + protocol.blocks_max());
            let name = format!("compare, up to {} blocks", protocol.blocks_max());
            let step = self.progress.step(name, items.len() as u64 * cycles);
            session::run(taker, &protocol, items, &taken, &mut |event| {
                record(event, &mut samples, &log, &step, &protocol)
            })?;
            taken = samples.rows().cloned().collect();
            step.done(human::count(taken.len(), "sample"));
            if is_decided(&findings(&taken, self.compared)) {
                break;
            }
        }
        eprintln!("samples: {}", samples.path().display());
        Ok(taken)
    }
}

/// Where the last comparison's samples lie, and why some do not count.
fn kept(project: &Project) -> (PathBuf, PathBuf) {
    (
        project.lab().join("sessions/compare.csv"),
        project.logs().join("compare.session.log"),
    )
}
