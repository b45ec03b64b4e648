//! `cargo xtask cost` on the committed sizes: what it writes, and what it only
//! prints.

use std::{fs, path::Path};

use assert_cmd::Command;
use tempfile::TempDir;

/// A project with the committed prices and exact files, and nothing else.
fn project() -> TempDir {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for part in ["experiments", "results"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    for file in [
        "experiments/prices.toml",
        "results/sizes.csv",
        "results/layers.csv",
    ] {
        fs::copy(workspace.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// Exit code and both outputs.
fn cost(project: &TempDir, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("cost")
        .args(words)
        .arg("--project")
        .arg(project.path());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn rows(project: &TempDir) -> String {
    fs::read_to_string(project.path().join("results/cost.csv")).unwrap_or_default()
}

#[test]
fn the_stated_usage_is_written_once_and_any_other_is_only_printed() {
    let project = project();
    let (code, stdout, stderr) = cost(&project, &["--nodes", "11"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("gin/scratch") && stdout.contains("11 nodes"),
        "{stdout}"
    );
    assert_eq!(rows(&project), "", "it was asked, not told to publish");

    let (_, stdout, _) = cost(&project, &[]);
    assert!(stdout.ends_with("wrote results/cost.csv\n"), "{stdout}");
    let written = rows(&project);
    for (suite, variant) in [("gin", "*"), ("gin", "single-stage"), ("axum", "scratch")] {
        let line = format!("\n{suite},{variant},linux/amd64,");
        assert!(
            written.contains(&line),
            "no row of {suite}/{variant}:\n{written}"
        );
    }

    let (_, stdout, _) = cost(&project, &[]);
    assert!(!stdout.contains("wrote"), "{stdout}");
    cost(&project, &["--versions", "1"]);
    assert_eq!(rows(&project), written);
}

#[test]
fn what_is_missing_comes_with_what_mends_it() {
    let project = project();
    let (code, _, stderr) = cost(&project, &["--versions", "0"]);
    assert_eq!(
        code, 2,
        "a repository of no version costs nothing: {stderr}"
    );
    fs::remove_file(project.path().join("results/sizes.csv")).unwrap();
    let (code, _, stderr) = cost(&project, &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("mend: cargo xtask size"), "{stderr}");
    fs::remove_file(project.path().join("experiments/prices.toml")).unwrap();
    let (_, _, stderr) = cost(&project, &[]);
    assert!(
        stderr.contains("there is no experiments/prices.toml; mend: "),
        "{stderr}"
    );
}

/// The committed file is what the committed sizes and prices make of it.
#[test]
fn the_committed_costs_are_up_to_date() {
    let project = project();
    cost(&project, &[]);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let committed = fs::read_to_string(workspace.join("results/cost.csv")).unwrap_or_default();
    assert!(
        rows(&project) == committed,
        "results/cost.csv is stale; mend: cargo xtask cost"
    );
}
