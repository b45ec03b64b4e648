//! Writing files so that nothing is ever half-written and everything belongs to
//! the person who typed the command.
//!
//! The lab engine needs root; a normal user's command therefore runs part of
//! its way through sudo. Every file that such a process writes into the project
//! goes through this module, which gives it back to the caller.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags},
    io::Errno,
};

/// Writes `bytes` to `path` by way of a temporary file beside it and a rename:
/// a reader, a crash or a full disk sees the old file or the new one.
pub fn write_atomic(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes.as_ref())
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.commit()
}

/// A file that appears under its name only on [`commit`](Self::commit); dropped
/// before that, it leaves nothing.
pub struct AtomicFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Opens a temporary file in `path`'s folder, which is created if need be.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().context("a file needs a folder")?;
        create_dir_all(folder)?;
        let temporary = tempfile::Builder::new()
            .prefix(".tmp-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .with_context(|| format!("cannot create a file in {}", folder.display()))?;
        Ok(Self {
            temporary,
            path: path.to_owned(),
        })
    }

    /// Renames the file to its final name.
    pub fn commit(self) -> Result<()> {
        let Self { temporary, path } = self;
        give_to_owner_of_parent(temporary.path())?;
        // Without this a crash of the machine may leave an empty file behind
        // the new name on some file systems.
        temporary
            .as_file()
            .sync_data()
            .with_context(|| format!("cannot write {}", path.display()))?;
        temporary
            .persist(&path)
            .map(drop)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl io::Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.temporary.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Creates a file for appending (logs), owned like its folder.
pub fn append(path: &Path) -> Result<fs::File> {
    if let Some(folder) = path.parent() {
        create_dir_all(folder)?;
    }
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    give_to_owner_of_parent(path)?;
    Ok(file)
}

/// `fs::create_dir_all` whose new folders belong to the owner of the first
/// existing one above them.
pub fn create_dir_all(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dir_all(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot create {}", path.display()))
        }
        _ => give_to_owner_of_parent(path),
    }
}

/// Has ext4 lay each folder that is made in `folder` somewhere else on the disk,
/// as it does at the top of a file system. It passes over the place of every file
/// removed within the last minute, one by one, so what is written where as much
/// was just removed takes many times as long as on a new node. Other file
/// systems have no such places, and nothing is done there.
pub fn spread(folder: &Path) -> Result<()> {
    let opened =
        fs::File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    let spread =
        ioctl_getflags(&opened).and_then(|flags| ioctl_setflags(&opened, flags | IFlags::TOPDIR));
    match spread {
        Err(errno) if ![Errno::NOTTY, Errno::OPNOTSUPP, Errno::INVAL].contains(&errno) => {
            Err(errno).with_context(|| format!("cannot spread {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Marks a folder as in use until what is returned is dropped, or the process is
/// gone.
pub fn hold(folder: &Path) -> Result<fs::File> {
    let held = fs::File::open(folder).and_then(|opened| {
        Ok(flock(&opened, FlockOperation::NonBlockingLockShared).map(|()| opened)?)
    });
    held.with_context(|| format!("cannot hold {}", folder.display()))
}

/// Whether a process that is still there [holds](hold) the folder.
pub fn is_held(folder: &Path) -> bool {
    let Ok(opened) = fs::File::open(folder) else {
        return false;
    };
    flock(&opened, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
}

/// Puts a finished folder in the place of `to`, whatever stood there.
pub fn replace_dir(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        create_dir_all(parent)?;
    }
    remove_dir_all(to)?;
    fs::rename(from, to)
        .with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

/// Makes `to` a second name of everything in `from`: the files are the same, so
/// it takes no space, and replacing one of them leaves the other as it was.
pub fn link_tree(from: &Path, to: &Path) -> Result<()> {
    create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, name) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_tree(&source, &name)?;
        } else {
            link_file(&source, &name)?;
        }
    }
    Ok(())
}

/// Makes `to` a second name of the file `from`.
pub fn link_file(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).with_context(|| format!("cannot link {}", to.display()))
}

/// Unpacks a tar stream of our own making into `folder`.
pub fn unpack_tar(tar: impl io::Read, folder: &Path) -> Result<()> {
    create_dir_all(folder)?;
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = folder.join(entry.path()?);
        // git's tar begins with a header that is no file.
        if !entry.header().entry_type().is_pax_global_extensions() && entry.unpack_in(folder)? {
            give_to_owner_of_parent(&path)?;
        }
    }
    Ok(())
}

/// `fs::remove_dir_all` for which an absent folder is no error.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A folder's owner is the person the folder was made for, so what a root
/// process adds to it becomes theirs; for everyone else this changes nothing.
pub fn give_to_owner_of_parent(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let owner =
        fs::metadata(parent).with_context(|| format!("cannot read {}", parent.display()))?;
    std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid()))
        .with_context(|| format!("cannot give {} to its folder's owner", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_nothing_and_a_committed_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.csv");
        drop(AtomicFile::create(&path).unwrap());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        write_atomic(&path, "x").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_held_for_as_long_as_its_holder_lives() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_held(folder.path()));
        let held = hold(folder.path()).unwrap();
        assert!(is_held(folder.path()));
        drop(held);
        assert!(!is_held(folder.path()));
    }

    #[test]
    fn a_linked_tree_keeps_its_files_when_the_other_replaces_them() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        write_atomic(&from.join("a/b"), "old").unwrap();
        link_tree(&from, &to).unwrap();
        write_atomic(&from.join("a/b"), "new").unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b")).unwrap(), "old");
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_folder() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can give files away.
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(12345), Some(54321)).unwrap();
        let path = folder.path().join("deep/er/file");
        write_atomic(&path, "x").unwrap();
        for made in [&path, path.parent().unwrap()] {
            let meta = fs::metadata(made).unwrap();
            assert_eq!(
                (meta.uid(), meta.gid()),
                (12345, 54321),
                "{}",
                made.display()
            );
        }
    }
}
