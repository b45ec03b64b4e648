//! The files that are the same on every machine: sizes with their layers and
//! bases, what an image can do, and the money that follows.

use super::Finding;
use crate::{
    cost::WHOLE_SUITE,
    publish::Evidence,
    record::{
        cell::Capability,
        cost::CostRow,
        exact::{FileRow, LayerRow, SizeRow},
    },
    suite::Suite,
};

/// What a Dockerfile says that has no base; there is nothing to count of it.
const NO_BASE: &str = "scratch";

pub fn of_suite(evidence: &Evidence, suite: &Suite) -> Vec<Finding> {
    let mut found = Vec::new();
    for variant in &suite.variants {
        let name = (suite.name.as_str(), variant.name.as_str());
        found.extend(size(evidence, name));
        found.extend(capabilities(evidence, name));
        found.extend(cost(evidence, name));
    }
    found.extend(cost(evidence, (&suite.name, WHOLE_SUITE)));
    found
}

/// A suite and its variant.
type Name<'a> = (&'a str, &'a str);

/// The image's row, or what is missing below it: its layers, its largest files,
/// its base.
fn size(evidence: &Evidence, (suite, variant): Name<'_>) -> Option<Finding> {
    let (file, why) = match evidence.size(suite, variant) {
        None => ("sizes.csv", "no row".to_owned()),
        Some(row) => match (row.error, row.transfer_bytes) {
            (Some(word), _) => ("sizes.csv", word.to_string()),
            (None, None) => ("sizes.csv", "no numbers".to_owned()),
            (None, Some(_)) => layers(evidence, row)
                .map(|why| ("layers.csv", why))
                .or_else(|| Some(("files.csv", files(evidence, row)?)))
                .or_else(|| Some(("bases.csv", base(evidence, row)?)))?,
        },
    };
    Some(Finding::new(
        format!("{file}: {suite}/{variant}: {why}"),
        format!("cargo xtask size {suite}/{variant}"),
    ))
}

/// A bar is as long as its layers, so one without them would be empty.
fn layers(evidence: &Evidence, size: &SizeRow) -> Option<String> {
    let is_whole = |row: &&LayerRow| {
        (&row.suite, &row.variant) == (&size.suite, &size.variant)
            && row.transfer_bytes.is_some()
            && row.origin.is_some()
    };
    let there = evidence.layers.iter().filter(is_whole).count() as u64;
    let all = size.layers.unwrap_or_default();
    (there != all).then(|| format!("{there} layers with numbers, and sizes.csv says {all}"))
}

fn files(evidence: &Evidence, size: &SizeRow) -> Option<String> {
    let is_its = |row: &FileRow| (&row.suite, &row.variant) == (&size.suite, &size.variant);
    let has_files = size.files.is_some_and(|files| files > 0);
    (has_files && !evidence.files.iter().any(is_its)).then(|| "no row".to_owned())
}

fn base(evidence: &Evidence, size: &SizeRow) -> Option<String> {
    if [NO_BASE, ""].contains(&size.base.as_str()) {
        return None;
    }
    let row = evidence.bases.iter().find(|row| row.base == size.base);
    match row {
        None => Some(format!("no row of its base {}", size.base)),
        Some(row) if row.transfer_bytes.is_none() => {
            Some(format!("no numbers of its base {}", size.base))
        }
        Some(_) => None,
    }
}

fn capabilities<'a>(
    evidence: &'a Evidence,
    (suite, variant): Name<'a>,
) -> impl Iterator<Item = Finding> + 'a {
    Capability::ALL.iter().filter_map(move |(_, word, _)| {
        let row = evidence.capabilities.iter().find(|it| {
            (it.suite.as_str(), it.variant.as_str()) == (suite, variant) && it.capability == *word
        });
        let why = match row.map(|row| (row.error, row.answer)) {
            None => "no row".to_owned(),
            Some((Some(error), _)) => error.to_string(),
            Some((None, None)) => "no answer".to_owned(),
            Some((None, Some(_))) => return None,
        };
        Some(Finding::new(
            format!("capabilities.csv: {suite}/{variant} {word}: {why}"),
            format!("cargo xtask capabilities {suite}/{variant}"),
        ))
    })
}

/// What the file says beside what follows from prices and sizes today: the page
/// computes with those, and the article quotes the file.
fn cost(evidence: &Evidence, (suite, variant): Name<'_>) -> Option<Finding> {
    let of = |rows: &'_ [CostRow]| -> Vec<CostRow> {
        let is_it = |row: &&CostRow| (&*row.suite, &*row.variant) == (suite, variant);
        rows.iter().filter(is_it).cloned().collect()
    };
    let (there, due) = (of(&evidence.cost), of(&evidence.cost_due));
    let why = match there.is_empty() {
        true => "no row",
        false if there != due => {
            "not what sizes.csv, layers.csv and experiments/prices.toml come to"
        }
        false => return None,
    };
    Some(Finding::new(
        format!("cost.csv: {suite}/{variant}: {why}"),
        "cargo xtask cost",
    ))
}
