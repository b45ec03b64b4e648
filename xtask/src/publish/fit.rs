//! Whether rows are fit to be published: measured in full, undisturbed, up to
//! date, possible, and the marks of a chart in one session.

use anyhow::{Result, bail};

use super::Evidence;
use crate::{
    measure::protocol::FULL_BLOCKS_MIN,
    record::{
        cell::ErrorWord,
        timings::{NodeRow, StartRow},
    },
    suite::Suite,
};

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

/// # Errors
/// Every row that is missing, quick, stale, noisy or impossible; with `draft`
/// the last ones only, and the others are said.
pub fn to_publish(evidence: &Evidence, draft: bool) -> Result<()> {
    let (shown, refused): (Vec<_>, Vec<_>) = findings(evidence)
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

fn findings(evidence: &Evidence) -> Vec<Finding> {
    let mut found = Vec::new();
    for suite in &evidence.suites {
        found.extend(sizes(evidence, suite));
        found.extend(costs(evidence, suite));
        for profile in PROFILES {
            found.extend(node(evidence, suite, profile));
        }
        found.extend(start(evidence, suite));
    }
    found.extend(impossible(evidence));
    found
}

fn sizes<'a>(evidence: &'a Evidence, suite: &'a Suite) -> impl Iterator<Item = Finding> + 'a {
    suite.variants.iter().filter_map(|variant| {
        let name = format!("{}/{}", suite.name, variant.name);
        let why = match evidence.size(&suite.name, &variant.name) {
            None => "no row".to_owned(),
            Some(row) => row.error?.to_string(),
        };
        Some(Finding {
            what: format!("sizes.csv: {name}: {why}"),
            mend: format!("cargo xtask size {name}"),
            is_draft: true,
        })
    })
}

fn costs<'a>(evidence: &'a Evidence, suite: &'a Suite) -> impl Iterator<Item = Finding> + 'a {
    let missing = |variant: &&crate::suite::Variant| {
        !evidence
            .cost
            .iter()
            .any(|row| row.suite == suite.name && row.variant == variant.name)
    };
    suite
        .variants
        .iter()
        .filter(missing)
        .map(|variant| Finding {
            what: format!("cost.csv: {}/{}: no row", suite.name, variant.name),
            mend: "cargo xtask cost".to_owned(),
            is_draft: true,
        })
}

fn node(evidence: &Evidence, suite: &Suite, profile: &str) -> Vec<Finding> {
    let rows: Vec<_> = suite
        .variants
        .iter()
        .map(|variant| {
            let row = evidence.node(&suite.name, &variant.name, profile, "node_cold");
            (variant.name.as_str(), row.map(State::of_node))
        })
        .collect();
    timings("node.csv", suite, &format!("{profile} node_cold"), &rows)
}

fn start(evidence: &Evidence, suite: &Suite) -> Vec<Finding> {
    let rows: Vec<_> = suite
        .variants
        .iter()
        .map(|variant| {
            let row = evidence.start(&suite.name, &variant.name, "warm");
            (variant.name.as_str(), row.map(State::of_start))
        })
        .collect();
    timings("start.csv", suite, "warm", &rows)
}

/// What a timing row says of its own fitness.
struct State<'a> {
    n: u64,
    error: Option<ErrorWord>,
    noisy: bool,
    stale: bool,
    session: &'a str,
}

impl<'a> State<'a> {
    fn of_node(row: &'a NodeRow) -> Self {
        Self {
            n: row.n.unwrap_or_default(),
            error: row.error,
            noisy: row.noisy.0,
            stale: row.stale.0,
            session: &row.session,
        }
    }

    fn of_start(row: &'a StartRow) -> Self {
        Self {
            n: row.n.unwrap_or_default(),
            error: row.error,
            noisy: row.noisy.0,
            stale: row.stale.0,
            session: &row.session,
        }
    }

    /// Why the row is not fit, and the option that measures it again.
    fn fault(&self) -> Option<(String, &'static str)> {
        let full = u64::from(FULL_BLOCKS_MIN);
        match self {
            Self {
                error: Some(word), ..
            } => Some((word.to_string(), "")),
            Self { stale: true, .. } => Some((
                "stale: its inputs moved since it was measured".to_owned(),
                "",
            )),
            Self { noisy: true, .. } => Some((
                "noisy: other work disturbed the session".to_owned(),
                " --refresh",
            )),
            Self { n, .. } if *n < full => Some((
                format!("quick: {n} samples, and a full run has {full} at least"),
                "",
            )),
            _ => None,
        }
    }
}

fn timings(
    file: &str,
    suite: &Suite,
    cell: &str,
    rows: &[(&str, Option<State<'_>>)],
) -> Vec<Finding> {
    let mut found = Vec::new();
    let finding = |what: String, option: &str, is_draft| Finding {
        what: format!("{file}: {}{what}", suite.name),
        mend: format!("cargo xtask run-all{option} {}", suite.name),
        is_draft,
    };
    for (variant, state) in rows {
        match state {
            None => found.push(finding(format!("/{variant} {cell}: no row"), "", true)),
            Some(state) => found.extend(state.fault().map(|(why, option)| {
                let possible = state.error != Some(ErrorWord::LimitViolated);
                finding(format!("/{variant} {cell}: {why}"), option, possible)
            })),
        }
    }
    let mut sessions: Vec<&str> = rows
        .iter()
        .filter_map(|(_, state)| Some(state.as_ref()?.session))
        .collect();
    sessions.sort_unstable();
    sessions.dedup();
    if sessions.len() > 1 {
        let what = format!(
            " {cell}: rows of the sessions {} do not compare",
            sessions.join(" and ")
        );
        found.push(finding(what, " --refresh", false));
    }
    found
}

/// Rows of limits.csv that are faster than the machine can be: a bug of the
/// harness, which no draft should show either.
fn impossible(evidence: &Evidence) -> impl Iterator<Item = Finding> + '_ {
    let violated = evidence
        .limits
        .iter()
        .filter(|row| row.error == Some(ErrorWord::LimitViolated));
    violated.map(|row| Finding {
        what: format!(
            "limits.csv: {}/{} {} {}: limit_violated, faster than this machine can be",
            row.suite, row.variant, row.profile, row.metric
        ),
        mend: format!("cargo xtask run-all --refresh {}", row.suite),
        is_draft: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing::fit_evidence;

    /// What publishing and drafting say.
    fn said(evidence: &Evidence) -> (Option<String>, Option<String>) {
        let error = |draft| Some(to_publish(evidence, draft).err()?.to_string());
        (error(false), error(true))
    }

    #[test]
    fn rows_that_are_fit_are_published() {
        assert_eq!(said(&fit_evidence()), (None, None));
    }

    #[test]
    fn quick_rows_are_shown_as_a_draft_only() {
        let mut evidence = fit_evidence();
        evidence.node[0].n = Some(5);
        let row = &evidence.node[0];
        let (suite, variant, profile) = (&row.suite, &row.variant, &row.profile);
        let expected = format!(
            "1 row of results/ that cannot be published:\n\
             node.csv: {suite}/{variant} {profile} node_cold: quick: 5 samples, and a full run has 15 at least\n  \
             mend: cargo xtask run-all {suite}\n\
             note: cargo xtask publish --draft shows what there is, in target/publish"
        );
        assert_eq!(said(&evidence), (Some(expected), None));
    }

    #[test]
    fn stale_and_noisy_rows_are_named_with_what_mends_them() {
        let mut evidence = fit_evidence();
        evidence.start[0].stale.0 = true;
        let (published, drafted) = said(&evidence);
        let published = published.unwrap();
        assert!(
            published.contains("start.csv") && published.contains("stale"),
            "{published}"
        );
        assert_eq!(drafted, None);

        let mut evidence = fit_evidence();
        evidence.start[0].noisy.0 = true;
        let published = said(&evidence).0.unwrap();
        assert!(
            published.contains("noisy") && published.contains("--refresh"),
            "{published}"
        );
    }

    #[test]
    fn missing_rows_are_named() {
        let mut evidence = fit_evidence();
        evidence
            .node
            .retain(|row| row.profile != "100mbit" || row.suite != "gin");
        evidence
            .cost
            .retain(|row| row.variant != "scratch" || row.suite != "gin");
        evidence
            .sizes
            .retain(|row| row.variant != "alpine" || row.suite != "gin");
        let (published, drafted) = said(&evidence);
        let published = published.unwrap();
        for line in [
            "node.csv: gin/scratch 100mbit node_cold: no row\n  mend: cargo xtask run-all gin\n",
            "cost.csv: gin/scratch: no row\n  mend: cargo xtask cost\n",
            "sizes.csv: gin/alpine: no row\n  mend: cargo xtask size gin/alpine\n",
        ] {
            assert!(published.contains(line), "{published}");
        }
        assert_eq!(drafted, None);
    }

    #[test]
    fn what_cannot_be_is_not_even_a_draft() {
        let mut evidence = fit_evidence();
        evidence.limits[0].error = Some(ErrorWord::LimitViolated);
        let drafted = said(&evidence).1.unwrap();
        assert!(drafted.contains("limit_violated"), "{drafted}");
        assert!(!drafted.contains("--draft"), "{drafted}");

        let mut evidence = fit_evidence();
        let row = evidence
            .node
            .iter_mut()
            .find(|row| row.scenario == "node_cold");
        row.unwrap().session = "00000000".to_owned();
        let drafted = said(&evidence).1.unwrap();
        assert!(drafted.contains("do not compare"), "{drafted}");
    }
}
