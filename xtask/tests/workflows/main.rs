//! What the workflows under `.github/` have to keep so that a request of a
//! stranger can do no harm, and that every rule really finds what breaks it.

mod rules;
mod yaml;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use yaml::Node;

fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    workspace.join(".github/workflows")
}

/// All workflows by their file names.
fn workflows() -> BTreeMap<String, Node> {
    let entries = fs::read_dir(folder()).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let root = yaml::parse(&text).unwrap_or_else(|why| panic!("{name}:{why}"));
            (name, root)
        })
        .collect()
}

#[test]
fn every_workflow_keeps_the_rules() {
    let workflows = workflows();
    assert!(
        !workflows.is_empty(),
        "no workflow in {}",
        folder().display()
    );
    let findings: Vec<String> = workflows
        .iter()
        .flat_map(|(file, root)| rules::findings(file, root))
        .collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn whoever_may_write_is_there() {
    let workflows = workflows();
    for (file, _) in rules::WRITERS {
        assert!(
            workflows.contains_key(file),
            "{file} is gone: so should its rights be"
        );
    }
}

#[test]
fn a_workflow_waits_for_one_that_is_there() {
    let workflows = workflows();
    let names: Vec<&str> = workflows.values().map(name).collect();
    for (file, root) in &workflows {
        let event = root.get("on").and_then(|on| on.get("workflow_run"));
        let Some(event) = event else { continue };
        let awaited = event.get("workflows").map(Node::items).unwrap_or_default();
        assert!(!awaited.is_empty(), "{file} waits for nothing");
        for workflow in awaited {
            let wanted = workflow.text();
            assert!(
                names.contains(&wanted),
                "{file} waits for `{wanted}`; there are {names:?}"
            );
        }
    }
}

fn name(workflow: &Node) -> &str {
    workflow.get("name").map_or("", Node::text)
}

const GOOD: &str = r#"name: Good # and whole

on:
  pull_request:

permissions:
  contents: read

jobs:
  one:
    name: It's one
    runs-on: ubuntu-24.04
    steps:
      # As everywhere.
      - uses: actions/checkout@0123456789abcdef0123456789abcdef01234567 # v7.0.1
        with:
          fetch-depth: 0
      - env:
          TITLE: ${{ github.event.pull_request.title }}
        run: |
          echo "$TITLE" # of the script
          cargo xtask diff
"#;

const GOOD_COMMENT: &str = r#"name: Comment
on:
  workflow_run:
    workflows: [Good]
permissions:
  actions: read
jobs:
  comment:
    runs-on: ubuntu-24.04
    permissions:
      pull-requests: write
    steps:
      - run: |
          # git would bring what we do not want.
          gh run download 1 --name review --dir report
          head --bytes=9 report/report.md
"#;

fn findings(file: &str, text: &str) -> Vec<String> {
    rules::findings(file, &yaml::parse(text).unwrap())
}

/// The findings of `text` in which `from` says `to`.
fn broken(file: &str, text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example does not say {from}");
    findings(file, &text.replacen(from, to, 1)).join("\n")
}

#[test]
fn good_workflows_have_no_finding() {
    assert_eq!(findings("good.yml", GOOD), [""; 0]);
    assert_eq!(findings("comment.yml", GOOD_COMMENT), [""; 0]);
}

#[test]
fn whatever_breaks_a_rule_is_found() {
    for (from, to, what) in [
        (
            "  pull_request:",
            "  pull_request_target:",
            "`pull_request_target`",
        ),
        (
            "on:\n  pull_request:\n",
            "on: [push, pull_request_target]\n",
            "good.yml:3: `pull_request_target`",
        ),
        (
            "on:\n  pull_request:\n",
            "on: pull_request_target\n",
            "`pull_request_target`",
        ),
        (
            "@0123456789abcdef0123456789abcdef01234567",
            "@v7",
            "good.yml:15: `actions/checkout@v7`",
        ),
        ("01234567 #", "0123456 #", "is not pinned"),
        (
            "actions/checkout@0123456789abcdef0123456789abcdef01234567",
            "docker://alpine",
            "is not pinned",
        ),
        (" # v7.0.1", "", "no comment with its version"),
        ("# v7.0.1", "# the newest", "no comment with its version"),
        (
            "permissions:\n  contents: read\n",
            "",
            "good.yml:1: no `permissions`",
        ),
        (
            "permissions:\n  contents: read\n",
            "permissions: write-all\n",
            "does not list",
        ),
        (
            "permissions:\n  contents: read\n",
            "permissions:\n",
            "does not list",
        ),
        (
            "contents: read",
            "contents: write",
            "good.yml:7: `contents: write`",
        ),
        (
            "    steps:",
            "    permissions:\n      issues: write\n    steps:",
            "`issues: write`",
        ),
        (
            "\"$TITLE\"",
            "\"${{ github.event.pull_request.title }}\"",
            "good.yml:20: `${{ … }}`",
        ),
        (
            "fetch-depth: 0",
            "fetch-depth: 1",
            "job `one` compares without",
        ),
        (
            "fetch-depth: 0",
            "clean: true # fetch-depth: 0",
            "job `one` compares without",
        ),
        (
            "          fetch-depth: 0",
            "          clean: true\n          # fetch-depth: 0",
            "compares without",
        ),
        ("xtask diff", "xtask compare", ""),
    ] {
        let found = broken("good.yml", GOOD, from, to);
        assert_eq!(found.is_empty(), what.is_empty(), "`{to}` gives {found}");
        assert!(found.contains(what), "`{to}` gives {found}");
    }
}

#[test]
fn quotes_and_comments_are_no_disguise() {
    let action = "actions/checkout@0123456789abcdef0123456789abcdef01234567 # v7.0.1";
    let disguised = broken(
        "good.yml",
        GOOD,
        action,
        "'actions/checkout@v7' # v7 of 01234567",
    );
    assert!(disguised.contains("is not pinned"), "{disguised}");
    let swallowed = broken("good.yml", GOOD, action, &format!("'{action}'"));
    assert!(swallowed.contains("is not pinned"), "{swallowed}");
    assert!(
        swallowed.contains("no comment with its version"),
        "{swallowed}"
    );
    let commented = broken("good.yml", GOOD, "  contents: read", "  # contents: read");
    assert!(commented.contains("does not list"), "{commented}");
}

#[test]
fn a_stranger_finds_nothing_to_run_in() {
    let last = "          head --bytes=9 report/report.md";
    for (line, what) in [
        ("          gh pr checkout 1", "`checkout`"),
        ("          git fetch origin pull/1/head", "`git`"),
        ("          bash report/run", "`bash`"),
        ("          head report/x | sh", "`sh`"),
        ("          report/run", "`report/run`"),
        ("          ./run", "`./run`"),
        ("          . report/run", "`.`"),
        (
            "      - uses: actions/checkout@0123456789abcdef0123456789abcdef01234567 # v7",
            "no action",
        ),
    ] {
        let found = broken("comment.yml", GOOD_COMMENT, last, line);
        assert!(found.contains(what), "`{line}` gives {found}");
    }
    let elsewhere = findings("other.yml", GOOD_COMMENT).join("\n");
    assert!(elsewhere.contains("`pull-requests: write`"), "{elsewhere}");
    let more = broken("comment.yml", GOOD_COMMENT, "pull-requests", "contents");
    assert!(more.contains("`contents: write`"), "{more}");
    let for_all = broken(
        "comment.yml",
        GOOD_COMMENT,
        "actions: read",
        "pull-requests: write",
    );
    assert!(for_all.contains("comment.yml:6: "), "{for_all}");
}

#[test]
fn workflows_are_read_as_they_are_written() {
    let root = yaml::parse(GOOD).unwrap();
    assert_eq!(name(&root), "Good");
    let job = root.get("jobs").and_then(|jobs| jobs.get("one")).unwrap();
    assert_eq!(name(job), "It's one");
    let [checkout, script] = job.get("steps").unwrap().items() else {
        panic!("{job:?}");
    };
    let action = checkout.get("uses").unwrap();
    assert_eq!((action.line, action.comment.as_str()), (15, "v7.0.1"));
    let run = script.get("run").unwrap();
    assert_eq!(
        run.text(),
        "echo \"$TITLE\" # of the script\ncargo xtask diff"
    );
}

#[test]
fn what_could_hide_something_is_not_read() {
    for text in [
        "a: &x 1",
        "a: *x",
        "a: !!str b",
        "a: {b: c}",
        "a: >\n  b",
        "a: |-\n  b",
        "\"a\": b",
        "? a\n: b",
        "<<: b",
        "---\na: b",
        "a: b\na: c",
        "a:\n\tb: c",
        "a: b\n  c",
        "a: b\n  c: d",
        "a: b: c",
        "a: 'b'c",
        "a: 'b''c'",
        "a: \"\\u0062\"",
        "a: \"b",
        "a: [b,\n  c]",
        "a: [b, 'c']",
        "a:\n- b",
        "a:\n  - b\n c: d",
        "a:\n  - - b",
        "- a",
    ] {
        let read = yaml::parse(text);
        assert!(read.is_err(), "{text} is read as {read:?}");
    }
}
