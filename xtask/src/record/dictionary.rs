//! The column dictionary in `results/README.md`: written from the rows, so that
//! no column is without its unit and meaning.

use std::fmt::Write as _;

use super::{
    capabilities::CapabilityRow,
    cell::{Capability, ErrorWord},
    cost::CostRow,
    exact::{BaseRow, FileRow, LayerRow, SizeRow},
    limits::LimitRow,
    row::{FieldInfo, Row},
    timings::{EnvironmentRow, NodeRow, ProofRow, SampleRow, StartRow},
};

const BEGIN: &str = "<!-- BEGIN columns: from the doc comments of xtask/src/record; \
                     UPDATE=1 cargo test dictionary -->\n";
const END: &str = "<!-- END columns -->\n";

/// What a column's name ends with, and the unit that this states.
const UNITS: &[(&str, &str)] = &[
    ("_bytes_per_s", "bytes per second"),
    ("_bytes", "bytes"),
    ("_us", "µs"),
    ("_ns", "ns"),
    ("_permille", "‰"),
    ("_microusd_per_month", "millionths of a US dollar per month"),
];

/// `readme` with its dictionary brought up to date; `None` without the marks
/// that enclose it.
pub fn updated(readme: &str) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", dictionary()))
}

fn dictionary() -> String {
    let files = [
        file::<SizeRow>("sizes.csv"),
        file::<LayerRow>("layers.csv"),
        file::<FileRow>("files.csv"),
        file::<BaseRow>("bases.csv"),
        file::<CapabilityRow>("capabilities.csv"),
        file::<CostRow>("cost.csv"),
        file::<NodeRow>("<machine>/node.csv"),
        file::<StartRow>("<machine>/start.csv"),
        file::<LimitRow>("<machine>/limits.csv"),
        file::<SampleRow>("<machine>/samples/<suite>-<profile>-<session>.csv"),
        file::<EnvironmentRow>("<machine>/environment.csv"),
        file::<ProofRow>("<machine>/selftest/proofs.csv"),
    ];
    let capabilities = Capability::ALL.iter().map(|it| (it.1, it.2));
    let errors = ErrorWord::ALL.iter().map(|it| (it.1, it.2));
    format!(
        "{}\n{}\n{}",
        files.join("\n"),
        words("Capabilities", capabilities),
        words("Error words", errors)
    )
}

fn file<R: Row>(path: &str) -> String {
    let mut text = format!("### `{path}`\n\n{}\n\n", R::ABOUT.trim());
    text += "| column | holds | meaning |\n|---|---|---|\n";
    for field in R::FIELDS {
        let columns: Vec<String> = field.columns().map(|name| format!("`{name}`")).collect();
        let key = if R::KEY.contains(&field.name) {
            "**key** "
        } else {
            ""
        };
        // Cells of a table may not hold the mark that divides them.
        let meaning = field.meaning.trim().replace('|', "\\|");
        writeln!(
            text,
            "| {key}{} | {} | {meaning} |",
            columns.join(" "),
            holds(field)
        )
        .expect("memory takes any text");
    }
    text
}

/// What a cell of the field holds, with its unit.
fn holds(field: &FieldInfo) -> String {
    let unit = field.columns().next().and_then(|name| unit(&name));
    let form = field.form.replace(['<', '>'], "");
    match unit {
        Some(unit) => format!("{form}, {unit}"),
        // The words of errors have a section of their own.
        None if field.form == <ErrorWord as super::cell::Cell>::FORM => {
            "an [error word](#error-words)".to_owned()
        }
        None if form.ends_with("integer") => "count".to_owned(),
        None => form,
    }
}

fn unit(column: &str) -> Option<&'static str> {
    UNITS
        .iter()
        .find(|(suffix, _)| column.ends_with(suffix))
        .map(|(_, unit)| *unit)
}

fn words<'a>(title: &str, words: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("### {title}\n\n| word | meaning |\n|---|---|\n");
    for (word, meaning) in words {
        writeln!(text, "| `{word}` | {} |", meaning.trim()).expect("memory takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use super::*;
    use crate::record::row::columns;

    fn readme() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../results/README.md")
    }

    #[test]
    fn the_dictionary_is_up_to_date() {
        let committed = fs::read_to_string(readme()).unwrap();
        let updated = updated(&committed).expect("the marks around the dictionary");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(readme(), updated).unwrap();
        } else {
            assert!(
                updated == committed,
                "results/README.md is stale: run UPDATE=1 cargo test dictionary"
            );
        }
    }

    #[test]
    fn every_column_is_documented_with_its_unit_last() {
        fn check<R: Row>(documented: &mut BTreeSet<String>) {
            let text = file::<R>("x");
            for column in columns::<R>() {
                assert!(text.contains(&format!("`{column}`")), "{column}");
                documented.insert(column);
            }
            for field in R::FIELDS {
                let meaning = field.meaning.trim();
                assert!(meaning.ends_with('.'), "{}: {meaning}", field.name);
            }
        }
        let mut columns = BTreeSet::new();
        check::<SizeRow>(&mut columns);
        check::<LayerRow>(&mut columns);
        check::<FileRow>(&mut columns);
        check::<BaseRow>(&mut columns);
        check::<CapabilityRow>(&mut columns);
        check::<CostRow>(&mut columns);
        check::<NodeRow>(&mut columns);
        check::<StartRow>(&mut columns);
        check::<LimitRow>(&mut columns);
        check::<SampleRow>(&mut columns);
        check::<EnvironmentRow>(&mut columns);
        check::<ProofRow>(&mut columns);
        for column in columns {
            let units = ["bytes", "us", "ns", "permille", "microusd"];
            let has_unit = column.split('_').any(|part| units.contains(&part));
            assert_eq!(
                has_unit,
                unit(&column).is_some(),
                "{column}: the unit stands last"
            );
        }
    }

    #[test]
    fn a_readme_without_marks_is_left_alone() {
        assert_eq!(updated("nothing here"), None);
    }
}
