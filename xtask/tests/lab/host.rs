//! `--engine host`: somebody's own engine, here one that the test has started
//! and reaches as the program does, by `DOCKER_HOST` and a `docker` in PATH.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use xtask::{
    digest::Digest,
    engine::{DataRoot, Lab, LabEngine, Lock, Role, Store},
    record::exact::{BaseRow, FileRow, LayerRow, SizeRow},
    shell,
};

use crate::{
    sandbox::{Finished, Sandbox, remove},
    tiny,
};

/// The Rust base, what is built on it, and the build cache of both.
const ROOM_BYTES: u64 = 6 << 30;

/// A real variant, the one whose bases and builds take the least time.
const REAL: &str = "axum/scratch";

/// An image and a container that are none of ours.
pub const FOREIGN: &str = "printf x > /tmp/x && tar -c -C /tmp x | docker import - foreign:1 \
                       && docker create --name foreign foreign:1 /x";

/// An engine of somebody's, and their command line to it.
struct Somebodys {
    engine: LabEngine,
    bin: PathBuf,
    // After the engine that lives in it.
    _lab: Lab,
}

impl Somebodys {
    /// Starts it from another project, so that the one under test has its own
    /// lock; `sandbox` is visible to the command line at its own path.
    fn start(store: Store, sandbox: &Sandbox) -> Result<Self> {
        let theirs = Sandbox::new("somebodys")?;
        let project = theirs.project()?;
        let lab = Lab::open(&project, Lock::take(&project, false, |_| ())?)?;
        let data_root = DataRoot::Tmpfs {
            size_bytes: ROOM_BYTES,
        };
        let engine = lab.engine(Role::Builder, store, data_root)?;
        show(engine.pid(), &project.lab().join("root"), sandbox.root())?;
        let somebodys = Self {
            engine,
            bin: theirs.path("bin"),
            _lab: lab,
        };
        let (inside, endpoint) = (somebodys.engine.command("docker"), somebodys.endpoint());
        install_docker(&somebodys.bin, &inside, &endpoint)?;
        Ok(somebodys)
    }

    fn endpoint(&self) -> String {
        format!("unix://{}", self.engine.socket().display())
    }

    /// The program on `sandbox`, led to this engine.
    fn run(&self, sandbox: &Sandbox, words: &[&str]) -> Result<Finished> {
        self.run_at(&self.endpoint(), sandbox, words)
    }

    fn run_at(&self, endpoint: &str, sandbox: &Sandbox, words: &[&str]) -> Result<Finished> {
        let mut command = led_to(endpoint, &self.bin, sandbox, words);
        Ok(Finished::from(command.output()?))
    }

    fn docker(&self, words: &[&str]) -> Result<String> {
        shell::read(self.engine.command("docker").args(words))
    }

    /// What it holds: images and containers by their ids, and the build cache.
    fn holds(&self) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for words in [
            &["images", "--all", "--quiet", "--no-trunc"][..],
            &["ps", "--all", "--quiet", "--no-trunc"],
            &["buildx", "du", "--verbose"],
        ] {
            let said = self.docker(words)?;
            let ids = said.lines().filter(|line| match words {
                ["buildx", ..] => line.starts_with("ID:"),
                _ => true,
            });
            found.extend(ids.map(|id| format!("{} {id}", words[0])));
        }
        Ok(found)
    }
}

/// The program on `sandbox`, led to the engine at `endpoint` whose owner has
/// their programs in `bin`.
pub fn led_to(endpoint: &str, bin: &Path, sandbox: &Sandbox, words: &[&str]) -> Command {
    let mut path = OsString::from(bin);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = sandbox.xtask(words);
    command
        .args(["--engine", "host"])
        .env("PATH", path)
        .env("DOCKER_HOST", endpoint);
    command
}

/// Puts the Debian root's own `docker`, which has buildx, into `bin`: it is
/// `inside` wherever it is called from, and like any other it knows its engine
/// by `DOCKER_HOST` alone.
pub fn install_docker(bin: &Path, inside: &Command, endpoint: &str) -> Result<()> {
    let knows = format!("[ \"$DOCKER_HOST\" = {endpoint} ] || exit 125");
    install(
        bin,
        "docker",
        &format!("{knows}\nexec {} \"$@\"", words_of(inside)),
    )
}

/// Puts a shell script into `bin`.
pub fn install(bin: &Path, name: &str, script: &str) -> Result<()> {
    let path = bin.join(name);
    fs::create_dir_all(bin)?;
    fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    Ok(fs::set_permissions(
        &path,
        fs::Permissions::from_mode(0o755),
    )?)
}

fn words_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Makes `folder` appear at its own path in the root of an engine whose first
/// process is `pid`. What the root has at the path's first component is hidden:
/// only the engine itself, in /usr, /etc and /var, is of use to it.
pub fn show(pid: u32, root: &Path, folder: &Path) -> Result<()> {
    let mut parts = folder.components().skip(1);
    let Some(Component::Normal(first)) = parts.next() else {
        anyhow::bail!("{} is no folder to show", folder.display());
    };
    let (top, inside) = (root.join(first), root.join(folder.strip_prefix("/")?));
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &pid.to_string(), "--mount", "--"])
        .args(["sh", "-e", "-c"])
        .arg(
            "mkdir -p \"$1\"; mount -t tmpfs none \"$1\"; mkdir -p \"$2\"; mount --bind \"$3\" \"$2\"",
        )
        .arg("sh")
        .args([&top, &inside, folder]);
    shell::read(&mut command).context("cannot show the sandbox to the engine's command line")?;
    Ok(())
}

/// The tiny suite with a variant on nothing and one on a base.
fn sandbox(name: &str) -> Result<Sandbox> {
    const BASE: &str = "example.test/base:1";
    let sandbox = tiny::sandbox(name)?;
    let archive = archive(&sandbox)?;
    let sha256 = Digest::of(&archive).to_string();
    sandbox.write("archives/base.tar.gz", archive)?;
    sandbox.write(
        "experiments/bases.toml",
        format!(
            "[[base]]\nreference = \"{BASE}\"\n\n[base.archive]\nfile = \"base.tar.gz\"\n\
             url = \"https://example.test/base.tar.gz\"\nsha256 = \"{}\"\n",
            sha256.trim_start_matches("sha256:")
        ),
    )?;
    sandbox
        .run(&["bases", "update", "--source", "archive"])?
        .expect(0)?;
    tiny::add(&sandbox, "on-nothing", &tiny::dockerfile(""))?;
    let on_base = tiny::dockerfile("").replace("scratch", BASE);
    tiny::add(&sandbox, "on-base", &on_base)?;
    Ok(sandbox)
}

/// A root file system of one file.
pub fn archive(sandbox: &Sandbox) -> Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut tar = tar::Builder::new(gzip);
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_path_with_name(sandbox.path("experiments/tiny/src/server"), "base")?;
    Ok(tar.into_inner()?.finish()?)
}

type Rows = (Vec<SizeRow>, Vec<LayerRow>, Vec<FileRow>, Vec<BaseRow>);

fn rows(sandbox: &Sandbox) -> Result<Rows> {
    let layers = sandbox.layers()?;
    // BuildKit packs the times of the build with the files.
    let layers = layers.rows().cloned().map(|row| LayerRow {
        buildkit_transfer_bytes: None,
        ..row
    });
    Ok((
        sandbox.sizes()?.rows().cloned().collect(),
        layers.collect(),
        sandbox.files()?.rows().cloned().collect(),
        sandbox.bases()?.rows().cloned().collect(),
    ))
}

pub fn it_counts_what_the_lab_counts() -> Result<()> {
    let sandbox = sandbox("host")?;
    let archives = sandbox.path("archives").display().to_string();
    let size = ["size", "--base-archives", &archives];
    sandbox.run(&size)?.expect(0)?;
    let of_lab = rows(&sandbox)?;
    ensure!(
        of_lab.0.len() == 2 && of_lab.0.iter().all(|row| row.error.is_none()),
        "{of_lab:#?}"
    );
    for folder in ["results", "target/lab/images", "target/lab/contexts"] {
        remove(&sandbox.path(folder))?;
    }

    let somebodys = Somebodys::start(Store::Containerd, &sandbox)?;
    shell::read(somebodys.engine.command("sh").args(["-c", FOREIGN]))?;
    let dockerfile = sandbox.path("experiments/tiny/on-nothing/Dockerfile");
    let context = sandbox.path("experiments/tiny/src");
    let path = |path: &Path| path.display().to_string();
    let (file, context) = (path(&dockerfile), path(&context));
    somebodys.docker(&[
        "buildx",
        "build",
        "--file",
        &file,
        "--tag=theirs:1",
        &context,
    ])?;
    let before = somebodys.holds()?;
    ensure!(before.len() > 4, "too little to lose: {before:?}");

    let run = somebodys.run(&sandbox, &size)?.expect(0)?;
    let of_host = rows(&sandbox)?;
    ensure!(
        of_lab == of_host,
        "the lab says\n{of_lab:#?}\nthis engine\n{of_host:#?}\n{}",
        run.said()
    );
    let after = somebodys.holds()?;
    let lost: Vec<_> = before.difference(&after).collect();
    ensure!(lost.is_empty(), "the engine has lost {lost:?}");
    let (built, new): (Vec<_>, Vec<_>) = after
        .difference(&before)
        .partition(|it| it.starts_with("buildx "));
    ensure!(!built.is_empty(), "nothing was built on this engine");
    ensure!(new.is_empty(), "the engine has got {new:?}");
    Ok(())
}

pub fn it_counts_a_real_variant_as_the_lab_does() -> Result<()> {
    let sandbox = Sandbox::of_workspace("host-real")?;
    sandbox.run(&["size", REAL])?.expect(0)?;
    let of_lab = rows(&sandbox)?;
    for folder in ["results", "target/lab/images", "target/lab/contexts"] {
        remove(&sandbox.path(folder))?;
    }
    let somebodys = Somebodys::start(Store::Containerd, &sandbox)?;
    let run = somebodys.run(&sandbox, &["size", REAL])?.expect(0)?;
    let of_host = rows(&sandbox)?;
    ensure!(
        of_lab == of_host && of_lab.0.iter().any(|row| row.error.is_none()),
        "the lab says\n{of_lab:#?}\nthis engine\n{of_host:#?}\n{}",
        run.said()
    );
    Ok(())
}

pub fn doctor_knows_it() -> Result<()> {
    let sandbox = Sandbox::new("host-doctor")?;
    {
        let good = Somebodys::start(Store::Containerd, &sandbox)?;
        let run = good.run(&sandbox, &["doctor"])?.expect(0)?;
        ensure!(run.stdout.starts_with("ready to build"), "{}", run.said());

        let nowhere = format!("unix://{}", sandbox.path("no.sock").display());
        let run = good.run_at(&nowhere, &sandbox, &["doctor"])?.expect(1)?;
        for word in [&*nowhere, "DOCKER_HOST", "--engine lab"] {
            ensure!(run.stderr.contains(word), "{word}: {}", run.said());
        }
    }
    let sandbox = tiny::sandbox("host-overlay2")?;
    tiny::add(&sandbox, "variant", &tiny::dockerfile(""))?;
    let other = Somebodys::start(Store::Overlay2, &sandbox)?;
    for words in [&["doctor"][..], &["size"]] {
        let run = other.run(&sandbox, words)?.expect(1)?;
        ensure!(
            run.stderr.contains("overlay2") && run.stderr.contains("containerd-snapshotter"),
            "{words:?}: {}",
            run.said()
        );
    }
    ensure!(sandbox.sizes()?.rows().count() == 0, "a row was written");
    Ok(())
}
