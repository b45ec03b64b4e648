//! What one layer leaves when it is unpacked into an empty folder.

use std::{collections::BTreeMap, mem, ops::Bound, sync::Arc};

use anyhow::{Context, Result, bail, ensure};

use super::{
    budget::Budget,
    entry::{Entry, Kind},
    paths,
};

/// The names of a layer and what they stand for. Whiteouts are kept under the
/// names they have in the stream; hard links share an inode; a name that comes
/// twice means the later one, as when engines unpack.
///
/// Invariant: a name that is present has only folders above it, so it needs no
/// resolving.
#[derive(Default)]
pub struct Tree {
    names: BTreeMap<Arc<[u8]>, u32>,
    inodes: Vec<Entry>,
    budget: Arc<Budget>,
}

impl Tree {
    /// An empty layer of an image whose layers share a budget.
    pub fn within(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Applies the next entry of the stream.
    ///
    /// # Errors
    /// Where unpacking would fail: a file as a folder, a hard link to what the
    /// layer does not hold. Names the entry.
    pub fn add(&mut self, entry: Entry) -> Result<()> {
        let name = entry.path.clone();
        self.insert(entry)
            .with_context(|| format!("entry `{}`", paths::shown(&name)))
    }

    fn insert(&mut self, mut entry: Entry) -> Result<()> {
        // The name that is kept may be longer than the one that was written.
        entry.path = self.place(&entry.path)?;
        self.budget.keep(&entry)?;
        let path = entry.path.clone();
        let inode = match &entry.kind {
            Kind::HardLink(target) => self.link_target(&path, target)?,
            _ => self.inodes.len() as u32,
        };
        let folder = entry.kind == Kind::Directory;
        ensure!(folder || !path.is_empty(), "the root is not a folder");
        if !(folder && self.get(&path).is_none_or(Entry::is_folder)) {
            remove(&mut self.names, &path);
        }
        if inode as usize == self.inodes.len() {
            self.inodes.push(entry);
        }
        self.names.insert(path, inode);
        Ok(())
    }

    /// Charges the image's budget with a name that another layer gave.
    ///
    /// # Errors
    /// When there is no room left.
    pub(super) fn keep_name(&self, name: &[u8]) -> Result<()> {
        self.budget.keep_text(name.len() as u64)
    }

    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.names.get(path).map(|&inode| self.inode(inode))
    }

    pub fn inode(&self, inode: u32) -> &Entry {
        &self.inodes[inode as usize]
    }

    /// Names and inodes in byte order of the paths, so folders come before what
    /// they hold.
    pub fn names(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.names.iter().map(|(path, &inode)| (&path[..], inode))
    }

    /// [`names`](Self::names), for maps that hold these names too.
    pub(super) fn shared_names(&self) -> impl Iterator<Item = (&Arc<[u8]>, u32)> {
        self.names.iter().map(|(path, &inode)| (path, inode))
    }

    /// The inodes that have a name which is no marker, each once.
    pub fn inodes(&self) -> impl Iterator<Item = &Entry> {
        let mut named = vec![false; self.inodes.len()];
        for (_, inode) in self.names().filter(|(path, _)| !paths::is_marker(path)) {
            named[inode as usize] = true;
        }
        let inodes = self.inodes.iter().zip(named);
        inodes.filter_map(|(entry, named)| named.then_some(entry))
    }

    /// Apparent bytes of files and symlinks, hard links once: what an overlay2
    /// engine finds when it walks the unpacked layer (moby's `directory.Size`:
    /// `lstat` sizes of everything but folders, each inode once; a whiteout is
    /// a device there, and an opaque folder an attribute, both without bytes).
    /// That is so for images that were pulled or loaded; for one built in that
    /// very engine it sums the tar payloads instead, without the symlinks.
    pub fn layer_file_bytes(&self) -> u64 {
        self.inodes().map(|entry| entry.size_bytes).sum()
    }

    /// Bytes of regular files, hard links once.
    pub fn content_bytes(&self) -> u64 {
        let files = self.inodes().filter(|entry| entry.kind == Kind::File);
        files.map(|entry| entry.size_bytes).sum()
    }

    /// Names of regular files, markers aside; a hard link is a name of its own.
    pub fn files(&self) -> u64 {
        let names = self.names().filter(|(path, _)| !paths::is_marker(path));
        let files = names.filter(|(_, inode)| self.inode(*inode).kind == Kind::File);
        files.count() as u64
    }

    /// Where an entry lands: the symlinks above it, if this layer has them, are
    /// followed; its own name is not.
    fn place(&self, path: &Arc<[u8]>) -> Result<Arc<[u8]>> {
        let (folder, name) = paths::split(path);
        if folder.is_empty() || self.get(folder).is_some_and(Entry::is_folder) {
            return Ok(path.clone());
        }
        let folder = paths::resolve(folder, |path| self.get(path)?.symlink_target())?;
        for above in ancestors(&folder) {
            if self.get(above).is_some_and(|entry| !entry.is_folder()) {
                bail!("`{}` is not a folder", paths::shown(above));
            }
        }
        Ok(paths::join(&folder, name).into())
    }

    fn link_target(&self, path: &[u8], target: &[u8]) -> Result<u32> {
        let place = self.place(&target.into())?;
        let shown = paths::shown(target);
        ensure!(*place != *path, "a hard link to itself");
        let Some(&inode) = self.names.get(&place) else {
            bail!("a hard link to `{shown}`, which is not earlier in the layer");
        };
        ensure!(
            !self.inode(inode).is_folder(),
            "a hard link to the folder `{shown}`"
        );
        Ok(inode)
    }
}

impl Entry {
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Directory
    }

    pub fn symlink_target(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }
}

/// The path itself and every folder above it but the root, from the top.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let above = slashes.map(|(at, _)| &path[..at]);
    above.chain((!path.is_empty()).then_some(path))
}

/// Removes a name with everything below it, and returns what that was.
pub fn remove<T>(names: &mut BTreeMap<Arc<[u8]>, T>, path: &[u8]) -> Vec<(Arc<[u8]>, T)> {
    let own = names.remove_entry(path);
    own.into_iter().chain(remove_below(names, path)).collect()
}

/// Removes everything below a folder, not the folder, and returns it.
pub fn remove_below<T>(names: &mut BTreeMap<Arc<[u8]>, T>, folder: &[u8]) -> Vec<(Arc<[u8]>, T)> {
    if folder.is_empty() {
        let root = names.remove_entry(folder);
        let below = mem::replace(names, root.into_iter().collect());
        return below.into_iter().collect();
    }
    // `0` is the byte after `/`: in byte order exactly the names below the
    // folder lie between.
    let (from, to) = ([folder, b"/"].concat(), [folder, b"0"].concat());
    let below = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
    let below = names.range::<[u8], _>(below).map(|(path, _)| path.clone());
    let below: Vec<Arc<[u8]>> = below.collect();
    let removed = below.iter().map(|path| names.remove_entry(path));
    removed.flatten().collect()
}
