//! Where a base comes from: rebuilt, out of reach, stood in for.

use anyhow::{Context, Error, Result, bail, ensure};
use xtask::{
    bases::{Entry, Lock, Origin},
    digest::Digest,
    dockerfile::ImageName,
    image::{Layout, packages::read_files, walk::walk},
};

use crate::{
    host,
    sandbox::{Finished, Sandbox, remove},
    tiny,
};

const PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "linux/arm64"
} else {
    "linux/amd64"
};
const LOCK: &str = "experiments/bases.lock";
const SIZES: &str = "results/sizes.csv";
const BASES: &str = "target/lab/bases";

fn entry(lock: &Lock, reference: &str) -> Result<Entry> {
    let name: ImageName = reference.parse().map_err(Error::msg)?;
    let entry = lock.get(&name, PLATFORM).cloned();
    entry.with_context(|| format!("{reference} is not locked for {PLATFORM}"))
}

/// Writes a lock of one base, whose source has these lines.
fn write_lock(sandbox: &Sandbox, reference: &str, source: &str) -> Result<()> {
    let lock =
        format!("[[base]]\nreference = \"{reference}\"\nplatform = \"{PLATFORM}\"\n{source}");
    sandbox.write(LOCK, lock)
}

/// A variant of the tiny suite that stands on `base`.
fn add_variant_on(sandbox: &Sandbox, base: &str) -> Result<()> {
    tiny::add(
        sandbox,
        "variant",
        &tiny::dockerfile("").replace("scratch", base),
    )
}

/// One that was upstream's, while nobody has locked most of the others yet.
pub fn it_is_rebuilt_and_locked_by_its_packages() -> Result<()> {
    const STATIC: &str = "gcr.io/distroless/static-debian12";
    let sandbox = Sandbox::of_workspace("rebuilt")?;
    let project = sandbox.project()?;
    let committed = Lock::load(&project)?;
    let mut lock = Lock::default();
    lock.set(entry(&committed, "debian:bookworm")?);
    lock.set(Entry {
        origin: Origin::Upstream,
        ..entry(&committed, STATIC)?
    });
    lock.save(&project)?;

    let update = ["bases", "update", STATIC, "--source", "rebuilt"];
    let run = sandbox.run(&update)?.expect(0)?;
    let moved = format!("{STATIC} {PLATFORM}: upstream -> rebuilt");
    ensure!(
        run.stdout.lines().any(|line| line == moved),
        "{}",
        run.said()
    );
    let locked = entry(&Lock::load(&project)?, STATIC)?;
    let Origin::Rebuilt(rebuild) = &locked.origin else {
        bail!("it is locked as {locked:?}");
    };
    let names: Vec<&str> = rebuild.packages.iter().map(|it| it.name.as_str()).collect();
    let expected = [
        "base-files",
        "ca-certificates",
        "media-types",
        "netbase",
        "tzdata",
    ];
    ensure!(names == expected, "its packages are {names:?}");
    let made = sandbox
        .path(BASES)
        .join("gcr.io-distroless-static-debian12-recipe/layout");
    ensure!(
        locked.digest.as_ref() == Some(Layout::open(&made)?.digest()),
        "{locked:?}"
    );
    Ok(())
}

/// A root of one package, whose version is the time at which it was made: as if
/// Debian moved between any two rebuilds.
const MOVING: &str = r#"#!/bin/sh
set -eu
cd "$(mktemp -d)"
mkdir -p var/lib/dpkg
printf 'Package: moving\nStatus: install ok installed\nVersion: %s\n' "$(date +%s%N)" >var/lib/dpkg/status
tar -cf - .
"#;

pub fn moved_packages_move_lock_and_row_unless_locked() -> Result<()> {
    const BASE: &str = "example.test/moving:1";
    let sandbox = tiny::sandbox("moving")?;
    remove(&sandbox.path(BASES))?;
    let known = format!("[[base]]\nreference = \"{BASE}\"\nrecipe = \"moving\"\n");
    sandbox.write("experiments/bases.toml", known)?;
    sandbox.write("experiments/bases/moving/rootfs.sh", MOVING)?;
    let never_made = "source = \"rebuilt\"\ndigest = \"\"\nrecipe_id = \"000000000000\"\n";
    write_lock(&sandbox, BASE, never_made)?;
    add_variant_on(&sandbox, BASE)?;
    sandbox.run(&["size"])?.expect(0)?;
    let state = || -> Result<_> { Ok((sandbox.read(LOCK)?, sandbox.read(SIZES)?)) };
    let (before, made_first) = (state()?, version(&sandbox, BASE)?);

    // As in a checkout that has never made the base.
    remove(&sandbox.path(BASES))?;
    let run = sandbox.run(&["size", "--locked"])?.expect(1)?;
    let moves = format!("{BASE} {PLATFORM}: moving {made_first} -> ");
    for word in [&*moves, "--locked forbids it", "mend: run without --locked"] {
        ensure!(run.stderr.contains(word), "{word}: {}", run.said());
    }
    let after = state()?;
    ensure!(after == before, "{before:?}\nbecame\n{after:?}");

    let run = sandbox.run(&["size"])?.expect(0)?;
    let says = format!("bases.lock moves: {moves}");
    ensure!(run.stderr.contains(&says), "{says}: {}", run.said());
    ensure!(version(&sandbox, BASE)? != made_first, "the lock stayed");
    ensure!(state()?.1 != before.1, "the row stayed: {}", before.1);
    stands_on_what_is_locked(&sandbox, BASE)
}

/// The version of its one package that the lock has.
fn version(sandbox: &Sandbox, base: &str) -> Result<String> {
    let locked = entry(&Lock::load(&sandbox.project()?)?, base)?;
    let package = locked.rebuild().and_then(|it| it.packages.first());
    Ok(package.context("it has a package")?.version.clone())
}

fn stands_on_what_is_locked(sandbox: &Sandbox, base: &str) -> Result<()> {
    let locked = entry(&Lock::load(&sandbox.project()?)?, base)?;
    let sizes = sandbox.sizes()?;
    let row = sizes.rows().next().context("a row")?;
    let id = row.base_id.as_ref().map(ToString::to_string);
    ensure!(
        row.error.is_none() && row.base_source == locked.source() && id == locked.id(),
        "{row:?}\n{locked:?}"
    );
    Ok(())
}

/// It has a recipe, a stand-in and an archive at hand, and none of them is taken.
pub fn an_upstream_out_of_reach_is_never_another_source() -> Result<()> {
    // Nobody listens on the port that once was tcpmux's.
    const BASE: &str = "127.0.0.1:1/base:1";
    let sandbox = tiny::sandbox("out-of-reach")?;
    remove(&sandbox.path(BASES))?;
    let archive = host::archive(&sandbox)?;
    let known = format!(
        "[[base]]\nreference = \"{BASE}\"\nrecipe = \"small\"\nstand_in = \"small\"\n\n\
         [base.archive]\nfile = \"base.tar.gz\"\nurl = \"https://example.test/base.tar.gz\"\n\
         sha256 = \"{}\"\n",
        Digest::of(&archive).hex()
    );
    sandbox.write("experiments/bases.toml", known)?;
    sandbox.write("archives/base.tar.gz", archive)?;
    sandbox.write("experiments/bases/small/rootfs.sh", MOVING)?;
    let digest = Digest::of("published");
    write_lock(
        &sandbox,
        BASE,
        &format!("source = \"upstream\"\ndigest = \"{digest}\"\n"),
    )?;
    add_variant_on(&sandbox, BASE)?;

    let before = sandbox.read(LOCK)?;
    let mut size = sandbox.xtask(&["size"]);
    size.env("BASE_ARCHIVES", sandbox.path("archives"));
    let run = Finished::from(size.output()?).expect(1)?;
    let object = format!("127.0.0.1:1/base@{digest}: no answer");
    for word in [
        &*object,
        "mend: check the network",
        "cargo xtask bases update",
    ] {
        ensure!(run.stderr.contains(word), "{word}: {}", run.said());
    }
    ensure!(sandbox.read(LOCK)? == before, "{}", sandbox.read(LOCK)?);
    ensure!(sandbox.sizes()?.rows().count() == 0, "it has a row");
    for kind in ["archive", "recipe"] {
        let made = sandbox
            .path(BASES)
            .join(format!("127.0.0.1-1-base-1-{kind}"));
        ensure!(!made.exists(), "{} was made", made.display());
    }
    Ok(())
}

pub fn a_stand_in_is_called_so() -> Result<()> {
    const BASE: &str = "alpine:3.22";
    let sandbox = Sandbox::of_workspace("stand-in")?;
    tiny::add_suite(&sandbox)?;
    add_variant_on(&sandbox, BASE)?;
    let before = sandbox.read(LOCK)?;
    let mut size = sandbox.xtask(&["size", "tiny"]);
    size.env_remove("BASE_ARCHIVES");
    let run = Finished::from(size.output()?).expect(0)?;

    let (sizes, bases) = (sandbox.sizes()?, sandbox.bases()?);
    let row = sizes.rows().next().context("a row")?;
    let base = bases.rows().next().context("a base")?;
    let pinned = entry(&Lock::load(&sandbox.project()?)?, BASE)?.id();
    let id = row.base_id.as_ref().map(ToString::to_string);
    ensure!(
        row.error.is_none() && row.base_source == "stand-in" && id.is_some() && id != pinned,
        "{row:?}\n{}",
        run.said()
    );
    ensure!(
        base.source == "stand-in" && base.id == row.base_id,
        "{base:?}\n{row:?}"
    );
    // The archive stays what the lock pins: what took its place is the rows' to tell.
    ensure!(sandbox.read(LOCK)? == before, "{}", sandbox.read(LOCK)?);
    nothing_in_it_is_called_alpine(&sandbox)
}

fn nothing_in_it_is_called_alpine(sandbox: &Sandbox) -> Result<()> {
    let layout = Layout::open(&sandbox.project()?.image("tiny", "variant"))?;
    let files = ["etc/os-release", "etc/passwd", "etc/group"];
    let walk = walk(&layout, |_| false)?;
    let read = read_files(&layout, &walk, &files, 4096)?;
    ensure!(read.len() == files.len(), "it has only {:?}", read.keys());
    let config = String::from_utf8_lossy(layout.config_bytes()).into_owned();
    let texts = read
        .values()
        .map(|it| String::from_utf8_lossy(it).into_owned());
    for text in texts.chain([config, sandbox.read("results/layers.csv")?]) {
        ensure!(!text.to_lowercase().contains("alpine"), "{text}");
    }
    Ok(())
}
