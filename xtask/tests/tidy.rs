//! House rules that a compiler does not check. Each test lists every finding as
//! `file:line`, not only the first.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A module that outgrows this has a second reason to exist.
const MODULE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["xtask/src", "app/src"] {
        collect(&root().join(folder), &mut found);
    }
    assert!(
        found.len() > 10,
        "the sources are not where this test looks"
    );
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            // What only tests do is their own business.
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test = name.ends_with("tests.rs")
                || name.ends_with("testing.rs")
                || name.contains("/tests/");
            if !is_test {
                found.push((name, code.to_owned()));
            }
        }
    }
}

/// Fails with every line of the sources, outside `exempt`, that holds one of
/// `words`.
fn forbid(words: &[&str], exempt: &[&str], why: &str) {
    let mut findings = Vec::new();
    for (name, text) in sources() {
        if exempt.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(findings.is_empty(), "{why}:\n{}", findings.join("\n"));
}

#[test]
fn only_the_engine_module_knows_bollard() {
    forbid(
        &["bollard::"],
        &["xtask/src/engine/"],
        "one module talks to Docker's API",
    );
}

#[test]
fn programs_are_started_in_one_place() {
    let exempt = [
        "xtask/src/shell.rs",
        "xtask/src/engine/init.rs",
        "xtask/src/elevate.rs",
        // A program of its own, compiled for containers, where there is no xtask.
        "xtask/src/capability/inside/",
    ];
    forbid(
        &["Command::new("],
        &exempt,
        "programs start through shell.rs or xshell (init and elevate say why they do not)",
    );
}

#[test]
fn project_files_are_written_through_files_rs() {
    // Process 1 writes into the lab's own memory, a layout into its temporary
    // folder, and the lock is a file that must stay the same one.
    let exempt = [
        "xtask/src/files.rs",
        "xtask/src/engine/init.rs",
        "xtask/src/engine/lock.rs",
        "xtask/src/image/writer.rs",
    ];
    let mut findings = Vec::new();
    for (name, text) in sources() {
        if exempt.contains(&name.as_str()) || name.starts_with("app/") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if [
                "fs::write(",
                " File::create(",
                "fs::File::create(",
                "fs::create_dir",
            ]
            .iter()
            .any(|word| line.contains(word))
            {
                findings.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(
        findings.is_empty(),
        "half-written or root-owned files:\n{}",
        findings.join("\n")
    );
}

#[test]
fn every_module_says_what_it_is_for_and_stays_readable() {
    let mut findings = Vec::new();
    for (name, text) in sources() {
        if !text.starts_with("//!") {
            findings.push(format!("{name}:1: no `//!` header"));
        }
        let lines = text.lines().count();
        if lines > MODULE_LINES_MAX {
            findings.push(format!(
                "{name}:{lines}: more than {MODULE_LINES_MAX} lines"
            ));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_apps_own_lock_agrees_with_the_workspaces() {
    let locked = |path: &str| -> Vec<(String, String)> {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let value = |line: &str| line.split('"').nth(1).unwrap_or_default().to_owned();
        let lines: Vec<_> = text.lines().collect();
        let pairs = lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("name = ") && pair[1].starts_with("version = "));
        pairs.map(|pair| (value(pair[0]), value(pair[1]))).collect()
    };
    let workspace = locked("Cargo.lock");
    let own = locked("app/Cargo.lock");
    assert!(own.len() > 10, "app/Cargo.lock is not read right");
    let strangers: Vec<_> = own
        .iter()
        .filter(|package| !workspace.contains(package))
        .collect();
    assert!(
        strangers.is_empty(),
        "app/Cargo.lock and Cargo.lock disagree on {strangers:?}; \
         mend: run `cargo update --package NAME --precise VERSION` in the one that lags"
    );
}
