//! The lab's Debian root file system: the engine, the registry and the tools
//! that rebuild bases, installed from Debian packages into one archive.
//!
//! It is kept as an archive and unpacked into memory by each lab, so that
//! nothing under `target/` ever belongs to root, and so that no run can inherit
//! what an earlier one left in the tree.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::namespace::{Namespace, Spec, Step};
use crate::{digest::Digest, files::AtomicFile, shell};

const SUITE: &str = "trixie";

/// What the lab needs, and for what.
const PACKAGES: &[&str] = &[
    "ca-certificates",
    "docker-buildx",
    "docker-cli",
    "docker.io", // brings containerd and runc
    "docker-registry",
    "jq",         // the builder's runc wrapper edits a JSON file
    "mmdebstrap", // rebuilds the Debian bases
    "debian-archive-keyring",
    "skopeo", // the independent witness of our image arithmetic
];

/// Documentation is a third of the files and nobody reads it in the lab.
const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
];

/// mmdebstrap's own copy of the tree while it installs.
const SCRATCH_BYTES: u64 = 3 << 30;

/// More than this is a mirror that does not answer.
pub const USUAL_TIME: Duration = Duration::from_secs(45);

/// Returns the archive of the lab's root, made now if `folder` has none.
///
/// # Errors
/// When mmdebstrap is missing (with the command that installs it) or fails.
pub fn prepare(folder: &Path, log: &Path) -> Result<PathBuf> {
    let archive = archive(folder);
    if archive.is_file() {
        return Ok(archive);
    }
    require_mmdebstrap()?;
    let mut namespace = Namespace::start("mmdebstrap", &mmdebstrap(), None, log)?;
    let mut tar = File::from(namespace.take_stdout().context("stdout is piped")?);
    let file = AtomicFile::create(&archive)?;
    let mut encoder = zstd::Encoder::new(file, 1)?;
    io::copy(&mut tar, &mut encoder)
        .and_then(|_| encoder.finish())
        .map_err(anyhow::Error::from)
        .and_then(|file| namespace.wait().map(|()| file))
        .context("cannot make the lab's Debian root file system")?
        .commit()?;
    Ok(archive)
}

/// The archive's name holds what went into it: a change here makes a new one.
pub fn archive(folder: &Path) -> PathBuf {
    let recipe = format!("{SUITE} {PACKAGES:?} {EXCLUDED:?}");
    folder.join(format!("engine-{}.tar.zst", Digest::of(recipe).short()))
}

/// The command that installs the one tool the lab needs from the host.
pub const INSTALL: &str = "apt-get install --yes --no-install-recommends mmdebstrap";

/// Whether the host has mmdebstrap already.
pub fn has_mmdebstrap() -> bool {
    shell::find("mmdebstrap").is_some()
}

/// Installs mmdebstrap on the host.
pub fn install_mmdebstrap(log: &Path) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = shell::command("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        shell::run_logged(&mut command, log)
    };
    // On a fresh machine the lists are empty, so update comes first.
    apt(&["update"])?;
    apt(&INSTALL.split(' ').skip(1).collect::<Vec<_>>())
}

fn require_mmdebstrap() -> Result<()> {
    if has_mmdebstrap() {
        return Ok(());
    }
    bail!("the lab engine needs mmdebstrap; install it with: sudo {INSTALL}")
}

fn mmdebstrap() -> Spec {
    let scratch = PathBuf::from("/tmp");
    let mut command = vec![
        "mmdebstrap".to_owned(),
        "--mode=root".to_owned(),
        "--variant=apt".to_owned(),
        "--format=tar".to_owned(),
        format!("--include={}", PACKAGES.join(",")),
        // No service may start, and nothing is recommended in a chroot.
        r#"--aptopt=APT::Install-Recommends "false""#.to_owned(),
    ];
    command.extend(
        EXCLUDED
            .iter()
            .map(|path| format!("--dpkgopt=path-exclude={path}")),
    );
    command.extend([SUITE.to_owned(), "-".to_owned()]);
    Spec {
        steps: vec![
            Step::Tmpfs {
                at: scratch.clone(),
                size_bytes: SCRATCH_BYTES,
                shared: true,
            },
            Step::Proc { at: "/proc".into() },
        ],
        root: None,
        env: [
            (
                "PATH".to_owned(),
                "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
            ("TMPDIR".to_owned(), scratch.display().to_string()),
        ]
        .into_iter()
        .chain(shell::proxies())
        .collect(),
        command,
    }
}
