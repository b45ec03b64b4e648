//! What `--json` writes. The schemas in docs/ describe it, and tests hold the two
//! together.

#[cfg(test)]
mod check;

use anyhow::Result;
use serde::Serialize;

#[cfg(test)]
pub use check::errors;

#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    #[serde(flatten)]
    report: &'a T,
}

/// A report under the version of its shape. That counts up when a field goes, is
/// renamed or means something else; a field more is no new version.
///
/// # Errors
/// When the report has no JSON.
pub fn document<T: Serialize>(version: u32, report: &T) -> Result<String> {
    let document = Document {
        schema: version,
        report,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
