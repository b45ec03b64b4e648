//! One variant in detail: what it is for, what it stands on, what it weighs,
//! its layers, its largest files and the phases of its start.

use serde::Serialize;

use super::cell::{Cell, Text};
use crate::{
    publish::{Evidence, Lang, article::capability_name},
    record::{
        cell::{Capability, ErrorWord},
        exact::{FileRow, LayerRow, SizeRow},
        timings::{NodeRow, Phase, StartRow},
    },
    suite::{Suite, Variant},
};

/// The phases in the order of time, each sum below its parts.
const PHASES: [&str; 9] = [
    "resolve",
    "download",
    "tail",
    "pull",
    "create",
    "engine",
    "app",
    "start_total",
    "node_total",
];
const SUMS: [&str; 3] = ["pull", "start_total", "node_total"];
const NODE: [(&str, &str); 4] = [
    ("node_cold", "unshaped"),
    ("node_cold", "100mbit"),
    ("redeploy", "unshaped"),
    ("redeploy", "100mbit"),
];
const START: [&str; 2] = ["warm", "cache_dropped"];

#[derive(Debug, Serialize)]
pub struct Details {
    /// As `gin/scratch`: the place of its own on the page.
    name: String,
    variant: String,
    reason: String,
    dockerfile: String,
    /// Why numbers are missing, as `sizes.csv: build_failed`.
    errors: Vec<String>,
    transfer: Cell,
    base_transfer: Cell,
    app_transfer: Cell,
    unpacked: Cell,
    layer_file: Cell,
    article: Cell,
    content: Cell,
    wasted: Cell,
    files: Cell,
    base: String,
    base_source: String,
    base_note: String,
    reproducible: Option<bool>,
    digest: String,
    app_sha256: String,
    layers: Vec<Layer>,
    largest_files: Vec<LargeFile>,
    columns: Vec<Column>,
    phases: Vec<Line>,
    capabilities: Vec<Ability>,
}

/// What it can do, or cannot.
#[derive(Debug, Serialize)]
struct Ability {
    what: Text,
    answer: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Layer {
    place: u64,
    origin: &'static str,
    created_by: String,
    transfer: Cell,
    unpacked: Cell,
    files: Cell,
}

#[derive(Debug, Serialize)]
struct LargeFile {
    path: String,
    bytes: Cell,
    layer: u64,
}

/// A scenario, and who measured it.
#[derive(Debug, Serialize)]
struct Column {
    scenario: &'static str,
    /// Empty where the network has no part in it.
    profile: &'static str,
    session: String,
    n: Cell,
    #[serde(skip)]
    phases: [Phase; PHASES.len()],
}

#[derive(Debug, Serialize)]
struct Line {
    phase: &'static str,
    is_sum: bool,
    cells: Vec<Cell>,
}

impl Details {
    pub fn new(evidence: &Evidence, suite: &Suite, variant: &Variant) -> Self {
        let (suite, name) = (suite.name.as_str(), variant.name.as_str());
        let none = SizeRow::default();
        let size = evidence.size(suite, name).unwrap_or(&none);
        let columns = columns(evidence, suite, name);
        let base = evidence.bases.iter().find(|it| it.base == size.base);
        Self {
            name: format!("{suite}/{name}"),
            variant: name.to_owned(),
            reason: variant.reason.clone(),
            dockerfile: format!("experiments/{suite}/{name}/Dockerfile"),
            errors: errors(evidence, suite, name),
            transfer: Cell::bytes(size.transfer_bytes),
            base_transfer: Cell::bytes(size.base_transfer_bytes),
            app_transfer: Cell::bytes(size.app_transfer_bytes),
            unpacked: Cell::bytes(size.unpacked_bytes),
            layer_file: Cell::bytes(size.layer_file_bytes),
            article: Cell::bytes(variant.article_bytes),
            content: Cell::bytes(size.content_bytes),
            wasted: Cell::bytes(size.wasted_bytes),
            files: Cell::count(size.files),
            base: size.base.clone(),
            base_source: size.base_source.clone(),
            base_note: base.map(|it| it.note.clone()).unwrap_or_default(),
            reproducible: size.reproducible,
            digest: size
                .digest
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            app_sha256: size
                .app_sha256
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            layers: layers(evidence, suite, name),
            largest_files: largest_files(evidence, suite, name),
            phases: lines(&columns),
            columns,
            capabilities: capabilities(evidence, suite, name),
        }
    }
}

fn errors(evidence: &Evidence, suite: &str, variant: &str) -> Vec<String> {
    let told = |file: &str, what: &str, error: Option<ErrorWord>| {
        error.map(|word| format!("{file}{what}: {word}"))
    };
    let size = evidence.size(suite, variant);
    let node = evidence
        .node
        .iter()
        .filter(|it| (&*it.suite, &*it.variant) == (suite, variant));
    let start = evidence
        .start
        .iter()
        .filter(|it| (&*it.suite, &*it.variant) == (suite, variant));
    let sizes = size.and_then(|it| told("sizes.csv", "", it.error));
    let node = node.filter_map(|it| {
        told(
            "node.csv",
            &format!(" {} {}", it.profile, it.scenario),
            it.error,
        )
    });
    let start = start.filter_map(|it| told("start.csv", &format!(" {}", it.scenario), it.error));
    sizes.into_iter().chain(node).chain(start).collect()
}

fn layers(evidence: &Evidence, suite: &str, variant: &str) -> Vec<Layer> {
    let of_variant =
        |row: &&LayerRow| (row.suite.as_str(), row.variant.as_str()) == (suite, variant);
    let layer = |row: &LayerRow| Layer {
        place: row.layer,
        origin: row.origin.map(|it| it.word()).unwrap_or_default(),
        created_by: row.created_by.clone(),
        transfer: Cell::bytes(row.transfer_bytes),
        unpacked: Cell::bytes(row.unpacked_bytes),
        files: Cell::count(row.files),
    };
    evidence
        .layers
        .iter()
        .filter(of_variant)
        .map(layer)
        .collect()
}

fn largest_files(evidence: &Evidence, suite: &str, variant: &str) -> Vec<LargeFile> {
    let of_variant =
        |row: &&FileRow| (row.suite.as_str(), row.variant.as_str()) == (suite, variant);
    let file = |row: &FileRow| LargeFile {
        path: row.path.clone(),
        bytes: Cell::bytes(Some(row.content_bytes)),
        layer: row.layer,
    };
    let rows = evidence.files.iter();
    rows.filter(of_variant).map(file).collect()
}

/// In the order of the questions; those that nobody asked yet are left out.
fn capabilities(evidence: &Evidence, suite: &str, variant: &str) -> Vec<Ability> {
    let ability = |(capability, word, _): &(Capability, &str, &str)| {
        let row = evidence.capabilities.iter().find(|it| {
            (
                it.suite.as_str(),
                it.variant.as_str(),
                it.capability.as_str(),
            ) == (suite, variant, *word)
        })?;
        let name = |lang| capability_name(*capability, lang).to_owned();
        Some(Ability {
            what: Text {
                en: name(Lang::En),
                ko: name(Lang::Ko),
            },
            answer: row.answer?.word(),
            detail: row.detail.clone(),
        })
    };
    Capability::ALL.iter().filter_map(ability).collect()
}

fn columns(evidence: &Evidence, suite: &str, variant: &str) -> Vec<Column> {
    let node = NODE.into_iter().filter_map(|(scenario, profile)| {
        let row = evidence.node(suite, variant, profile, scenario)?;
        Some(Column {
            scenario,
            profile,
            session: row.session.clone(),
            n: Cell::count(row.n),
            phases: of_node(row),
        })
    });
    let start = START.into_iter().filter_map(|scenario| {
        let row = evidence.start(suite, variant, scenario)?;
        Some(Column {
            scenario,
            profile: "",
            session: row.session.clone(),
            n: Cell::count(row.n),
            phases: of_start(row),
        })
    });
    let has_times = |it: &Column| it.phases.iter().any(|phase| phase.median_us.is_some());
    node.chain(start).filter(has_times).collect()
}

fn of_node(row: &NodeRow) -> [Phase; PHASES.len()] {
    [
        row.resolve,
        row.download,
        row.tail,
        row.pull.phase,
        row.create,
        row.engine,
        row.app,
        row.start_total,
        row.node_total.phase,
    ]
}

fn of_start(row: &StartRow) -> [Phase; PHASES.len()] {
    let none = Phase::default();
    [
        none,
        none,
        none,
        none,
        row.create,
        row.engine,
        row.app.phase,
        row.start_total.phase,
        none,
    ]
}

fn lines(columns: &[Column]) -> Vec<Line> {
    let line = |(place, phase): (usize, &'static str)| Line {
        phase,
        is_sum: SUMS.contains(&phase),
        cells: columns
            .iter()
            .map(|it| Cell::time(&it.phases[place]))
            .collect(),
    };
    let lines = PHASES.into_iter().enumerate().map(line);
    lines
        .filter(|it| !it.cells.iter().all(Cell::is_empty))
        .collect()
}
