//! `cargo xtask run-all`: everything that is out of date, in order. Bases, then
//! images, then sizes, then what the images can do, then timings; each is written
//! before the next begins.

mod announce;
mod bases;
mod capabilities;
mod checkout;
mod compare;
mod host;
mod images;
mod selftest;
mod session;
mod sizes;
mod state;
mod targets;
mod timings;
mod unfinished;
mod verify;
mod workbench;

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

pub use bases::{add, list, update};
pub use compare::run as compare;
pub use selftest::run as selftest;
pub use verify::run as verify;
pub use workbench::LARGEST_IMAGE_BYTES;

use crate::{
    clean,
    cli::{self, RunAll, Step},
    doctor, elevate,
    engine::{Lock, rootfs},
    human, interrupt,
    measure::protocol::Depth,
    progress::{Progress, plan::Plan},
    project::Project,
    table,
};
use state::{State, Work};
use workbench::Workbench;

/// Which steps of the chain a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upto {
    Images,
    Sizes,
    Capabilities,
    Timings,
}

/// Runs the chain up to a step.
///
/// # Errors
/// What keeps the run from going on. A variant that fails is no such thing: it
/// is a row, and the exit code says that there is one.
pub fn run(project: &Project, options: &RunAll, upto: Upto) -> Result<ExitCode> {
    match advance(project, options, upto)? {
        Advanced::ThroughSudo(code) => Ok(code),
        Advanced::Here { todo, worked } => finish(*todo, options, upto, worked),
    }
}

/// Builds, sizes, and asks the images what they can do.
///
/// # Errors
/// On somebody's engine; as [`run`].
pub fn capabilities(project: &Project, step: Step) -> Result<ExitCode> {
    ensure!(
        !step.lab.is_host(),
        "images are asked in the lab alone, which enters a container's namespaces and sees its processes; mend: \
         --engine lab, on Linux"
    );
    let options = RunAll {
        sizes_only: false,
        ..only(step)
    };
    run(project, &options, Upto::Capabilities)
}

/// How far a run has come.
enum Advanced {
    /// A process of ours that sudo started did it, and said so.
    ThroughSudo(ExitCode),
    /// Whether there was anything to do.
    Here { todo: Box<Todo>, worked: bool },
}

impl Advanced {
    fn here(todo: Todo, worked: bool) -> Self {
        Self::Here {
            todo: Box::new(todo),
            worked,
        }
    }
}

fn advance(project: &Project, options: &RunAll, upto: Upto) -> Result<Advanced> {
    let progress = Progress::to_stderr();
    let lab = &options.step.lab;
    let mut todo = Todo::find(project, options, upto)?;
    if todo.is_empty() {
        return Ok(Advanced::here(todo, false));
    }
    if !elevate::is_root() && !lab.is_host() {
        eprint!("{}", todo.plan());
        confirm_host_package(project, lab)?;
        return elevate::rerun_through_sudo().map(Advanced::ThroughSudo);
    }
    if !todo.units.is_empty() && !doctor::is_optimised() {
        bail!(
            "this xtask was built without optimisation and must not time anything; use `cargo xtask`, or --sizes-only"
        );
    }
    if !todo.units.is_empty() && lab.is_host() {
        host::check(lab)?;
    }
    let lock = hold(project, lab)?;
    clean::sweep(project)?;
    clean::sweep_data_roots(project, lab.data_root.as_deref())?;
    // Whoever held the lock may have done it all, and moved the files.
    todo = Todo::find(project, options, upto)?;
    if todo.is_empty() {
        return Ok(Advanced::here(todo, false));
    }
    eprint!("{}", todo.plan());
    prepare_host(project, lab)?;
    let mut bench = Workbench::open(project, lock, lab, &progress)?;
    todo.state.provide_bases(&mut bench, &progress)?;
    interrupt::keeps("the bases are kept in target/lab");
    todo.state.build(&mut bench, false, &progress)?;
    interrupt::keeps("bases and images are kept in target/lab");
    if upto >= Upto::Sizes {
        todo.state.size(&progress)?;
        interrupt::keeps("bases, images and sizes are kept");
    }
    bench.close_builder();
    if asks(options, upto) {
        todo.state
            .ask(&bench, lab.data_root.as_deref(), &progress)?;
        interrupt::keeps("bases, images, sizes and capabilities are kept");
    }
    if upto == Upto::Timings && !options.sizes_only {
        todo.state.note_partial_suites(&progress);
        let timings = timings::Wanted::of(&todo.state, options)?;
        let units = timings.stale(&todo.state);
        session::measure(timings, &mut todo.state, &units, &bench, options, &progress)?;
    }
    drop(bench);
    todo.timings = timings::Wanted::of(&todo.state, options)?;
    Ok(Advanced::here(todo, true))
}

/// Whether images are asked what they can do. Somebody's engine is not: it has
/// no door to a container's namespaces.
fn asks(options: &RunAll, upto: Upto) -> bool {
    upto >= Upto::Capabilities && !options.sizes_only && !options.step.lab.is_host()
}

/// Builds what is out of date and says nothing of it on standard output. True
/// when every variant is in hand.
fn build(project: &Project, step: Step) -> Result<bool> {
    match advance(project, &only(step), Upto::Images)? {
        Advanced::ThroughSudo(code) => Ok(code == ExitCode::SUCCESS),
        Advanced::Here { todo, .. } => Ok(todo.state.failed() == 0),
    }
}

/// What is out of date.
struct Todo {
    state: State,
    timings: timings::Wanted,
    work: Work,
    /// How many images are to be asked.
    asks: usize,
    units: Vec<timings::Stale>,
    depth: Depth,
}

impl Todo {
    fn find(project: &Project, options: &RunAll, upto: Upto) -> Result<Self> {
        let state = State::load(project, &options.step)?;
        let timings = timings::Wanted::of(&state, options)?;
        let work = state.work(upto)?;
        let timed = upto == Upto::Timings && !options.sizes_only;
        let units = if timed {
            timings.stale(&state)
        } else {
            Vec::new()
        };
        let asks = if asks(options, upto) {
            state.unasked().len()
        } else {
            0
        };
        Ok(Self {
            asks,
            depth: timings.depth,
            state,
            timings,
            work,
            units,
        })
    }

    fn is_empty(&self) -> bool {
        self.work.is_empty() && self.asks == 0 && self.units.is_empty()
    }

    fn plan(&self) -> Plan {
        announce::plan(self)
    }
}

/// Marks what was put off, prints the table, and turns failed variants into the
/// exit code.
fn finish(todo: Todo, options: &RunAll, upto: Upto, worked: bool) -> Result<ExitCode> {
    let Todo {
        mut state,
        mut timings,
        ..
    } = todo;
    if upto >= Upto::Sizes {
        state.save_exact()?;
    }
    if upto == Upto::Timings {
        timings.tidy(&mut state, options.sizes_only)?;
    }
    match upto {
        Upto::Images => {}
        Upto::Capabilities => println!("{}", state.matrix()),
        Upto::Sizes | Upto::Timings => {
            println!("{}", table::Printed(&state.lines(&timings)?));
        }
    }
    match (worked, state.written()) {
        (false, []) => println!("Everything is up to date: nothing was written."),
        (true, []) => println!("Done; nothing in results/ moved."),
        (_, written) => written
            .iter()
            .for_each(|path| println!("wrote {}", path.display())),
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
    if !state.disturbed.is_empty() {
        eprintln!(
            "error: other work disturbed {}; mend: let this machine do nothing else and run again, or record it \
             marked with --allow-noisy",
            state.disturbed.join(", ")
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

/// Whether the host lacks the one package that the lab needs from it.
fn lacks_package(project: &Project, lab: &cli::LabOptions) -> bool {
    !lab.is_host() && !rootfs::has_mmdebstrap() && !rootfs::archive(&project.lab()).is_file()
}

/// Prints what would be installed on the host, and asks where there is somebody
/// to ask.
fn confirm_host_package(project: &Project, lab: &cli::LabOptions) -> Result<()> {
    use std::io::IsTerminal as _;
    if !lacks_package(project, lab) {
        return Ok(());
    }
    eprintln!(
        "the lab engine needs mmdebstrap on this machine; it will be installed with: {}",
        rootfs::INSTALL
    );
    if lab.yes || std::env::var_os("CI").is_some() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    eprint!("go on? [Y/n] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    anyhow::ensure!(
        matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes"),
        "not installed; install it yourself with: sudo {}",
        rootfs::INSTALL
    );
    Ok(())
}

fn prepare_host(project: &Project, lab: &cli::LabOptions) -> Result<()> {
    confirm_host_package(project, lab)?;
    if lacks_package(project, lab) {
        rootfs::install_mmdebstrap(&project.logs().join("host-packages.log"))
            .context("cannot install mmdebstrap")?;
    }
    Ok(())
}

/// A `Step` with nothing of a measurement, as the smaller commands have it.
pub fn only(step: Step) -> RunAll {
    RunAll {
        step,
        quick: false,
        thorough: false,
        allow_noisy: false,
        refresh: false,
        sizes_only: true,
        machine: None,
        seed: None,
    }
}
