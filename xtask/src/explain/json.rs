//! The report for a program. `docs/explain.schema.json` describes it, and a test
//! holds the two together.

use anyhow::Result;
use serde::Serialize;

use super::report::Report;

/// Counted up when a field goes, is renamed or means something else; a field
/// more is no new version.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    report: &'a Report,
}

pub fn text(report: &Report) -> Result<String> {
    let document = Document {
        schema: SCHEMA,
        report,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
