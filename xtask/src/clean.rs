//! `cargo xtask clean`: gives the space under `target/lab` back.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context, Result, bail};

use crate::{engine::Lock, files, project::Project};

/// Removes all working state.
///
/// # Errors
/// When a run holds the lab, or a foreign file system is mounted below it: a
/// removal that crossed a mount would empty what somebody put there.
pub fn run(project: &Project) -> Result<u64> {
    let lab = project.lab();
    if !lab.is_dir() {
        return Ok(0);
    }
    let _lock = Lock::take(project, false, |_| ())?;
    let mut bytes = 0;
    walk(&lab, fs::metadata(&lab)?.dev(), &mut bytes)?;
    files::remove_dir_all(&lab)?;
    Ok(bytes)
}

/// Removes what an interrupted run may have left: temporary files that never
/// got their name, and data roots on a disk. Needs the lock.
pub fn sweep(project: &Project) -> Result<()> {
    for folder in [project.results(), project.lab(), project.lab().join("data")] {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with(".tmp-") && path.is_file() {
                fs::remove_file(&path)?;
            } else if (name.starts_with("data-root-") || name.starts_with(".tmp-")) && path.is_dir()
            {
                files::remove_dir_all(&path)?;
            }
        }
    }
    Ok(())
}

fn walk(folder: &Path, device: u64, bytes: &mut u64) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if meta.dev() != device {
            bail!(
                "{} is a mount point; unmount it first: sudo umount {0}",
                path.display()
            );
        }
        if meta.is_dir() {
            walk(&path, device, bytes)?;
        }
        *bytes += meta.blocks() * 512;
    }
    Ok(())
}
