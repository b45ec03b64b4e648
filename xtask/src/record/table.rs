//! A CSV file of rows: read with errors that name the cell, kept sorted by key,
//! and written only when its bytes moved.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::row::{Cells, OfVariant, Row, columns};
use crate::{
    files,
    problem::{Problem, Problems},
};

/// What git leaves in a file that it could not merge.
const CONFLICT_MARKERS: [&str; 3] = ["<<<<<<< ", ">>>>>>> ", "||||||| "];

/// All rows of one file.
#[derive(Debug)]
pub struct Table<R: Row> {
    path: PathBuf,
    rows: BTreeMap<R::Key, R>,
}

impl<R: Row> Table<R> {
    /// Reads the file; one that does not exist has no rows.
    ///
    /// # Errors
    /// Lists everything that is wrong with it, by line and column.
    pub fn load(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::empty(path)),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            rows: BTreeMap::new(),
        }
    }

    /// The rows that `path` is to hold; of two with one key the later one.
    pub fn of(path: &Path, rows: impl IntoIterator<Item = R>) -> Self {
        let mut table = Self::empty(path);
        rows.into_iter().for_each(|row| table.upsert(row));
        table
    }

    /// Reads `text` as the content of `path`.
    ///
    /// # Errors
    /// Lists everything that is wrong with it, by line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        Reader::of(path).read(text)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)
    }

    /// The rows in the order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values()
    }

    /// Puts a row in the place of the one with its key.
    pub fn upsert(&mut self, row: R) {
        self.rows.insert(row.key(), row);
    }

    /// Keeps the rows that `keep` may also change, but not in their key.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut R) -> bool) {
        self.rows.retain(|_, row| keep(row));
    }

    /// The file's bytes: header, rows by key, LF, one newline at the end.
    pub fn text(&self) -> String {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        let header = std::iter::once(columns::<R>());
        for line in header.chain(self.rows().map(Row::cells)) {
            writer
                .write_record(line)
                .expect("every row has the header's columns, and memory takes any bytes");
        }
        let bytes = writer.into_inner().expect("memory takes any bytes");
        String::from_utf8(bytes).expect("cells are text")
    }

    /// Writes the file if that moves its bytes, and says whether it did. A
    /// table without rows makes no file.
    pub fn save(&self) -> Result<bool> {
        let text = self.text();
        let moved = self.moves_to(&text)?;
        if moved {
            files::write_atomic(&self.path, text)?;
        }
        Ok(moved)
    }

    /// Whether the file holds other bytes than these rows make.
    pub fn has_moved(&self) -> Result<bool> {
        self.moves_to(&self.text())
    }

    fn moves_to(&self, text: &str) -> Result<bool> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(bytes != text.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(!self.rows.is_empty()),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}", self.path.display()))
            }
        }
    }
}

impl<R: Row + OfVariant> Table<R> {
    /// Removes the rows of variants that are no longer declared. Rows of other
    /// platforms stay: whoever runs there removes them.
    pub fn remove_undeclared(
        &mut self,
        platform: &str,
        declared: impl Fn(&str, &str) -> bool,
    ) -> usize {
        let before = self.rows.len();
        self.retain(|row| row.platform() != platform || declared(row.suite(), row.variant()));
        before - self.rows.len()
    }
}

/// Collects rows and findings, so that one run shows all there is to mend.
struct Reader<R: Row> {
    path: PathBuf,
    rows: BTreeMap<R::Key, R>,
    lines: BTreeMap<R::Key, usize>,
    problems: Vec<Problem>,
}

impl<R: Row> Reader<R> {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            rows: BTreeMap::new(),
            lines: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn read(mut self, text: &str) -> Result<Table<R>, Problems> {
        if let Some(line) = conflict(text) {
            self.report(
                line,
                "a merge conflict".to_owned(),
                "take either side, then run again: what is missing is built or measured",
            );
        } else {
            self.read_lines(text);
        }
        Problems::none_or(self.problems)?;
        Ok(Table {
            path: self.path,
            rows: self.rows,
        })
    }

    fn read_lines(&mut self, text: &str) {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut records = reader.records();
        let Some(Ok(header)) = records.next() else {
            return self.header_problem("no header line".to_owned());
        };
        if let Some(what) = header_mismatch::<R>(&header) {
            return self.header_problem(what);
        }
        for record in records {
            // Only bytes that are not UTF-8 can fail here, and `text` is UTF-8.
            let record = record.expect("a flexible reader takes any line of text");
            let line = record.position().map_or(0, |at| at.line() as usize);
            self.read_row(line, &record);
        }
    }

    fn read_row(&mut self, line: usize, record: &csv::StringRecord) {
        let columns = columns::<R>();
        if record.len() != columns.len() {
            let what = format!("{} cells where {} belong", record.len(), columns.len());
            return self.row_problem(line, what);
        }
        let row = match R::parse(&mut Cells::of(record)) {
            Ok(row) => row,
            Err(wrong) => {
                let what = format!(
                    "column `{}`: expected {}, got `{}`",
                    columns[wrong.column], wrong.expected, &record[wrong.column]
                );
                return self.row_problem(line, what);
            }
        };
        match self.lines.insert(row.key(), line) {
            Some(first) => {
                let what = format!("the same {} as in line {first}", R::KEY.join(", "));
                self.row_problem(line, what);
            }
            None => {
                self.rows.insert(row.key(), row);
            }
        }
    }

    fn header_problem(&mut self, what: String) {
        let mend = "take the committed file back (git checkout), or delete it and run again";
        self.report(1, what, mend);
    }

    fn row_problem(&mut self, line: usize, what: String) {
        let mend = "correct the line, or delete it and run again";
        self.report(line, what, mend);
    }

    fn report(&mut self, line: usize, what: String, mend: &str) {
        self.problems.push(Problem {
            file: self.path.clone(),
            line,
            what,
            mend: mend.to_owned(),
        });
    }
}

/// The first line that git left in a conflict.
fn conflict(text: &str) -> Option<usize> {
    text.lines()
        .position(|line| CONFLICT_MARKERS.iter().any(|mark| line.starts_with(mark)))
        .map(|index| index + 1)
}

/// Which columns are missing, unknown or in another order, if any.
fn header_mismatch<R: Row>(header: &csv::StringRecord) -> Option<String> {
    let expected = columns::<R>();
    let found: Vec<&str> = header.iter().collect();
    if found == expected {
        return None;
    }
    let missing = expected.iter().find(|name| !found.contains(&name.as_str()));
    let unknown = found
        .iter()
        .find(|name| !expected.iter().any(|e| e == *name));
    Some(match (missing, unknown) {
        (Some(missing), Some(unknown)) => {
            format!("column `{missing}` is missing, and `{unknown}` is unknown")
        }
        (Some(missing), None) => format!("column `{missing}` is missing"),
        (None, Some(unknown)) => format!("column `{unknown}` is unknown"),
        (None, None) => misplaced(&expected, &found),
    })
}

fn misplaced(expected: &[String], found: &[&str]) -> String {
    let pair = expected.iter().zip(found).find(|(e, f)| e.as_str() != **f);
    match pair {
        Some((expected, found)) => format!("column `{found}` stands where `{expected}` belongs"),
        None => "a column stands in it twice".to_owned(),
    }
}
