//! The answers of all variants on one screen.

use std::fmt;

use comfy_table::Table as Grid;

use crate::{
    record::{capabilities::CapabilityRow, cell::Capability},
    table::STYLE,
};

const CAPTION: &str = "What was found, where and how many, or why not: results/capabilities.csv";

/// The rows of some variants, in the order of their keys.
pub struct Matrix<'a>(pub Vec<&'a CapabilityRow>);

impl Matrix<'_> {
    fn variants(&self) -> impl Iterator<Item = &[&CapabilityRow]> {
        let name = |row: &CapabilityRow| (row.suite.clone(), row.variant.clone());
        self.0.chunk_by(move |a, b| name(a) == name(b))
    }
}

impl fmt::Display for Matrix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        // A word of a name on each line: the answers under it are short.
        let names = Capability::ALL
            .iter()
            .map(|(_, word, _)| word.replace('_', "\n"));
        grid.load_style(STYLE);
        grid.set_header(std::iter::once("variant".to_owned()).chain(names));
        for rows in self.variants() {
            let name = rows
                .first()
                .map(|row| format!("{}/{}", row.suite, row.variant));
            let cells = Capability::ALL.iter().map(|(_, word, _)| cell(rows, word));
            grid.add_row(name.into_iter().chain(cells));
        }
        for line in grid.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "\n{CAPTION}")
    }
}

fn cell(rows: &[&CapabilityRow], capability: &str) -> String {
    let row = rows.iter().find(|row| row.capability == capability);
    let answer = row.and_then(|row| row.answer).map(|answer| answer.word());
    let error = || row.and_then(|row| row.error).map(|error| error.word());
    answer.or_else(error).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::cell::{Answer, ErrorWord};

    fn row(variant: &str, capability: Capability, answer: Option<Answer>) -> CapabilityRow {
        CapabilityRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            capability: capability.word().to_owned(),
            answer,
            error: answer.is_none().then_some(ErrorWord::Exited),
            ..CapabilityRow::default()
        }
    }

    #[test]
    fn each_variant_is_a_line_with_its_answers_or_errors() {
        let rows = [
            row("broken", Capability::Shell, None),
            row("debian", Capability::LibcDns, Some(Answer::Unknown)),
            row("debian", Capability::Shell, Some(Answer::Yes)),
        ];
        insta::assert_snapshot!(Matrix(rows.iter().collect()), @"
          variant      ca      time    dns   libc      user    non       non    shell    package   read   sigterm
                       roots   zones         dns       names   root      root            manager   only
                                                               default                             root
        ───────────────────────────────────────────────────────────────────────────────────────────────────────────
          gin/broken                                                            exited
          gin/debian                         unknown                            yes

        What was found, where and how many, or why not: results/capabilities.csv
        ");
    }
}
