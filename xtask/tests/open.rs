//! `cargo xtask publish page --open`: who is asked to show the page, and what is
//! said where nobody can.

#[path = "support/project.rs"]
mod project;

use std::{fs, os::unix::fs::PermissionsExt as _};

use assert_cmd::Command;
use tempfile::TempDir;

/// A PATH whose `xdg-open` runs this script; with no script, an empty one.
fn path(script: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if let Some(script) = script {
        let program = folder.path().join("xdg-open");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Whether it went well, and what was said of a failure.
fn open(project: &TempDir, path: &TempDir) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["publish", "page", "--draft", "--open", "--project"])
        .arg(project.path())
        .env("PATH", path.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[test]
fn the_page_is_handed_to_the_desktop() {
    let project = project::committed();
    let told = project.path().join("told");
    let path = path(Some(&format!("echo \"$1\" > '{}'", told.display())));
    let (opened, said) = open(&project, &path);
    assert!(opened, "{said}");
    let page = fs::read_to_string(told).unwrap();
    let page = page.trim();
    assert!(page.ends_with("/page/index.html"), "{page}");
    assert!(
        fs::read_to_string(page)
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
}

#[test]
fn without_a_desktop_it_says_where_the_page_lies() {
    let project = project::committed();
    let (opened, said) = open(&project, &path(None));
    assert!(
        !opened && said.contains("neither `xdg-open` nor `open`"),
        "{said}"
    );
    assert!(
        said.contains("mend: open /") && said.contains("/page/index.html"),
        "{said}"
    );

    let (opened, said) = open(&project, &path(Some("exit 3")));
    assert!(!opened && said.contains("exit status: 3"), "{said}");
    assert!(said.contains("mend: open /"), "{said}");
}
