//! The Rust toolchain that runs xtask, as a build context for the recipe of the
//! Rust base: a folder with exactly the files of rustc, cargo and the standard
//! library, whatever else the host has installed beside them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::Package;
use crate::{files, project::Project, shell};

/// The name by which a recipe's Dockerfile reads it.
pub const CONTEXT: &str = "rust-toolchain";

/// The components of a minimal toolchain; each lists its files in a manifest.
const COMPONENTS: [&str; 3] = ["rustc", "cargo", "rust-std"];

/// The toolchain, laid out as a build context.
pub struct Toolchain {
    pub folder: PathBuf,
    /// `1.95.0`
    pub version: String,
    /// For the identity: version and commit.
    pub package: Package,
}

/// What `rustc` in PATH is, without laying anything out.
///
/// # Errors
/// When there is none.
pub fn identity() -> Result<Package> {
    let sh = shell::shell()?;
    let line = cmd!(sh, "rustc --version")
        .quiet()
        .read()
        .context("the Rust base is made of the Rust toolchain in PATH")?;
    let version = line
        .strip_prefix("rustc ")
        .unwrap_or(&line)
        .replace(['(', ')'], "");
    Ok(Package {
        name: "rustc".to_owned(),
        version: version.replace(' ', "-"),
    })
}

/// Lays the toolchain out under the lab, once per version.
///
/// # Errors
/// When `rustc` is missing, or was not installed by rustup's components and so
/// does not list its files.
pub fn lay_out(project: &Project) -> Result<Toolchain> {
    let package = identity()?;
    let version = package
        .version
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    let folder = project.lab().join("toolchain").join(&package.version);
    if !folder.is_dir() {
        let sh = shell::shell()?;
        let sysroot = PathBuf::from(cmd!(sh, "rustc --print sysroot").quiet().read()?);
        let unfinished = folder.with_extension("unfinished");
        files::remove_dir_all(&unfinished)?;
        link(&sysroot, &unfinished)?;
        files::replace_dir(&unfinished, &folder)?;
    }
    Ok(Toolchain {
        folder,
        version,
        package,
    })
}

fn link(sysroot: &Path, to: &Path) -> Result<()> {
    // Other targets' standard libraries may lie beside the host's own.
    let sh = shell::shell()?;
    let host = cmd!(sh, "rustc --print host-tuple").quiet().read()?;
    let manifests = COMPONENTS.map(|component| format!("lib/rustlib/manifest-{component}-{host}"));
    if let Some(absent) = manifests
        .iter()
        .find(|manifest| !sysroot.join(manifest).is_file())
    {
        bail!(
            "{} has no {absent}; a toolchain of rustup lists its files there: \
             rustup toolchain install stable --profile minimal",
            sysroot.display()
        );
    }
    for manifest in &manifests {
        let text = fs::read_to_string(sysroot.join(manifest))?;
        for file in text.lines().filter_map(|line| line.strip_prefix("file:")) {
            link_file(&sysroot.join(file), &to.join(file))?;
        }
        link_file(&sysroot.join(manifest), &to.join(manifest))?;
    }
    let components: String = COMPONENTS
        .map(|component| format!("{component}-{host}\n"))
        .concat();
    files::write_atomic(&to.join("lib/rustlib/components"), components)
}

/// Half a gigabyte is linked, not copied, where the file system allows it; the
/// builder sees it read-only.
fn link_file(from: &Path, to: &Path) -> Result<()> {
    files::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => {
            fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
            files::give_to_owner_of_parent(to)
        }
        Ok(()) => Ok(()),
    }
}
