//! Everything that is published, read once: the rows of one machine, platform
//! and file system, and what the suites say of their variants.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Settings;
use crate::{
    cost::{self, Prices},
    project::Project,
    record::{
        capabilities::CapabilityRow,
        cost::CostRow,
        exact::{BaseRow, FileRow, LayerRow, SizeRow},
        limits::LimitRow,
        paths,
        row::Row,
        table::Table,
        timings::{EnvironmentRow, NodeRow, ProofRow, SampleRow, StartRow},
    },
    suite::{self, Selection, Suite, Variant},
};

/// Rows in the order of their files; each list holds only what [`Settings`]
/// selects.
#[derive(Debug)]
pub struct Evidence {
    pub settings: Settings,
    /// With titles, reasons and the article's figures.
    pub suites: Vec<Suite>,
    pub sizes: Vec<SizeRow>,
    pub layers: Vec<LayerRow>,
    pub files: Vec<FileRow>,
    pub bases: Vec<BaseRow>,
    pub cost: Vec<CostRow>,
    /// What `cost` should be, by the sizes and prices of today; none without prices.
    pub(super) cost_due: Vec<CostRow>,
    /// None where nobody has asked yet.
    pub capabilities: Vec<CapabilityRow>,
    pub node: Vec<NodeRow>,
    pub start: Vec<StartRow>,
    pub limits: Vec<LimitRow>,
    /// Of every session of the machine, not only of those shown.
    pub environment: Vec<EnvironmentRow>,
    /// Whether the machine tells true differences from none.
    pub proofs: Vec<ProofRow>,
    pub(super) machine: PathBuf,
}

impl Evidence {
    /// # Errors
    /// When a file is broken: what is wrong with it, by line and column.
    pub fn read(project: &Project, settings: Settings) -> Result<Self> {
        let results = project.results();
        let machine = paths::machine(&results, &settings.machine);
        let platform = &settings.platform;
        let fs = &settings.data_root_fs;
        Ok(Self {
            suites: suite::load(project, &Selection::default(), platform)?,
            sizes: rows(paths::sizes(&results), |it: &SizeRow| {
                it.platform == *platform
            })?,
            layers: rows(paths::layers(&results), |it: &LayerRow| {
                it.platform == *platform
            })?,
            files: rows(paths::files(&results), |it: &FileRow| {
                it.platform == *platform
            })?,
            bases: rows(paths::bases(&results), |it: &BaseRow| {
                it.platform == *platform
            })?,
            capabilities: rows(paths::capabilities(&results), |it: &CapabilityRow| {
                it.platform == *platform
            })?,
            cost: rows(paths::cost(&results), |it: &CostRow| {
                it.platform == *platform
            })?,
            cost_due: cost_due(project, &results, platform)?,
            node: rows(paths::node(&machine), |it: &NodeRow| {
                it.platform == *platform && it.data_root_fs == *fs
            })?,
            start: rows(paths::start(&machine), |it: &StartRow| {
                it.platform == *platform && it.data_root_fs == *fs
            })?,
            limits: rows(paths::limits(&machine), |it: &LimitRow| {
                it.platform == *platform && it.data_root_fs == *fs
            })?,
            environment: rows(paths::environment(&machine), |_: &EnvironmentRow| true)?,
            proofs: rows(paths::proofs(&machine), |_: &ProofRow| true)?,
            machine,
            settings,
        })
    }

    /// The variant as its suite.toml describes it.
    pub fn variant(&self, suite: &str, variant: &str) -> Option<&Variant> {
        let suite = self.suites.iter().find(|it| it.name == suite)?;
        suite.variants.iter().find(|it| it.name == variant)
    }

    pub fn size(&self, suite: &str, variant: &str) -> Option<&SizeRow> {
        let is_it = |it: &&SizeRow| it.suite == suite && it.variant == variant;
        self.sizes.iter().find(is_it)
    }

    pub fn node(
        &self,
        suite: &str,
        variant: &str,
        profile: &str,
        scenario: &str,
    ) -> Option<&NodeRow> {
        self.node.iter().find(|it| {
            it.suite == suite
                && it.variant == variant
                && it.profile == profile
                && it.scenario == scenario
        })
    }

    pub fn start(&self, suite: &str, variant: &str, scenario: &str) -> Option<&StartRow> {
        self.start
            .iter()
            .find(|it| it.suite == suite && it.variant == variant && it.scenario == scenario)
    }

    /// What is stated of a session, as `kernel` or `cpu`.
    pub fn fact(&self, session: &str, fact: &str) -> Option<&str> {
        let row = self
            .environment
            .iter()
            .find(|it| it.session == session && it.fact == fact)?;
        Some(&row.value)
    }

    /// The app phase of every sample of the row that counts, in the order they were
    /// taken, in microseconds; none where their file is missing.
    ///
    /// # Errors
    /// When the file is broken.
    pub fn app_us(&self, row: &StartRow) -> Result<Vec<f64>> {
        let path = paths::samples(&self.machine, &row.suite, &row.profile, &row.session);
        let counts = |it: &SampleRow| {
            (&it.variant, &it.scenario) == (&row.variant, &row.scenario) && it.invalid.is_none()
        };
        let app_us = rows(path, counts)?
            .into_iter()
            .filter_map(|it| Some(it.app_ns? as f64 / 1000.0));
        Ok(app_us.collect())
    }
}

fn cost_due(project: &Project, results: &Path, platform: &str) -> Result<Vec<CostRow>> {
    let Some(prices) = Prices::load(project)? else {
        return Ok(Vec::new());
    };
    let sizes = Table::load(&paths::sizes(results))?;
    let layers = Table::load(&paths::layers(results))?;
    let table = cost::table(results, &prices, prices.usage, &sizes, &layers);
    let rows = table.rows().filter(|row| row.platform == platform);
    Ok(rows.cloned().collect())
}

fn rows<R: Row>(path: PathBuf, keep: impl Fn(&R) -> bool) -> Result<Vec<R>> {
    let table = Table::load(&path)?;
    Ok(table.rows().filter(|row| keep(row)).cloned().collect())
}
