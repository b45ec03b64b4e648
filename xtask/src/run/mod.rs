//! `cargo xtask run-all`: everything that is out of date, in order. Bases, then
//! images, then sizes, then timings; each is written before the next begins.

mod bases;
mod images;
mod state;
mod timings;
mod workbench;

use std::process::ExitCode;

use anyhow::{Context, Result};

pub use bases::{add, list, update};

use crate::{
    clean,
    cli::{self, RunAll, Step},
    doctor, elevate,
    engine::{Lock, rootfs},
    human, interrupt,
    measure::protocol::Depth,
    progress::Progress,
    project::Project,
    table,
};
use state::State;
use workbench::Workbench;

/// Which steps of the chain a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upto {
    Images,
    Sizes,
    Timings,
}

/// Runs the chain up to a step.
///
/// # Errors
/// What keeps the run from going on. A variant that fails is no such thing: it
/// is a row, and the exit code says that there is one.
pub fn run(project: &Project, options: &RunAll, upto: Upto) -> Result<ExitCode> {
    let progress = Progress::to_stderr();
    let step = &options.step;
    let mut state = State::load(project, step)?;
    let depth = if options.quick {
        Depth::Quick
    } else {
        Depth::Full
    };
    let timings = timings::Wanted::of(&state, options, depth)?;
    let work = state.work(upto)?;
    let units = if upto == Upto::Timings {
        timings.stale(&state)
    } else {
        Vec::new()
    };
    if work.is_empty() && units.is_empty() {
        return finish(&mut state, options, upto, &timings);
    }
    if !elevate::is_root() {
        return elevate::rerun_through_sudo();
    }
    if upto == Upto::Timings && !doctor::is_optimised() && !options.sizes_only {
        anyhow::bail!(
            "this xtask was built without optimisation and must not time anything; use `cargo xtask`, or --sizes-only"
        );
    }
    let lock = hold(project, &step.lab)?;
    clean::sweep(project)?;
    eprint!("{}", state.plan(&work, &units, depth));
    prepare_host(project, &step.lab)?;
    let mut bench = Workbench::open(project, lock, &step.lab, &progress)?;
    state.provide_bases(&mut bench, &progress)?;
    interrupt::keeps("the bases are kept in target/lab");
    state.build(&mut bench, &progress)?;
    interrupt::keeps("bases and images are kept in target/lab");
    if upto >= Upto::Sizes {
        state.size(&progress)?;
        interrupt::keeps("bases, images and sizes are kept");
    }
    bench.close_builder();
    if upto == Upto::Timings && !options.sizes_only {
        let timings = timings::Wanted::of(&state, options, depth)?;
        let units = timings.stale(&state);
        timings.measure(&mut state, &units, &mut bench, options, &progress)?;
    }
    drop(bench);
    let timings = timings::Wanted::of(&state, options, depth)?;
    finish(&mut state, options, upto, &timings)
}

/// Marks what was put off, prints the table, and turns failed variants into the
/// exit code.
fn finish(
    state: &mut State,
    options: &RunAll,
    upto: Upto,
    timings: &timings::Wanted,
) -> Result<ExitCode> {
    if upto == Upto::Timings && options.sizes_only {
        timings.mark_stale(state)?;
    }
    if upto >= Upto::Sizes {
        println!("{}", table::Printed(&state.lines(timings)?));
    }
    let written = state.written();
    if written.is_empty() {
        println!("Everything is up to date: nothing was written.");
    }
    for path in written {
        println!("wrote {}", path.display());
    }
    let failed = state.failed();
    if failed > 0 {
        eprintln!(
            "error: {failed} of {} failed; their rows have the error word, the logs are in {}",
            human::count(state.variants(), "variant"),
            state.project.logs().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes the lock on target/lab, saying who has it when somebody does.
fn hold(project: &Project, lab: &cli::LabOptions) -> Result<Lock> {
    Lock::take(project, !lab.no_wait, |holder| {
        eprintln!("target/lab is in use by {holder}; waiting for it to end")
    })
}

/// Installs the one host package that the lab needs: prints it, and asks where
/// there is somebody to ask.
fn prepare_host(project: &Project, lab: &cli::LabOptions) -> Result<()> {
    use std::io::IsTerminal as _;
    if rootfs::has_mmdebstrap() || rootfs::archive(&project.lab()).is_file() {
        return Ok(());
    }
    eprintln!(
        "the lab engine needs mmdebstrap on this machine; installing it: {}",
        rootfs::INSTALL
    );
    if !lab.yes && std::env::var_os("CI").is_none() && std::io::stdin().is_terminal() {
        eprint!("go on? [Y/n] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") {
            anyhow::bail!(
                "not installed; install it yourself with: sudo {}",
                rootfs::INSTALL
            );
        }
    }
    rootfs::install_mmdebstrap(&project.logs().join("host-packages.log"))
        .context("cannot install mmdebstrap")
}

/// A `Step` with nothing of a measurement, as the smaller commands have it.
pub fn only(step: Step) -> RunAll {
    RunAll {
        step,
        quick: false,
        refresh: false,
        sizes_only: true,
        machine: None,
        seed: None,
    }
}
