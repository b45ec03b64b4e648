//! What a run knows: what people wrote, what the lock pins, what lies in
//! `target/lab`, and what `results/` says. From these follows what is out of
//! date.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Upto, timings, workbench::known_builder_id};
use crate::{
    bases::{
        Base, Bases, Lock,
        provide::{Provided, Provider},
    },
    cli::Step,
    cost::{self, Prices},
    digest::Digest,
    dockerfile::ImageName,
    image::Platform,
    measure::scenario::{Probe, Scenario, UNSHAPED, of_session},
    normalise::NORMALISER_ID,
    problem::shown,
    progress::Progress,
    project::Project,
    record::{
        capabilities::CapabilityRow,
        cell::{ErrorWord, Id},
        cost::CostRow,
        exact::{BaseRow, FileRow, LayerRow, SizeRow},
        keep::has_rows_of,
        paths,
        session::Unit,
        table::Table,
    },
    suite::{Selection, Suite, Variant},
    table::{Line, View, lines},
};

/// What counts, in words of `method`: which normaliser, which way of counting.
pub fn method() -> String {
    format!("normaliser {NORMALISER_ID}")
}

/// Beside an image in `target/lab/images`: of which inputs it was built, and
/// what the layout itself does not tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageRecord {
    pub inputs: String,
    pub reproducible: bool,
    /// Per layer, lowest first; none for layers of the base.
    pub buildkit_transfer_bytes: Vec<Option<u64>>,
}

pub struct State {
    pub project: Project,
    pub platform: Platform,
    pub step: Step,
    pub suites: Vec<Suite>,
    pub bases: Bases,
    pub lock: Lock,
    /// The bases in hand, in build order.
    pub provided: Vec<Provided>,
    pub builder_id: Option<String>,
    pub sizes: Table<SizeRow>,
    pub layers: Table<LayerRow>,
    pub files: Table<FileRow>,
    pub base_rows: Table<BaseRow>,
    pub capabilities: Table<CapabilityRow>,
    /// What bytes cost, where the project states it.
    prices: Option<Prices>,
    /// Every declared variant, selected or not.
    declared: Vec<(String, String)>,
    /// Variants that failed in this run.
    pub errors: BTreeMap<(String, String), ErrorWord>,
    /// Sessions that were not recorded, because other work disturbed them.
    pub disturbed: Vec<String>,
    written: Vec<PathBuf>,
}

/// What is to be made before anything can be counted.
pub struct Work {
    pub bases: Vec<String>,
    pub builds: Vec<(String, String)>,
    pub rows: usize,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.builds.is_empty() && self.rows == 0
    }
}

/// One variant with its suite.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub suite: &'a Suite,
    pub variant: &'a Variant,
}

impl Job<'_> {
    pub fn name(&self) -> String {
        format!("{}/{}", self.suite.name, self.variant.name)
    }

    pub fn key(&self) -> (String, String) {
        (self.suite.name.clone(), self.variant.name.clone())
    }
}

impl State {
    /// # Errors
    /// Everything that is wrong with what people wrote, in one go.
    pub fn load(project: &Project, step: &Step) -> Result<Self> {
        Self::with_lock(project, step, Lock::load(project)?)
    }

    /// The same with a lock that is not written yet.
    pub fn with_lock(project: &Project, step: &Step, lock: Lock) -> Result<Self> {
        let platform = Platform::here();
        let selection = Selection::parse(&step.selection)?;
        let (suites, bases) = crate::bases::check(project, &selection, &platform.to_string())?;
        let everything =
            crate::suite::load(project, &Selection::everything(), &platform.to_string())?;
        let declared = everything.iter().flat_map(|suite| {
            suite
                .variants
                .iter()
                .map(|variant| (suite.name.clone(), variant.name.clone()))
        });
        let results = project.results();
        let mut state = Self {
            declared: declared.collect(),
            lock,
            builder_id: known_builder_id(project, &step.lab),
            sizes: Table::load(&paths::sizes(&results))?,
            layers: Table::load(&paths::layers(&results))?,
            files: Table::load(&paths::files(&results))?,
            base_rows: Table::load(&paths::bases(&results))?,
            capabilities: Table::load(&paths::capabilities(&results))?,
            prices: Prices::load(project)?,
            project: project.clone(),
            step: step.clone(),
            provided: Vec::new(),
            errors: BTreeMap::new(),
            disturbed: Vec::new(),
            written: Vec::new(),
            platform,
            suites,
            bases,
        };
        state.find_ready_bases()?;
        state.forget_undeclared();
        Ok(state)
    }

    pub fn jobs(&self) -> Vec<Job<'_>> {
        self.suites
            .iter()
            .flat_map(|suite| {
                suite
                    .variants
                    .iter()
                    .map(move |variant| Job { suite, variant })
            })
            .collect()
    }

    pub fn variants(&self) -> usize {
        self.jobs().len()
    }

    /// How readiness is seen on the engine of this run.
    pub fn probe(&self) -> Probe {
        if self.step.lab.is_host() {
            Probe::PublishedPort
        } else {
            Probe::Namespace
        }
    }

    /// What a session of the unit visits of each variant.
    pub fn scenarios(&self, unit: &Unit) -> &'static [Scenario] {
        of_session(self.probe(), &unit.profile, &unit.data_root_fs)
    }

    pub fn provider<'a>(&'a self, progress: &'a Progress) -> Provider<'a> {
        Provider {
            project: &self.project,
            platform: &self.platform,
            bases: &self.bases,
            lock: &self.lock,
            archives: self.step.base_archives.as_deref(),
            progress,
        }
    }

    /// The bases that the selected variants stand on, in build order.
    pub fn base_order<'a>(&'a self, provider: &Provider<'a>) -> Result<Vec<&'a Base>> {
        let wanted: Vec<&ImageName> = self
            .suites
            .iter()
            .flat_map(|suite| &suite.variants)
            .flat_map(|variant| variant.images.images())
            .collect();
        provider.order(&wanted)
    }

    fn find_ready_bases(&mut self) -> Result<()> {
        let progress = Progress::hidden();
        let provider = self.provider(&progress);
        let mut ready = Vec::new();
        for base in self.base_order(&provider)? {
            ready.extend(provider.ready(base, &ready)?);
        }
        self.provided = ready;
        Ok(())
    }

    pub fn find(&self, name: &ImageName) -> Option<&Provided> {
        self.provided.iter().find(|base| base.name == *name)
    }

    /// What the image of a variant stands on, where that is in hand; on
    /// `scratch` it is nothing.
    pub fn base_of(&self, job: Job<'_>) -> Option<&Provided> {
        self.find(job.variant.images.base.as_ref()?)
    }

    /// The identity of everything that a variant's build reads; none while a
    /// base or the builder is not in hand.
    ///
    /// Method: METHODOLOGY.md, "Size".
    pub fn inputs(&self, job: Job<'_>) -> Option<Digest> {
        let Variant {
            dockerfile_id,
            context_id,
            images,
            ..
        } = job.variant;
        let mut text = format!(
            "platform {}\nbuilder {}\nmethod {}\ndockerfile {dockerfile_id}\ncontext {context_id}\n",
            self.platform,
            self.builder_id.as_ref()?,
            method(),
        );
        for name in images.images() {
            text += &format!("base {name} {}\n", self.find(name)?.id);
        }
        Some(Digest::of(text))
    }

    pub fn record_path(&self, job: Job<'_>) -> PathBuf {
        self.project
            .image(&job.suite.name, &job.variant.name)
            .with_extension("json")
    }

    /// The record of a variant's image, if it was built of today's inputs.
    pub fn built(&self, job: Job<'_>) -> Option<ImageRecord> {
        let record: ImageRecord =
            serde_json::from_slice(&fs::read(self.record_path(job)).ok()?).ok()?;
        let current = record.inputs == self.inputs(job)?.short();
        let whole = self
            .project
            .image(&job.suite.name, &job.variant.name)
            .join("index.json")
            .is_file();
        (current && whole).then_some(record)
    }

    /// What is out of date before the timings.
    pub fn work(&self, upto: Upto) -> Result<Work> {
        let progress = Progress::hidden();
        let missing = self
            .base_order(&self.provider(&progress))?
            .into_iter()
            .filter(|base| self.find(&base.name).is_none());
        let builds = self
            .jobs()
            .into_iter()
            .filter_map(|job| Some((job.name(), self.build_reason(job)?)));
        let rows = self
            .jobs()
            .into_iter()
            .filter(|job| upto >= Upto::Sizes && self.row_is_missing(*job))
            .count();
        Ok(Work {
            bases: missing.map(|base| base.written.clone()).collect(),
            builds: builds.collect(),
            rows,
        })
    }

    pub fn build_reason(&self, job: Job<'_>) -> Option<String> {
        if self.built(job).is_some() {
            return None;
        }
        let known = self.record_path(job).is_file();
        Some(
            if known {
                "what it is built of has moved"
            } else {
                "never built here"
            }
            .to_owned(),
        )
    }

    /// Whether a variant has no row of today's inputs, or lacks what comes with it.
    pub fn row_is_missing(&self, job: Job<'_>) -> bool {
        let key = (
            job.suite.name.clone(),
            job.variant.name.clone(),
            self.platform.to_string(),
        );
        let inputs = self.inputs(job).as_ref().map(Id::from);
        self.sizes
            .get(&key)
            .is_none_or(|row| row.error.is_some() || row.inputs != inputs || self.lacks_parts(row))
    }

    /// Whether layers or files that the image has are not in their tables.
    fn lacks_parts(&self, image: &SizeRow) -> bool {
        let has_any = |count: Option<u64>| count.is_some_and(|it| it > 0);
        (has_any(image.layers) && !has_rows_of(&self.layers, image))
            || (has_any(image.files) && !has_rows_of(&self.files, image))
    }

    /// The table's lines for what was selected.
    pub fn lines(&self, timings: &timings::Wanted) -> Result<Vec<Line>> {
        let platform = self.platform.to_string();
        let view = View {
            platform: &platform,
            profile: UNSHAPED,
            data_root_fs: &timings.data_root_fs,
        };
        let article = |suite: &str, variant: &str| {
            let suite = self.suites.iter().find(|it| it.name == suite)?;
            suite
                .variants
                .iter()
                .find(|it| it.name == variant)?
                .article_bytes
        };
        let mut all = lines(view, &self.sizes, &timings.node, &timings.start, article);
        let selected: Vec<String> = self.jobs().iter().map(Job::name).collect();
        all.retain(|line| selected.contains(&line.name));
        Ok(all)
    }

    /// Selected variants without numbers, in this run or as recorded.
    pub fn failed(&self) -> usize {
        self.errors.len()
    }

    pub fn is_declared(&self, suite: &str, variant: &str) -> bool {
        self.declared
            .iter()
            .any(|(s, v)| (s.as_str(), v.as_str()) == (suite, variant))
    }

    /// Whether every variant of a suite is selected.
    pub fn is_whole(&self, suite: &str) -> bool {
        let selected = self
            .jobs()
            .iter()
            .filter(|job| job.suite.name == suite)
            .count();
        selected
            == self
                .declared
                .iter()
                .filter(|(name, _)| name == suite)
                .count()
    }

    /// Says which suites will not be timed because they are selected in part.
    pub fn note_partial_suites(&self, progress: &Progress) {
        for suite in self
            .suites
            .iter()
            .filter(|suite| !self.is_whole(&suite.name))
        {
            progress.note(format_args!(
                "{0} is selected in part and is not timed: its rows compare within one session; for that, run-all {0}",
                suite.name
            ));
        }
    }

    /// Rows of variants and bases that are no longer declared go; nobody else
    /// removes them.
    fn forget_undeclared(&mut self) {
        let platform = self.platform.to_string();
        let declared = std::mem::take(&mut self.declared);
        let is_declared = |suite: &str, variant: &str| {
            declared
                .iter()
                .any(|(s, v)| (s.as_str(), v.as_str()) == (suite, variant))
        };
        self.sizes.remove_undeclared(&platform, is_declared);
        self.layers.remove_undeclared(&platform, is_declared);
        self.files.remove_undeclared(&platform, is_declared);
        self.capabilities.remove_undeclared(&platform, is_declared);
        let bases = &self.bases;
        self.base_rows.retain(|row| {
            row.platform != platform || bases.iter().any(|base| base.name.context_key() == row.base)
        });
        self.declared = declared;
    }

    /// Saves the exact files; what moved is remembered for the last lines.
    pub fn save_exact(&mut self) -> Result<()> {
        let cost = self.cost();
        let saved = [
            (self.sizes.save()?, self.sizes.path().to_owned()),
            (self.layers.save()?, self.layers.path().to_owned()),
            (self.files.save()?, self.files.path().to_owned()),
            (self.base_rows.save()?, self.base_rows.path().to_owned()),
            (
                self.capabilities.save()?,
                self.capabilities.path().to_owned(),
            ),
            (cost.save()?, cost.path().to_owned()),
        ];
        for (_, path) in saved.into_iter().filter(|(moved, _)| *moved) {
            self.note_written(&path);
        }
        Ok(())
    }

    /// The exact files that would be others if they were saved as they were read:
    /// rows of what is no longer declared, costs that do not follow.
    pub fn superseded(&self) -> Result<Vec<String>> {
        let cost = self.cost();
        let files = [
            (self.sizes.path(), self.sizes.has_moved()?),
            (self.layers.path(), self.layers.has_moved()?),
            (self.files.path(), self.files.has_moved()?),
            (self.base_rows.path(), self.base_rows.has_moved()?),
            (self.capabilities.path(), self.capabilities.has_moved()?),
            (cost.path(), cost.has_moved()?),
        ];
        let mut superseded = Vec::new();
        for (path, moved) in files {
            if path.is_file() && moved {
                superseded.push(shown(path, self.project.root()).display().to_string());
            }
        }
        Ok(superseded)
    }

    /// What follows from the sizes; nothing without prices.
    fn cost(&self) -> Table<CostRow> {
        let results = self.project.results();
        match &self.prices {
            Some(prices) => cost::table(&results, prices, prices.usage, &self.sizes, &self.layers),
            None => Table::empty(&paths::cost(&results)),
        }
    }

    pub fn note_written(&mut self, path: &Path) {
        let shown = path
            .strip_prefix(self.project.root())
            .unwrap_or(path)
            .to_owned();
        if !self.written.contains(&shown) {
            self.written.push(shown);
        }
    }

    pub fn written(&self) -> &[PathBuf] {
        &self.written
    }

    pub fn save_lock(&mut self, lock: Lock) -> Result<()> {
        if lock != self.lock {
            lock.save(&self.project)
                .context("cannot write experiments/bases.lock")?;
            self.lock = lock;
            let path = self.project.experiments().join("bases.lock");
            self.note_written(&path);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{EngineChoice, LabOptions},
        files,
    };

    fn step() -> Step {
        Step {
            selection: Vec::new(),
            base_archives: None,
            locked: false,
            lab: LabOptions {
                engine: EngineChoice::Lab,
                data_root: None,
                no_wait: false,
                yes: false,
            },
        }
    }

    /// A project of one variant, `tiny/one`.
    fn project(folder: &Path) -> Project {
        let suite = "title = \"One\"\ncontext = \"src\"\n[probe]\nbody = \"hello\"\n\
                     [[variant]]\nname = \"one\"\nreason = \"A test needs it.\"\n";
        for (path, text) in [
            ("bases.toml", "# The suite stands on nothing.\n"),
            ("tiny/suite.toml", suite),
            ("tiny/src/server", "server"),
            ("tiny/one/Dockerfile", "FROM scratch\nCOPY server /\n"),
        ] {
            files::write_atomic(&folder.join("experiments").join(path), text).unwrap();
        }
        Project::at(folder).unwrap()
    }

    #[test]
    fn answers_of_a_variant_that_is_gone_are_superseded() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let superseded = |variants: &[&str]| {
            let rows = variants.iter().map(|variant| CapabilityRow {
                suite: "tiny".to_owned(),
                variant: (*variant).to_owned(),
                platform: Platform::here().to_string(),
                capability: "shell".to_owned(),
                error: Some(ErrorWord::Exited),
                ..CapabilityRow::default()
            });
            let path = paths::capabilities(&project.results());
            Table::of(&path, rows).save().unwrap();
            State::load(&project, &step())
                .unwrap()
                .superseded()
                .unwrap()
        };
        assert!(superseded(&["one"]).is_empty());
        assert_eq!(superseded(&["one", "gone"]), ["results/capabilities.csv"]);
    }
}
