//! The files of one machine: what each scenario took, what the machine could do
//! at best, and whether it tells true differences from none.

use anyhow::Result;

use super::{Finding, PROFILES};
use crate::{
    measure::protocol::FULL_BLOCKS_MIN,
    publish::Evidence,
    record::{
        cell::{ErrorWord, Id, Limit},
        limits::LimitRow,
        session::Timing,
        timings::{NodeRow, Phase, StartRow},
    },
    suite::Suite,
};

const NODE_COLD: &str = "node_cold";
const WARM: &str = "warm";
/// What the page and the article show of a new node, and of the start of an
/// image that is there.
const NODE: [&str; 2] = [NODE_COLD, "redeploy"];
const START: [&str; 2] = [WARM, "cache_dropped"];
/// Not measured everywhere: on a disk no redeployment over an unshaped link, and
/// only there a start with a dropped cache. Where one variant has it, all have.
const OPTIONAL: [(&str, &str); 2] = [("unshaped", "redeploy"), ("", "cache_dropped")];
const STALE: &str = "stale: its inputs moved since it was measured";
/// The probe of an engine that the lab did not make, where no limit can be taken.
const PORTABLE: &str = "published_port";

pub fn of_suite(evidence: &Evidence, suite: &Suite) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (profile, scenario) in PROFILES.into_iter().flat_map(|it| NODE.map(|of| (it, of))) {
        let row = |variant: &str| {
            let row = evidence.node(&suite.name, variant, profile, scenario)?;
            Some(State::of_node(evidence, row))
        };
        found.extend(cell("node.csv", suite, (profile, scenario), row));
    }
    for scenario in START {
        let row = |variant: &str| {
            let row = evidence.start(&suite.name, variant, scenario)?;
            Some(State::of_start(evidence, row))
        };
        found.extend(cell("start.csv", suite, ("", scenario), row));
    }
    found.extend(limits(evidence, suite));
    found.extend(samples(evidence, suite)?);
    Ok(found)
}

/// What a timing row says of its own fitness.
struct State<'a> {
    n: u64,
    has_times: bool,
    error: Option<ErrorWord>,
    noisy: bool,
    stale: bool,
    session: &'a str,
}

impl<'a> State<'a> {
    fn of_node(evidence: &Evidence, row: &'a NodeRow) -> Self {
        Self::of(evidence, row, [row.pull.phase, row.node_total.phase])
    }

    fn of_start(evidence: &Evidence, row: &'a StartRow) -> Self {
        Self::of(evidence, row, [row.start_total.phase, row.app.phase])
    }

    /// `shown` are the times that are published of the row.
    fn of<T: Timing>(evidence: &Evidence, row: &'a T, shown: [Phase; 2]) -> Self {
        let name = (row.suite(), row.variant());
        Self {
            n: row.n(),
            has_times: shown.iter().all(|it| it.median_us.is_some()),
            error: row.error(),
            noisy: row.noisy(),
            stale: row.stale() || !is_of_the_image(evidence, name, row.inputs()),
            session: row.session(),
        }
    }

    /// Why the row is not fit, and the option that measures it again.
    fn fault(&self) -> Option<(String, &'static str)> {
        let full = u64::from(FULL_BLOCKS_MIN);
        match self {
            Self {
                error: Some(word), ..
            } => Some((word.to_string(), "")),
            Self { stale: true, .. } => Some((STALE.to_owned(), "")),
            Self { noisy: true, .. } => Some((
                "noisy: other work disturbed the session".to_owned(),
                " --refresh",
            )),
            Self { n, .. } if *n < full => Some((
                format!("quick: {n} samples, and a full run has {full} at least"),
                "",
            )),
            Self {
                has_times: false, ..
            } => Some(("no numbers".to_owned(), " --refresh")),
            _ => None,
        }
    }
}

/// Whether that was measured of which `sizes.csv` speaks. The mark in a row is
/// set by whoever measures on that machine; the image may have moved elsewhere.
fn is_of_the_image(
    evidence: &Evidence,
    (suite, variant): (&str, &str),
    inputs: Option<&Id>,
) -> bool {
    let size = evidence.size(suite, variant);
    size.is_none_or(|size| size.inputs.as_ref() == inputs)
}

/// One scenario of a profile, of every variant of the suite.
fn cell<'a>(
    file: &str,
    suite: &'a Suite,
    (profile, scenario): (&str, &str),
    row: impl Fn(&'a str) -> Option<State<'a>>,
) -> Vec<Finding> {
    let variants = suite.variants.iter().map(|it| it.name.as_str());
    let rows: Vec<_> = variants.map(|name| (name, row(name))).collect();
    let is_optional = OPTIONAL.contains(&(profile, scenario));
    if is_optional && rows.iter().all(|(_, row)| row.is_none()) {
        return Vec::new();
    }
    let cell = format!("{profile} {scenario}");
    timings(file, suite, cell.trim_start(), &rows)
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

/// What every chart of a pull draws its line from, and what prose quotes.
fn limits(evidence: &Evidence, suite: &Suite) -> Vec<Finding> {
    let mut found = Vec::new();
    for variant in &suite.variants {
        for profile in PROFILES {
            for &(limit, word, _) in Limit::ALL {
                let is_taken = profile == "unshaped" || limit == Limit::RawGet;
                let name = (suite.name.as_str(), variant.name.as_str());
                let why = is_taken.then(|| limit_fault(evidence, name, profile, limit));
                found.extend(why.flatten().map(|why| {
                    let (suite, variant) = name;
                    let metric = limit.metric();
                    Finding::new(
                        format!("limits.csv: {suite}/{variant} {profile} {metric} {word}: {why}"),
                        format!("cargo xtask run-all --refresh {suite}"),
                    )
                }));
            }
        }
    }
    found
}

/// None as well where there is no row to hold the limit against, which is told
/// already, or none can be taken.
fn limit_fault(
    evidence: &Evidence,
    (suite, variant): (&str, &str),
    profile: &str,
    limit: Limit,
) -> Option<String> {
    let warm = evidence.start(suite, variant, WARM);
    if warm.is_some_and(|row| row.probe == PORTABLE) {
        return None;
    }
    let session = match limit.metric() {
        "download" | "pull" => &evidence.node(suite, variant, profile, NODE_COLD)?.session,
        _ => &warm?.session,
    };
    let is_it = |row: &&LimitRow| {
        (&*row.suite, &*row.variant, &*row.profile) == (suite, variant, profile)
            && row.limit_by == Some(limit)
    };
    match evidence.limits.iter().find(is_it) {
        None => Some("no row".to_owned()),
        Some(row) if row.session != *session => Some(format!(
            "of session {}, and what it is the limit of is of {session}",
            row.session
        )),
        Some(row) if !is_of_the_image(evidence, (suite, variant), row.inputs.as_ref()) => {
            Some(STALE.to_owned())
        }
        Some(row) if row.error.is_some_and(|it| it != ErrorWord::LimitViolated) => {
            row.error.map(|word| word.to_string())
        }
        Some(row) if row.limit.median_us.is_none() => Some("no numbers".to_owned()),
        Some(_) => None,
    }
}

/// The samples of which every one is shown: as many as their row counts. A row
/// that is not fit has told so, and may count in another way.
fn samples(evidence: &Evidence, suite: &Suite) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for variant in &suite.variants {
        let row = evidence.start(&suite.name, &variant.name, WARM);
        let Some(row) = row.filter(|row| State::of_start(evidence, row).fault().is_none()) else {
            continue;
        };
        let there = evidence.app_us(row)?.len() as u64;
        let n = row.n.unwrap_or_default();
        if there != n {
            found.push(Finding::new(
                format!(
                    "samples/{}-{}-{}.csv: {}/{} {WARM}: {there} samples, and start.csv counts {n}",
                    row.suite, row.profile, row.session, row.suite, row.variant
                ),
                format!("cargo xtask run-all --refresh {}", row.suite),
            ));
        }
    }
    Ok(found)
}

/// Rows of limits.csv that are faster than the machine can be: a bug of the
/// harness, which no draft should show either.
pub fn impossible(evidence: &Evidence) -> impl Iterator<Item = Finding> + '_ {
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

/// A machine on which the harness sees differences that are none, or misses true
/// ones, has nothing to say of times.
pub fn unproven(evidence: &Evidence) -> impl Iterator<Item = Finding> + '_ {
    let failed = evidence.proofs.iter().filter(|row| !row.holds);
    failed.map(|row| {
        Finding::new(
            format!(
                "selftest/proofs.csv: {}: does not hold, {} of {}",
                row.proof, row.found, row.comparisons
            ),
            "cargo xtask selftest",
        )
    })
}
