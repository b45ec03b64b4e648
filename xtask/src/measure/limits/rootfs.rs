//! An image's files, unpacked without an engine: layer by layer out of memory.
//!
//! Owners, modes and the extended attributes of files are set; times are not,
//! because no start depends on them.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::Read as _,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chmodat, chownat, fchmod,
        fchown, fsetxattr, linkat, makedev, mkdirat, mknodat, openat, symlinkat,
    },
    io::Errno,
};

use crate::{
    engine::{LabEngine, Scratch},
    image::{
        Layer, Layout, Walk,
        entry::{Entry, Kind},
        paths,
        tree::{Tree, ancestors},
        unpack::LayerStream,
        walk::WalkedLayer,
    },
};

/// The merged root file system on the file system of the subject's data root;
/// removed on drop.
pub struct Rootfs {
    scratch: Scratch,
}

impl Rootfs {
    /// # Errors
    /// Names the layer and the entry that cannot be unpacked.
    pub fn unpack(subject: &LabEngine, layout: &Layout, walk: &Walk) -> Result<Self> {
        let scratch = subject.scratch("rootfs")?;
        let folder = open_folder(scratch.outside())?;
        for (number, walked) in (0..).zip(walk.layers()) {
            let contents = inflate(layout, &walked.layer)?;
            let names = walk.names().filter(|(_, place)| place.layer == number);
            place(
                &folder,
                &walked.tree,
                &contents,
                names.map(|(path, place)| (path, place.inode)),
            )
            .with_context(|| format!("layer {}", walked.layer.digest))?;
        }
        Ok(Self { scratch })
    }

    /// As the engine's namespace sees it.
    pub fn inside(&self) -> &Path {
        self.scratch.inside()
    }
}

/// The names of one layer, whiteouts aside, placed in an empty folder.
pub fn place_layer(folder: &OwnedFd, walked: &WalkedLayer, contents: &[u8]) -> Result<()> {
    let names = walked.tree.names();
    let names = names.filter(|(path, _)| !paths::is_marker(path));
    place(folder, &walked.tree, contents, names)
}

/// A layer's uncompressed tar stream.
pub fn inflate(layout: &Layout, layer: &Layer) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    LayerStream::of(layout, layer)?
        .read_to_end(&mut contents)
        .with_context(|| format!("layer {}", layer.digest))?;
    Ok(contents)
}

pub fn open_folder(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Makes `names` below `folder`, the contents of files from the tar stream
/// `contents`. The names are a [`Tree`]'s: none of them leads through a symlink.
fn place<'a>(
    folder: &OwnedFd,
    tree: &Tree,
    contents: &[u8],
    names: impl Iterator<Item = (&'a [u8], u32)>,
) -> Result<()> {
    let mut first_names: HashMap<u32, &[u8]> = HashMap::new();
    for (path, inode) in names {
        let entry = tree.inode(inode);
        let first = match entry.kind {
            Kind::Directory => path,
            _ => *first_names.entry(inode).or_insert(path),
        };
        let make = || match first == path {
            true => make(folder, path, entry, contents),
            false => linkat(folder, first, folder, path, AtFlags::empty()),
        };
        let made = match make() {
            // A folder that this layer does not name.
            Err(Errno::NOENT) => make_ancestors(folder, path).and_then(|()| make()),
            made => made,
        };
        made.with_context(|| format!("entry `{}`", paths::shown(path)))?;
    }
    Ok(())
}

fn make_ancestors(folder: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    for above in ancestors(paths::split(path).0) {
        match mkdirat(folder, above, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn make(folder: &OwnedFd, path: &[u8], entry: &Entry, contents: &[u8]) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(entry.mode);
    let device = |kind, (major, minor)| mknodat(folder, path, kind, mode, makedev(major, minor));
    match &entry.kind {
        Kind::File => return make_file(folder, path, entry, contents),
        // The root is there already, and so is a folder above an earlier layer's file.
        Kind::Directory => match mkdirat(folder, on_disk(path), mode) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(errno) => return Err(errno),
        },
        Kind::Symlink(target) => {
            symlinkat(target.as_slice(), folder, path)?;
            return own(folder, path, entry);
        }
        Kind::HardLink(_) => return Err(Errno::INVAL), // A tree has resolved it.
        &Kind::CharDevice(major, minor) => device(FileType::CharacterDevice, (major, minor))?,
        &Kind::BlockDevice(major, minor) => device(FileType::BlockDevice, (major, minor))?,
        Kind::Fifo => device(FileType::Fifo, (0, 0))?,
    }
    own(folder, path, entry)?;
    chmodat(folder, on_disk(path), mode, AtFlags::empty())
}

fn make_file(folder: &OwnedFd, path: &[u8], entry: &Entry, contents: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(folder, path, flags, Mode::RUSR)?;
    if entry.sparse.is_some() {
        rustix::fs::ftruncate(&file, entry.size_bytes)?;
    }
    let file = File::from(file);
    let mut stored = entry.data_offset as usize;
    for segment in entry.segments() {
        let end = stored + segment.bytes as usize;
        let piece = contents.get(stored..end).ok_or(Errno::INVAL)?;
        file.write_all_at(piece, segment.file_offset)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        stored = end;
    }
    if let Some((uid, gid)) = owner(entry)? {
        fchown(&file, Some(uid), Some(gid))?;
    }
    for (name, value) in &entry.xattrs {
        fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
    }
    fchmod(file.as_fd(), Mode::from_raw_mode(entry.mode))
}

fn own(folder: &OwnedFd, path: &[u8], entry: &Entry) -> Result<(), Errno> {
    let Some((uid, gid)) = owner(entry)? else {
        return Ok(());
    };
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    chownat(folder, on_disk(path), Some(uid), Some(gid), flags)
}

/// `None` for root, to whom everything belongs that we make.
fn owner(entry: &Entry) -> Result<Option<(Uid, Gid)>, Errno> {
    let number = |id: u64| u32::try_from(id).map_err(|_| Errno::INVAL);
    let (uid, gid) = (number(entry.uid)?, number(entry.gid)?);
    Ok((uid != 0 || gid != 0).then(|| (Uid::from_raw(uid), Gid::from_raw(gid))))
}

/// The empty path is the root of the image.
fn on_disk(path: &[u8]) -> PathBuf {
    match path {
        [] => PathBuf::from("."),
        path => PathBuf::from(OsStr::from_bytes(path)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use serde_json::json;

    use super::*;
    use crate::image::{
        testing::{Tar, image},
        walk::walk,
    };

    #[test]
    fn a_layer_becomes_the_files_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let tar = Tar::new()
            .executable("no/such/parent/app", "binary")
            .dir("etc/")
            .file("etc/.wh.gone", "")
            .file("etc/name", "twelve bytes")
            .hardlink("etc/other", "etc/name")
            .symlink("lib", "/absolute")
            .finish();
        let layout = image(&folder.path().join("image"), &[tar], json!({}));
        let walk = walk(&layout, |_| false).unwrap();
        let walked = &walk.layers()[0];
        let contents = inflate(&layout, &walked.layer).unwrap();

        let root = tempfile::tempdir().unwrap();
        let opened = open_folder(root.path()).unwrap();
        place_layer(&opened, walked, &contents).unwrap();

        let path = |relative: &str| root.path().join(relative);
        let app = path("no/such/parent/app");
        assert_eq!(fs::read(&app).unwrap(), b"binary");
        assert_eq!(app.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read(path("etc/other")).unwrap(), b"twelve bytes");
        let inode = |relative| path(relative).metadata().unwrap().ino();
        assert_eq!(inode("etc/name"), inode("etc/other"));
        assert_eq!(fs::read_link(path("lib")).unwrap(), Path::new("/absolute"));
        assert_eq!(fs::read_dir(path("etc")).unwrap().count(), 2, "no marker");
    }
}
