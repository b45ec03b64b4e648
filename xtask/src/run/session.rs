//! Measuring what is out of date: one session per suite and profile, its
//! samples kept as they come, its rows written when it is over.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Result, ensure};

use super::{
    host,
    state::State,
    targets::Shelf,
    timings::{Finished, Stale, Wanted},
    unfinished::Unfinished,
    workbench::Workbench,
};
use crate::{
    cli::RunAll,
    engine::{Client, LabEngine, Role, Store},
    files,
    image::Layout,
    interrupt,
    measure::{
        ledger::{Ledger, Part},
        limits,
        noise::{self, Look},
        protocol::Protocol,
        sample::Taker,
        scenario::{SHAPED, Scenario},
        session::{self, Event, Item},
        subject::{LabSubject, Subject},
        visit::{Lane, Target},
    },
    progress::{Progress, Step},
    proxy::{Proxy, Rate},
    record::{
        facts,
        limits::LimitSamples,
        machine::Tool,
        paths,
        row::Row as _,
        session::Unit,
        table::Table,
        timings::{EnvironmentRow, SampleRow},
    },
    shell,
};

/// The rate of the shaped profile. The burst is what goes out unlimited after a
/// pause: 5 ms of the rate.
const SHAPED_RATE: Rate = Rate {
    bits_per_second: 100_000_000,
    burst_bytes: 64 * 1024,
};

/// Repetitions of a limit, before the blocks and again after them: the fewest
/// whose interval has 95 %.
const LIMIT_REPETITIONS: u32 = 3;

/// The limits of each variant, by its name.
type Limits = Vec<(String, Vec<LimitSamples>)>;
/// What the repetitions of one variant's shaped downloads may take together.
const SHAPED_LIMIT_TIME: Duration = Duration::from_secs(20);

/// Measures the units, each in a session of its own on a fresh data root.
///
/// # Errors
/// When the lab cannot measure at all; a variant that fails is a row.
pub fn measure(
    mut wanted: Wanted,
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
        return host::measure(wanted, state, units, options, progress);
    };
    let shelf = Shelf::open(lab)?;
    for Stale { unit, .. } in units {
        let items = shelf.items(state, unit)?;
        let data_root = bench.data_root(options.step.lab.data_root.as_deref())?;
        ensure!(
            data_root.file_system()? == wanted.data_root_fs,
            "memory became short while this run went on; mend: choose where the subject keeps its images, with --data-root"
        );
        let engine = lab.engine(Role::Subject, Store::Containerd, data_root)?;
        let bench = Bench {
            unit,
            items: &items,
            subject: &LabSubject(&engine),
            client: engine.client(),
            lab: Some(&engine),
            look: &noise::look,
            registry: shelf.address,
            proxy: &shelf.proxy,
        };
        bench.session(&mut wanted, state, options, progress)?;
    }
    Ok(())
}

/// Everything that one session is made with.
pub struct Bench<'a> {
    pub unit: &'a Unit,
    pub items: &'a [Item],
    pub subject: &'a dyn Subject,
    pub client: &'a Client,
    /// The subject's engine if it is the lab's: only there is what the machine
    /// could do at best taken, in the engine's own namespaces.
    pub lab: Option<&'a LabEngine>,
    pub look: &'a dyn Fn() -> Option<Look>,
    pub registry: SocketAddr,
    pub proxy: &'a Proxy,
}

impl Bench<'_> {
    /// Measures the unit and records it.
    ///
    /// # Errors
    /// When a file cannot be written or the engine is gone; a variant that fails
    /// is a row.
    pub fn session(
        &self,
        wanted: &mut Wanted,
        state: &mut State,
        options: &RunAll,
        progress: &Progress,
    ) -> Result<()> {
        let Unit { suite, profile, .. } = self.unit;
        let rate = (profile == SHAPED).then_some(SHAPED_RATE);
        self.proxy.set_rate(rate);
        let machine = wanted.machine.name();
        let mut unfinished = Unfinished::open(
            state,
            self.unit,
            wanted.depth,
            &machine,
            options.seed,
            progress,
        )?;
        interrupt::keeps(self.kept());
        let protocol = Protocol::new(unfinished.session.seed, wanted.depth);
        let course = Course {
            pressure_us: noise::pressure_us(),
            ledger: Ledger::default(),
        };
        // Half of the limits before and half after, so that a machine which
        // becomes slower or faster meanwhile does so for both.
        let limits = || {
            let take = || self.take_limits(state, progress);
            course.ledger.book(Part::Proofs, take)
        };
        let before = limits()?;
        self.take_samples(&protocol, &mut unfinished, state, &course.ledger, progress)?;
        let after = limits()?;
        let samples: Vec<SampleRow> = unfinished.samples.rows().cloned().collect();
        let verdict = facts::Noise::of(&samples);
        if verdict.is_noisy() && !options.allow_noisy {
            let aside = unfinished.put_aside()?;
            progress.note(format_args!(
                "{suite} {profile}: {verdict}; nothing of it is recorded, its samples are in {}",
                aside.display()
            ));
            state.disturbed.push(format!("{suite} {profile}"));
            return Ok(());
        }
        progress.note(format_args!("{suite} {profile} took {}", course.ledger));
        let finished = Finished {
            unit: self.unit,
            session: &unfinished.session.clone(),
            samples: &samples,
            limits: &self.with_network(joined(before, after), &samples, progress),
            facts: self.environment(wanted, state, &unfinished, &samples, &course)?,
            noisy: verdict.is_noisy(),
        };
        let path = paths::samples(&wanted.folder, suite, profile, &finished.session.id);
        let kept = wanted.keep(state, finished);
        for (variant, word) in kept.failed {
            state.errors.insert((suite.clone(), variant), word);
        }
        if kept.taken {
            files::write_atomic(&path, unfinished.samples.text())?;
            state.note_written(&path);
        }
        wanted.save(state)?;
        unfinished.forget()
    }

    /// What a run that ends now leaves.
    fn kept(&self) -> String {
        let mut kept =
            "bases, images, sizes, finished sessions and the samples of this one are kept"
                .to_owned();
        if self.lab.is_none() {
            kept += ", and the engine may keep a container and an image of ours until the next run";
        }
        kept
    }

    fn take_samples(
        &self,
        protocol: &Protocol,
        unfinished: &mut Unfinished,
        state: &State,
        ledger: &Ledger,
        progress: &Progress,
    ) -> Result<()> {
        let Unit { suite, profile, .. } = self.unit;
        let log = state
            .project
            .logs()
            .join(format!("{suite}-{profile}.session.log"));
        if unfinished.kept.is_empty() {
            files::write_atomic(&log, "")?;
        }
        let cycles = protocol.warm_ups() + protocol.blocks_max();
        let visits = self.items.len() as u64 * u64::from(cycles);
        let step = progress.step(format!("measure {suite} {profile}"), visits);
        let samples = &mut unfinished.samples;
        let mut on = |event: Event<'_>| record(event, samples, &log, &step, protocol);
        session::run(
            Taker {
                lane: Lane {
                    subject: self.subject,
                    take_log: &|| self.proxy.take_log(),
                    ledger,
                },
                look: self.look,
            },
            protocol,
            self.items,
            &unfinished.kept,
            &mut on,
        )?;
        step.done(format!("{} samples", unfinished.samples.rows().count()));
        Ok(())
    }

    /// What the machine could do at best for each variant, on the same engine
    /// and file system. A slower network changes nothing of it.
    fn take_limits(&self, state: &State, progress: &Progress) -> Result<Limits> {
        let Unit { suite, profile, .. } = self.unit;
        let Some(engine) = self.lab.filter(|_| profile != SHAPED) else {
            return Ok(Limits::new());
        };
        let step = progress.step(format!("limits of {suite}"), self.variants().count() as u64);
        self.subject.empty()?;
        let mut limits = Limits::new();
        for target in self.variants() {
            let folder = state.project.image(suite, &target.variant);
            let taken = Layout::open(&folder)
                .and_then(|layout| limits::measure(engine, target, &layout, LIMIT_REPETITIONS));
            match taken {
                Ok(taken) => limits.push((target.variant.clone(), taken)),
                // Its own rows say what is wrong with it; the others go on.
                Err(error) => progress.note(format_args!(
                    "{suite}/{} has no limits: {error:#}",
                    target.variant
                )),
            }
            step.advance(1);
        }
        step.done(format!("of {} variants", limits.len()));
        Ok(limits)
    }

    fn variants(&self) -> impl Iterator<Item = &Target> {
        let visited = self.items.iter();
        visited
            .filter(|item| item.scenarios.contains(&Scenario::NodeCold))
            .map(|item| &item.target)
    }

    /// The network's limit beside the others, with as many downloads at once as
    /// the engine was seen to have.
    fn with_network(
        &self,
        mut limits: Limits,
        samples: &[SampleRow],
        progress: &Progress,
    ) -> Limits {
        if self.lab.is_none() {
            return limits;
        }
        let (source, shaped) = match self.unit.profile.as_str() {
            SHAPED => (self.proxy.address(), true),
            _ => (self.registry, false),
        };
        for target in self.variants() {
            let repetitions = if shaped {
                shaped_repetitions(target)
            } else {
                2 * LIMIT_REPETITIONS
            };
            let at_once = concurrent_downloads(samples, &target.variant) as usize;
            let network = limits::network(source, target, at_once, repetitions);
            match limits.iter_mut().find(|(name, _)| *name == target.variant) {
                Some((_, taken)) => taken.push(network),
                None => limits.push((target.variant.clone(), vec![network])),
            }
        }
        for (variant, taken) in &limits {
            for why in taken.iter().filter_map(|limit| limit.why.as_ref()) {
                progress.note(format_args!("a limit of {variant}: {why}"));
            }
        }
        limits
    }

    /// On what, with what and when it was measured, and what happened beside it.
    fn environment(
        &self,
        wanted: &Wanted,
        state: &State,
        unfinished: &Unfinished,
        samples: &[SampleRow],
        course: &Course,
    ) -> Result<Vec<EnvironmentRow>> {
        let versions = self.client.versions()?;
        let mut found = vec![
            ("probe", state.probe().word().to_owned()),
            ("data_root_fs", self.unit.data_root_fs.clone()),
            ("docker", versions.docker),
            ("containerd", versions.containerd),
            ("runc", versions.runc),
            ("image_store", versions.store),
            (
                "concurrent_downloads",
                samples
                    .iter()
                    .filter_map(|row| row.concurrent_downloads)
                    .max()
                    .unwrap_or(0)
                    .to_string(),
            ),
            ("decompressor", decompressor(self.lab)),
            // containerd's unpacker applies an image's layers one by one.
            ("unpack", "serial".to_owned()),
            ("profile", self.unit.profile.clone()),
            ("resumed", yes_or_no(!unfinished.kept.is_empty())),
        ];
        // Of a session that was resumed only the last part would be known.
        if unfinished.kept.is_empty() {
            found.extend(course.facts());
        }
        found.extend(facts::of(samples));
        Ok(unfinished
            .session
            .environment(&wanted.machine, &tool(state), &found))
    }
}

/// What a session's time went into, and what the machine had to wait for.
struct Course {
    /// What the kernel's counter said when the session began.
    pressure_us: Option<u64>,
    ledger: Ledger,
}

impl Course {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let waited = noise::pressure_us().zip(self.pressure_us);
        let waited = waited.map(|(now, then)| ("psi_cpu_some_us", (now - then).to_string()));
        let spent = |part: Part| (part.fact(), self.ledger.spent(part).as_secs().to_string());
        let total = ("spent_s", self.ledger.total().as_secs().to_string());
        let parts = Part::ALL.into_iter().map(spent);
        waited.into_iter().chain([total]).chain(parts).collect()
    }
}

/// What was taken before and after, of the variants that have both.
fn joined(before: Limits, mut after: Limits) -> Limits {
    let both = before.into_iter().filter_map(|(variant, earlier)| {
        let place = after.iter().position(|(name, _)| *name == variant)?;
        let (_, later) = after.swap_remove(place);
        let taken = earlier.into_iter().zip(later);
        Some((
            variant,
            taken.map(|(earlier, later)| earlier.and(later)).collect(),
        ))
    });
    both.collect()
}

/// The most layers of a variant that were seen on their way at once.
fn concurrent_downloads(samples: &[SampleRow], variant: &str) -> u64 {
    let of_variant = samples.iter().filter(|row| row.variant == variant);
    of_variant
        .filter_map(|row| row.concurrent_downloads)
        .max()
        .unwrap_or(1)
}

/// As many as fit, and at least one: the rate leaves them little to vary.
fn shaped_repetitions(target: &Target) -> u32 {
    let bits = target.blobs.iter().map(|blob| blob.size).sum::<u64>() * 8;
    let fit = SHAPED_LIMIT_TIME.as_secs() * SHAPED_RATE.bits_per_second / bits.max(1);
    u32::try_from(fit).map_or(2 * LIMIT_REPETITIONS, |fit| {
        fit.clamp(1, 2 * LIMIT_REPETITIONS)
    })
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// Keeps the samples as they come, and the reasons of those that do not count.
pub fn record(
    event: Event<'_>,
    samples: &mut Table<SampleRow>,
    log: &Path,
    step: &Step,
    protocol: &Protocol,
) -> Result<()> {
    use std::io::Write as _;
    match event {
        Event::WarmedUp { .. } | Event::Visited { .. } => step.advance(1),
        Event::Replayed { .. } => {}
        Event::Dropped { rows } => {
            samples.retain(|row| rows.iter().all(|dropped| dropped.key() != row.key()));
        }
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

/// containerd picks an external decompressor silently when one is installed;
/// what somebody's containerd finds is not seen from here.
fn decompressor(lab: Option<&LabEngine>) -> String {
    let Some(engine) = lab else {
        return "unknown".to_owned();
    };
    let found = ["igzip", "unpigz"]
        .into_iter()
        .find(|name| engine.has(name));
    found.unwrap_or("built in").to_owned()
}

/// The commit of this program, and whether its files differ from it.
pub fn tool(state: &State) -> Tool {
    let git =
        |arguments: &[&str]| shell::read(&mut shell::git(state.project.root(), arguments)).ok();
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
