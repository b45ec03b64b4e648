//! Building: the bases, then every variant twice, to see whether it repeats.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context, Result};

use super::{
    state::{ImageRecord, Job, State},
    workbench::Workbench,
};
use crate::{
    bases::{Lock, provide::Workshop},
    build::{Builder, Order, build},
    files,
    image::compare::compare,
    normalise::Normalised,
    progress::Progress,
    record::cell::ErrorWord,
};

/// Builds at once. They share their stages inside BuildKit, so most of them
/// wait for each other; more would only fill the memory.
const PARALLEL_BUILDS: usize = 6;

/// One of the two times that everything is built.
struct Pass<'a> {
    verb: &'a str,
    images: PathBuf,
    no_cache: bool,
}

impl State {
    /// Makes the bases that are not in hand, and moves the lock if a rebuilt one
    /// has newer packages.
    ///
    /// # Errors
    /// When a base cannot be had from its locked source, or moved in spite of
    /// `--locked`.
    pub fn provide_bases(&mut self, bench: &mut Workbench, progress: &Progress) -> Result<()> {
        let lock = self.make_bases(bench, progress)?;
        let moved = crate::bases::diff(&self.lock, &lock);
        if self.step.locked && !moved.is_empty() {
            anyhow::bail!(
                "bases.lock would move, and --locked forbids it:\n{}\nmend: run without --locked",
                moved.join("\n")
            );
        }
        moved
            .iter()
            .for_each(|line| progress.note(format_args!("bases.lock moves: {line}")));
        self.save_lock(lock)
    }

    /// Makes the bases that are not in hand; the lock that they ask for, while
    /// the committed one stays.
    ///
    /// # Errors
    /// When a base cannot be had from its locked source.
    pub fn make_bases(&mut self, bench: &mut Workbench, progress: &Progress) -> Result<Lock> {
        bench.start_builder()?;
        self.builder_id = Some(bench.builder()?.id().to_owned());
        let (mut made, mut lock) = (Vec::new(), self.lock.clone());
        {
            let provider = self.provider(progress);
            let workshop = Workshop {
                lab: bench.lab(),
                builder: bench.builder()?,
            };
            for base in self.base_order(&provider)? {
                let provided = match provider.ready(base, &made)? {
                    Some(ready) => ready,
                    None => provider.make(base, &made, &workshop)?,
                };
                lock.set(provided.entry.clone());
                made.push(provided);
            }
        }
        self.provided = made;
        Ok(lock)
    }

    /// Builds what is out of date, twice; with `from_nothing`, not even the first
    /// time out of the builder's cache. A variant that fails is remembered, the
    /// others go on.
    pub fn build(
        &mut self,
        bench: &mut Workbench,
        from_nothing: bool,
        progress: &Progress,
    ) -> Result<()> {
        let jobs: Vec<Job<'_>> = self
            .jobs()
            .into_iter()
            .filter(|job| self.build_reason(*job).is_some())
            .collect();
        if jobs.is_empty() {
            return Ok(());
        }
        bench.start_builder()?;
        let builder = bench.builder()?;
        for job in &jobs {
            if let Some(syntax) = &job.variant.images.syntax {
                progress.note(format_args!(
                    "{}: `# syntax={}` is served by the engine's built-in frontend",
                    job.name(),
                    syntax.written
                ));
            }
            let _ = fs::remove_file(self.build_log(*job));
            // Until both builds are judged there is no image of these inputs.
            let _ = fs::remove_file(self.record_path(*job));
        }
        let once = Pass {
            verb: "build",
            images: self.project.lab().join("images"),
            no_cache: from_nothing && must_ignore_cache(builder)?,
        };
        let first = self.build_all(&jobs, builder, &once, progress);
        let again = Pass {
            verb: "build again",
            images: self.project.lab().join("images-again"),
            no_cache: must_ignore_cache(builder)?,
        };
        let succeeded: Vec<Job<'_>> = first
            .iter()
            .filter(|(_, built)| built.is_ok())
            .map(|(job, _)| *job)
            .collect();
        let second = self.build_all(&succeeded, builder, &again, progress);
        let mut errors = Vec::new();
        for (job, built) in first {
            let twin = second
                .iter()
                .find(|(twin, _)| twin.key() == job.key())
                .map(|(_, twin)| twin);
            let done = built.and_then(|built| self.judge(job, &built, twin));
            if let Err(error) = done {
                progress.note(format_args!("error: {}: {error:#}", job.name()));
                errors.push((job.key(), word_for(&error, &self.build_log(job))));
            }
        }
        files::remove_dir_all(&again.images)?;
        self.errors.extend(errors);
        Ok(())
    }

    fn build_all<'a>(
        &'a self,
        jobs: &[Job<'a>],
        builder: &dyn Builder,
        pass: &Pass<'_>,
        progress: &Progress,
    ) -> Vec<(Job<'a>, Result<Normalised>)> {
        let queue = Mutex::new(jobs.iter());
        let done = Mutex::new(Vec::new());
        let worker = || {
            while let Some(job) = next(&queue) {
                let task = progress.task(format!("{} {}", pass.verb, job.name()));
                let built = self.build_one(*job, builder, pass);
                match &built {
                    Ok(built) => task.done(crate::human::bytes(built.layout.transfer_bytes())),
                    Err(_) => task.done("failed"),
                }
                lock(&done).push((*job, built));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL_BUILDS.min(jobs.len()) {
                scope.spawn(worker);
            }
        });
        let mut done = done
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        done.sort_by_key(|(job, _)| job.key());
        done
    }

    fn build_log(&self, job: Job<'_>) -> PathBuf {
        self.project
            .logs()
            .join(format!("{}-{}.build.log", job.suite.name, job.variant.name))
    }

    fn build_one(
        &self,
        job: Job<'_>,
        builder: &dyn Builder,
        pass: &Pass<'_>,
    ) -> Result<Normalised> {
        let target = pass.images.join(&job.suite.name).join(&job.variant.name);
        let context = self.context(job)?;
        let names = job.variant.images.images();
        let bases: Vec<_> = names
            .iter()
            .filter_map(|name| Some((*name, &self.find(name)?.layout)))
            .collect();
        let base = self.base_of(job);
        let order = Order {
            dockerfile: &job.variant.dockerfile,
            context: &context,
            bases: &bases,
            folders: &[],
            arguments: &[],
            base: base.map(|base| &base.layout),
            platform: &self.platform,
            no_cache: pass.no_cache,
            log: &self.build_log(job),
        };
        build(builder, &order, &target)
    }

    /// A copy of the build context with the modes that its identity stands for,
    /// shared by the variants that have the same one.
    fn context(&self, job: Job<'_>) -> Result<PathBuf> {
        static COPYING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = lock(&COPYING);
        let folder = self.project.lab().join("contexts").join(format!(
            "{}-{}",
            job.suite.name,
            job.variant.context_id.short()
        ));
        if !folder.is_dir() {
            let unfinished = folder.with_extension("unfinished");
            files::remove_dir_all(&unfinished)?;
            job.suite.context_of(job.variant)?.copy_to(&unfinished)?;
            files::replace_dir(&unfinished, &folder)?;
        }
        Ok(folder)
    }

    /// Compares the two builds and writes down what was found.
    fn judge(
        &self,
        job: Job<'_>,
        built: &Normalised,
        twin: Option<&Result<Normalised>>,
    ) -> Result<()> {
        let twin = match twin {
            Some(Ok(twin)) => twin,
            Some(Err(error)) => anyhow::bail!("it built once, but not a second time: {error:#}"),
            None => anyhow::bail!("it was not built a second time"),
        };
        let differences = compare(&built.layout, &twin.layout)?;
        let log = self.project.logs().join(format!(
            "{}-{}.reproducible.log",
            job.suite.name, job.variant.name
        ));
        let lines: Vec<String> = differences
            .iter()
            .map(|difference| format!("{difference}\n"))
            .collect();
        files::write_atomic(&log, lines.concat())?;
        let buildkit = built
            .layers
            .iter()
            .map(|layer| (!layer.from_base).then_some(layer.buildkit_transfer_bytes));
        let record = ImageRecord {
            inputs: self.inputs(job).context("its bases are in hand")?.short(),
            reproducible: differences.is_empty(),
            buildkit_transfer_bytes: buildkit.collect(),
        };
        files::write_atomic(&self.record_path(job), serde_json::to_vec_pretty(&record)?)
    }
}

/// Empties the builder's cache, so that it has to do everything again and yet
/// does what variants share only once; where the cache is not ours to empty, a
/// build has to ignore it.
fn must_ignore_cache(builder: &dyn Builder) -> Result<bool> {
    Ok(!builder.forget()?)
}

/// A full disk or tmpfs is told from a Dockerfile that does not build, because
/// the remedy is another.
fn word_for(error: &anyhow::Error, log: &Path) -> ErrorWord {
    let log = fs::read_to_string(log).unwrap_or_default();
    let full = |text: &str| text.to_lowercase().contains("no space left on device");
    if full(&format!("{error:#}")) || full(&log) {
        ErrorWord::OutOfSpace
    } else {
        ErrorWord::BuildFailed
    }
}

fn next<'a, T>(queue: &Mutex<std::slice::Iter<'a, T>>) -> Option<&'a T> {
    lock(queue).next()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
