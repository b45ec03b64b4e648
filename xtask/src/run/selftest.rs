//! `cargo xtask selftest`: one digest under two names is compared with itself
//! many times over, and with itself made late. A harness that can be trusted
//! finds a difference in the second case only.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table as Grid};

use super::{
    Upto, confirm_host_package, hold, only, prepare_host,
    session::tool,
    state::State,
    targets::Shelf,
    timings::{machine_folder, this_machine},
    unfinished::begin,
    workbench::Workbench,
};
use crate::{
    clean, cli, doctor, elevate,
    engine::{Role, Store},
    files,
    measure::{
        ledger::Ledger,
        noise,
        protocol::{Depth, Protocol},
        sample::Taker,
        scenario::Scenario,
        selftest::{BLOCKS, LABELS, proofs},
        subject::LabSubject,
        visit::{Lane, Target},
    },
    progress::Progress,
    project::Project,
    proxy::{Fault, Rule},
    record::{
        cell::ErrorWord,
        limits::LimitRow,
        paths,
        table::Table,
        timings::{EnvironmentRow, ProofRow, SampleRow},
    },
};

/// The image with the least noise of its own.
const IMAGE: &str = "axum/scratch";

/// Comparisons of each kind with the late registry; power is told by fewer
/// samples than a rate of a few in a hundred.
const LATE_COMPARISONS: u32 = 30;

/// How often a disturbed sample is taken again.
const RETRIES: u64 = 3;

/// How much later the first 200 is made, in hundredths of its time.
const INJECTED_PERCENT: u32 = 10;

/// # Errors
/// When the lab cannot measure. A proof that does not hold is an exit code.
pub fn run(project: &Project, options: &cli::Selftest) -> Result<ExitCode> {
    if !elevate::is_root() {
        confirm_host_package(project, &options.step.lab)?;
        return elevate::rerun_through_sudo();
    }
    let step = cli::Step {
        selection: vec![IMAGE.to_owned()],
        base_archives: options.step.base_archives.clone(),
        locked: false,
        lab: options.step.lab.clone(),
    };
    ensure!(
        doctor::is_optimised(),
        "this xtask was built without optimisation and must not time anything; use `cargo xtask selftest`"
    );
    let built = super::run(project, &only(step.clone()), Upto::Images)?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    let progress = Progress::to_stderr();
    let lock = hold(project, &step.lab)?;
    clean::sweep(project)?;
    clean::sweep_data_roots(project, step.lab.data_root.as_deref())?;
    prepare_host(project, &step.lab)?;
    let state = State::load(project, &step)?;
    let bench = Workbench::open(project, lock, &step.lab, &progress)?;
    let (samples, facts) = measure(&state, &bench, options, &progress)?;
    let machine = machine_folder(&state, options.machine.as_deref());
    let limits = Table::<LimitRow>::load(&paths::limits(&machine))?;
    let rows = proofs(&samples, limits.rows(), &facts[0].session);
    let folder = paths::selftest(&machine);
    write(&folder.join("samples.csv"), samples)?;
    write(&folder.join("environment.csv"), facts)?;
    write(&folder.join("proofs.csv"), rows.clone())?;
    println!("{}", printed(&rows));
    println!("wrote {}", folder.display());
    Ok(if rows.iter().all(|row| row.holds) {
        ExitCode::SUCCESS
    } else {
        eprintln!("error: not every claim of docs/METHODOLOGY.md holds on this machine");
        ExitCode::FAILURE
    })
}

fn write<R: crate::record::row::Row>(path: &Path, rows: Vec<R>) -> Result<()> {
    let mut table = Table::empty(path);
    rows.into_iter().for_each(|row| table.upsert(row));
    files::write_atomic(path, table.text())
}

fn measure(
    state: &State,
    bench: &Workbench,
    options: &cli::Selftest,
    progress: &Progress,
) -> Result<(Vec<SampleRow>, Vec<EnvironmentRow>)> {
    let lab = bench
        .lab()
        .context("the self-test is made on the lab's engine only; mend: --engine lab")?;
    let shelf = Shelf::open(lab)?;
    let job = state.jobs().into_iter().next();
    let job = job.with_context(|| format!("there is no {IMAGE} in this project"))?;
    let targets: Vec<Target> = LABELS
        .iter()
        .map(|label| shelf.variant_as(state, job, "selftest", label))
        .collect::<Result<_>>()?;
    let subject = lab.engine(
        Role::Subject,
        Store::Containerd,
        bench.data_root(options.step.lab.data_root.as_deref())?,
    )?;
    let machine = this_machine(state);
    let session = begin(&machine.name(), options.seed)?;
    let seed = session.seed;
    let engine = LabSubject(&subject);
    let take_log = || shelf.proxy.take_log();
    let taker = Taker {
        lane: Lane {
            subject: &engine,
            take_log: &take_log,
            ledger: &Ledger::default(),
        },
        look: &noise::look,
    };
    let late = delay(&taker, &targets[0])?;
    shelf.proxy.set_faults(vec![Rule {
        path_contains: format!("selftest/{}/blobs/{}", LABELS[2], targets[2].layers[0]),
        fault: Fault::Delay(late),
        times: None,
    }]);
    // They are kept as they come, so that a machine that fails late leaves them.
    let kept = state.project.lab().join("sessions/selftest.csv");
    let samples = compare(&taker, &targets, options.comparisons, seed, &kept, progress)?;
    let facts = [
        ("injected_us", late.as_micros().to_string()),
        ("data_root_fs", subject.data_root().file_system()?),
        ("image", job.name()),
    ];
    let facts = session.environment(&machine, &tool(state), &facts);
    Ok((samples, facts))
}

/// A tenth of what the image's cold start takes here.
fn delay(taker: &Taker<'_>, target: &Target) -> Result<Duration> {
    let mut totals = Vec::new();
    for _ in 0..BLOCKS {
        let outcome = taker.take(target, Scenario::NodeCold).outcome;
        totals.extend(outcome?.node_total_ns());
    }
    let summary = crate::stats::Summary::of(&totals).context("no cold start was timed")?;
    Ok(Duration::from_nanos(summary.median) * INJECTED_PERCENT / 100)
}

/// Two comparisons come of each fifteen blocks: of the pull, and of the start.
fn compare(
    taker: &Taker<'_>,
    targets: &[Target],
    comparisons: u32,
    seed: u64,
    kept: &Path,
    progress: &Progress,
) -> Result<Vec<SampleRow>> {
    ensure!(comparisons > 0, "--comparisons 0 proves nothing");
    let rounds = comparisons.div_ceil(2);
    let protocol = Protocol::new(seed, Depth::Full);
    let step = progress.step("compare one image with itself", u64::from(rounds * BLOCKS));
    let mut samples = Table::<SampleRow>::empty(kept);
    for block in 0..rounds * BLOCKS {
        let with_late = block < LATE_COMPARISONS.min(rounds) * BLOCKS;
        let labels = if with_late { targets } else { &targets[..2] };
        for (order, target) in (0_u64..).zip(protocol.block(block, labels)) {
            let place = SampleRow {
                block: u64::from(block),
                order,
                variant: target.variant.clone(),
                scenario: Scenario::NodeCold.word().to_owned(),
                ..SampleRow::default()
            };
            cold_start(taker, target, &place, &mut samples, progress);
        }
        step.advance(1);
        if (block + 1) % BLOCKS == 0 {
            samples.save()?;
        }
    }
    let samples: Vec<SampleRow> = samples.rows().cloned().collect();
    step.done(format!("{} samples", samples.len()));
    Ok(samples)
}

/// Takes one sample, and again while other work disturbed it.
fn cold_start(
    taker: &Taker<'_>,
    target: &Target,
    place: &SampleRow,
    samples: &mut Table<SampleRow>,
    progress: &Progress,
) {
    for retry in 0..=RETRIES {
        let row = SampleRow {
            retry,
            ..place.clone()
        };
        let (row, why) = taker.take(target, Scenario::NodeCold).into_row(row);
        if let Some(why) = why {
            progress.note(format_args!("block {} {}: {why}", row.block, row.variant));
        }
        let disturbed = row.invalid == Some(ErrorWord::Disturbed);
        samples.upsert(row);
        if !disturbed {
            return;
        }
    }
}

fn printed(rows: &[ProofRow]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(crate::table::STYLE);
    grid.set_header(["proof", "found", "of", "rate", "95 % interval", "claim", ""]);
    let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
    for row in rows {
        let bound = if row.proof == "injected_found" {
            "at least"
        } else {
            "at most"
        };
        grid.add_row([
            row.proof.clone(),
            row.found.to_string(),
            row.comparisons.to_string(),
            row.rate_permille.map(percent).unwrap_or_default(),
            format!(
                "{} to {}",
                percent(row.low_permille),
                percent(row.high_permille)
            ),
            format!("{bound} {}", percent(row.claim_permille)),
            if row.holds { "holds" } else { "does not hold" }.to_owned(),
        ]);
    }
    for column in 1..4 {
        if let Some(column) = grid.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid
}
