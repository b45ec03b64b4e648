//! Measuring on the engine that is there: the same sessions as in the lab, seen
//! through a published port. The engine is somebody's: it has other images and a
//! build cache, and nothing of that is touched. So a pull is cold only where the
//! proxy's log proves it, and a variant whose layers the engine has already is
//! `not_cold`.

use anyhow::{Context, Result, bail, ensure};

use super::{
    session::Bench,
    state::State,
    targets::Shelf,
    timings::{Stale, Wanted},
};
use crate::{
    cli::{LabOptions, RunAll},
    engine::HostEngine,
    measure::{
        noise, portable::HostSubject, scenario::Scenario, session::Item, subject::Subject as _,
    },
    progress::Progress,
    record::{cell::ErrorWord, session::Unit},
    registry::program::Program,
};

/// What keeps this machine from timing, as far as it can be told before the
/// builds.
///
/// # Errors
/// Each with what mends it.
pub fn check(options: &LabOptions) -> Result<()> {
    ensure!(
        options.data_root.is_none(),
        "--data-root is for the lab: the engine that is there keeps its images where it always does; mend: leave it \
         out, or use --engine lab"
    );
    Program::find().map(drop)
}

/// Measures the units, each in a session of its own.
///
/// # Errors
/// When the engine cannot be measured at all; a variant that fails is a row.
pub fn measure(
    mut wanted: Wanted,
    state: &mut State,
    units: &[Stale],
    options: &RunAll,
    progress: &Progress,
) -> Result<()> {
    let engine = HostEngine::connect()?;
    let shelf = Shelf::open_on_host(&state.project)?;
    let subject = HostSubject::new(engine.client())?;
    let processes = processes(&engine, progress);
    let look = || noise::look_beside(processes.as_ref()?);
    let measured = units
        .iter()
        .try_for_each(|Stale { unit, .. }| -> Result<()> {
            let items = shelf.items(state, unit)?;
            check_reach(&engine, &subject, &shelf, &items)?;
            let bench = Bench {
                unit,
                items: &items,
                subject: &subject,
                client: engine.client(),
                lab: None,
                look: &look,
                registry: shelf.address,
                proxy: &shelf.proxy,
            };
            bench.session(&mut wanted, state, options, progress)?;
            note_what_was_not_cold(state, unit, progress);
            Ok(())
        });
    // After an error as well: somebody's engine keeps nothing of ours.
    measured.and(subject.empty())
}

/// The engine's processes; without them nobody can tell its work from other
/// people's.
fn processes(engine: &HostEngine, progress: &Progress) -> Option<[u32; 2]> {
    let found = engine.daemon().and_then(|daemon| daemon.roots());
    found
        .inspect_err(|error| {
            progress.note(format_args!(
                "other work on this machine cannot be told from the engine's, so no sample is called disturbed: \
                 {error:#}; keep the machine quiet yourself"
            ));
        })
        .ok()
}

/// Whether the engine pulls from our registry at all. One in a virtual machine,
/// or behind a socket that is forwarded, has another 127.0.0.1.
fn check_reach(
    engine: &HostEngine,
    subject: &HostSubject<'_>,
    shelf: &Shelf,
    items: &[Item],
) -> Result<()> {
    let control = items.iter().find(|it| it.scenarios == [Scenario::Control]);
    let control = control.context("every session has a control")?;
    subject.empty()?;
    shelf.proxy.take_log();
    let Err(error) = subject.pull(&control.target.reference) else {
        return Ok(());
    };
    if shelf.proxy.take_log().is_empty() {
        bail!(
            "the engine at {} cannot be timed, because it does not reach the registry at {}: its 127.0.0.1 is not \
             this machine's, as in a virtual machine or behind a forwarded socket ({error:#}); mend: --engine lab on \
             Linux, or --sizes-only",
            engine.endpoint(),
            shelf.proxy.address()
        );
    }
    Err(error)
}

/// Says what to do about variants that the engine had already: to remove what
/// holds them is the owner's to decide.
fn note_what_was_not_cold(state: &State, unit: &Unit, progress: &Progress) {
    let failed = state.errors.iter();
    let names: Vec<_> = failed
        .filter(|((suite, _), word)| *suite == unit.suite && **word == ErrorWord::NotCold)
        .map(|((suite, variant), _)| format!("{suite}/{variant}"))
        .collect();
    if !names.is_empty() {
        progress.note(format_args!(
            "{} cannot be pulled cold: the engine has layers of it in another image or in its build cache, and both \
             are yours; mend: remove what holds them (`docker builder prune` empties the cache) and run again, or use \
             --engine lab",
            names.join(", ")
        ));
    }
}
