//! `experiments/prices.toml`, as checked values: what registries ask, and how
//! much is used of it where the command line says nothing else.

use std::{collections::BTreeSet, fs, io};

use anyhow::{Context as _, Result};

use crate::{
    manifest::{self, At, Section},
    problem::{Problems, shown},
    project::Project,
};

const FILE: &str = "prices.toml";

/// More than anybody uses, and little enough to multiply with.
pub const USAGE_MAX: u64 = 1_000_000;

/// A thousand dollars per GB: whoever writes more has mistaken the unit.
const MICROUSD_MAX: u64 = 1_000_000_000;

/// What a "GB" is: 10^9 bytes, or 2^30.
const GB_BYTES: [u64; 2] = [1_000_000_000, 1 << 30];

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    pub usage: Usage,
    pub prices: Vec<Price>,
}

/// How much of a registry is used in a month; what that means in bytes is in
/// [`model`](super::model).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Pushed in the month, and kept.
    pub versions: u64,
    /// By somebody who has nothing of the image.
    pub pulls: u64,
    /// Each of them pulls every version.
    pub nodes: u64,
}

/// What one registry asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub name: String,
    /// The day or month that its source states.
    pub date: String,
    /// Where it was read.
    pub source: String,
    pub gb_bytes: u64,
    /// For compressed bytes, stored for a whole month.
    pub storage_microusd_per_gb_month: u64,
    pub paths: Vec<Path>,
}

/// A way from the registry to whoever pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub name: String,
    pub microusd_per_gb: u64,
}

impl Prices {
    /// The file of the project; none where there is none.
    ///
    /// # Errors
    /// [`Problems`] with everything there is to mend in it.
    pub fn load(project: &Project) -> Result<Option<Self>> {
        let file = project.experiments().join(FILE);
        match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
            Ok(text) => {
                let (prices, found) = manifest::read(shown(&file, project.root()), &text, prices);
                Problems::none_or(found)?;
                Ok(prices.flatten())
            }
        }
    }
}

fn prices(top: &Section<'_>) -> Option<Prices> {
    let usage = top.section("usage", usage);
    if !top.has("usage") {
        top.problem(
            0,
            "`[usage]` is missing",
            "add `[usage]` and below it `versions = 20`, `pulls = 100`, `nodes = 10`",
        );
    }
    let prices = top.sections("price", price);
    if prices.is_empty() && !top.has("price") {
        top.problem(
            0,
            "there is no price",
            "add `[[price]]` with a `name`, a `date` and a `source`",
        );
    }
    let prices = prices.into_iter().filter_map(|price| price.value);
    Some(Prices {
        prices: unique(top, prices.collect()),
        usage: usage?.value?,
    })
}

fn usage(section: &Section<'_>) -> Option<Usage> {
    let of = |key, least, example| required(section, key, least..USAGE_MAX + 1, example);
    let (versions, pulls, nodes) = (
        of("versions", 1, "20"),
        of("pulls", 0, "100"),
        of("nodes", 0, "10"),
    );
    Some(Usage {
        versions: versions?,
        pulls: pulls?,
        nodes: nodes?,
    })
}

fn price(section: &Section<'_>) -> Option<At<Price>> {
    let name = name(section, "\"amazon-ecr\"");
    let date = date(section);
    let source = section.required_text("source", "\"the page it was read on: https://…\"");
    let gb_bytes = gb_bytes(section);
    let storage = required(
        section,
        "storage_microusd_per_gb_month",
        0..MICROUSD_MAX + 1,
        "100_000",
    );
    let paths = section.sections("path", path);
    if paths.is_empty() && !section.has("path") {
        section.problem(
            section.line(),
            "a price without a way for the pulls",
            "add `[[price.path]]` with `name = \"internet\"` and `microusd_per_gb = 90_000`",
        );
    }
    let paths = paths.into_iter().filter_map(|path| path.value).collect();
    let paths = unique(section, paths);
    let name = name?;
    Some(At {
        line: name.line,
        value: Price {
            name: name.value,
            date: date?,
            source: source?.value,
            gb_bytes: gb_bytes?,
            storage_microusd_per_gb_month: storage?,
            paths,
        },
    })
}

fn path(section: &Section<'_>) -> Option<At<Path>> {
    let name = name(section, "\"internet\"");
    let microusd_per_gb = required(section, "microusd_per_gb", 0..MICROUSD_MAX + 1, "90_000");
    let name = name?;
    Some(At {
        line: name.line,
        value: Path {
            name: name.value,
            microusd_per_gb: microusd_per_gb?,
        },
    })
}

fn name(section: &Section<'_>, example: &str) -> Option<At<String>> {
    section.required_text("name", example)
}

/// A day or a month, so that nobody takes a price for today's.
fn date(section: &Section<'_>) -> Option<String> {
    let date = section.required_text("date", "\"2026-11\"")?;
    let is_date = match date.value.as_bytes() {
        [year @ .., b'-', a, b, b'-', c, d] if year.len() == 4 => {
            year.iter().chain([a, b, c, d]).all(u8::is_ascii_digit)
        }
        [year @ .., b'-', a, b] if year.len() == 4 => {
            year.iter().chain([a, b]).all(u8::is_ascii_digit)
        }
        _ => false,
    };
    if !is_date {
        section.problem(
            date.line,
            format!("`date` is `{}`, neither a day nor a month", date.value),
            "write what the source states, as in `date = \"2026-11-25\"` or `date = \"2026-11\"`",
        );
    }
    is_date.then_some(date.value)
}

fn gb_bytes(section: &Section<'_>) -> Option<u64> {
    let example = "1_073_741_824";
    let bytes = required(section, "gb_bytes", 0..u64::MAX, example)?;
    let known = GB_BYTES.contains(&bytes);
    if !known {
        section.problem(
            section.line(),
            format!("no \"GB\" has {bytes} bytes"),
            "write `gb_bytes = 1_000_000_000` or, for a GiB, `gb_bytes = 1_073_741_824`",
        );
    }
    known.then_some(bytes)
}

/// A number that must be there; `example` goes into the mend.
fn required(
    section: &Section<'_>,
    key: &'static str,
    range: std::ops::Range<u64>,
    example: &str,
) -> Option<u64> {
    let number = section.number(key, range);
    if !section.has(key) {
        section.problem(
            section.line(),
            format!("`{key}` is missing"),
            format!("add `{key} = {example}`"),
        );
    }
    number.map(|number| number.value)
}

/// What has a name that is a part of a row's key.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Price {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Path {
    fn name(&self) -> &str {
        &self.name
    }
}

/// The values; a name that stands twice is a problem.
fn unique<T: Named>(section: &Section<'_>, named: Vec<At<T>>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    for it in &named {
        if !seen.insert(it.value.name()) {
            section.problem(
                it.line,
                format!("`{}` stands here twice", it.value.name()),
                "give one of the two another name, or remove it",
            );
        }
    }
    named.into_iter().map(|it| it.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn read(text: &str) -> Result<Option<Prices>> {
        let folder = tempfile::tempdir().unwrap();
        files::write_atomic(&folder.path().join("experiments/prices.toml"), text).unwrap();
        Prices::load(&Project::at(folder.path()).unwrap())
    }

    fn findings(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    const GOOD: &str = "\
[usage]
versions = 20
pulls = 0
nodes = 10

[[price]]
name = \"a\"
date = \"2026-11\"
source = \"somewhere\"
gb_bytes = 1_073_741_824
storage_microusd_per_gb_month = 100_000

[[price.path]]
name = \"near\"
microusd_per_gb = 0

[[price.path]]
name = \"far\"
microusd_per_gb = 90_000
";

    #[test]
    fn a_good_file_is_read_whole() {
        let prices = read(GOOD).unwrap().unwrap();
        let usage = Usage {
            versions: 20,
            pulls: 0,
            nodes: 10,
        };
        assert_eq!(prices.usage, usage);
        let price = &prices.prices[0];
        assert_eq!(
            (price.gb_bytes, price.storage_microusd_per_gb_month),
            (1 << 30, 100_000)
        );
        let paths: Vec<_> = price
            .paths
            .iter()
            .map(|path| (&*path.name, path.microusd_per_gb))
            .collect();
        assert_eq!(paths, [("near", 0), ("far", 90_000)]);
    }

    #[test]
    fn no_file_is_no_price_and_no_error() {
        let folder = tempfile::tempdir().unwrap();
        files::create_dir_all(&folder.path().join("experiments")).unwrap();
        let project = Project::at(folder.path()).unwrap();
        assert_eq!(Prices::load(&project).unwrap(), None);
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        let bad = GOOD
            .replace("versions = 20", "versions = 0")
            .replace("nodes = 10\n", "")
            .replace("date = \"2026-11\"", "date = \"last week\"")
            .replace("source = \"somewhere\"\n", "")
            .replace("1_073_741_824", "1024")
            .replace("microusd_per_gb = 0", "microusd_per_gb = 0.09");
        insta::assert_snapshot!(findings(&bad), @r#"
        experiments/prices.toml:1: `nodes` is missing
          mend: add `nodes = 10`
        experiments/prices.toml:2: [usage] `versions` is not a whole number from 1 to 1000000
          mend: make `versions` a whole number from 1 to 1000000
        experiments/prices.toml:5: [[price]] `source` is missing
          mend: add `source = "the page it was read on: https://…"`
        experiments/prices.toml:5: no "GB" has 1024 bytes
          mend: write `gb_bytes = 1_000_000_000` or, for a GiB, `gb_bytes = 1_073_741_824`
        experiments/prices.toml:7: `date` is `last week`, neither a day nor a month
          mend: write what the source states, as in `date = "2026-11-25"` or `date = "2026-11"`
        experiments/prices.toml:13: [[price.path]] `microusd_per_gb` is not a whole number from 0 to 1000000000
          mend: make `microusd_per_gb` a whole number from 0 to 1000000000
        "#);
    }

    #[test]
    fn names_that_stand_twice_and_empty_files_are_found() {
        let twice = GOOD.replace("\"far\"", "\"near\"");
        assert!(findings(&twice).contains("`near` stands here twice"));
        insta::assert_snapshot!(findings(""), @"
        experiments/prices.toml: `[usage]` is missing
          mend: add `[usage]` and below it `versions = 20`, `pulls = 100`, `nodes = 10`
        experiments/prices.toml: there is no price
          mend: add `[[price]]` with a `name`, a `date` and a `source`
        ");
    }

    #[test]
    fn the_projects_own_prices_are_right() {
        let project = Project::at(std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/.."
        )))
        .unwrap();
        let prices = Prices::load(&project)
            .unwrap()
            .expect("the project states prices");
        for price in &prices.prices {
            assert!(
                price.source.contains("https://"),
                "{}: a source can be looked up",
                price.name
            );
        }
    }
}
