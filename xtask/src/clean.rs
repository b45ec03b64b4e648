//! `cargo xtask clean`: gives the space under `target/lab` back.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, FileType, StatxAttributes, StatxFlags, statx};

use crate::{
    engine::{Lock, data_root_prefix},
    files,
    project::Project,
};

/// What the folders of unpacked archives are called.
pub const UNPACKED_PREFIX: &str = ".tmp-explain-";

/// Removes all working state.
///
/// # Errors
/// When a run holds the lab, or something is mounted there: a removal that
/// crossed a mount would empty what somebody put there.
pub fn run(project: &Project) -> Result<u64> {
    let lab = project.lab();
    if !lab.is_dir() {
        return Ok(0);
    }
    let _lock = Lock::take(project, false, |_| ())?;
    let bytes = taken_bytes(&lab, None)?;
    files::remove_dir_all(&lab)?;
    Ok(bytes)
}

/// Removes what an interrupted run may have left: temporary files and folders
/// that never got their name and data roots on a disk. Needs the lock.
pub fn sweep(project: &Project) -> Result<()> {
    let lab = project.lab();
    files::remove_dir_all(&lab.join("images-again"))?;
    for folder in [
        "data",
        "contexts",
        "control",
        "sessions",
        "toolchain",
        "witness",
    ] {
        sweep_folder(&lab.join(folder), 0)?;
    }
    for folder in ["images", "bases"] {
        sweep_folder(&lab.join(folder), 2)?;
    }
    sweep_folder(&lab, 0)?;
    sweep_folder(&project.experiments(), 0)?;
    sweep_folder(&project.results(), 2)
}

/// Removes the data roots of interrupted runs of this project from a folder that
/// was chosen for them. Needs the lock.
pub fn sweep_data_roots(project: &Project, folder: Option<&Path>) -> Result<()> {
    let ours = data_root_prefix(&project.lab().join("data"));
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&ours) {
            files::remove_dir_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the unpacked archives of interrupted [`explain`](crate::explain)s,
/// which take no lock.
pub fn sweep_unpacked(lab: &Path) -> Result<()> {
    let entries = fs::read_dir(lab).with_context(|| format!("cannot list {}", lab.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_one = name.to_string_lossy().starts_with(UNPACKED_PREFIX);
        if is_one && !files::is_held(&entry.path()) {
            files::remove_dir_all(&entry.path())?;
        }
    }
    Ok(())
}

fn sweep_folder(folder: &Path, depth: usize) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        // A variant may be called data-root-x; none has a dot in its name.
        let is_data_root = folder.ends_with("data") && name.starts_with("data-root-");
        let unfinished = name.starts_with(".tmp-") || name.ends_with(".unfinished") || is_data_root;
        let is_folder = entry.file_type()?.is_dir();
        if unfinished && is_folder && files::is_held(&path) {
            continue;
        }
        if unfinished && is_folder {
            files::remove_dir_all(&path)?;
        } else if unfinished {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        } else if is_folder && depth > 0 {
            sweep_folder(&path, depth - 1)?;
        }
    }
    Ok(())
}

/// What `path` takes, with everything below it; `above` is the device of the
/// folder that it lies in.
///
/// # Errors
/// When any of it is a mount point.
fn taken_bytes(path: &Path, above: Option<Device>) -> Result<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = statx(CWD, path, flags, StatxFlags::BASIC_STATS)
        .with_context(|| format!("cannot look at {}", path.display()))?;
    let device = (stat.stx_dev_major, stat.stx_dev_minor);
    // Since 5.8 the kernel tells; before that, what is bound here out of the same
    // file system looks like a part of it.
    let mount_root = StatxAttributes::MOUNT_ROOT;
    let is_mount_point = if stat.stx_attributes_mask.contains(mount_root) {
        stat.stx_attributes.contains(mount_root)
    } else {
        above.is_some_and(|above| above != device)
    };
    if is_mount_point {
        bail!(
            "{} is a mount point, and removing it would empty what is mounted there; mend: sudo umount {0}",
            path.display()
        );
    }
    let mut bytes = stat.stx_blocks * 512;
    if FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory {
        for entry in
            fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?
        {
            bytes += taken_bytes(&entry?.path(), Some(device))?;
        }
    }
    Ok(bytes)
}

/// Major and minor number.
type Device = (u32, u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_projects_own_data_roots_are_swept_from_a_chosen_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("experiments")).unwrap();
        let project = Project::at(root.path()).unwrap();
        let chosen = tempfile::tempdir().unwrap();
        let ours = data_root_prefix(&project.lab().join("data")) + "x";
        let theirs = ["data-root-0123456789ab-x", "images"];
        for name in theirs.iter().copied().chain([&*ours]) {
            fs::create_dir(chosen.path().join(name)).unwrap();
        }
        sweep_data_roots(&project, Some(chosen.path())).unwrap();
        let mut left: Vec<_> = fs::read_dir(chosen.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, theirs);
        sweep_data_roots(&project, None).unwrap();
        sweep_data_roots(&project, Some(&chosen.path().join("absent"))).unwrap();
    }
}
