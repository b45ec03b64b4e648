//! `cargo xtask diff` as people call it, in a git repository of its own with
//! two states of this project's results.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;
use xtask::{
    bases::{Entry, Lock, Origin},
    dockerfile::ImageName,
    project::Project,
    record::{
        cell::{Cell as _, Id},
        exact::SizeRow,
        table::Table,
    },
};

/// What one call of a program gave back.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Said {
    // Neither a hook that runs these tests nor the user's own configuration has
    // a say in them.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn git(folder: &Path, words: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .args(["-c", "user.name=test", "-c", "user.email=test@localhost"])
        .args(words);
    let said = run(&mut git);
    assert_eq!(said.code, Some(0), "git {words:?}: {said:?}");
}

fn diff_in(project: &Path, words: &[&str]) -> Said {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask
        .current_dir(project)
        .arg("diff")
        .args(words)
        .arg("--project")
        .arg(project);
    run(&mut xtask)
}

/// A checkout on the branch `topic`, on which one image of `main` moved.
struct Checkout {
    folder: TempDir,
    /// The row that moves, as it is on main.
    row: SizeRow,
    /// What moved inside its base.
    package: String,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_what_diff_reads(folder.path());
        let row = rebuilt_row(folder.path());
        git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        commit(folder.path());
        git(folder.path(), &["checkout", "--quiet", "-b", "topic"]);
        let package = grow(folder.path(), &row);
        commit(folder.path());
        Self {
            folder,
            row,
            package,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn diff(&self, words: &[&str]) -> Said {
        diff_in(self.path(), words)
    }

    fn json(&self, words: &[&str]) -> Value {
        let said = self.diff(&[words, &["--format", "json"]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.stdout).unwrap()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.row.suite, self.row.variant)
    }

    /// Makes a row go, in the files of this folder.
    fn remove_a_row(&self) -> SizeRow {
        let mut sizes = sizes(self.path());
        let other = sizes.rows().find(|row| row.variant != self.row.variant);
        let gone = other.unwrap().clone();
        sizes.retain(|row| *row != gone);
        sizes.save().unwrap();
        gone
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The results and manifests of this project, without samples and recipes.
fn copy_what_diff_reads(to: &Path) {
    let copy = |path: PathBuf| {
        let from = workspace().join(&path);
        if from.is_file() {
            fs::create_dir_all(to.join(&path).parent().unwrap()).unwrap();
            fs::copy(from, to.join(path)).unwrap();
        }
    };
    for top in ["results", "experiments"] {
        for entry in fs::read_dir(workspace().join(top)).unwrap() {
            let path = Path::new(top).join(entry.unwrap().file_name());
            for file in ["node.csv", "start.csv", "suite.toml"] {
                copy(path.join(file));
            }
            copy(path);
        }
    }
}

fn sizes(project: &Path) -> Table<SizeRow> {
    Table::load(&project.join("results/sizes.csv")).unwrap()
}

fn save(project: &Path, row: SizeRow) {
    let mut sizes = sizes(project);
    sizes.upsert(row);
    sizes.save().unwrap();
}

fn entry_of(project: &Path, row: &SizeRow) -> Option<Entry> {
    let lock = Lock::load(&Project::at(project).unwrap()).unwrap();
    let name: ImageName = row.base.parse().ok()?;
    let entry = lock.get(&name, &row.platform)?.clone();
    matches!(&entry.origin, Origin::Rebuilt(rebuild) if !rebuild.packages.is_empty())
        .then_some(entry)
}

/// A row on a base of packages, with the identity that the lock has.
fn rebuilt_row(project: &Path) -> SizeRow {
    let sizes = sizes(project);
    let found = sizes.rows().find_map(|row| {
        let entry = entry_of(project, row).filter(|_| row.error.is_none())?;
        Some(SizeRow {
            base_source: "rebuilt".to_owned(),
            base_id: Id::parse(&entry.id()?),
            ..row.clone()
        })
    });
    let row = found.expect("one of the committed rows stands on a rebuilt base");
    save(project, row.clone());
    row
}

/// Gives the row's base a newer package and a tenth more bytes, and says which
/// package.
fn grow(project: &Path, row: &SizeRow) -> String {
    let mut entry = entry_of(project, row).unwrap();
    let Origin::Rebuilt(rebuild) = &mut entry.origin else {
        panic!("{entry:?}")
    };
    let package = &mut rebuild.packages[0];
    let old = std::mem::replace(&mut package.version, "999-1".to_owned());
    let moved = format!("{} {old} -> 999-1", package.name);
    let grown = SizeRow {
        transfer_bytes: row.transfer_bytes.map(|bytes| bytes + bytes / 10),
        base_id: Id::parse(&entry.id().unwrap()),
        ..row.clone()
    };
    let project_of_lock = Project::at(project).unwrap();
    let mut lock = Lock::load(&project_of_lock).unwrap();
    lock.set(entry);
    lock.save(&project_of_lock).unwrap();
    save(project, grown);
    moved
}

fn commit(project: &Path) {
    git(project, &["add", "--all"]);
    git(project, &["commit", "--quiet", "--message", "x"]);
}

#[test]
fn two_revisions_say_what_moved_and_which_package_did_it() {
    let checkout = Checkout::new();
    let said = checkout.diff(&["main", "topic"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let text = &said.stdout;
    assert!(text.starts_with("## From `main ("), "{text}");
    let row = text
        .lines()
        .find(|line| line.starts_with("| `"))
        .expect(text);
    assert!(row.contains(&checkout.name()), "{row}");
    assert!(row.contains(&format!("`{}`", checkout.package)), "{row}");

    let json = checkout.json(&["main", "topic"]);
    assert_eq!(json["moved"].as_array().unwrap().len(), 1);
    let moved = &json["moved"][0];
    assert_eq!(moved["variant"], checkout.row.variant.as_str());
    assert_eq!(
        moved["numbers"][0]["before"],
        checkout.row.transfer_bytes.unwrap()
    );
    assert_eq!(moved["causes"][0]["kind"], "base_identity");
    assert_eq!(moved["causes"][0]["moves"][0], checkout.package.as_str());
    assert_eq!(json["lock"].as_array().unwrap().len(), 1);

    let table = checkout.diff(&["main", "topic", "--format", "table"]);
    assert!(table.stdout.contains(&checkout.package), "{table:?}");
}

#[test]
fn nothing_moved_is_one_line() {
    let checkout = Checkout::new();
    let said = checkout.diff(&["HEAD", "HEAD"]);
    assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
    assert!(
        said.stdout.starts_with("Nothing moved between `HEAD ("),
        "{said:?}"
    );
    assert_eq!(said.code, Some(0));
}

#[test]
fn without_names_it_is_the_merge_base_against_the_working_tree() {
    let checkout = Checkout::new();
    let path = checkout.path();
    // What main did since is none of this branch's business.
    git(path, &["checkout", "--quiet", "main"]);
    checkout.remove_a_row();
    commit(path);
    git(path, &["checkout", "--quiet", "topic"]);
    let json = checkout.json(&[]);
    assert!(
        json["base"]
            .as_str()
            .unwrap()
            .starts_with("the merge base with main (")
    );
    assert_eq!(json["head"], "the working tree");
    assert_eq!(json["moved"].as_array().unwrap().len(), 1);
    assert_eq!(json["removed"].as_array().unwrap().len(), 0);
    assert_eq!(json["added"].as_array().unwrap().len(), 0);
    // What is not committed yet is part of it.
    let gone = checkout.remove_a_row();
    let json = checkout.json(&[]);
    assert_eq!(json["removed"][0]["variant"], gone.variant.as_str());
}

#[test]
fn folders_need_no_git() {
    let (old, new) = (Checkout::new(), Checkout::new());
    git(old.path(), &["checkout", "--quiet", "main"]);
    for folder in [old.path(), new.path()] {
        fs::remove_dir_all(folder.join(".git")).unwrap();
    }
    let whole = old.path().to_str().unwrap();
    let moved = |json: &Value| json["moved"][0]["causes"][0]["moves"].clone();
    let json = new.json(&[whole, "."]);
    assert_eq!(moved(&json), Value::from(vec![new.package.as_str()]));

    // Results that lie alone know no packages, and still the identities.
    let alone = tempfile::tempdir().unwrap();
    let sizes = alone.path().join("deep/er/sizes.csv");
    fs::create_dir_all(sizes.parent().unwrap()).unwrap();
    fs::copy(old.path().join("results/sizes.csv"), &sizes).unwrap();
    let json = new.json(&[sizes.parent().unwrap().to_str().unwrap(), "./results"]);
    assert_eq!(moved(&json), Value::from(Vec::<Value>::new()));
    assert_eq!(json["moved"][0]["causes"][0]["kind"], "base_identity");

    let said = new.diff(&[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("is no git checkout"), "{said:?}");
    assert!(
        said.stderr
            .contains("`cargo xtask diff OLD-FOLDER NEW-FOLDER`"),
        "{said:?}"
    );
}

#[test]
fn a_shallow_clone_is_told_the_command_that_mends_it() {
    let checkout = Checkout::new();
    let clones = tempfile::tempdir().unwrap();
    let url = format!("file://{}", checkout.path().display());
    let clone = [
        "clone",
        "--quiet",
        "--depth=1",
        "--branch=topic",
        &url,
        "clone",
    ];
    git(clones.path(), &clone);
    let clone = clones.path().join("clone");
    let said = diff_in(&clone, &[]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr
            .contains("this clone is shallow; mend: `git fetch --unshallow origin main"),
        "{said:?}"
    );
    // The command between the first two backticks, as a person would paste it.
    let mend = said.stderr.split('`').nth(1).unwrap();
    let words: Vec<&str> = mend.split(' ').skip(1).collect();
    git(&clone, &words);
    let said = diff_in(&clone, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains(&checkout.package), "{said:?}");
}

#[test]
fn what_has_no_common_commit_has_to_be_named() {
    let checkout = Checkout::new();
    git(
        checkout.path(),
        &["checkout", "--quiet", "--orphan", "other"],
    );
    commit(checkout.path());
    let said = checkout.diff(&[]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr
            .contains("they have no commit in common; mend: name the base"),
        "{said:?}"
    );
    let said = checkout.diff(&["nowhere"]);
    assert!(
        said.stderr.contains(
            "`nowhere` is neither a git revision nor a folder with results in it; mend: "
        ),
        "{said:?}"
    );
}

#[test]
fn budgets_and_rules_trip_after_the_report() {
    let checkout = Checkout::new();
    let kept = checkout.diff(&["main", "--fail-on", "transfer_bytes>+50%"]);
    assert_eq!((kept.code, kept.stderr.as_str()), (Some(0), ""));
    let passed = checkout.diff(&["main", "--fail-on", "transfer_bytes>+5%"]);
    assert_eq!(passed.code, Some(1));
    assert_eq!(passed.stderr.lines().count(), 1, "{passed:?}");
    assert!(passed.stderr.contains(&checkout.name()), "{passed:?}");
    assert!(
        passed.stderr.contains("fails on transfer_bytes>+5%"),
        "{passed:?}"
    );
    assert!(passed.stdout.contains("- past a limit: "), "{passed:?}");
    assert!(passed.stdout.contains("| variant | column |"), "{passed:?}");

    let manifest = checkout
        .path()
        .join(format!("experiments/{}/suite.toml", checkout.row.suite));
    let text = fs::read_to_string(&manifest).unwrap();
    let with = |budget: &str| fs::write(&manifest, format!("budget = {budget}\n{text}")).unwrap();
    with("{ transfer_bytes = 1 }");
    let over = checkout.diff(&["main"]);
    assert_eq!(over.code, Some(1));
    assert!(
        over.stderr.contains("is above its budget of 1\n"),
        "{over:?}"
    );
    // A budget is part of its revision.
    assert_eq!(checkout.diff(&["main", "topic"]).code, Some(0));
    with("{ transfer_bytes = 9_000_000_000_000 }");
    assert_eq!(checkout.diff(&["main"]).code, Some(0));
    with("{ pull_median_us = 1 }");
    let time = checkout.diff(&["main"]);
    assert_eq!((time.code, time.stdout.as_str()), (Some(1), ""));
    assert!(
        time.stderr
            .contains("suite.toml:1: budget: `pull_median_us` is a time"),
        "{time:?}"
    );
    assert!(
        time.stderr
            .contains("`cargo xtask compare BASE --fail-on-worse`"),
        "{time:?}"
    );
}
