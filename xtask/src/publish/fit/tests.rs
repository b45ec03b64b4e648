//! What keeps rows from being published, on the committed ones as if they were fit.

use super::*;
use crate::{
    publish::testing::fit_evidence,
    record::{
        capabilities::CapabilityRow,
        cell::{ErrorWord, Limit},
        limits::LimitRow,
        timings::{NodeRow, ProofRow},
    },
};

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

/// Publishing refuses what `spoil` did, in the words `told`, and a draft goes on.
fn assert_refused(told: &str, spoil: impl FnOnce(&mut Evidence)) {
    let mut evidence = fit_evidence();
    spoil(&mut evidence);
    let (published, drafted) = said(&evidence);
    let published = published.unwrap_or_else(|| panic!("published without: {told}"));
    assert!(published.contains(told), "no {told} in {published}");
    assert_eq!(drafted, None);
}

fn redeploy<'e>(evidence: &'e mut Evidence, profile: &str) -> &'e mut NodeRow {
    let is_it = |row: &&mut NodeRow| {
        (&*row.suite, &*row.variant) == ("gin", "scratch")
            && (&*row.profile, &*row.scenario) == (profile, "redeploy")
    };
    evidence.node.iter_mut().find(is_it).unwrap()
}

#[test]
fn a_redeployment_is_held_to_what_a_cold_start_is() {
    let cell = "node.csv: gin/scratch 100mbit redeploy";
    assert_refused(&format!("{cell}: stale"), |it| {
        redeploy(it, "100mbit").stale.0 = true;
    });
    assert_refused(&format!("{cell}: noisy"), |it| {
        redeploy(it, "100mbit").noisy.0 = true;
    });
    assert_refused(&format!("{cell}: not_cold"), |it| {
        redeploy(it, "100mbit").error = Some(ErrorWord::NotCold);
    });
    assert_refused(&format!("{cell}: no numbers"), |it| {
        redeploy(it, "100mbit").node_total.phase.median_us = None;
    });
    assert_refused(&format!("{cell}: no row"), |it| {
        redeploy(it, "100mbit").variant = "gone".to_owned();
    });
    assert_refused(
        "node.csv: gin/scratch unshaped redeploy: no row\n  mend: cargo xtask run-all gin\n",
        |it| redeploy(it, "unshaped").variant = "gone".to_owned(),
    );
}

/// On a disk there is no redeployment over an unshaped link.
#[test]
fn what_no_variant_of_the_suite_has_was_not_to_be_measured() {
    let mut evidence = fit_evidence();
    let kept = |row: &NodeRow| (&*row.profile, &*row.scenario) != ("unshaped", "redeploy");
    evidence.node.retain(kept);
    assert_eq!(said(&evidence), (None, None));
}

#[test]
fn an_image_is_shown_with_all_that_belongs_to_it() {
    let is_it = |suite: &str, variant: &str| (suite, variant) == ("gin", "scratch");
    assert_refused(
        "layers.csv: gin/scratch: 0 layers with numbers, and sizes.csv says 1\n  mend: cargo xtask size gin/scratch\n",
        |it| it.layers.retain(|row| !is_it(&row.suite, &row.variant)),
    );
    assert_refused("files.csv: gin/scratch: no row\n", |it| {
        it.files.retain(|row| !is_it(&row.suite, &row.variant));
    });
    assert_refused(
        "bases.csv: gin/alpine: no row of its base alpine:3.22\n",
        |it| it.bases.retain(|row| row.base != "alpine:3.22"),
    );
    let cell = "capabilities.csv: gin/scratch shell";
    let mend = "mend: cargo xtask capabilities gin/scratch\n";
    let is_shell =
        |row: &CapabilityRow| is_it(&row.suite, &row.variant) && row.capability == "shell";
    assert_refused(&format!("{cell}: no row\n  {mend}"), |it| {
        it.capabilities.retain(|row| !is_shell(row));
    });
    assert_refused(&format!("{cell}: no answer\n  {mend}"), |it| {
        let row = it.capabilities.iter_mut().find(|row| is_shell(row));
        row.unwrap().answer = None;
    });
}

#[test]
fn a_cost_that_does_not_follow_from_the_prices_is_stale() {
    assert_refused(
        "cost.csv: gin/scratch: not what sizes.csv, layers.csv and experiments/prices.toml come to\n  mend: cargo xtask cost\n",
        |it| {
            let row = it
                .cost
                .iter_mut()
                .find(|row| (&*row.suite, &*row.variant) == ("gin", "scratch"));
            row.unwrap().standalone_microusd_per_month = Some(1);
        },
    );
    // One way of several.
    assert_refused("cost.csv: gin/*: not what", |it| {
        let place = it
            .cost
            .iter()
            .position(|row| row.suite == "gin" && row.variant == "*");
        it.cost.remove(place.unwrap());
    });
}

fn limit_of<'e>(evidence: &'e mut Evidence, profile: &str, limit: Limit) -> &'e mut LimitRow {
    let is_it = |row: &&mut LimitRow| {
        (&*row.suite, &*row.variant) == ("gin", "scratch")
            && (&*row.profile, row.limit_by) == (profile, Some(limit))
    };
    evidence.limits.iter_mut().find(is_it).unwrap()
}

#[test]
fn a_limit_is_there_and_of_the_session_that_it_is_held_against() {
    let cell = "limits.csv: gin/scratch 100mbit download raw_get";
    let mend = "mend: cargo xtask run-all --refresh gin\n";
    assert_refused(&format!("{cell}: no row\n  {mend}"), |it| {
        limit_of(it, "100mbit", Limit::RawGet).variant = "gone".to_owned();
    });
    assert_refused(&format!("{cell}: no numbers\n"), |it| {
        limit_of(it, "100mbit", Limit::RawGet).limit.median_us = None;
    });
    assert_refused(&format!("{cell}: of session 00000000"), |it| {
        limit_of(it, "100mbit", Limit::RawGet).session = "00000000".to_owned();
    });
    assert_refused(
        "limits.csv: gin/scratch unshaped app bare_exec: no row",
        |it| {
            limit_of(it, "unshaped", Limit::BareExec).variant = "gone".to_owned();
        },
    );

    let mut portable = fit_evidence();
    portable.limits.clear();
    for row in &mut portable.start {
        row.probe = "published_port".to_owned();
    }
    assert_eq!(said(&portable), (None, None), "none can be taken there");
}

#[test]
fn samples_that_are_fewer_than_their_row_says_are_missed() {
    assert_refused("gin/scratch warm: 0 samples, and start.csv counts ", |it| {
        it.machine = it.machine.join("nowhere");
    });
    assert_refused("samples/gin-unshaped-", |it| {
        let row = it
            .start
            .iter_mut()
            .find(|row| (&*row.suite, &*row.variant) == ("gin", "scratch"));
        row.unwrap().n = Some(1_000);
    });
}

#[test]
fn a_machine_that_failed_its_proof_publishes_nothing() {
    assert_refused(
        "selftest/proofs.csv: injected_found: does not hold, 30 of 30\n  mend: cargo xtask selftest\n",
        |it| {
            it.proofs = vec![ProofRow {
                proof: "injected_found".to_owned(),
                comparisons: 30,
                found: 30,
                ..ProofRow::default()
            }];
        },
    );
}
