//! The committed files as if all of them had been measured in full: what
//! publishing does is tested, and not whether today's rows are fit for it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use tempfile::TempDir;

use super::project::committed;

/// A table's row under its column names.
pub struct Row<'a> {
    head: &'a csv::StringRecord,
    pub cells: Vec<String>,
}

impl Row<'_> {
    fn cell(&mut self, column: &str) -> Option<&mut String> {
        let place = self.head.iter().position(|name| name == column)?;
        Some(&mut self.cells[place])
    }

    pub fn set(&mut self, column: &str, value: &str) {
        let cell = self.cell(column);
        value.clone_into(cell.unwrap_or_else(|| panic!("no column {column}")));
    }

    /// Suite and variant, where the table has them.
    fn image(&mut self) -> Option<(String, String)> {
        let suite = self.cell("suite")?.clone();
        Some((suite, self.cell("variant")?.clone()))
    }
}

/// Writes a table again, without the rows of which `edit` says `false`.
pub fn rewrite(path: &Path, mut edit: impl FnMut(&mut Row<'_>) -> bool) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let head = reader.headers().unwrap().clone();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&head).unwrap();
    for record in reader.records() {
        let cells = record.unwrap().iter().map(str::to_owned).collect();
        let mut row = Row { head: &head, cells };
        if edit(&mut row) {
            writer.write_record(&row.cells).unwrap();
        }
    }
    fs::write(path, writer.into_inner().unwrap()).unwrap();
}

/// The machine whose rows are published.
pub fn machine(project: &TempDir) -> String {
    let text = fs::read_to_string(project.path().join("experiments/publish.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    settings["machine"].as_str().unwrap().to_owned()
}

/// A project of which everything can be published. Variants that nobody has
/// measured yet are not in it.
pub fn project() -> TempDir {
    let folder = committed();
    let results = folder.path().join("results");
    let measured = results.join(machine(&folder));
    let mut inputs = BTreeMap::new();
    rewrite(&results.join("sizes.csv"), |row| {
        inputs.insert(row.image().unwrap(), row.cell("inputs").unwrap().clone());
        true
    });
    let mut timed = BTreeMap::new();
    for file in ["node.csv", "start.csv", "limits.csv"] {
        rewrite(&measured.join(file), |row| {
            let image = row.image().unwrap();
            let Some(inputs) = inputs.get(&image) else {
                return false;
            };
            row.set("inputs", inputs);
            for mark in ["stale", "noisy"] {
                if let Some(cell) = row.cell(mark) {
                    cell.clear();
                }
            }
            timed.insert(image, ());
            true
        });
    }
    for file in ["sizes.csv", "layers.csv", "files.csv", "capabilities.csv"] {
        rewrite(&results.join(file), |row| {
            timed.contains_key(&row.image().unwrap())
        });
    }
    for suite in suites(&folder) {
        declare_only(&suite, |name, variant| {
            timed.contains_key(&(name.to_owned(), variant.to_owned()))
        });
    }
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["cost", "--project"])
        .arg(folder.path())
        .assert()
        .success();
    folder
}

/// The folders of the suites.
fn suites(project: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.path().join("experiments")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    folders
        .filter(|it| it.join("suite.toml").is_file())
        .collect()
}

fn declare_only(suite: &Path, is_measured: impl Fn(&str, &str) -> bool) {
    let (name, file) = (suite.file_name().unwrap(), suite.join("suite.toml"));
    let mut text: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
    let variants = text["variant"].as_array_mut().unwrap();
    variants.retain(|it| is_measured(name.to_str().unwrap(), it["name"].as_str().unwrap()));
    fs::write(file, toml::to_string(&text).unwrap()).unwrap();
}
