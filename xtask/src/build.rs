//! One Dockerfile → one OCI layout that repeats.
//!
//! `docker buildx build` does the building, with every external reference
//! replaced by the locked base's own OCI layout (a BuildKit named context), so
//! that the Dockerfile stays what a reader would type and no registry is asked.
//! What comes out is normalised: base layers keep their bytes, ours are made
//! to repeat.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    dockerfile::{self, Dockerfile, ImageName},
    files,
    image::{Layout, Platform, oci_tar::read_oci_tar},
    normalise::{Normalised, normalise},
    shell,
};

/// An engine that builds.
pub trait Builder: Sync {
    /// A `docker` command line that talks to it.
    fn docker(&self) -> Command;
    /// How the builder's client names a path of the project.
    fn sees(&self, path: &Path) -> Result<PathBuf>;
    /// Its version, as it enters the inputs of every row.
    fn id(&self) -> &str;
    /// Empties its build cache, if that is ours to empty, and says whether it
    /// did; otherwise a clean build must go without the cache.
    fn forget(&self) -> Result<bool>;
}

/// What one build reads.
pub struct Order<'a> {
    pub dockerfile: &'a Path,
    pub context: &'a Path,
    /// Every external image that the Dockerfile names, as it is to be read.
    pub bases: &'a [(&'a ImageName, &'a Layout)],
    /// Further named contexts: folders.
    pub folders: &'a [(&'a str, &'a Path)],
    pub arguments: &'a [(&'a str, String)],
    /// The image that the last stage stands on; `None` for scratch.
    pub base: Option<&'a Layout>,
    pub platform: &'a Platform,
    /// Nothing may come from the build cache.
    pub no_cache: bool,
    pub log: &'a Path,
}

/// Builds into `target`; BuildKit's own output is gone afterwards.
///
/// # Errors
/// When the build fails: the end of its log and where it lies. `target` is then
/// left as it was.
pub fn build(builder: &dyn Builder, order: &Order<'_>, target: &Path) -> Result<Normalised> {
    let folder = target.parent().context("an image needs a folder")?;
    files::create_dir_all(folder)?;
    let scratch = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempdir_in(folder)?;
    files::give_to_owner_of_parent(scratch.path())?;
    let served = served_here(order, scratch.path())?;
    let order = &Order {
        dockerfile: served.as_deref().unwrap_or(order.dockerfile),
        ..*order
    };
    let raw = run(builder, order, &scratch.path().join("buildkit"))?;
    let base = base_layers(order, &raw)?;
    normalise(&raw, &base, target, scratch.path())
}

/// A copy of a Dockerfile that asks for the built-in frontend by its image, which
/// must not be fetched. What it ignores lies beside it.
fn served_here(order: &Order<'_>, folder: &Path) -> Result<Option<PathBuf>> {
    let text = fs::read_to_string(order.dockerfile)
        .with_context(|| format!("cannot read {}", order.dockerfile.display()))?;
    let read = Dockerfile::read(order.dockerfile, &text, &order.platform.to_string());
    // What is wrong with it was said before, or is the builder's to say.
    let Some(syntax) = read.ok().and_then(|read| read.syntax) else {
        return Ok(None);
    };
    let copy = folder.join("Dockerfile");
    files::write_atomic(&copy, dockerfile::served_here(&text, &syntax))?;
    let ignored = order.dockerfile.with_file_name("Dockerfile.dockerignore");
    if ignored.is_file() {
        let beside = folder.join("Dockerfile.dockerignore");
        files::write_atomic(&beside, fs::read(&ignored)?)?;
    }
    Ok(Some(copy))
}

fn run(builder: &dyn Builder, order: &Order<'_>, target: &Path) -> Result<Layout> {
    let mut command = command(builder, order)?;
    command
        .stdout(Stdio::piped())
        .stderr(files::append(order.log)?);
    let mut child = shell::spawn(&mut command)?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let read = read_oci_tar(stdout, target, Some(order.platform));
    let status = child.wait()?;
    // A build that fails prints no tar, so its own words come before the
    // reader's.
    if !status.success() && !is_full(&read) {
        bail!(
            "build failed: {}\nnote: full log in {}",
            cause(order.log),
            order.log.display()
        );
    }
    read
}

/// Whether our own side ran out of space: the builder then fails as well,
/// because nobody reads what it writes, and its words would mislead.
fn is_full(read: &Result<Layout>) -> bool {
    let full = |error: &anyhow::Error| {
        let mut io = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        io.any(|cause| cause.kind() == std::io::ErrorKind::StorageFull)
    };
    read.as_ref().is_err_and(full)
}

/// BuildKit's last word on a failure; above it the log has the step's output.
fn cause(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = text
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("ERROR: "));
    said.map_or_else(|| format!("\n{}", shell::tail(log)), str::to_owned)
}

fn command(builder: &dyn Builder, order: &Order<'_>) -> Result<Command> {
    let mut command = builder.docker();
    command
        .args([
            "buildx",
            "build",
            "--network=host",
            "--provenance=false",
            "--sbom=false",
            "--progress=plain",
        ])
        .args([
            "--output=type=oci,dest=-",
            "--platform",
            &order.platform.to_string(),
        ])
        .arg("--file")
        .arg(builder.sees(order.dockerfile)?);
    for (name, layout) in order.bases {
        let folder = builder.sees(layout.folder())?;
        command.arg(format!(
            "--build-context={}=oci-layout://{}@{}",
            name.context_key(),
            folder.display(),
            layout.digest()
        ));
    }
    for (name, folder) in order.folders {
        command.arg(format!(
            "--build-context={name}={}",
            builder.sees(folder)?.display()
        ));
    }
    for (name, value) in order.arguments {
        command.arg(format!("--build-arg={name}={value}"));
    }
    // Predefined arguments of every Dockerfile; they reach no layer and no cache key.
    for (name, value) in shell::proxies() {
        command.arg(format!("--build-arg={name}={value}"));
    }
    if order.no_cache {
        command.arg("--no-cache");
    }
    command.arg(builder.sees(order.context)?);
    Ok(command)
}

/// The layers of the last stage's base, which must lie at the bottom of the
/// image with the very bytes that the base has.
fn base_layers(order: &Order<'_>, built: &Layout) -> Result<BTreeSet<crate::digest::Digest>> {
    let Some(base) = order.base else {
        return Ok(BTreeSet::new());
    };
    let (bottom, expected) = (built.layers(), base.layers());
    let kept = bottom.len() >= expected.len()
        && bottom
            .iter()
            .zip(expected)
            .all(|(built, base)| built.digest == base.digest);
    ensure!(
        kept,
        "the builder changed the layers of the base {}",
        base.folder().display()
    );
    Ok(built.leading_layers(expected.len()))
}
