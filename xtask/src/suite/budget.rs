//! Budgets: the most that a column of `sizes.csv` may say of an image.

use std::collections::BTreeMap;

use crate::{
    manifest::{Section, nearest},
    record::{
        exact::SizeRow,
        row::{FieldInfo, Row as _, numbers},
        timings::{NodeRow, StartRow},
    },
};

/// By column of `sizes.csv`.
pub type Budget = BTreeMap<&'static str, u64>;

/// Why a word is no column that may have a budget.
#[derive(Debug)]
pub struct NoColumn {
    pub what: String,
    pub mend: String,
}

/// A `budget = { … }`.
pub(super) fn budget(section: &Section<'_>) -> Budget {
    let mut budget = Budget::new();
    for key in section.keys() {
        match budget_column(&key.value) {
            Ok(column) => {
                let most = section.number(column, 0..u64::MAX);
                budget.extend(most.map(|most| (column, most.value)));
            }
            Err(NoColumn { what, mend }) => {
                section.problem(key.line, format!("budget: {what}"), mend);
            }
        }
    }
    budget
}

/// The column of that name, if a budget may name it.
///
/// # Errors
/// When it is no number of `sizes.csv`; a time gets a reason of its own.
pub fn budget_column(word: &str) -> Result<&'static str, NoColumn> {
    let known: Vec<&'static str> = numbers::<SizeRow>().into_iter().map(|it| it.1).collect();
    if let Some(column) = known.iter().copied().find(|column| *column == word) {
        return Ok(column);
    }
    if is_time(word) {
        return Err(NoColumn {
            what: format!("`{word}` is a time, and times of two sessions do not compare"),
            mend: "budgets on times belong to `cargo xtask compare BASE --fail-on-worse`"
                .to_owned(),
        });
    }
    let mend = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("name one of {}", known.join(", ")),
    };
    Err(NoColumn {
        what: format!("`{word}` is no number of sizes.csv"),
        mend,
    })
}

fn is_time(word: &str) -> bool {
    // A phase fills several columns; nothing else of these files does.
    let is_phase = |field: &FieldInfo| field.suffixes.len() > 1 && field.name == word;
    let mut fields = NodeRow::FIELDS.iter().chain(StartRow::FIELDS);
    word.ends_with("_us") || word.ends_with("_ns") || fields.any(is_phase)
}
