//! The report for a program. `docs/explain.schema.json` describes it, and a test
//! holds the two together.

use anyhow::Result;

use super::report::Report;
use crate::schema;

const SCHEMA: u32 = 1;

pub fn text(report: &Report) -> Result<String> {
    schema::document(SCHEMA, report)
}
