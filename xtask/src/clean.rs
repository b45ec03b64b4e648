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

/// Removes what an interrupted run may have left: temporary files and folders
/// that never got their name, second builds, and data roots on a disk. Needs the
/// lock.
pub fn sweep(project: &Project) -> Result<()> {
    let lab = project.lab();
    files::remove_dir_all(&lab.join("images-again"))?;
    sweep_below(&project.results())?;
    sweep_below(&lab)
}

/// Copies of what people wrote: they may call their files as they like.
const COPIES: &[&str] = &["contexts", "toolchain"];

fn sweep_below(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(()); // Nothing was made there yet.
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_dir = entry.file_type()?.is_dir();
        let is_data_root = folder.ends_with("data") && name.starts_with("data-root-");
        let is_temporary = name.starts_with(".tmp-") || is_data_root;
        match (is_temporary, is_dir) {
            (true, true) => files::remove_dir_all(&path)?,
            (true, false) => fs::remove_file(&path)?,
            (false, true) if !COPIES.contains(&&*name) => sweep_below(&path)?,
            (false, _) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_wherever_they_lie_and_what_people_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("experiments")).unwrap();
        let project = Project::at(folder.path()).unwrap();
        let kept = [
            "results/sizes.csv",
            "target/lab/images/gin/scratch/index.json",
            "target/lab/contexts/gin-1/.tmp-theirs",
        ];
        let left = [
            "results/machine/.tmp-1",
            "target/lab/.tmp-2",
            "target/lab/images/gin/.tmp-3/buildkit/index.json",
            "target/lab/images-again/gin/scratch/index.json",
            "target/lab/data/data-root-4/file",
        ];
        for path in kept.iter().chain(&left) {
            files::write_atomic(&folder.path().join(path), "").unwrap();
        }
        sweep(&project).unwrap();
        for path in kept {
            assert!(folder.path().join(path).exists(), "{path} is gone");
        }
        for path in left {
            assert!(!folder.path().join(path).exists(), "{path} is left");
        }
    }
}
