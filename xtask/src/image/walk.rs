//! The layers of an image stacked into its root filesystem.
//!
//! The rules are those of the OCI image specification: a whiteout deletes what
//! the layers below have under its name, an opaque marker everything they have
//! in its folder, a folder joins a folder, anything else replaces what was
//! there. A path through a symlink of a lower layer leads to the link's target,
//! as when containerd unpacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    ops::Bound,
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Layer, Layout,
    budget::Budget,
    entries::TarReader,
    entry::{Entry, Kind},
    in_parallel, paths,
    tree::{self, Tree},
    unpack::LayerStream,
};

/// Docker's engine takes 127. A manifest has room for many thousands, each of
/// which costs a file and a thread.
const MAX_LAYERS: usize = 500;

/// A layer read to its end, digests checked.
pub struct WalkedLayer {
    pub layer: Layer,
    /// Of the uncompressed tar stream.
    pub unpacked_bytes: u64,
    pub tree: Tree,
}

/// Where the current version of a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub layer: u32,
    pub inode: u32,
}

/// Layers are counted from 1 where people read.
pub fn layer_number(layer: u32) -> u32 {
    layer.saturating_add(1)
}

/// Every layer of an image and the root filesystem that they make.
pub struct Walk {
    layers: Vec<WalkedLayer>,
    rootfs: BTreeMap<Arc<[u8]>, Place>,
    /// The files that a layer took out of it, in that order.
    removed: Vec<Removed>,
}

/// A name of a file that a layer took out of the root filesystem.
struct Removed {
    path: Arc<[u8]>,
    place: Place,
    by_layer: u32,
    how: How,
}

/// A file version that is stored in a layer and that nobody sees any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waste<'a> {
    /// Its last name.
    pub path: &'a [u8],
    pub place: Place,
    pub by_layer: u32,
    pub how: How,
}

/// How a file version went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The layer brings something of that name.
    Overwritten,
    Deleted,
}

/// Reads every layer of the image, each in a thread of its own, checking blob
/// digests and diff IDs. `wanted` says of which files to take the digest of the
/// contents. Memory grows with the number of entries, not with their contents,
/// and the layers share one [`Budget`].
///
/// # Errors
/// For a blob that is not what manifest and config say, and for streams that no
/// engine would unpack. The error names the layer and the entry.
pub fn walk(layout: &Layout, wanted: impl Fn(&Entry) -> bool + Sync) -> Result<Walk> {
    // A layer that is listed again is no larger for that.
    let layers = layout.layers().iter();
    let packed: BTreeMap<_, _> = layers.map(|it| (&it.digest, it.transfer_bytes)).collect();
    let packed = packed.into_values().fold(0, u64::saturating_add);
    walk_within(layout, &Arc::new(Budget::of_packed(packed)), wanted)
}

/// [`walk`] with a budget of the caller's.
pub fn walk_within(
    layout: &Layout,
    budget: &Arc<Budget>,
    wanted: impl Fn(&Entry) -> bool + Sync,
) -> Result<Walk> {
    let count = layout.layers().len();
    ensure!(
        count <= MAX_LAYERS,
        "{count} layers are more than the {MAX_LAYERS} allowed; no engine takes as many"
    );
    let layers = in_parallel(
        layout.layers(),
        |layer| layer.transfer_bytes,
        |layer| {
            read_layer(layout, layer, budget, &wanted)
                .with_context(|| format!("layer {}", layer.digest))
        },
    )?;
    Walk::of(layers)
}

/// Reads one layer of the image; see [`walk`].
pub fn walk_layer(
    layout: &Layout,
    layer: &Layer,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<WalkedLayer> {
    read_layer(layout, layer, &Arc::default(), wanted)
}

fn read_layer(
    layout: &Layout,
    layer: &Layer,
    budget: &Arc<Budget>,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<WalkedLayer> {
    let stream = LayerStream::of(layout, layer)?.within(budget.clone());
    let mut tar = TarReader::new(stream);
    let mut tree = Tree::within(budget.clone());
    while let Some(mut entry) = tar.next_entry()? {
        if entry.kind == Kind::File && wanted(&entry) {
            // Holes take no bytes of the stream, and time all the same.
            budget.read(entry.hole_bytes())?;
            entry.content = Some(tar.hash_content(&entry)?);
        }
        tree.add(entry)?;
    }
    let unpacked = tar.finish()?.verify(layer)?;
    Ok(WalkedLayer {
        layer: layer.clone(),
        unpacked_bytes: unpacked.unpacked_bytes,
        tree,
    })
}

impl Walk {
    /// Stacks layers that were read otherwise than by [`walk`], the lowest first.
    ///
    /// # Errors
    /// For a loop of symlinks; the error names the layer.
    pub fn of(layers: Vec<WalkedLayer>) -> Result<Self> {
        let mut walk = Self {
            layers,
            rootfs: BTreeMap::new(),
            removed: Vec::new(),
        };
        for layer in 0..walk.layers.len() {
            walk.stack(layer)
                .with_context(|| format!("layer {}", walk.layers[layer].layer.digest))?;
        }
        Ok(walk)
    }

    /// From the bottom up.
    pub fn layers(&self) -> &[WalkedLayer] {
        &self.layers
    }

    pub fn entry(&self, place: Place) -> &Entry {
        self.layers[place.layer as usize].tree.inode(place.inode)
    }

    /// Every name of the root filesystem with where it comes from, folders
    /// before what they hold.
    pub fn names(&self) -> impl Iterator<Item = (&[u8], Place)> {
        self.rootfs.iter().map(|(path, &place)| (&path[..], place))
    }

    /// What a process in the image finds under `path`, symlinks followed: the
    /// real path and where it comes from. `None` for what is not there and for
    /// a folder that no layer names.
    ///
    /// # Errors
    /// For a loop of symlinks.
    pub fn lookup(&self, path: &[u8]) -> Result<Option<(Vec<u8>, Place)>> {
        let real = self.resolve(path)?;
        let place = self.rootfs.get(&real[..]).copied();
        Ok(place.map(|place| (real, place)))
    }

    /// The names directly in a folder of the root filesystem.
    pub fn list(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>> {
        let folder = self.resolve(folder)?;
        let from = paths::join(&folder, b"");
        let names = (Bound::Included(&from[..]), Bound::Unbounded);
        let names = self
            .rootfs
            .range::<[u8], _>(names)
            .map(|(path, _)| &path[..]);
        let below = names.take_while(|path| path.starts_with(&from));
        let below = below.filter(|path| paths::split(path).0 == folder && !path.is_empty());
        Ok(below.map(<[u8]>::to_vec).collect())
    }

    /// Bytes of the regular files that are left in the root filesystem, hard
    /// links once.
    pub fn content_bytes(&self) -> u64 {
        let files: BTreeSet<Place> = self.files().map(|(_, place)| place).collect();
        files.iter().map(|&it| self.entry(it).size_bytes).sum()
    }

    /// Bytes of every file version that a later layer overwrites or deletes. A
    /// file goes when its last name goes.
    pub fn wasted_bytes(&self) -> u64 {
        let stored: u64 = self.layers.iter().map(|it| it.tree.content_bytes()).sum();
        stored - self.content_bytes()
    }

    /// What [`wasted_bytes`](Self::wasted_bytes) counts, each file version once,
    /// in the order in which the versions came.
    pub fn wasted(&self) -> Vec<Waste<'_>> {
        let alive: BTreeSet<Place> = self.files().map(|(_, place)| place).collect();
        let mut last = BTreeMap::new();
        for removed in self.removed.iter().filter(|it| !alive.contains(&it.place)) {
            last.insert(removed.place, removed);
        }
        let wasted = last.into_values().map(|removed| Waste {
            path: &removed.path,
            place: removed.place,
            by_layer: removed.by_layer,
            how: removed.how,
        });
        wasted.collect()
    }

    /// The names of regular files; a hard link is a name of its own.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], Place)> {
        self.names()
            .filter(|(_, place)| self.entry(*place).kind == Kind::File)
    }

    /// Copies the contents of one file out of its layer, which is inflated up
    /// to there.
    ///
    /// # Errors
    /// When `file` holds no regular file or the layer cannot be read.
    pub fn copy_file(&self, layout: &Layout, file: Place, out: &mut impl Write) -> Result<()> {
        self.visit_files(layout, &BTreeSet::from([file]), |_, tar, entry| {
            tar.copy_content(entry, out)
        })
    }

    /// The contents of several files, for which every layer is inflated at most
    /// once. They are held in memory: look at the sizes before.
    pub fn contents(
        &self,
        layout: &Layout,
        files: &BTreeSet<Place>,
    ) -> Result<BTreeMap<Place, Vec<u8>>> {
        let mut found = BTreeMap::new();
        self.visit_files(layout, files, |place, tar, entry| {
            tar.copy_content(entry, found.entry(place).or_default())
        })?;
        Ok(found)
    }

    fn visit_files(
        &self,
        layout: &Layout,
        files: &BTreeSet<Place>,
        mut visit: impl FnMut(Place, &mut TarReader<LayerStream>, &Entry) -> Result<()>,
    ) -> Result<()> {
        for (number, walked) in (0..).zip(&self.layers) {
            let here = files.iter().filter(|place| place.layer == number);
            // Files without contents share their offset with what follows.
            let mut wanted: BTreeMap<u64, Place> = here
                .filter(|&&place| self.entry(place).size_bytes > 0)
                .map(|&place| (self.entry(place).data_offset, place))
                .collect();
            let mut read = || {
                if wanted.is_empty() {
                    return Ok(());
                }
                let mut tar = TarReader::new(LayerStream::of(layout, &walked.layer)?);
                while let Some(entry) = tar.next_entry()? {
                    if let Some(place) = wanted.remove(&entry.data_offset) {
                        visit(place, &mut tar, &entry)?;
                    }
                    if wanted.is_empty() {
                        return Ok(());
                    }
                }
                bail!("a file that was there is gone")
            };
            read().with_context(|| format!("layer {}", walked.layer.digest))?;
        }
        Ok(())
    }

    fn resolve(&self, path: &[u8]) -> Result<Vec<u8>> {
        paths::resolve(path, |path| self.at(path)?.symlink_target())
    }

    fn at(&self, path: &[u8]) -> Option<&Entry> {
        self.rootfs.get(path).map(|&place| self.entry(place))
    }

    /// Puts one more layer on top: first what it deletes, then what it brings,
    /// because a whiteout never hides its own layer's files.
    fn stack(&mut self, layer: usize) -> Result<()> {
        let layer_u32 = u32::try_from(layer).context("too many layers")?;
        let names: Vec<(Arc<[u8]>, u32)> = self.layers[layer]
            .tree
            .shared_names()
            .map(|(path, inode)| (path.clone(), inode))
            .collect();
        for (path, _) in names.iter().filter(|(path, _)| paths::is_marker(path)) {
            let (folder, name) = paths::split(path);
            let folder = self.resolve(folder)?;
            let gone = if name == paths::OPAQUE {
                tree::remove_below(&mut self.rootfs, &folder)
            } else if let Some(name) = paths::whited_out(name) {
                tree::remove(&mut self.rootfs, &paths::join(&folder, name))
            } else {
                continue;
            };
            for (path, place) in gone {
                let again = self.layers[layer].tree.get(&path).is_some();
                let how = if again {
                    How::Overwritten
                } else {
                    How::Deleted
                };
                self.note(layer_u32, how, path, place);
            }
        }
        for (path, inode) in names {
            if !paths::is_marker(&path) {
                let layer = layer_u32;
                self.put(path, Place { layer, inode })?;
            }
        }
        Ok(())
    }

    fn put(&mut self, path: Arc<[u8]>, place: Place) -> Result<()> {
        let path = self.landing(path, place.layer)?;
        let joins = self.entry(place).is_folder() && self.at(&path).is_none_or(Entry::is_folder);
        if !joins {
            for (gone, old) in tree::remove(&mut self.rootfs, &path) {
                let same = gone == path;
                let how = if same { How::Overwritten } else { How::Deleted };
                self.note(place.layer, how, gone, old);
            }
        }
        self.rootfs.insert(path, place);
        Ok(())
    }

    fn note(&mut self, by_layer: u32, how: How, path: Arc<[u8]>, place: Place) {
        if self.entry(place).kind == Kind::File {
            self.removed.push(Removed {
                path,
                place,
                by_layer,
                how,
            });
        }
    }

    /// Where a layer's name lands on top of the layers below: the symlinks
    /// above it are followed, and a file above it makes way for a folder.
    fn landing(&mut self, path: Arc<[u8]>, layer: u32) -> Result<Arc<[u8]>> {
        let (folder, name) = paths::split(&path);
        if folder.is_empty() || self.at(folder).is_some_and(Entry::is_folder) {
            return Ok(path);
        }
        let folder = self.resolve(folder)?;
        let landing = paths::join(&folder, name);
        self.layers[layer as usize].tree.keep_name(&landing)?;
        for above in tree::ancestors(&folder) {
            if self.at(above).is_some_and(|entry| !entry.is_folder())
                && let Some((file, place)) = self.rootfs.remove_entry(above)
            {
                self.note(layer, How::Overwritten, file, place);
            }
        }
        Ok(landing.into())
    }
}
