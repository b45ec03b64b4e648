//! bases.toml and the recipes, whole projects at a time.

mod lock;

use std::fs;

use super::*;
use crate::{digest::Digest, files};

const AMD64: &str = "linux/amd64";

/// A project in a temporary folder with one suite, whose Dockerfile stands on
/// `golang:1.23`, and that base, which stands on `debian:bookworm`.
struct Lab(tempfile::TempDir);

const BASES: &str = "\
[[base]]
reference = \"golang:1.23\"
recipe = \"golang\"
published_transfer_bytes = 300_000_000
published_source = \"read somewhere, 2025\"

[[base]]
reference = \"debian:bookworm\"
recipe = \"debian\"
stand_in = \"other\"
note = \"The root of all.\"
[base.archive]
file = \"debian.tar.gz\"
url = \"https://example.com/debian.tar.gz\"
sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"
";

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        lab.write(
            "gin/suite.toml",
            "title = 't'\ncontext = 'src'\nprobe.body = 'x'\n\
             [[variant]]\nname = 'a'\nreason = 'r'\n",
        );
        lab.write("gin/src/main.go", "");
        lab.write(
            "gin/a/Dockerfile",
            "FROM golang:1.23 AS b\nFROM scratch\nCOPY --from=b /a /a\n",
        );
        lab.write("bases.toml", BASES);
        lab.write("bases/golang/Dockerfile", "FROM debian:bookworm\nRUN x\n");
        lab.write("bases/debian/rootfs.sh", "#!/bin/sh\n");
        lab.write("bases/other/rootfs.sh", "#!/bin/sh\n");
        lab
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join("experiments").join(path);
        files::write_atomic(&path, text).unwrap();
    }

    fn project(&self) -> Project {
        Project::at(self.0.path()).unwrap()
    }

    fn check(&self) -> Result<(Vec<Suite>, Bases)> {
        check(&self.project(), &Selection::everything(), AMD64)
    }

    fn problems(&self) -> String {
        let error = self.check().unwrap_err();
        error.downcast::<Problems>().unwrap().to_string()
    }
}

fn name(written: &str) -> ImageName {
    written.parse().unwrap()
}

#[test]
fn good_bases_have_their_values() {
    let (_, bases) = Lab::new().check().unwrap();
    let debian = bases
        .get(&name("docker.io/library/debian:bookworm"))
        .unwrap();
    assert_eq!(
        (debian.written.as_str(), debian.line),
        ("debian:bookworm", 8)
    );
    assert_eq!(debian.archive.as_ref().unwrap().sha256, Digest::of(""));
    assert_eq!(debian.note.as_deref(), Some("The root of all."));
    let golang = bases.get(&name("golang:1.23")).unwrap();
    assert_eq!(golang.published_transfer_bytes, Some(300_000_000));
    let recipe = golang.recipe.as_ref().unwrap();
    assert_eq!(recipe.references()[0].written, "debian:bookworm");
    assert_ne!(recipe.id, debian.recipe.as_ref().unwrap().id);
}

#[test]
fn a_config_belongs_to_a_rootfs_and_moves_its_identity() {
    let lab = Lab::new();
    let recipe = || {
        let (_, bases) = lab.check().unwrap();
        bases
            .get(&name("debian:bookworm"))
            .unwrap()
            .recipe
            .clone()
            .unwrap()
    };
    let before = recipe();
    assert_eq!(before.config, Config::default());
    lab.write(
        "bases/debian/config.toml",
        "env = ['PATH=/bin']\ncmd = ['bash']\nentrypoint = ['/init']\nuser = '65532'\nworking_dir = '/w'\n",
    );
    let after = recipe();
    assert_ne!(before.id, after.id);
    assert_eq!(
        (after.config.env, after.config.cmd),
        (vec!["PATH=/bin".to_owned()], vec!["bash".to_owned()])
    );
    assert_eq!(after.config.user.as_deref(), Some("65532"));

    lab.write(
        "bases/debian/config.toml",
        "env = ['PATH', '=x']\nworkingdir = '/w'\n",
    );
    lab.write("bases/golang/config.toml", "");
    insta::assert_snapshot!(lab.problems(), @r#"
    experiments/bases/golang/config.toml: a Dockerfile says its own configuration
      mend: move it there (ENV, CMD, ENTRYPOINT, USER, WORKDIR) and remove this file
    experiments/bases/debian/config.toml:1: `PATH` in `env` is not NAME=value
      mend: write for example `env = ["PATH=/usr/local/bin:/usr/bin:/bin"]`
    experiments/bases/debian/config.toml:1: `=x` in `env` is not NAME=value
      mend: write for example `env = ["PATH=/usr/local/bin:/usr/bin:/bin"]`
    experiments/bases/debian/config.toml:2: unknown key `workingdir`
      mend: did you mean `working_dir`? else remove the line
    "#);
}

#[test]
fn every_mistake_in_the_manifest_is_found_in_one_go() {
    let lab = Lab::new();
    files::create_dir_all(&lab.0.path().join("experiments/bases/empty")).unwrap();
    lab.write("bases/both/rootfs.sh", "");
    lab.write("bases/both/Dockerfile", "FROM a\n");
    lab.write("bases/bad/Dockerfile", "FROM a\nRUNN\n");
    let bad = [
        "reference = 'scratch'",
        "reference = 'Golang'",
        "recipe = 'debian'",
        "reference = 'a'\nrecipe = 'debain'\nstand_in = 'zzz'",
        "reference = 'b'\nrecipe = 'empty'\nstand_in = 'both'",
        "reference = 'c'\nrecipe = 'bad'\nnotes = 'x'\npublished_unpacked_bytes = 1",
        "reference = 'golang:1.23'\n[base.archive]\nfile = 'f'\nsha256 = 'ABC'",
    ];
    let text: String = bad
        .iter()
        .map(|base| format!("[[base]]\n{base}\n"))
        .collect();
    lab.write("bases.toml", &format!("{BASES}{text}"));
    insta::assert_snapshot!(lab.problems(), @r#"
    experiments/bases.toml:17: `scratch` is no image: nothing has to be provided for it
      mend: remove this [[base]]
    experiments/bases.toml:19: `Golang` is not an image reference
      mend: write it as a Dockerfile has it, for example `golang:1.23`
    experiments/bases.toml:20: [[base]] `reference` is missing
      mend: add `reference = "golang:1.23"`
    experiments/bases.toml:24: there is no folder experiments/bases/debain
      mend: did you mean `recipe = "debian"`?
    experiments/bases.toml:25: there is no folder experiments/bases/zzz
      mend: create the folder with a rootfs.sh or a Dockerfile, or remove the line
    experiments/bases.toml:28: experiments/bases/empty holds neither rootfs.sh nor Dockerfile
      mend: leave exactly one of the two in the folder
    experiments/bases.toml:29: experiments/bases/both holds both rootfs.sh and Dockerfile
      mend: leave exactly one of the two in the folder
    experiments/bases.toml:33: [[base]] unknown key `notes`
      mend: did you mean `note`? else remove the line
    experiments/bases.toml:34: a published figure needs its source
      mend: add `published_source = "where and when it was read"`
    experiments/bases.toml:36: `golang:1.23` stands on line 2 already
      mend: remove one of the two
    experiments/bases.toml:37: [base.archive] `url` is missing
      mend: add `url = "https://…"`
    experiments/bases.toml:39: [base.archive] `sha256` is not 64 lowercase hex digits
      mend: take what `sha256sum FILE` prints
    experiments/bases/bad/Dockerfile:2: not a Dockerfile: unknown instruction 'RUNN'
      mend: correct this line; the rules: https://docs.docker.com/reference/dockerfile/
    "#);
}

#[test]
fn references_without_a_base_are_said_wherever_they_stand() {
    let lab = Lab::new();
    lab.write(
        "gin/a/Dockerfile",
        "FROM golang:1.24\nFROM --platform=linux/arm64 docker.io/library/debian:bookworm\n\
         COPY --from=nginx:1 a b\n",
    );
    lab.write("bases/golang/Dockerfile", "FROM busybox\n");
    insta::assert_snapshot!(lab.problems(), @"
    experiments/bases/golang/Dockerfile:1: `busybox` is not in experiments/bases.toml
      mend: `cargo xtask bases add busybox`
    experiments/gin/a/Dockerfile:1: `golang:1.24` is not in experiments/bases.toml
      mend: `cargo xtask bases add golang:1.24`, or use `golang:1.23`, which is there
    experiments/gin/a/Dockerfile:2: `--platform=linux/arm64`: bases are provided for linux/amd64 here
      mend: write `--platform=$BUILDPLATFORM`, or leave it out
    experiments/gin/a/Dockerfile:3: `nginx:1` is not in experiments/bases.toml
      mend: `cargo xtask bases add nginx:1`
    ");
}

#[test]
fn a_manifest_that_is_no_toml_hides_no_other_file() {
    let lab = Lab::new();
    lab.write("bases.toml", "[[base]\n");
    lab.write("gin/a/Dockerfile", "RUN x\n");
    let found = lab.problems();
    assert!(
        found.contains("experiments/bases.toml:1: not TOML"),
        "{found}"
    );
    assert!(
        found.contains("experiments/gin/a/Dockerfile:1: not a Dockerfile"),
        "{found}"
    );
}

#[test]
fn the_build_order_puts_every_base_after_what_it_needs() {
    let (suites, bases) = Lab::new().check().unwrap();
    let order = |recipe_of: fn(&Base) -> Option<&Recipe>| -> Vec<String> {
        let wanted = suites[0].variants[0]
            .images
            .references
            .iter()
            .map(|r| &r.name);
        let order = bases.in_build_order(wanted, recipe_of);
        order.into_iter().map(|base| base.written.clone()).collect()
    };
    assert_eq!(
        order(|base| base.recipe.as_ref()),
        ["debian:bookworm", "golang:1.23"]
    );
    assert_eq!(
        order(|_| None),
        ["golang:1.23"],
        "a base that comes ready-made"
    );
}

#[test]
fn a_base_cannot_stand_on_itself() {
    let lab = Lab::new();
    fs::remove_file(lab.0.path().join("experiments/bases/debian/rootfs.sh")).unwrap();
    lab.write("bases/debian/Dockerfile", "# Ha.\nFROM golang:1.23\n");
    insta::assert_snapshot!(lab.problems(), @"
    experiments/bases/debian/Dockerfile:2: this base stands on itself: golang:1.23 -> debian:bookworm -> golang:1.23
      mend: let one of these recipes start from another base, or from a rootfs.sh
    ");
}

#[test]
fn a_base_that_is_added_covers_its_reference() {
    let lab = Lab::new();
    lab.write("gin/a/Dockerfile", "FROM cgr.dev/chainguard/static\n");
    assert!(
        lab.problems()
            .contains("mend: `cargo xtask bases add cgr.dev/chainguard/static`")
    );
    lab.write(
        "bases.toml",
        &add_base(BASES, "cgr.dev/chainguard/static", None).unwrap(),
    );
    assert!(lab.check().is_ok());
}

/// Everything that this project's own Dockerfiles stand on is known.
#[test]
fn the_bases_of_this_project_cover_its_suites() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !root.join("experiments/bases.toml").is_file() {
        return; // A copy of the crate alone.
    }
    let project = Project::at(&root).unwrap();
    if let Err(found) = check(&project, &Selection::everything(), AMD64) {
        panic!("{found}");
    }
}
