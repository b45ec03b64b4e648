//! Tests of when timings are out of date, apart from the code for its length.

use std::{fs, path::Path};

use super::{
    cell::{ErrorWord, Id},
    paths,
    row::Row,
    session::{
        Reason, Share, Timing as _, Unit, Wanted, forget_unused, mark_stale, offer_session, reasons,
    },
    table::Table,
    timings::{EnvironmentRow, NodeRow, StartRow},
};
use crate::{digest::Digest, measure::protocol::Depth};

fn id(of: &str) -> Id {
    Id::from(&Digest::of(of))
}

fn unit() -> Unit {
    Unit {
        suite: "gin".to_owned(),
        platform: "linux/amd64".to_owned(),
        profile: "unshaped".to_owned(),
        data_root_fs: "tmpfs".to_owned(),
    }
}

fn node(variant: &str, n: u64, session: &str) -> NodeRow {
    NodeRow {
        n: Some(n),
        session: session.to_owned(),
        inputs: Some(id(variant)),
        ..crate::record::testing::node_cold(variant, "unshaped")
    }
}

fn start(variant: &str, session: &str) -> StartRow {
    StartRow {
        n: Some(15),
        session: session.to_owned(),
        inputs: Some(id(variant)),
        ..crate::record::testing::warm(variant)
    }
}

fn table<R: Row>(rows: impl IntoIterator<Item = R>) -> Table<R> {
    Table::of(Path::new("x.csv"), rows)
}

fn wanted(variant: &str, scenario: &str) -> Wanted {
    Wanted {
        variant: variant.to_owned(),
        scenario: scenario.to_owned(),
        inputs: id(variant),
    }
}

/// Why the unit is out of date when its node rows are `rows`, as a reader sees
/// it. `a` and `b` are wanted, and the warm start of `a` is there.
fn why(depth: Depth, rows: impl IntoIterator<Item = NodeRow>) -> Vec<String> {
    let node = Share {
        table: &table(rows),
        wanted: &[wanted("a", "node_cold"), wanted("b", "node_cold")],
    };
    let start = Share {
        table: &table([start("a", "s1")]),
        wanted: &[wanted("a", "warm")],
    };
    let reasons = reasons(&unit(), depth, &node, &start);
    reasons.iter().map(Reason::to_string).collect()
}

#[test]
fn a_unit_of_one_full_session_is_up_to_date() {
    let rows = [node("a", 30, "s1"), node("b", 15, "s1")];
    assert_eq!(why(Depth::Full, rows.clone()), [""; 0]);
    assert_eq!(why(Depth::Quick, rows), [""; 0]);
}

#[test]
fn each_reason_names_its_cell() {
    assert_eq!(
        why(Depth::Full, [node("a", 15, "s1")]),
        ["gin/b node_cold was never measured"]
    );
    let moved = NodeRow {
        inputs: Some(id("other")),
        ..node("b", 15, "s1")
    };
    assert_eq!(
        why(Depth::Full, [node("a", 15, "s1"), moved]),
        ["the inputs of gin/b node_cold moved"]
    );
    let failed = |error| NodeRow {
        n: None,
        error: Some(error),
        ..node("b", 0, "s1")
    };
    assert_eq!(
        why(
            Depth::Full,
            [node("a", 15, "s1"), failed(ErrorWord::PullFailed)]
        ),
        ["gin/b node_cold failed: pull_failed"]
    );
    assert_eq!(
        why(
            Depth::Full,
            [node("a", 15, "s1"), failed(ErrorWord::LimitViolated)]
        ),
        [""; 0]
    );
    let mut postponed = node("b", 15, "s1");
    postponed.set_stale(true);
    assert_eq!(
        why(Depth::Full, [node("a", 15, "s1"), postponed]),
        ["gin/b node_cold is marked stale"]
    );
}

#[test]
fn a_row_of_another_file_system_or_profile_is_another_unit() {
    let elsewhere = |change: fn(&mut NodeRow)| {
        let mut row = node("b", 15, "s1");
        change(&mut row);
        why(Depth::Full, [node("a", 15, "s1"), row])
    };
    let never = ["gin/b node_cold was never measured"];
    assert_eq!(elsewhere(|row| row.data_root_fs = "ext4".to_owned()), never);
    assert_eq!(elsewhere(|row| row.profile = "100mbit".to_owned()), never);
    assert_eq!(
        elsewhere(|row| row.platform = "linux/arm64".to_owned()),
        never
    );
}

#[test]
fn quick_rows_satisfy_a_quick_run_only() {
    let rows = [node("a", 5, "s1"), node("b", 5, "s1")];
    assert_eq!(why(Depth::Quick, rows.clone()), [""; 0]);
    assert_eq!(
        why(Depth::Full, rows),
        [
            "gin/a node_cold has 5 of 15 samples",
            "gin/b node_cold has 5 of 15 samples"
        ]
    );
}

#[test]
fn rows_of_two_sessions_do_not_make_a_table() {
    let rows = [node("a", 15, "s1"), node("b", 15, "s2")];
    assert_eq!(
        why(Depth::Full, rows.clone()),
        ["its rows come from 2 sessions"]
    );
    // Start rows count as well: here all node rows are of s2.
    let rows_of_s2 = [node("a", 15, "s2"), node("b", 15, "s2")];
    assert_eq!(
        why(Depth::Full, rows_of_s2),
        ["its rows come from 2 sessions"]
    );
    assert_eq!(why(Depth::Quick, rows), [""; 0], "it could not mend that");
}

#[test]
fn a_quick_or_failed_row_never_replaces_a_fuller_one_of_the_same_inputs() {
    let take = |old: NodeRow, new: NodeRow| {
        let mut table = table([old]);
        (
            offer_session(&mut table, vec![new]),
            table.rows().next().unwrap().session.clone(),
        )
    };
    let (old, new) = ("old".to_owned(), "new".to_owned());
    let full = node("a", 15, "old");
    assert_eq!(take(full.clone(), node("a", 5, "new")), (0, old.clone()));
    let failed = NodeRow {
        n: None,
        error: Some(ErrorWord::PullFailed),
        ..node("a", 0, "new")
    };
    assert_eq!(take(full.clone(), failed), (0, old));
    let moved = NodeRow {
        inputs: Some(id("moved")),
        ..node("a", 5, "new")
    };
    assert_eq!(take(full.clone(), moved), (1, new.clone()));
    assert_eq!(
        take(node("a", 5, "old"), node("a", 5, "new")),
        (1, new.clone())
    );
    // Both are full: the later session wins, or units would never become whole.
    assert_eq!(take(node("a", 30, "old"), node("a", 15, "new")), (1, new));
}

#[test]
fn a_sessions_rows_come_all_together_or_not_at_all() {
    let sessions = |table: &Table<NodeRow>| -> Vec<String> {
        table.rows().map(|row| row.session.clone()).collect()
    };
    let quick = || vec![node("a", 5, "new"), node("b", 5, "new")];
    // Nothing but fuller rows of the same inputs: a quick session adds nothing.
    let mut full = table([node("a", 15, "old"), node("b", 15, "old")]);
    assert_eq!(offer_session(&mut full, quick()), 0);
    // One of them is another image by now: then all of them are of one session.
    let moved = NodeRow {
        inputs: Some(id("moved")),
        ..node("b", 15, "old")
    };
    let mut stale = table([node("a", 15, "old"), moved]);
    assert_eq!(offer_session(&mut stale, quick()), 2);
    assert_eq!(sessions(&stale), ["new", "new"]);
    // A full session in which one cell lost a sample is a full session.
    let mut full = table([node("a", 15, "old"), node("b", 15, "old")]);
    let disturbed = NodeRow {
        invalid: Some(1),
        ..node("a", 14, "new")
    };
    assert_eq!(
        offer_session(&mut full, vec![disturbed, node("b", 15, "new")]),
        2
    );
}

#[test]
fn a_block_in_which_the_first_scenario_failed_was_a_block_for_all() {
    let failed_once = NodeRow {
        invalid: Some(1),
        ..node("a", 14, "s")
    };
    let warm = StartRow {
        n: Some(14),
        ..start("a", "s")
    };
    let (nodes, starts) = (table([failed_once]), table([warm]));
    let wanted = |scenario: &str| {
        vec![Wanted {
            variant: "a".to_owned(),
            scenario: scenario.to_owned(),
            inputs: id("a"),
        }]
    };
    let (cold, warm) = (wanted("node_cold"), wanted("warm"));
    let node = Share {
        table: &nodes,
        wanted: &cold,
    };
    let start = Share {
        table: &starts,
        wanted: &warm,
    };
    assert_eq!(reasons(&unit(), Depth::Full, &node, &start), []);
}

#[test]
fn putting_off_marks_what_moved_and_takes_the_mark_back() {
    let mut rows = table([node("a", 15, "s1"), node("b", 15, "s1")]);
    let before = rows.text();
    let moved = [
        Wanted {
            inputs: id("moved"),
            ..wanted("a", "node_cold")
        },
        wanted("b", "node_cold"),
    ];
    assert_eq!(mark_stale(&mut rows, &unit(), &moved), 1);
    let stale: Vec<bool> = rows.rows().map(|row| row.stale.0).collect();
    assert_eq!(stale, [true, false]);
    let back = [wanted("a", "node_cold"), wanted("b", "node_cold")];
    assert_eq!(mark_stale(&mut rows, &unit(), &back), 0);
    assert_eq!(rows.text(), before);
}

#[test]
fn sessions_without_rows_are_forgotten() {
    let machine = tempfile::tempdir().unwrap();
    let samples = |session| paths::samples(machine.path(), "gin", "unshaped", session);
    let other = paths::samples_folder(machine.path()).join("notes.txt");
    fs::create_dir(paths::samples_folder(machine.path())).unwrap();
    for path in [&samples("s1"), &samples("s2"), &samples("gone"), &other] {
        fs::write(path, "").unwrap();
    }
    let fact = |session: &str| EnvironmentRow {
        session: session.to_owned(),
        ..EnvironmentRow::default()
    };
    let mut environment = table([fact("s1"), fact("s2"), fact("gone")]);
    let (node, start) = (table([node("a", 15, "s1")]), table([start("a", "s2")]));
    forget_unused(machine.path(), &mut environment, &node, &start).unwrap();
    assert_eq!(environment.rows().count(), 2);
    assert!(samples("s1").exists() && samples("s2").exists() && other.exists());
    assert!(!samples("gone").exists());
}
