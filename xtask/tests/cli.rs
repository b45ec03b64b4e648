//! What a person reads: help, and the errors for what they wrote.

use std::{fs, path::Path};

use assert_cmd::Command;
use tempfile::TempDir;

/// The program without what this machine's environment would add to its words.
fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for name in ["BASE_ARCHIVES", "COLUMNS", "CI"] {
        command.env_remove(name);
    }
    command
}

/// Exit code and both outputs; the folder of a project is called PROJECT.
fn said(command: &mut Command, project: &Path) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&*project.to_string_lossy(), "PROJECT")
    };
    format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// A copy of what people write, in which `from` in the file `path` says `to`.
fn project_with(path: &str, from: &str, to: &str) -> TempDir {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for part in ["experiments", "app"] {
        copy(&workspace.join(part), &folder.path().join(part));
    }
    let file = folder.path().join(path);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{path} does not say {from}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// What `run-all` says of such a project.
fn run_all(project: &TempDir, words: &[&str]) -> String {
    let root = project.path().canonicalize().unwrap();
    let mut command = xtask();
    command
        .arg("run-all")
        .args(words)
        .arg("--project")
        .arg(&root);
    said(&mut command, &root)
}

#[test]
fn help_teaches() {
    let nowhere = Path::new("no project");
    insta::assert_snapshot!("help", said(xtask().arg("--help"), nowhere));
    let mut run_all = xtask();
    run_all.args(["run-all", "--help"]);
    insta::assert_snapshot!("run_all_help", said(&mut run_all, nowhere));
}

#[test]
fn an_unknown_suite_or_variant_comes_with_those_there_are() {
    let project = project_with("experiments/gin/suite.toml", "Go", "Go");
    insta::assert_snapshot!("unknown_suite", run_all(&project, &["gni"]));
    insta::assert_snapshot!("unknown_variant", run_all(&project, &["gin/scrath"]));
}

#[test]
fn a_typo_in_suite_toml_is_shown_with_its_line() {
    let project = project_with("experiments/gin/suite.toml", "port = ", "prot = ");
    insta::assert_snapshot!("typo_in_suite", run_all(&project, &[]));
}

#[test]
fn a_base_that_nobody_knows_comes_with_the_command_that_adds_it() {
    let dockerfile = "experiments/gin/alpine/Dockerfile";
    let project = project_with(dockerfile, "FROM alpine:3.22", "FROM alpine:3.23");
    insta::assert_snapshot!("unknown_base", run_all(&project, &[]));
}

#[test]
fn a_folder_that_is_no_project_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    insta::assert_snapshot!("no_project", run_all(&folder, &[]));
}
