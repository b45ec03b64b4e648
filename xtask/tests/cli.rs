//! What a person reads: help, and the errors for what they wrote.

use std::{fs, path::Path};

use assert_cmd::Command;
use tempfile::TempDir;
use xtask::{engine::Lock, project::Project};

const PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "linux/arm64"
} else {
    "linux/amd64"
};

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

/// A project that holds `files` and nothing else.
fn project_of(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
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
    run(project, &[&["run-all"][..], words].concat())
}

/// What a command says of a project; the platform of this machine is called
/// PLATFORM.
fn run(project: &TempDir, words: &[&str]) -> String {
    let root = project.path().canonicalize().unwrap();
    let mut command = xtask();
    command.args(words).arg("--project").arg(&root);
    said(&mut command, &root).replace(PLATFORM, "PLATFORM")
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
fn somebodys_engine_is_not_asked_what_its_images_can_do() {
    let project = project_of(&[("experiments/README.md", "")]);
    let refused = run(&project, &["capabilities", "--engine", "host"]);
    insta::assert_snapshot!(refused, @"
    exit code 1
    --- stdout
    --- stderr
    error: images are asked in the lab alone, which enters a container's namespaces and sees its processes; mend: --engine lab, on Linux
    ");
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

const BASES: &str = r#"
[[base]]
reference = "alpine:3.22"
stand_in = "small"
[base.archive]
file = "alpine.tar.gz"
url = "https://example.com/alpine.tar.gz"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[[base]]
reference = "debian:bookworm"
recipe = "small"

[[base]]
reference = "shell"
stand_in = "small"

[[base]]
reference = "busybox"

[[base]]
reference = "gcr.io/distroless/static"

[[base]]
reference = "golang:1.23"
"#;

const LOCK: &str = r#"
[[base]]
reference = "alpine:3.22"
platform = "PLATFORM"
source = "archive"
digest = ""
file = "alpine.tar.gz"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
otherwise = "stand-in"
recipe_id = "0123456789ab"

[[base]]
reference = "debian:bookworm"
platform = "PLATFORM"
source = "rebuilt"
digest = ""
recipe_id = "0123456789ab"
packages = ["bash 5.2"]

[[base]]
reference = "shell"
platform = "PLATFORM"
source = "stand-in"
digest = ""
recipe_id = "0123456789ab"
packages = ["busybox-static 1:1.37"]

[[base]]
reference = "busybox"
platform = "PLATFORM"
source = "upstream"
digest = ""

[[base]]
reference = "gcr.io/distroless/static"
platform = "PLATFORM"
source = "upstream"
digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"#;

/// A project with these bases and this lock.
fn locked(lock: &str) -> TempDir {
    project_of(&[
        ("experiments/bases.toml", BASES),
        ("experiments/bases/small/rootfs.sh", "#!/bin/sh\n"),
        (
            "experiments/bases.lock",
            &lock.replace("PLATFORM", PLATFORM),
        ),
    ])
}

#[test]
fn bases_are_listed_with_source_and_identity() {
    insta::assert_snapshot!(run(&locked(LOCK), &["bases"]), @"
    exit code 0
    --- stdout
    alpine:3.22                              archive, else stand-in e3b0c44298fc
    debian:bookworm                          rebuilt e2293338f7c1
    shell                                    stand-in c24d371a186e
    busybox                                  upstream not resolved
    gcr.io/distroless/static                 upstream e3b0c44298fc
    golang:1.23                              not locked for PLATFORM: cargo xtask bases update golang:1.23
    --- stderr
    ");
}

#[test]
fn without_a_lock_every_base_comes_with_the_command_that_locks_it() {
    let project = locked("");
    fs::remove_file(project.path().join("experiments/bases.lock")).unwrap();
    let listed = run(&project, &["bases"]);
    assert!(listed.starts_with("exit code 0\n"), "{listed}");
    for base in [
        "alpine:3.22",
        "debian:bookworm",
        "shell",
        "busybox",
        "gcr.io/distroless/static",
        "golang:1.23",
    ] {
        let line = format!("{base:<40} not locked for PLATFORM: cargo xtask bases update {base}\n");
        assert!(listed.contains(&line), "{base}: {listed}");
    }
}

#[test]
fn a_broken_lock_is_shown_with_its_line_and_how_to_get_a_good_one() {
    let broken = LOCK.replacen("source = \"upstream\"", "source = \"home\"", 1);
    insta::assert_snapshot!(run(&locked(&broken), &["bases"]), @"
    exit code 1
    --- stdout
    --- stderr
    error: experiments/bases.lock:31: `source` is `home`, not upstream, archive, rebuilt or stand-in
      mend: take the committed file (`git checkout experiments/bases.lock`), or remove it and write it anew: `cargo xtask bases update`
    ");
}

#[test]
fn doctor_gives_each_missing_thing_what_mends_it() {
    let project = project_of(&[("experiments/README.md", "")]);
    let output = xtask()
        .args(["doctor", "--engine", "lab", "--project"])
        .arg(project.path())
        .env("PATH", project.path().join("no-programs"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "missing: no rustc in PATH, which the Rust base is made of\n  \
             mend: rustup toolchain install stable --profile minimal\n"
        ),
        "{said}"
    );
    let lines: Vec<&str> = said.lines().collect();
    let in_pairs = lines
        .chunks(2)
        .all(|pair| pair[0].starts_with("missing: ") && pair[1].starts_with("  mend: "));
    assert!(in_pairs, "{said}");
}

#[test]
fn clean_refuses_while_somebody_holds_the_lab() {
    let project = project_of(&[("experiments/README.md", ""), ("target/lab/kept", "")]);
    let lab = Project::at(project.path()).unwrap();
    let held = Lock::take(&lab, false, |_| ()).unwrap();
    let refused = run(&project, &["clean"]);
    let holder = format!(
        "error: PROJECT/target/lab is in use by process {}: ",
        std::process::id()
    );
    assert!(
        refused.starts_with("exit code 1\n") && refused.contains(&holder),
        "{refused}"
    );
    assert!(project.path().join("target/lab/kept").is_file());
    drop(held);
    let cleaned = run(&project, &["clean"]);
    assert!(
        cleaned.starts_with("exit code 0\n--- stdout\nremoved "),
        "{cleaned}"
    );
    assert!(!project.path().join("target/lab").exists());
}
