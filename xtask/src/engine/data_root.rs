//! Where an engine keeps its images: in memory, whose small spread shows what
//! the engine's work costs, or on a disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::namespace::Step;
use crate::digest::Digest;

/// Beside the images themselves an engine needs room to unpack and to run.
const HEADROOM_BYTES: u64 = 4 << 30;
/// An image is held packed, unpacked, and once more while it is replaced.
const COPIES: u64 = 3;
const DISK_FREE_BYTES: u64 = 15 << 30;

/// A data root, empty when an engine starts on it.
#[derive(Debug)]
pub enum DataRoot {
    Tmpfs {
        size_bytes: u64,
    },
    /// Removed with everything in it on drop.
    Disk(tempfile::TempDir),
}

impl DataRoot {
    /// Memory if it is large enough for an image of `largest_image_bytes`
    /// (unpacked), else a folder under `fallback`; `chosen` overrules both.
    ///
    /// # Errors
    /// When neither has room: how much there is, and what to do.
    pub fn choose(
        chosen: Option<&Path>,
        fallback: &Path,
        largest_image_bytes: u64,
    ) -> Result<Self> {
        if let Some(folder) = chosen {
            return Self::disk(folder, fallback);
        }
        match memory_for(largest_image_bytes)? {
            Some(size_bytes) => Ok(Self::Tmpfs { size_bytes }),
            None => Self::disk(fallback, fallback),
        }
    }

    /// What [`choose`](Self::choose) would give: its file system's name.
    ///
    /// # Errors
    /// When no existing folder above the chosen one is on a mounted file system.
    pub fn planned_file_system(
        chosen: Option<&Path>,
        fallback: &Path,
        largest_image_bytes: u64,
    ) -> Result<String> {
        let folder = match chosen {
            Some(folder) => folder,
            None if memory_for(largest_image_bytes)?.is_some() => return Ok("tmpfs".to_owned()),
            None => fallback,
        };
        let existing = folder.ancestors().find(|folder| folder.is_dir());
        file_system_of(existing.unwrap_or(Path::new("/")))
    }

    fn disk(folder: &Path, owner: &Path) -> Result<Self> {
        crate::files::create_dir_all(folder)?;
        let stat = rustix::fs::statvfs(folder)
            .with_context(|| format!("cannot look at {}", folder.display()))?;
        let free = stat.f_bavail * stat.f_frsize;
        if free < DISK_FREE_BYTES {
            bail!(
                "{} has {} GB free and an engine needs {}: free some space, name another folder with \
                 --data-root, or use a machine with more memory",
                folder.display(),
                free >> 30,
                DISK_FREE_BYTES >> 30
            );
        }
        let made = tempfile::Builder::new()
            .prefix(&prefix(owner))
            .tempdir_in(folder)?;
        Ok(Self::Disk(made))
    }

    /// The step that puts the data root in its place.
    pub fn mount_at(&self, at: PathBuf) -> Step {
        match self {
            Self::Tmpfs { size_bytes } => Step::Tmpfs {
                at,
                size_bytes: *size_bytes,
                shared: false,
            },
            Self::Disk(folder) => Step::Bind {
                from: folder.path().to_owned(),
                at,
                read_only: false,
            },
        }
    }

    /// The file system's name as /proc/mounts has it: `tmpfs`, `ext4`, ….
    pub fn file_system(&self) -> Result<String> {
        match self {
            Self::Tmpfs { .. } => Ok("tmpfs".to_owned()),
            Self::Disk(folder) => file_system_of(folder.path()),
        }
    }
}

/// How the names of a project's data roots begin, by the folder that it falls
/// back to: a folder that somebody chose may hold those of several projects.
pub fn prefix(fallback: &Path) -> String {
    format!(
        "data-root-{}-",
        Digest::of(fallback.as_os_str().as_encoded_bytes()).short()
    )
}

/// The type of the file system that holds `path`, from /proc/mounts: the entry
/// whose mount point is the longest prefix, the last one if mounted over.
pub fn file_system_of(path: &Path) -> Result<String> {
    let path = path.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((
                PathBuf::from(words.next()?.replace("\\040", " ")),
                words.next()?,
            ))
        })
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.as_os_str().len())
        .map(|(_, kind)| kind.to_owned())
        .with_context(|| format!("{} is on no mounted file system", path.display()))
}

/// The size of a tmpfs that has room for such an image, if memory allows it.
fn memory_for(largest_image_bytes: u64) -> Result<Option<u64>> {
    let available = memory_available()?;
    let enough = available >= COPIES * largest_image_bytes + HEADROOM_BYTES;
    Ok(enough.then_some(available / 2))
}

fn memory_available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kilobytes.context("/proc/meminfo has no MemAvailable")? * 1024)
}
