//! What a reader may doubt of the times: that each phase holds what its name
//! says and nothing else. On the real engine, by medians of twenty samples that
//! were taken in turns.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use xtask::{
    engine::{DataRoot, Store},
    measure::{
        ledger::Ledger,
        scenario::Scenario,
        selftest::proofs,
        subject::LabSubject,
        visit::{Lane, Measured, Target},
    },
    proxy::{Fault, Rate, Rule, phases::Phases},
    record::{
        table::Table,
        timings::{EnvironmentRow, ProofRow, SampleRow},
    },
    shell,
    stats::Summary,
};

use crate::{
    sandbox::{Sandbox, files_below},
    subject::Bench,
    tiny,
};

/// Samples of each kind.
const SAMPLES: usize = 20;
const MS: u64 = 1_000_000;
/// What METHODOLOGY.md claims of the app phase.
const APP_TOLERANCE_NS: u64 = MS;
/// How well an engine's own phases are known on a machine with two cores.
const ENGINE_TOLERANCE_NS: u64 = 20 * MS;

/// A bench in a sandbox with services that take their time.
fn bench() -> Result<Bench> {
    static BUILT: OnceLock<Result<Sandbox, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let sandbox = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    Bench::open(sandbox.project()?, Store::Containerd, None)
}

fn build() -> Result<Sandbox> {
    let sandbox = tiny::sandbox("proofs")?;
    for (name, options) in [
        ("at-once", ""),
        ("after-20", "listen_after_ms=20"),
        ("after-100", "listen_after_ms=100"),
        ("unready-50", "unavailable_ms=50"),
    ] {
        tiny::add(&sandbox, name, &tiny::dockerfile(options))?;
    }
    sandbox.run(&["size"])?.expect(0)?;
    Ok(sandbox)
}

fn median(samples: &[u64]) -> Result<u64> {
    Ok(Summary::of(samples).context("there are samples")?.median)
}

/// Whether `moved` lies `by` above `from`.
fn is_moved(from: u64, moved: u64, by: u64, tolerance: u64) -> bool {
    moved.abs_diff(from + by) <= tolerance
}

pub fn waiting_services_move_the_app_phase_and_no_other() -> Result<()> {
    let bench = bench()?;
    let waits = [
        ("at-once", 0),
        ("after-20", 20),
        ("after-100", 100),
        ("unready-50", 50),
    ];
    let targets: Vec<Target> = waits
        .iter()
        .map(|(name, _)| bench.push("tiny", name))
        .collect::<Result<_>>()?;
    let subject = LabSubject(&bench.subject);
    for target in &targets {
        bench.subject.client().pull(&target.reference)?;
        bench.sample(&subject, Scenario::Warm, target)?;
    }
    let mut app = vec![Vec::new(); targets.len()];
    let mut engine = app.clone();
    for _ in 0..SAMPLES {
        for (place, target) in targets.iter().enumerate() {
            let start = bench.sample(&subject, Scenario::Warm, target)?.start;
            let phases = start.context("a warm start is a start")?.phases;
            app[place].push(ns(phases.app)?);
            engine[place].push(ns(phases.engine)?);
        }
    }
    let at_once = median(&app[0])?;
    let of_engine = median(&engine[0])?;
    for (place, (name, wait)) in waits.iter().enumerate() {
        let (app, engine) = (median(&app[place])?, median(&engine[place])?);
        println!("{name}: app {app} ns, engine {engine} ns");
        ensure!(
            is_moved(at_once, app, wait * MS, APP_TOLERANCE_NS),
            "{name}: app took {app} ns, and {at_once} ns without its {wait} ms"
        );
        ensure!(
            is_moved(of_engine, engine, 0, ENGINE_TOLERANCE_NS),
            "{name}: engine took {engine} ns, and {of_engine} ns without a wait"
        );
    }
    Ok(())
}

fn ns(phase: Option<Duration>) -> Result<u64> {
    let phase = phase.context("the lab sees the exec")?;
    Ok(u64::try_from(phase.as_nanos())?)
}

/// One part of a pull, in nanoseconds.
type Part = fn(&Phases) -> u64;

/// Cold pulls in turns, one under each of two settings.
fn in_turns(bench: &Bench, target: &Target, settings: [&dyn Fn(); 2]) -> Result<[Vec<Phases>; 2]> {
    let mut phases = [Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        for (place, set) in settings.iter().enumerate() {
            set();
            let Measured { pull, .. } = bench.node_cold(target)?;
            phases[place].extend(pull.and_then(|pull| pull.phases));
        }
    }
    Ok(phases)
}

fn median_of(phases: &[Phases], of: Part) -> Result<u64> {
    median(&phases.iter().map(of).collect::<Vec<_>>())
}

pub fn a_registry_that_is_late_with_one_blob_moves_the_download_alone() -> Result<()> {
    const LATE_MS: u64 = 200;
    let bench = bench()?;
    let target = bench.push("tiny", "at-once")?;
    let layer = target.layers.first().context("a layer")?.to_string();
    let late = Rule {
        path_contains: layer,
        fault: Fault::Delay(Duration::from_millis(LATE_MS)),
        times: None,
    };
    let prompt = || bench.proxy.set_faults(Vec::new());
    let slow = || bench.proxy.set_faults(vec![late.clone()]);
    let [before, after] = in_turns(&bench, &target, [&prompt, &slow])?;
    let parts: [(&str, Part, u64); 3] = [
        ("resolve", |phases| phases.resolve_ns, 0),
        ("download", |phases| phases.download_ns, LATE_MS * MS),
        ("tail", |phases| phases.tail_ns, 0),
    ];
    for (name, of, by) in parts {
        let (from, to) = (median_of(&before, of)?, median_of(&after, of)?);
        println!("{name}: {from} ns, late {to} ns");
        ensure!(
            is_moved(from, to, by, ENGINE_TOLERANCE_NS),
            "{name} took {from} ns, and {to} ns when one blob was {LATE_MS} ms late"
        );
    }
    Ok(())
}

pub fn half_the_rate_doubles_the_download() -> Result<()> {
    const BITS_PER_SECOND: u64 = 20_000_000;
    let bench = bench()?;
    let target = bench.push("tiny", "at-once")?;
    let limit = |bits_per_second| {
        let burst_bytes = 16 * 1024;
        let rate = Rate {
            bits_per_second,
            burst_bytes,
        };
        bench.proxy.set_rate(Some(rate));
    };
    let whole = || limit(BITS_PER_SECOND);
    let half = || limit(BITS_PER_SECOND / 2);
    let [whole, half] = in_turns(&bench, &target, [&whole, &half])?;
    let transferring: Part = |phases| phases.transferring_ns;
    let (whole, half) = (
        median_of(&whole, transferring)?,
        median_of(&half, transferring)?,
    );
    let permille = half * 1000 / whole;
    println!("{whole} ns, at half the rate {half} ns: {permille} permille");
    ensure!(
        (1900..=2100).contains(&permille),
        "{whole} ns became {half} ns"
    );
    let bytes: u64 = target
        .blobs
        .iter()
        .filter(|blob| target.layers.contains(&blob.digest))
        .map(|blob| blob.size)
        .sum();
    let delivered = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(whole);
    let requested = u128::from(BITS_PER_SECOND);
    println!("{delivered} of {requested} bits/s delivered");
    ensure!(
        delivered * 100 >= requested * 90 && delivered * 100 <= requested * 105,
        "{delivered} bits/s were delivered of {requested}"
    );
    Ok(())
}

/// The command in small: few comparisons prove little, but its samples give its
/// rows, and what it injects is what it measures.
pub fn the_selftests_rows_follow_from_its_samples() -> Result<()> {
    let sandbox = &crate::chain::chain()?.sandbox;
    sandbox
        .run(&["selftest", "--comparisons", "2", "--machine", "test"])?
        .expect(0)?;
    let folder = sandbox.path("results/test/selftest");
    let samples: Table<SampleRow> = Table::load(&folder.join("samples.csv"))?;
    let rows: Table<ProofRow> = Table::load(&folder.join("proofs.csv"))?;
    let facts: Table<EnvironmentRow> = Table::load(&folder.join("environment.csv"))?;
    let all: Vec<SampleRow> = samples.rows().cloned().collect();
    let session = &rows.rows().next().context("a proof")?.session;
    let limits = Table::load(&sandbox.path("results/test/limits.csv"))?;
    let again = proofs(&all, limits.rows(), session);
    ensure!(
        again.len() == 4 && rows.rows().all(|row| again.contains(row)),
        "{again:?} is not what is recorded:\n{}",
        rows.text()
    );
    let total = |label: &str| -> Result<u64> {
        let of_label = all.iter().filter(|row| row.variant == label);
        median(
            &of_label
                .filter_map(|row| row.node_total_ns)
                .collect::<Vec<_>>(),
        )
    };
    let injected = facts.rows().find(|row| row.fact == "injected_us");
    let injected: u64 = injected.context("injected_us")?.value.parse()?;
    let (prompt, late) = (total("a")?, total("late")?);
    ensure!(
        late > prompt + injected * 500 && late < prompt + injected * 1500,
        "{prompt} ns became {late} ns by {injected} µs"
    );
    Ok(())
}

/// On a disk there is more to time: a pull until it is on the device, and a
/// start that reads from there.
pub fn a_disks_session_has_durable_pulls_and_starts_without_a_cache() -> Result<()> {
    let sandbox = tiny::sandbox("disk")?;
    tiny::add(&sandbox, "variant", &tiny::dockerfile(""))?;
    let folder = sandbox.path("target/lab/data");
    let folder = folder.to_str().context("a path is text")?;
    sandbox.run_quick(&["--data-root", folder])?.expect(0)?;
    let (node, start) = (sandbox.node()?, sandbox.start()?);
    let durable = node.rows().find(|row| row.scenario == "pull_durable");
    let durable = durable.context("no row of pull_durable")?;
    ensure!(
        durable.data_root_fs != "tmpfs"
            && durable.durable.median_us > durable.pull.phase.median_us
            && durable.pull.phase.median_us > Some(0),
        "{durable:?}"
    );
    let mut starts: Vec<_> = start.rows().collect();
    starts.retain(|row| row.app.phase.median_us > Some(0));
    let starts: Vec<&str> = starts.iter().map(|row| row.scenario.as_str()).collect();
    ensure!(starts == ["cache_dropped", "warm"], "{}", start.text());
    nothing_is_cached(&sandbox)
}

/// A disk may be so fast that no time tells: the kernel says how much of the
/// program it holds in memory.
fn nothing_is_cached(sandbox: &Sandbox) -> Result<()> {
    let folder = sandbox.path("target/lab/data");
    let data_root = DataRoot::choose(Some(&folder), &folder, 0)?;
    let bench = Bench::open_on(sandbox.project()?, Store::Containerd, data_root)?;
    let target = bench.push("tiny", "variant")?;
    bench.node_cold(&target)?;
    let subject = LabSubject(&bench.subject);
    let lane = Lane {
        subject: &subject,
        take_log: &|| bench.proxy.take_log(),
        ledger: &Ledger::default(),
    };
    lane.prepare(Scenario::Warm, &target)?;
    let warm = cached_pages(&folder)?;
    lane.prepare(Scenario::CacheDropped, &target)?;
    let dropped = cached_pages(&folder)?;
    ensure!(
        warm > 0 && dropped == 0,
        "{warm} pages of the program were cached, and {dropped} after the drop"
    );
    Ok(())
}

fn cached_pages(data_root: &Path) -> Result<u64> {
    let of_program = |path: &PathBuf| path.ends_with("fs/server");
    let files = files_below(data_root)?;
    let program = files.into_iter().find(of_program);
    let program = data_root.join(program.context("the program is unpacked")?);
    let mut fincore = shell::command("fincore");
    fincore.args(["--noheadings", "--output", "PAGES"]);
    Ok(shell::read(fincore.arg(program))?.parse()?)
}
