//! What the machine can do at best, taken on a real engine and held against it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use xtask::{
    engine::{LabEngine, Store},
    image::Layout,
    measure::{
        limits::{self, raw_get::raw_get},
        pids,
        scenario::Scenario,
        subject::LabSubject,
        visit::{Pull, Target},
        watch::Phases,
    },
    proxy::Rate,
    record::{
        cell::Limit,
        limits::{LimitSamples, limit_rows},
        timings::{NodeRow, Phase, Spread, StartRow},
    },
    shell,
};

use crate::{sandbox::Sandbox, subject::Bench, tiny};

/// Of what is held against a limit: a median that does not move by chance. The
/// limits are taken half before and half after, so that a machine which becomes
/// slower or faster meanwhile does so for both.
const SAMPLES: u32 = 22;

/// Slow enough to be all that counts, with a burst of 100 ms: a proxy that wakes
/// up late on a busy machine loses nothing.
const SLOW: Rate = Rate {
    bits_per_second: 80_000_000,
    burst_bytes: 1 << 20,
};

pub fn every_limit_is_taken_and_no_sample_beats_it() -> Result<()> {
    let sandbox = tiny::sandbox("limits")?;
    tiny::add_big_file(&sandbox)?;
    tiny::add(&sandbox, "small", &tiny::dockerfile(""))?;
    tiny::add(&sandbox, "big", &tiny::big_dockerfile())?;
    sandbox.run(&["size"])?.expect(0)?;
    let bench = Bench::open(sandbox.project()?, Store::Containerd, None)?;
    let small = bench.push("tiny", "small")?;
    let big = bench.push("tiny", "big")?;

    let before = left_behind(&bench.subject)?;
    let of_small = take(&sandbox, &bench, &small)?;
    let mut of_big = take(&sandbox, &bench, &big)?;
    let after = left_behind(&bench.subject)?;
    ensure!(before == after, "before {before:?}\nafter {after:?}");
    for limit in [Limit::RawGet, Limit::InflateHash, Limit::Untar] {
        let (less, more) = (median_us(&of_small, limit)?, median_us(&of_big, limit)?);
        ensure!(less < more, "{limit}: small {less} µs, big {more} µs");
    }

    let (cold, warm) = observe(&bench, &big)?;
    for (both, later) in of_big.iter_mut().zip(take(&sandbox, &bench, &big)?) {
        both.ns.extend(later.ns);
    }
    nothing_beats_it(&of_big, &cold, &warm)?;
    half_the_rate_takes_twice_as_long(&bench, &big)
}

fn take(sandbox: &Sandbox, bench: &Bench, target: &Target) -> Result<Vec<LimitSamples>> {
    let layout = Layout::open(&sandbox.project()?.image(&target.suite, &target.variant))?;
    let mut taken = limits::measure(&bench.subject, target, &layout, SAMPLES / 2)?;
    let source = bench.registry_address;
    taken.push(limits::network(source, target, 1, SAMPLES / 2));
    for it in &taken {
        ensure!(it.error.is_none(), "{}: {:?}", it.limit, it.why);
        let enough = it.ns.len() == SAMPLES as usize / 2;
        ensure!(enough && it.ns.iter().all(|&ns| ns > 0), "{it:?}");
    }
    let all = Limit::ALL.iter().map(|(limit, ..)| *limit);
    let missing: Vec<_> = all
        .filter(|limit| taken.iter().all(|it| it.limit != *limit))
        .collect();
    ensure!(missing.is_empty(), "not taken: {missing:?}");
    Ok(taken)
}

fn median_us(taken: &[LimitSamples], limit: Limit) -> Result<u64> {
    let of_limit = taken.iter().find(|it| it.limit == limit);
    let ns = &of_limit.context("every limit was taken")?.ns;
    Phase::of_ns(ns).median_us.context("it has samples")
}

/// The rows of a session, as far as limits are held against them.
fn observe(bench: &Bench, target: &Target) -> Result<(NodeRow, StartRow)> {
    let subject = LabSubject(&bench.subject);
    let (mut colds, mut warms) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let cold = bench.sample(&subject, Scenario::NodeCold, target)?;
        let warm = bench.sample(&subject, Scenario::Warm, target)?;
        colds.push(cold.pull.context("a cold start pulls")?);
        warms.push(warm.start.context("a warm start starts")?.phases);
    }
    let of_cold = |of: fn(&Pull) -> Option<u64>| colds.iter().filter_map(of).collect::<Vec<_>>();
    let of_warm = |of: fn(&Phases) -> Option<Duration>| {
        let times = warms.iter().filter_map(of);
        times.map(|it| it.as_nanos() as u64).collect::<Vec<_>>()
    };
    let cold = NodeRow {
        pull: Spread::of_ns(&of_cold(|it| Some(it.total_ns))),
        download: Phase::of_ns(&of_cold(|it| Some(it.phases?.download_ns))),
        ..NodeRow::default()
    };
    let warm = StartRow {
        app: Spread::of_ns(&of_warm(|it| it.app)),
        engine: Phase::of_ns(&of_warm(|it| it.engine)),
        start_total: Spread::of_ns(&of_warm(|it| Some(it.start_total))),
        ..StartRow::default()
    };
    Ok((cold, warm))
}

fn nothing_beats_it(taken: &[LimitSamples], cold: &NodeRow, warm: &StartRow) -> Result<()> {
    for row in limit_rows(taken, cold, warm) {
        println!("{row:?}");
        let ratio = row.ratio_permille.context("both have medians")?;
        // A bare program is so close to one in a container that on a busy
        // machine either may win by a hair.
        let close = row.limit_by == Some(Limit::BareExec);
        ensure!(row.error.is_none() && (close || ratio >= 1000), "{row:?}");
    }
    Ok(())
}

fn half_the_rate_takes_twice_as_long(bench: &Bench, target: &Target) -> Result<()> {
    let time = |rate: Rate| -> Result<u64> {
        bench.proxy.set_rate(Some(rate));
        raw_get(bench.proxy.address(), "tiny/big", &target.blobs, 3)
    };
    let whole = time(SLOW)?;
    let half = time(Rate {
        bits_per_second: SLOW.bits_per_second / 2,
        ..SLOW
    })?;
    let permille = half * 1000 / whole;
    ensure!(
        (1900..2100).contains(&permille),
        "{whole} ns, and {half} ns at half the rate"
    );
    Ok(())
}

/// Containers, processes, mounts and folders that a limit might leave.
fn left_behind(subject: &LabEngine) -> Result<[Vec<String>; 4]> {
    let mut list = subject.command("runc");
    let containers = shell::read(list.args(["--root", "/run/limits", "list", "--quiet"]))?;
    let inside = |path: &str| PathBuf::from(format!("/proc/{}/root{path}", subject.pid()));
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", subject.pid()))?;
    let folders = fs::read_dir(inside("/var/lib/docker/limits"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    Ok([
        lines(&containers),
        pids::children(subject.pid())?
            .iter()
            .map(u32::to_string)
            .collect(),
        lines(&mounts),
        folders
            .into_iter()
            .flatten()
            .map(|it| it.map(|it| it.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()?,
    ])
}
