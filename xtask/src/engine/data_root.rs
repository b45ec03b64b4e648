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

/// What a person can do about a [`Room::shortage`].
pub const MORE_ROOM: &str =
    "free some space, name another folder with --data-root, or use a machine with more memory";

/// What is free for the images of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// None where a folder was chosen: then memory does not count.
    pub memory_bytes: Option<u64>,
    /// Where the images go if not into memory; it need not exist yet.
    pub folder: PathBuf,
    pub disk_bytes: u64,
}

impl Room {
    /// Looks at memory and at the folder `fallback`; `chosen` overrules both.
    ///
    /// # Errors
    /// When the memory or the folder's file system cannot be looked at.
    pub fn of(chosen: Option<&Path>, fallback: &Path) -> Result<Self> {
        let folder = std::path::absolute(chosen.unwrap_or(fallback))?;
        let existing = existing(&folder);
        let stat = rustix::fs::statvfs(existing)
            .with_context(|| format!("cannot look at {}", existing.display()))?;
        Ok(Self {
            memory_bytes: chosen.is_none().then(memory_available).transpose()?,
            disk_bytes: stat.f_bavail * stat.f_frsize,
            folder,
        })
    }

    /// Why there is none for an engine that holds an image of
    /// `largest_image_bytes` (unpacked), if so.
    pub fn shortage(&self, largest_image_bytes: u64) -> Option<String> {
        let in_memory = self.tmpfs_bytes(largest_image_bytes).is_some();
        if in_memory || self.disk_bytes >= DISK_FREE_BYTES {
            return None;
        }
        let gib = |bytes: u64| bytes >> 30;
        let needed = memory_needed(largest_image_bytes).div_ceil(1 << 30);
        let memory = self.memory_bytes.map(|free| {
            let free = gib(free);
            format!("{free} GiB of memory are free and it takes {needed}, ")
        });
        Some(format!(
            "no room for an engine's images: {}{} GiB are free in {} and it takes {}",
            memory.unwrap_or_default(),
            gib(self.disk_bytes),
            self.folder.display(),
            gib(DISK_FREE_BYTES)
        ))
    }

    /// The size of a tmpfs that has room for such an image, if memory allows it.
    fn tmpfs_bytes(&self, largest_image_bytes: u64) -> Option<u64> {
        let available = self.memory_bytes?;
        (available >= memory_needed(largest_image_bytes)).then_some(available / 2)
    }
}

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
        let room = Room::of(chosen, fallback)?;
        if let Some(size_bytes) = room.tmpfs_bytes(largest_image_bytes) {
            return Ok(Self::Tmpfs { size_bytes });
        }
        if let Some(shortage) = room.shortage(largest_image_bytes) {
            bail!("{shortage}; mend: {MORE_ROOM}");
        }
        crate::files::create_dir_all(&room.folder)?;
        let made = tempfile::Builder::new()
            .prefix(&prefix(fallback))
            .tempdir_in(&room.folder)?;
        Ok(Self::Disk(made))
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
        let room = Room::of(chosen, fallback)?;
        match room.tmpfs_bytes(largest_image_bytes) {
            Some(_) => Ok("tmpfs".to_owned()),
            None => file_system_of(existing(&room.folder)),
        }
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
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    file_system_in(&mounts, &path.canonicalize()?)
}

/// The same among the `mounts` of any process, for a path without links.
pub(super) fn file_system_in(mounts: &str, path: &Path) -> Result<String> {
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

/// The folder itself, or the nearest one above it that is there.
fn existing(folder: &Path) -> &Path {
    let mut there = folder.ancestors().filter(|folder| folder.is_dir());
    there.next().unwrap_or(Path::new("/"))
}

fn memory_needed(largest_image_bytes: u64) -> u64 {
    COPIES * largest_image_bytes + HEADROOM_BYTES
}

fn memory_available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kilobytes.context("/proc/meminfo has no MemAvailable")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(memory_gib: Option<u64>, disk_gib: u64) -> Room {
        Room {
            memory_bytes: memory_gib.map(|gib| gib * GIB),
            folder: "/data".into(),
            disk_bytes: disk_gib * GIB,
        }
    }

    #[test]
    fn memory_comes_first_then_a_disk_and_without_either_both_are_said() {
        assert_eq!(room(Some(7), 0).tmpfs_bytes(GIB), Some(7 * GIB / 2));
        assert_eq!(room(Some(7), 0).shortage(GIB), None);
        assert_eq!(room(Some(6), 15).tmpfs_bytes(GIB), None);
        assert_eq!(room(Some(6), 15).shortage(GIB), None);
        assert_eq!(
            room(Some(6), 14).shortage(GIB).as_deref(),
            Some(
                "no room for an engine's images: 6 GiB of memory are free and it takes 7, \
                 14 GiB are free in /data and it takes 15"
            )
        );
    }

    #[test]
    fn a_chosen_folder_has_to_have_the_room_itself() {
        assert_eq!(
            room(None, 14).shortage(0).as_deref(),
            Some("no room for an engine's images: 14 GiB are free in /data and it takes 15")
        );
        let chosen = tempfile::tempdir().unwrap();
        let later = chosen.path().join("not/yet/there");
        let room = Room::of(Some(&later), Path::new("/")).unwrap();
        assert_eq!((room.memory_bytes, &room.folder), (None, &later));
        assert!(!later.exists(), "looking makes nothing");
    }
}
