//! `cargo xtask publish charts` on the committed rows, as if all of them
//! were fit for it: what it writes, what it
//! refuses, and what `--check` finds.

#[path = "support/measured.rs"]
mod measured;
#[path = "support/project.rs"]
mod project;

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use measured::{machine, rewrite};
use project::copy;
use tempfile::TempDir;

fn publish(project: &TempDir, words: &[&str]) -> (i32, String, String) {
    xtask(project, &[&["publish", "charts"], words].concat())
}

/// Exit code and both outputs.
fn xtask(project: &TempDir, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(words).arg("--project").arg(project.path());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn svgs(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    found
}

/// Changes a cell of the rows that begin with `key`.
fn change(project: &TempDir, file: &str, key: &str, column: &str, value: &str) {
    let path = project.path().join("results").join(file);
    let mut changed = 0;
    rewrite(&path, |row| {
        if row.cells.join(",").starts_with(key) {
            row.set(column, value);
            changed += 1;
        }
        true
    });
    assert!(changed > 0, "no row {key}");
}

#[test]
fn a_second_run_moves_nothing_and_a_changed_cell_is_found() {
    let project = measured::project();
    let charts = project.path().join("docs/charts");
    let (code, _, stderr) = publish(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
    let first = svgs(&charts);
    assert!(first.len() > 20, "{}", first.len());
    let (_, stdout, _) = publish(&project, &[]);
    assert!(!stdout.contains("wrote"), "{stdout}");
    assert_eq!(svgs(&charts), first);
    assert_eq!(publish(&project, &["--check"]).0, 0);

    let leftover = charts.join("gin-was.svg");
    fs::write(&leftover, "").unwrap();
    let (code, _, stderr) = publish(&project, &["--check"]);
    assert!(
        code == 1 && stderr.contains("gin-was.svg: nobody draws it"),
        "{stderr}"
    );
    publish(&project, &[]);
    assert!(!leftover.exists());

    change(
        &project,
        "sizes.csv",
        "gin,alpine,linux/amd64",
        "transfer_bytes",
        "9663962",
    );
    let (code, _, stderr) = publish(&project, &["--check"]);
    assert_eq!(code, 1, "the cost follows from the size: {stderr}");
    assert!(stderr.contains("mend: cargo xtask cost"), "{stderr}");
    xtask(&project, &["cost"]);
    let (code, _, stderr) = publish(&project, &["--check"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("docs/charts/gin-bytes.svg:"), "{stderr}");
    assert!(
        stderr.contains("9,663,961") && stderr.contains("9,663,962"),
        "{stderr}"
    );
    assert!(stderr.contains("mend: cargo xtask publish"), "{stderr}");
    assert_eq!(svgs(&charts), first, "a check writes nothing");
}

#[test]
fn quick_rows_are_a_draft_and_a_draft_is_not_committed() {
    let project = measured::project();
    let machine = machine(&project);
    let node = format!("{machine}/node.csv");
    change(
        &project,
        &node,
        "gin,scratch,linux/amd64,unshaped,node_cold,tmpfs",
        "n",
        "5",
    );
    let (code, _, stderr) = publish(&project, &[]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("gin/scratch unshaped node_cold: quick: 5 samples"),
        "{stderr}"
    );
    assert!(stderr.contains("--draft"), "{stderr}");

    let (code, _, stderr) = publish(&project, &["--draft"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("draft: node.csv: gin/scratch"), "{stderr}");
    assert!(svgs(&project.path().join("docs/charts")).is_empty());
    let apart = project
        .path()
        .join("target/publish")
        .join(machine)
        .join("docs/charts");
    assert!(svgs(&apart).len() > 20);
}

#[test]
fn another_machine_is_shown_apart() {
    let project = measured::project();
    let results = project.path().join("results");
    copy(&results.join(machine(&project)), &results.join("other"));
    let (code, _, stderr) = publish(&project, &["--machine", "other"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(svgs(&project.path().join("docs/charts")).is_empty());
    assert!(svgs(&project.path().join("target/publish/other/docs/charts")).len() > 20);

    let (code, _, stderr) = publish(&project, &["--machine", "nobody"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("results/nobody"), "{stderr}");
}

#[test]
fn a_price_that_moved_is_not_published_beside_the_money_of_the_old_one() {
    let project = measured::project();
    let prices = project.path().join("experiments/prices.toml");
    let text = fs::read_to_string(&prices).unwrap();
    let usage = text.lines().find(|it| it.starts_with("nodes = ")).unwrap();
    fs::write(&prices, text.replacen(usage, "nodes = 123", 1)).unwrap();
    let (code, _, stderr) = publish(&project, &[]);
    assert_eq!(code, 1, "{stderr}");
    let told = "cost.csv: gin/scratch: not what sizes.csv, layers.csv and experiments/prices.toml come to\n  mend: cargo xtask cost\n";
    assert!(stderr.contains(told), "{stderr}");
    assert_eq!(xtask(&project, &["cost"]).0, 0);
    let (code, _, stderr) = publish(&project, &[]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn an_option_of_another_part_is_an_error() {
    let project = measured::project();
    for (words, mend) in [
        (
            ["publish", "charts", "--open"].as_slice(),
            "publish page --open",
        ),
        (&["publish", "article", "--open"], "publish page --open"),
        (
            &["publish", "page", "--hugo", "blog"],
            "publish article --hugo",
        ),
        (
            &["publish", "charts", "--hugo", "blog"],
            "publish article --hugo",
        ),
    ] {
        let (code, stdout, stderr) = xtask(&project, words);
        assert_eq!((code, stdout.as_str()), (1, ""), "{words:?}");
        assert!(stderr.contains(mend), "{words:?}: {stderr}");
    }
}

/// What `run-all --sizes-only` leaves where another program measured, or another
/// contributor: times of an image that is no longer the one that is counted.
#[test]
fn times_of_another_image_are_stale_marked_or_not() {
    let project = measured::project();
    let key = "gin,scratch,linux/amd64";
    change(&project, "sizes.csv", key, "inputs", "0123456789ab");
    let (code, _, stderr) = publish(&project, &[]);
    assert_eq!(code, 1, "{stderr}");
    for told in [
        "node.csv: gin/scratch 100mbit node_cold: stale: its inputs moved since it was measured\n  mend: cargo xtask run-all gin\n",
        "start.csv: gin/scratch warm: stale",
        "limits.csv: gin/scratch 100mbit download raw_get: stale",
    ] {
        assert!(stderr.contains(told), "no {told} in {stderr}");
    }
    assert_eq!(publish(&project, &["--draft"]).0, 0);
}
