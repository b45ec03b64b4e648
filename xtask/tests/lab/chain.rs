//! `run-all --quick` on copies of the real suites, and what a further run does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::SystemTime,
};

use anyhow::{Context, Result, anyhow, ensure};
use xtask::{
    digest::Digest,
    record::{
        cell::Capability,
        exact::{FILES_OF_IMAGE_MAX, FileRow, LayerRow, SizeRow},
    },
    suite::{self, Selection, Suite},
};

use crate::sandbox::{Finished, Sandbox, files_below, remove};

/// The sandbox's folder.
pub const NAME: &str = "chain";

/// Blocks of a quick session.
const QUICK_BLOCKS: u64 = 5;

/// The real suites, built, sized and measured.
pub struct Chain {
    pub sandbox: Sandbox,
    first: Finished,
}

/// The chain, run now if this is the first test that needs it.
pub fn chain() -> Result<&'static Chain> {
    static CHAIN: OnceLock<Result<Chain, String>> = OnceLock::new();
    let make = || {
        let sandbox = Sandbox::of_workspace(NAME)?;
        let first = sandbox.run_quick(&[])?.expect(0)?;
        anyhow::Ok(Chain { sandbox, first })
    };
    let made = CHAIN.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|error| anyhow!("{error}"))
}

impl Chain {
    pub fn suites(&self) -> Result<Vec<Suite>> {
        suite::load(
            &self.sandbox.project()?,
            &Selection::everything(),
            "linux/amd64",
        )
    }
}

pub fn every_variant_has_its_rows() -> Result<()> {
    let chain = chain()?;
    let Finished { stdout, stderr, .. } = &chain.first;
    ensure!(
        stderr.starts_with("This run will\n"),
        "the plan does not come first:\n{stderr}"
    );
    let sandbox = &chain.sandbox;
    let (sizes, layers, bases) = (sandbox.sizes()?, sandbox.layers()?, sandbox.bases()?);
    let files = sandbox.files()?;
    let (node, start) = (sandbox.node()?, sandbox.start()?);
    let capabilities = sandbox.capabilities()?;
    let known: BTreeSet<_> = bases.rows().map(|row| row.base.clone()).collect();
    for (suite, variant) in variants(&chain.suites()?) {
        let name = format!("{suite}/{}", variant.name);
        let is_it = |s: &str, v: &str| (s, v) == (suite.as_str(), variant.name.as_str());
        let size = sizes.rows().find(|row| is_it(&row.suite, &row.variant));
        let size = size.with_context(|| format!("{name} is not in sizes.csv"))?;
        let counted = layers.rows().filter(|row| is_it(&row.suite, &row.variant));
        ensure!(
            size.error.is_none() && size.layers == Some(counted.count() as u64),
            "sizes.csv and layers.csv disagree on {name}: {size:?}"
        );
        let files = files.rows().filter(|row| is_it(&row.suite, &row.variant));
        let (count, bytes) = files.fold((0, 0), |(count, bytes), row| {
            (count + 1, bytes + row.content_bytes)
        });
        ensure!(
            (1..=FILES_OF_IMAGE_MAX).contains(&count) && Some(bytes) <= size.content_bytes,
            "{name}: {count} of its files have {bytes} bytes: {size:?}"
        );
        for image in variant.images.images() {
            let image = image.context_key();
            ensure!(known.contains(&image), "{image} is not in bases.csv");
        }
        let asked = capabilities.rows();
        let answers = asked.filter(|row| is_it(&row.suite, &row.variant) && row.answer.is_some());
        ensure!(
            answers.count() == Capability::ALL.len(),
            "{name} has not answered everything:\n{}",
            capabilities.text()
        );
        let of_node = node.rows().filter(|row| is_it(&row.suite, &row.variant));
        let of_start = start.rows().filter(|row| is_it(&row.suite, &row.variant));
        let rows = of_node
            .map(|row| (row.scenario.as_str(), row.n, row.invalid, row.error))
            .chain(of_start.map(|row| (row.scenario.as_str(), row.n, row.invalid, row.error)));
        let rows: Vec<_> = rows.collect();
        let scenarios: Vec<&str> = rows.iter().map(|(scenario, ..)| *scenario).collect();
        // What other work disturbed is a sample that does not count.
        ensure!(
            scenarios == ["node_cold", "redeploy", "warm"]
                && rows.iter().all(|(_, n, invalid, error)| {
                    n.unwrap_or(0) + invalid.unwrap_or(0) >= QUICK_BLOCKS && error.is_none()
                }),
            "{name}: scenario, n, invalid and error are {rows:?}"
        );
        ensure!(stdout.contains(&name), "the table lacks {name}:\n{stdout}");
    }
    Ok(())
}

pub fn a_second_run_writes_nothing() -> Result<()> {
    let sandbox = &chain()?.sandbox;
    let before = state(sandbox)?;
    let second = sandbox.run_quick(&[])?.expect(0)?;
    ensure!(
        second
            .stdout
            .contains("Everything is up to date: nothing was written."),
        "it does not say so:\n{}",
        second.said()
    );
    let moved = differences(&before, &state(sandbox)?);
    ensure!(moved.is_empty(), "it wrote {moved:?}");
    Ok(())
}

pub fn contexts_hold_sources_only() -> Result<()> {
    let contexts = chain()?.sandbox.path("target/lab/contexts");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files_below(&contexts)? {
        let file = file.display().to_string();
        let (folder, file) = file.split_once('/').context("a context is a folder")?;
        let (suite, _) = folder.split_once('-').context("SUITE-ID")?;
        found.entry(suite.into()).or_default().push(file.into());
    }
    ensure!(
        found["gin"] == ["go.mod", "go.sum", "main.go"],
        "gin's context holds {:?}",
        found["gin"]
    );
    let strangers: Vec<_> = found["axum"]
        .iter()
        .filter(|file| {
            let sources = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"];
            !sources.contains(&file.as_str()) && !file.starts_with("src/")
        })
        .collect();
    ensure!(strangers.is_empty(), "axum's context holds {strangers:?}");
    Ok(())
}

/// Only the bases and the engine are left from the first time, and nothing to
/// hold the new rows against; one image of each suite stands for all.
pub fn building_again_gives_the_same_rows() -> Result<()> {
    const AGAIN: [&str; 2] = ["axum/scratch", "gin/scratch"];
    let sandbox = &chain()?.sandbox;
    let rows = || -> Result<(Vec<SizeRow>, Vec<LayerRow>, Vec<FileRow>)> {
        let is_one = |suite: &str, variant: &str| AGAIN.contains(&&*format!("{suite}/{variant}"));
        let (sizes, layers) = (sandbox.sizes()?, sandbox.layers()?);
        let sizes = sizes.rows().filter(|row| is_one(&row.suite, &row.variant));
        let layers = layers.rows().filter(|row| is_one(&row.suite, &row.variant));
        // BuildKit packs the times of the build with the files.
        let layers = layers.cloned().map(|row| LayerRow {
            buildkit_transfer_bytes: None,
            ..row
        });
        let files = sandbox.files()?;
        let files = files.rows().filter(|row| is_one(&row.suite, &row.variant));
        Ok((
            sizes.cloned().collect(),
            layers.collect(),
            files.cloned().collect(),
        ))
    };
    let before = rows()?;
    ensure!(
        before.0.len() == AGAIN.len() && !before.2.is_empty(),
        "{before:?}"
    );
    for folder in ["target/lab/images", "target/lab/contexts", "results"] {
        let (from, aside) = (
            sandbox.path(folder),
            sandbox.path(&format!("{folder}.first")),
        );
        fs::rename(&from, &aside).with_context(|| format!("cannot move {}", from.display()))?;
    }
    let again = sandbox.run(&["size", AGAIN[0], AGAIN[1]])?.expect(0);
    let after = again.and_then(|_| rows());
    // The other tests go on with the whole of it.
    for folder in ["target/lab/images", "target/lab/contexts", "results"] {
        let (to, aside) = (
            sandbox.path(folder),
            sandbox.path(&format!("{folder}.first")),
        );
        remove(&to)?;
        fs::rename(&aside, &to)?;
    }
    let after = after?;
    ensure!(before == after, "{before:#?}\nbecame\n{after:#?}");
    Ok(())
}

fn variants(suites: &[Suite]) -> impl Iterator<Item = (&String, &suite::Variant)> {
    suites
        .iter()
        .flat_map(|suite| suite.variants.iter().map(move |it| (&suite.name, it)))
}

/// What a run that does nothing leaves alone: files with time and content. The
/// lock and the logs are among them, so that a started engine shows.
type State = BTreeMap<PathBuf, (SystemTime, Digest)>;

pub fn state(sandbox: &Sandbox) -> Result<State> {
    let mut files = vec![sandbox.path("target/lab/lock")];
    for part in ["experiments", "app", "results", "target/lab/logs"] {
        let folder = sandbox.path(part);
        files.extend(files_below(&folder)?.iter().map(|file| folder.join(file)));
    }
    let state_of = |path: PathBuf| -> Result<_> {
        let modified = fs::metadata(&path)?.modified()?;
        let (digest, _) = Digest::of_reader(fs::File::open(&path)?)?;
        Ok((path, (modified, digest)))
    };
    files.into_iter().map(state_of).collect()
}

pub fn differences(before: &State, after: &State) -> Vec<PathBuf> {
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    all.into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .cloned()
        .collect()
}
