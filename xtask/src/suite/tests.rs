//! Suites in temporary projects, and this project's own.

use std::os::unix::fs::symlink;

use super::*;
use crate::files;

const GIN: &str = "\
title = \"Go, Gin\"
context = \"src\"

[probe]
body = '{\"message\":\"Hello goni!\"}'

# The order here is the order in every table.
[[variant]]
name = \"scratch\"
reason = \"Nothing but the binary.\"
article_bytes = 10_800_000
";
const DOCKERFILE: &str = "FROM golang:1.23 AS build\nFROM scratch\nCOPY --from=build /a /a\n";

/// A project in a temporary folder.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// One good suite, `gin`, with one variant, `scratch`.
    fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        lab.write("gin/suite.toml", GIN);
        lab.write("gin/src/main.go", "package main\n");
        lab.write("gin/scratch/Dockerfile", DOCKERFILE);
        lab
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("experiments").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        files::write_atomic(&self.path(path), text).unwrap();
    }

    fn project(&self) -> Project {
        Project::at(self.folder.path()).unwrap()
    }

    fn select(&self, words: &[&str]) -> Result<Vec<Suite>> {
        load(&self.project(), &Selection::parse(words)?, "linux/amd64")
    }

    fn load(&self) -> Vec<Suite> {
        self.select(&[]).unwrap()
    }

    fn problems(&self) -> String {
        let error = self.select(&[]).unwrap_err();
        error.downcast::<Problems>().unwrap().to_string()
    }

    /// The problems with `from` replaced in the good suite.toml.
    fn problems_with(from: &str, to: &str) -> String {
        let lab = Self::new();
        assert!(GIN.contains(from));
        lab.write("gin/suite.toml", &GIN.replace(from, to));
        lab.problems()
    }
}

#[test]
fn a_good_suite_has_its_values_and_defaults() {
    let lab = Lab::new();
    let suites = lab.load();
    let [suite] = suites.as_slice() else {
        panic!("{suites:?}")
    };
    assert_eq!(
        (suite.name.as_str(), suite.title.as_str()),
        ("gin", "Go, Gin")
    );
    assert_eq!(suite.context, lab.path("gin/src").canonicalize().unwrap());
    assert_eq!(suite.port, 8080);
    assert_eq!((suite.probe.path.as_str(), suite.probe.status), ("/", 200));
    assert_eq!(suite.probe.body, "{\"message\":\"Hello goni!\"}");
    let variant = &suite.variants[0];
    assert_eq!(variant.article_bytes, Some(10_800_000));
    assert_eq!(variant.dockerfile_id, Digest::of(DOCKERFILE));
    assert_eq!(variant.images.base, None);
    assert_eq!(variant.images.references[0].written, "golang:1.23");
    let context = suite.context_of(variant).unwrap();
    assert_eq!(context.paths().collect::<Vec<_>>(), ["main.go"]);
    assert_eq!(context.id().unwrap(), variant.context_id);
}

#[test]
fn a_variants_budget_goes_before_its_suites() {
    let lab = Lab::new();
    let suites = "budget = { transfer_bytes = 12_000_000, layers = 4 }\n\n[probe]";
    let own = "budget = { layers = 1, wasted_bytes = 0 }\narticle_bytes";
    let text = GIN.replace("[probe]", suites).replace("article_bytes", own);
    lab.write("gin/suite.toml", &text);
    assert_eq!(lab.load().len(), 1, "a budget is no unknown key");
    let found = budgets("suite.toml".into(), &text).unwrap();
    let expected = [
        ("layers", 1),
        ("transfer_bytes", 12_000_000),
        ("wasted_bytes", 0),
    ];
    assert_eq!(found["scratch"], Budget::from(expected));
    let without = budgets("suite.toml".into(), GIN).unwrap();
    assert_eq!(without["scratch"], Budget::new());
}

#[test]
fn a_budget_names_numbers_of_sizes_and_no_times() {
    let wrong = "[budget]\ntransfer_byte = 1\npull_median_us = 1\napp = 1\nlayers = '3'\n\n[probe]";
    insta::assert_snapshot!(Lab::problems_with("[probe]", wrong), @"
    experiments/gin/suite.toml:5: budget: `transfer_byte` is no number of sizes.csv
      mend: did you mean `transfer_bytes`?
    experiments/gin/suite.toml:6: budget: `pull_median_us` is a time, and times of two sessions do not compare
      mend: budgets on times belong to `cargo xtask compare BASE --fail-on-worse`
    experiments/gin/suite.toml:7: budget: `app` is a time, and times of two sessions do not compare
      mend: budgets on times belong to `cargo xtask compare BASE --fail-on-worse`
    experiments/gin/suite.toml:8: [budget] `layers` is not a whole number, 0 or more
      mend: make `layers` a whole number, 0 or more
    ");
    insta::assert_snapshot!(
        Lab::problems_with("article_bytes", "budget = 5\narticle_bytes"), @"
    experiments/gin/suite.toml:11: [[variant]] `budget` is not a table, `[variant.budget]`
      mend: make `budget` a table, `[variant.budget]`
    ");
    let error = budgets("suite.toml".into(), "budget = 5\n").unwrap_err();
    assert!(error.to_string().starts_with("suite.toml"), "{error}");
}

#[test]
fn a_variant_is_a_folder_and_three_lines() {
    let lab = Lab::new();
    let before = lab.load();
    lab.write(
        "gin/chainguard/Dockerfile",
        "FROM cgr.dev/chainguard/static\n",
    );
    lab.write(
        "gin/suite.toml",
        &format!("{GIN}\n[[variant]]\nname = \"chainguard\"\nreason = \"Another distroless.\"\n"),
    );
    let after = lab.load();
    assert_eq!(after[0].variants[1].name, "chainguard");
    assert_eq!(
        after[0].variants[0], before[0].variants[0],
        "the others have not moved"
    );
}

#[test]
fn new_makes_a_variant_and_keeps_what_stands_there() {
    let lab = Lab::new();
    let added = add_variant(&lab.project(), "gin/chainguard", "Another \"distroless\".").unwrap();
    assert_eq!(added.copied_from.as_deref(), Some("scratch"));
    assert_eq!(fs::read_to_string(added.dockerfile).unwrap(), DOCKERFILE);
    let text = fs::read_to_string(added.manifest).unwrap();
    assert!(text.starts_with(GIN), "{text}");
    let suites = lab.load();
    assert_eq!(suites[0].variants[1].reason, "Another \"distroless\".");
}

#[test]
fn new_makes_only_what_is_missing() {
    let lab = Lab::new();
    lab.write("gin/here/Dockerfile", "FROM here:1\n");
    add_variant(&lab.project(), "gin/here", "It was there.").unwrap();
    assert_eq!(
        lab.load()[0].variants[1].images.references[0].written,
        "here:1"
    );

    fs::remove_file(lab.path("gin/here/Dockerfile")).unwrap();
    let text = fs::read_to_string(lab.path("gin/suite.toml")).unwrap();
    add_variant(&lab.project(), "gin/here", "unused").unwrap();
    assert_eq!(
        fs::read_to_string(lab.path("gin/suite.toml")).unwrap(),
        text
    );
    assert_eq!(
        lab.load()[0].variants[1].dockerfile_id,
        Digest::of(DOCKERFILE)
    );
}

#[test]
fn new_without_a_reason_is_asked_for_one() {
    let lab = Lab::new();
    add_variant(&lab.project(), "gin/a", "").unwrap();
    insta::assert_snapshot!(lab.problems(), @r#"
    experiments/gin/suite.toml:15: [[variant]] `reason` is empty
      mend: write for example `reason = "why this variant exists"`
    "#);
}

#[test]
fn new_refuses_bad_names() {
    let lab = Lab::new();
    let refusal = |name: &str| {
        add_variant(&lab.project(), name, "r")
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal("gin"),
        "`gin` is not SUITE/VARIANT, as in gin/chainguard"
    );
    assert_eq!(
        refusal("gim/a"),
        "no suite is called `gim`; did you mean `gin`? There are: gin"
    );
    for bad in ["gin/", "gin/A", "gin/a/b", "gin/a_b", "gin/-a", "gin/.."] {
        assert!(refusal(bad).contains("lowercase letters"), "{bad}");
    }
    assert!(refusal("gin/scratch").starts_with("gin/scratch is there already"));
    assert_eq!(fs::read_to_string(lab.path("gin/suite.toml")).unwrap(), GIN);
}

#[test]
fn the_selection_keeps_the_order_of_the_files() {
    let lab = Lab::new();
    add_variant(&lab.project(), "gin/alpine", "r").unwrap();
    lab.write("axum/suite.toml", GIN);
    lab.write("axum/src/main.rs", "");
    lab.write("axum/scratch/Dockerfile", DOCKERFILE);
    let names = |words: &[&str]| -> Vec<String> {
        let suites = lab.select(words).unwrap();
        let variants = suites.iter().flat_map(|s| {
            s.variants
                .iter()
                .map(move |v| format!("{}/{}", s.name, v.name))
        });
        variants.collect()
    };
    assert_eq!(names(&[]), ["axum/scratch", "gin/scratch", "gin/alpine"]);
    assert_eq!(
        names(&["gin/alpine", "axum"]),
        ["axum/scratch", "gin/alpine"]
    );
    assert_eq!(names(&["gin/alpine", "gin"]), ["gin/scratch", "gin/alpine"]);
    for words in [&["gin/alpin"][..], &["gin", "gin/alpin"]] {
        assert_eq!(
            lab.select(words).unwrap_err().to_string(),
            "no variant of gin is called `alpin`; did you mean `alpine`? There are: scratch, alpine"
        );
    }
    // A suite that nobody asked for may be broken.
    lab.write("axum/suite.toml", "x");
    assert_eq!(names(&["gin/alpine"]), ["gin/alpine"]);
}

#[test]
fn the_ignore_file_beside_a_dockerfile_goes_first() {
    let lab = Lab::new();
    let id = || lab.load()[0].variants[0].context_id.clone();
    let before = id();
    lab.write("gin/src/notes.md", "x");
    let with_notes = id();
    assert_ne!(before, with_notes);
    lab.write("gin/src/.dockerignore", "*.md\n.dockerignore\n");
    assert_eq!(id(), before);
    lab.write("gin/scratch/Dockerfile.dockerignore", ".dockerignore\n");
    assert_eq!(id(), with_notes);
    lab.write("gin/scratch/Dockerfile.dockerignore", "\n[a\n");
    insta::assert_snapshot!(lab.problems(), @"
    experiments/gin/scratch/Dockerfile.dockerignore:2: `[a` is not a pattern
      mend: correct the pattern; the rules: https://docs.docker.com/build/concepts/context/#dockerignore-files
    ");
}

#[test]
fn many_mistakes_are_found_in_one_go() {
    let lab = Lab::new();
    lab.write(
        "gin/suite.toml",
        "titel = 'a'\ncontext = 'source'\nport = 0\n[probe]\npath = 'x'\nstatus = '200'\n\
         [[variant]]\nname = 'scatch'\nreason = 'r'\n[[variant]]\nname = 'Big'\nreason = ''\n\
         [[variant]]\nname = 'scatch'\narticle_bytes = -1\n",
    );
    lab.write("gin/Other/Dockerfile", "FROM a\n");
    lab.write("flask/alpine/Dockerfile", "FROM a\n");
    insta::assert_snapshot!(lab.problems(), @r#"
    experiments/gin/suite.toml: `title` is missing
      mend: add `title = "Go, Gin"`
    experiments/gin/suite.toml:1: unknown key `titel`
      mend: did you mean `title`? else remove the line
    experiments/gin/suite.toml:2: context `source` is no folder
      mend: create the folder and move the service's files there, or correct `context`
    experiments/gin/suite.toml:3: `port` is not a whole number from 1 to 65535
      mend: make `port` a whole number from 1 to 65535
    experiments/gin/suite.toml:4: [probe] `body` is missing
      mend: add `body = '{"message":"hello"}'`
    experiments/gin/suite.toml:5: [probe] `path` is `x`, not a path
      mend: write `path = "/x"`
    experiments/gin/suite.toml:6: [probe] `status` is not a whole number from 100 to 599
      mend: make `status` a whole number from 100 to 599
    experiments/gin/suite.toml:8: there is no experiments/gin/scatch/Dockerfile
      mend: did you mean `scratch`? else `cargo xtask new gin/scatch`
    experiments/gin/suite.toml:11: `Big` is no name for a variant
      mend: use lowercase letters, digits and inner hyphens, and the same for its folder
    experiments/gin/suite.toml:12: [[variant]] `reason` is empty
      mend: write for example `reason = "why this variant exists"`
    experiments/gin/suite.toml:13: [[variant]] `reason` is missing
      mend: add `reason = "why this variant exists"`
    experiments/gin/suite.toml:14: variant `scatch` is declared twice
      mend: give it another name, or remove one of the two
    experiments/gin/suite.toml:15: [[variant]] `article_bytes` is not a whole number, 1 or more
      mend: make `article_bytes` a whole number, 1 or more
    experiments/gin/Other/Dockerfile: no [[variant]] of experiments/gin/suite.toml is called `Other`
      mend: rename the folder (lowercase letters, digits and inner hyphens) and declare it, or remove it
    experiments/gin/scratch/Dockerfile: no [[variant]] of experiments/gin/suite.toml is called `scratch`
      mend: `cargo xtask new gin/scratch` declares it; else remove the folder
    experiments/flask/suite.toml: experiments/flask holds Dockerfiles but no suite.toml
      mend: write it: `title = "…"`, `context = "src"`, and under `[probe]` the `body` that the service answers; then `cargo xtask new flask/VARIANT` for each Dockerfile
    "#);
}

#[test]
fn contexts_that_would_move_images_are_refused() {
    insta::assert_snapshot!(Lab::problems_with("\"src\"", "\".\""), @r#"
    experiments/gin/suite.toml:2: context `.` holds suite.toml and the Dockerfiles, so that adding a variant would move every image
      mend: move the service's files to a folder of their own, as in `context = "src"`
    "#);
    insta::assert_snapshot!(Lab::problems_with("\"src\"", "\"scratch\""), @"
    experiments/gin/suite.toml:9: the Dockerfile of gin/scratch lies in the build context
      mend: move it to a folder outside `context`, and name the variant like that folder
    ");
    insta::assert_snapshot!(Lab::problems_with("\"src\"", "\"/\""), @r#"
    experiments/gin/suite.toml:2: context `/` is an absolute path
      mend: write it relative to the suite's folder, as in `context = "src"`
    "#);
    insta::assert_snapshot!(Lab::problems_with("\"src\"", "\"../../..\""), @"
    experiments/gin/suite.toml:2: context `../../..` lies outside the project
      mend: move it into the project: what is built must be part of the checkout
    ");
}

#[test]
fn what_is_missing_or_no_toml_is_said_once() {
    let probe = "[probe]\nbody = '{\"message\":\"Hello goni!\"}'\n";
    insta::assert_snapshot!(Lab::problems_with(probe, ""), @"
    experiments/gin/suite.toml: `[probe]` is missing
      mend: add `[probe]` and below it `body = \"…\"`: what the service answers
    ");
    insta::assert_snapshot!(Lab::problems_with("\"scratch\"", "scratch"), @"
    experiments/gin/suite.toml:9: not TOML: string values must be quoted, expected literal string
      mend: correct this line: `key = value`, text in quotes
    ");
}

#[test]
fn a_suite_without_variants_and_a_bad_folder_name_are_said() {
    let lab = Lab::new();
    fs::rename(lab.path("gin"), lab.path("Gin")).unwrap();
    fs::remove_dir_all(lab.path("Gin/scratch")).unwrap();
    let text = &GIN[..GIN.find("[[variant]]").unwrap()];
    lab.write("Gin/suite.toml", text);
    insta::assert_snapshot!(lab.problems(), @"
    experiments/Gin/suite.toml: `Gin` is no name for a suite
      mend: rename the folder: lowercase letters, digits and inner hyphens
    experiments/Gin/suite.toml: no variant is declared
      mend: `cargo xtask new Gin/NAME` makes one
    ");
}

#[test]
fn a_dockerfile_and_a_context_that_cannot_be_read_are_said() {
    let lab = Lab::new();
    lab.write("gin/scratch/Dockerfile", "FROM a:1\nRUNN\n");
    let _socket = std::os::unix::net::UnixListener::bind(lab.path("gin/src/s")).unwrap();
    let found = lab.problems();
    assert!(
        found.contains("experiments/gin/scratch/Dockerfile:2: not a Dockerfile: "),
        "{found}"
    );
    assert!(
        found.contains("is neither a file, a folder nor a link\n  mend: remove it"),
        "{found}"
    );
    files::write_atomic(&lab.path("gin/scratch/Dockerfile"), [0xff]).unwrap();
    assert!(lab.problems().contains("mend: make it a UTF-8 text file"));
}

#[test]
fn an_empty_experiments_folder_is_an_error() {
    let lab = Lab::new();
    fs::remove_dir_all(lab.path("gin")).unwrap();
    assert!(
        lab.select(&[])
            .unwrap_err()
            .to_string()
            .contains("holds no suite")
    );
}

/// The project's own experiments must be right, and every checkout of them must
/// agree on the identities.
#[test]
fn the_experiments_of_this_project_are_right_wherever_they_lie() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join("experiments/gin").is_dir() {
        return; // A copy of the crate alone.
    }
    let load = |root: &Path| {
        let project = Project::at(root).unwrap();
        load(&project, &Selection::everything(), "linux/amd64").unwrap()
    };
    let here = load(&root);
    let copy = tempfile::tempdir().unwrap();
    for folder in ["experiments", "app"] {
        let context = Context::read(&root.join(folder), &Ignore::default()).unwrap();
        context.copy_to(&copy.path().join(folder)).unwrap();
    }
    symlink("nowhere", copy.path().join("app/not-in-the-context")).unwrap();
    let there = load(copy.path());
    let ids = |suites: &[Suite]| -> Vec<_> {
        let variants = suites.iter().flat_map(|suite| suite.variants.iter());
        variants
            .map(|v| {
                (
                    v.name.clone(),
                    v.dockerfile_id.clone(),
                    v.context_id.clone(),
                )
            })
            .collect()
    };
    assert_eq!(ids(&here), ids(&there));
    assert!(here.iter().any(|suite| suite.name == "gin"));
}
