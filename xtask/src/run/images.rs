//! Building and counting: every variant twice, to see whether it repeats, then
//! the exact rows.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context, Result};

use super::{
    state::{ImageRecord, Job, State, method},
    workbench::Workbench,
};
use crate::{
    bases::provide::{Provided, Workshop},
    build::{Builder, Order, build},
    files,
    image::{Layout, compare::compare, sizes},
    normalise::Normalised,
    progress::Progress,
    record::{
        cell::{ErrorWord, Id, Origin},
        exact::{BaseRow, LayerRow, SizeRow, difference_permille, one_line},
        keep::{Outcome, offer, offer_image},
    },
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
        self.provided = made;
        self.save_lock(lock)
    }

    /// Builds what is out of date, twice. A variant that fails is remembered,
    /// the others go on.
    pub fn build(&mut self, bench: &mut Workbench, progress: &Progress) -> Result<()> {
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
            let _ = fs::remove_file(self.build_log(*job));
            // Until both builds are judged there is no image of these inputs.
            let _ = fs::remove_file(self.record_path(*job));
        }
        let images = self.project.lab().join("images");
        let first = self.build_all(
            &jobs,
            builder,
            &Pass {
                verb: "build",
                images,
                no_cache: false,
            },
            progress,
        );
        // Without its cache the builder has to do everything again; what is
        // shared between variants is still done once.
        let emptied = builder.forget()?;
        let again = Pass {
            verb: "build again",
            images: self.project.lab().join("images-again"),
            no_cache: !emptied,
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
        let base = job
            .variant
            .images
            .base
            .as_ref()
            .and_then(|name| self.find(name));
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

    /// Writes the exact files.
    ///
    /// # Errors
    /// When an image or a file cannot be read or written.
    pub fn size(&mut self, progress: &Progress) -> Result<()> {
        let step = progress.step("sizes", (self.variants() + self.provided.len()) as u64);
        for row in self.base_size_rows(&step)? {
            offer(&mut self.base_rows, row);
        }
        let mut rows = Vec::new();
        for job in self.jobs() {
            rows.push(self.size_rows(job)?);
            step.advance(1);
        }
        for (size, layers) in rows {
            let name = format!("{}/{}", size.suite, size.variant);
            match offer_image(&mut self.sizes, &mut self.layers, size, layers) {
                Outcome::Drifted(drifts) => {
                    for drift in drifts {
                        progress.note(format_args!(
                            "{name}: committed {} is {}, and {} came out of the same inputs; the committed row stays",
                            drift.column, drift.committed, drift.measured
                        ));
                    }
                }
                Outcome::KeptDespite(word) => {
                    progress.note(format_args!("{name}: {word}; its committed row stays"))
                }
                Outcome::Added | Outcome::Replaced | Outcome::Kept => {}
            }
        }
        step.done("counted");
        self.save_exact()
    }

    fn base_size_rows(&self, step: &crate::progress::Step) -> Result<Vec<BaseRow>> {
        let mut rows = Vec::new();
        for provided in &self.provided {
            let key = (provided.name.context_key(), self.platform.to_string());
            let digest = provided.layout.digest();
            if self
                .base_rows
                .get(&key)
                .is_none_or(|row| row.digest.as_ref() != Some(digest))
            {
                rows.push(self.base_row(provided)?);
            }
            step.advance(1);
        }
        Ok(rows)
    }

    fn base_row(&self, provided: &Provided) -> Result<BaseRow> {
        let base = self
            .bases
            .get(&provided.name)
            .context("bases come from bases.toml")?;
        let sizes = sizes::measure(&provided.layout, &Default::default())?;
        let published = (base.published_transfer_bytes, base.published_unpacked_bytes);
        let notes = [base.published_source.as_deref(), base.note.as_deref()];
        Ok(BaseRow {
            base: provided.name.context_key(),
            platform: self.platform.to_string(),
            source: provided.source.to_owned(),
            transfer_bytes: Some(sizes.transfer_bytes),
            unpacked_bytes: Some(sizes.unpacked_bytes),
            published_transfer_bytes: published.0,
            published_unpacked_bytes: published.1,
            transfer_difference_permille: difference_permille(
                Some(sizes.transfer_bytes),
                published.0,
            ),
            unpacked_difference_permille: difference_permille(
                Some(sizes.unpacked_bytes),
                published.1,
            ),
            layers: Some(sizes.layers.len() as u64),
            id: self.id_of(provided),
            digest: Some(provided.layout.digest().clone()),
            note: notes
                .into_iter()
                .flatten()
                .map(|note| note.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join("; "),
        })
    }

    fn id_of(&self, provided: &Provided) -> Option<Id> {
        crate::record::cell::Cell::parse(&provided.id)
    }

    fn size_rows(&self, job: Job<'_>) -> Result<(SizeRow, Vec<LayerRow>)> {
        let row = self.named_row(job);
        let Some(record) = self.built(job) else {
            let error = self
                .errors
                .get(&job.key())
                .copied()
                .unwrap_or(ErrorWord::BuildFailed);
            return Ok((
                SizeRow {
                    error: Some(error),
                    ..row
                },
                Vec::new(),
            ));
        };
        let layout = Layout::open(&self.project.image(&job.suite.name, &job.variant.name))?;
        let base = job
            .variant
            .images
            .base
            .as_ref()
            .and_then(|name| self.find(name));
        let base_layers = base
            .map(|base| base.layout.leading_layers(base.layout.layers().len()))
            .unwrap_or_default();
        let sizes = sizes::measure(&layout, &base_layers)
            .with_context(|| format!("{}: cannot be counted", job.name()))?;
        let layers = layer_rows(&row, &layout, &sizes, &record);
        let size = SizeRow {
            transfer_bytes: Some(sizes.transfer_bytes),
            unpacked_bytes: Some(sizes.unpacked_bytes),
            layer_file_bytes: Some(sizes.layer_file_bytes),
            content_bytes: Some(sizes.content_bytes),
            wasted_bytes: Some(sizes.wasted_bytes),
            base_transfer_bytes: Some(sizes.base_transfer_bytes),
            app_transfer_bytes: Some(sizes.app_transfer_bytes),
            layers: Some(sizes.layers.len() as u64),
            files: Some(sizes.files),
            reproducible: Some(record.reproducible),
            app_sha256: sizes.app.map(|app| app.sha256),
            digest: Some(layout.digest().clone()),
            ..row
        };
        Ok((size, layers))
    }

    /// The columns that say what was built, whether or not it came out.
    fn named_row(&self, job: Job<'_>) -> SizeRow {
        let images = &job.variant.images;
        let base = images.base.as_ref().and_then(|name| self.find(name));
        let ids = images
            .build_bases()
            .into_iter()
            .filter_map(|name| Some(format!("{}={}", name.context_key(), self.find(name)?.id)));
        SizeRow {
            suite: job.suite.name.clone(),
            variant: job.variant.name.clone(),
            platform: self.platform.to_string(),
            base: images
                .base
                .as_ref()
                .map_or_else(|| "scratch".to_owned(), |name| name.context_key()),
            base_source: base.map(|base| base.source.to_owned()).unwrap_or_default(),
            base_id: base.and_then(|base| self.id_of(base)),
            build_base_ids: ids.collect::<Vec<_>>().join(" "),
            dockerfile_id: Some(Id::from(&job.variant.dockerfile_id)),
            context_id: Some(Id::from(&job.variant.context_id)),
            builder: self.builder_id.clone().unwrap_or_default(),
            method: method(),
            inputs: self.inputs(job).as_ref().map(Id::from),
            ..SizeRow::default()
        }
    }
}

fn layer_rows(
    row: &SizeRow,
    layout: &Layout,
    sizes: &sizes::Sizes,
    record: &ImageRecord,
) -> Vec<LayerRow> {
    let made = layout
        .config()
        .history()
        .iter()
        .flatten()
        .filter(|entry| entry.empty_layer() != Some(true));
    let mut created_by =
        made.map(|entry| one_line(entry.created_by().as_deref().unwrap_or_default()));
    let numbered = (1..).zip(&sizes.layers).zip(
        record
            .buildkit_transfer_bytes
            .iter()
            .copied()
            .chain(std::iter::repeat(None)),
    );
    numbered
        .map(|((number, layer), buildkit)| LayerRow {
            suite: row.suite.clone(),
            variant: row.variant.clone(),
            platform: row.platform.clone(),
            layer: number,
            transfer_bytes: Some(layer.transfer_bytes),
            buildkit_transfer_bytes: buildkit,
            unpacked_bytes: Some(layer.unpacked_bytes),
            layer_file_bytes: Some(layer.layer_file_bytes),
            files: Some(layer.files),
            origin: Some(if layer.from_base {
                Origin::Base
            } else {
                Origin::App
            }),
            created_by: created_by.next().unwrap_or_default(),
            digest: Some(layer.digest.clone()),
            diff_id: Some(layer.diff_id.clone()),
            inputs: row.inputs.clone(),
        })
        .collect()
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
