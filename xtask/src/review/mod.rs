//! What a person reviews: what moved between two states of `results/`, and what
//! two versions measured side by side say.
//!
//! A diff is told in the order of its files: `states` are its two sides;
//! `changes`, with its `parts`, and `timings` are what is not the same in them;
//! `cause` is why, and `budget` what of it is too much. A `report` holds all of
//! that and is written as `markdown`, `json` or `plain`. `comparison` is what
//! `compare` says.

pub mod budget;
pub mod cause;
pub mod changes;
pub mod comparison;
pub mod json;
pub mod markdown;
pub mod parts;
pub mod plain;
pub mod report;
pub mod states;
#[cfg(test)]
mod testing;
pub mod timings;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::{self, Format},
    project::Project,
};
use budget::Rule;
use report::Report;

/// How a form of the report marks text that came from somewhere else.
pub type Quote = fn(&str) -> String;

/// Prints what moved between two states. A limit that was passed is an exit
/// code, with the reason on standard error.
///
/// # Errors
/// When a side cannot be read, or a rule or a suite.toml is wrong.
pub fn diff(project: &Project, options: &cli::Diff) -> Result<ExitCode> {
    let rules: Vec<Rule> = options
        .fail_on
        .iter()
        .map(|rule| rule.parse())
        .collect::<Result<_>>()?;
    let (base, head) = states::both(project, options.base.as_deref(), options.head.as_deref())?;
    let report = Report::of(&base, &head, &rules)?;
    let text = match options.format {
        Format::Markdown => markdown::text(&report),
        Format::Json => json::text(&report)?,
        Format::Table => plain::text(&report),
    };
    print!("{text}");
    let tripped = &report.judgement.tripped;
    for trip in tripped {
        let title = report.title(&trip.name);
        eprintln!("error: {title} {}", trip.text(plain::as_it_is));
    }
    if tripped.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
