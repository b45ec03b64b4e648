//! Whether rows are fit to be published: all that is shown is there, measured in
//! full, undisturbed, up to date, possible, and the marks of a chart of one session.
//!
//! `exact` looks at what is counted and computed, `timed` at what was measured on
//! one machine.

mod exact;
#[cfg(test)]
mod tests;
mod timed;

use anyhow::{Result, bail};

use super::Evidence;

/// The profiles that the article shows.
pub const PROFILES: [&str; 2] = ["unshaped", "100mbit"];

/// What keeps a row from being published, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    mend: String,
    /// Shown with `--draft` all the same.
    is_draft: bool,
}

impl Finding {
    /// One that a draft goes on with.
    fn new(what: String, mend: impl Into<String>) -> Self {
        Self {
            what,
            mend: mend.into(),
            is_draft: true,
        }
    }
}

/// # Errors
/// Every row that is missing, quick, stale, noisy or impossible; with `draft`
/// the last ones only, and the others are said. Also when a file is broken.
pub fn to_publish(evidence: &Evidence, draft: bool) -> Result<()> {
    let (shown, refused): (Vec<_>, Vec<_>) = findings(evidence)?
        .into_iter()
        .partition(|finding| draft && finding.is_draft);
    for finding in shown {
        eprintln!("draft: {}", finding.what);
    }
    if refused.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = refused
        .iter()
        .map(|it| format!("{}\n  mend: {}", it.what, it.mend))
        .collect();
    let hint = if refused.iter().any(|it| it.is_draft) {
        "\nnote: cargo xtask publish --draft shows what there is, in target/publish"
    } else {
        ""
    };
    bail!(
        "{} of results/ that cannot be published:\n{}{hint}",
        crate::human::count(refused.len(), "row"),
        lines.join("\n")
    )
}

fn findings(evidence: &Evidence) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for suite in &evidence.suites {
        found.extend(exact::of_suite(evidence, suite));
        found.extend(timed::of_suite(evidence, suite)?);
    }
    found.extend(timed::impossible(evidence));
    found.extend(timed::unproven(evidence));
    Ok(found)
}
