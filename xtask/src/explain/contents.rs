//! What lies in an image: the largest files and folders, what is stored in vain,
//! and what is stored twice.
//!
//! A walk may hold millions of names, and deep ones. So nothing here is kept per
//! folder: in byte order, all that lies below a folder comes in one piece.

use std::collections::BTreeMap;

use super::report::{Duplicate, Duplicates, File, Folder, How, Share, Wasted, WastedFile};
use crate::{
    digest::Digest,
    image::{
        Walk,
        distinct::{DistinctFile, distinct_files, largest},
        paths::{self, absolute},
        top::Top,
        tree::ancestors,
        walk::{self, layer_number},
    },
};

/// So many copies are named; the others are counted.
const PATHS_SHOWN_MAX: usize = 5;

/// A folder with one in it that holds nine tenths of it is left out: the inner
/// one says where the bytes are.
const MOSTLY_PERCENT: u64 = 90;

/// The files of the root filesystem in the order of their paths.
pub struct Contents<'a> {
    walk: &'a Walk,
    files: Vec<DistinctFile<'a>>,
}

impl<'a> Contents<'a> {
    pub fn of(walk: &'a Walk) -> Self {
        Self {
            walk,
            files: distinct_files(walk),
        }
    }

    pub fn largest_files(&self, limit: usize) -> Vec<File> {
        let files = largest(&self.files, limit).into_iter();
        files
            .map(|file| File {
                path: absolute(file.path),
                bytes: file.bytes,
                layer: layer_number(file.place.layer),
                names: file.names,
            })
            .collect()
    }

    pub fn largest_folders(&self, limit: usize) -> Vec<Folder> {
        let mut folders = Folders::of(limit);
        for file in &self.files {
            folders.add(file);
        }
        folders.finish()
    }

    pub fn duplicates(&self, limit: usize) -> Duplicates {
        let mut contents: Vec<(&Digest, &DistinctFile<'_>)> = self
            .files
            .iter()
            .filter(|file| file.bytes > 0)
            .filter_map(|file| Some((self.walk.entry(file.place).content.as_ref()?, file)))
            .collect();
        contents.sort_by_key(|(sha256, file)| (*sha256, file.path));
        let mut top = Top::of(limit);
        let mut found = Duplicates {
            bytes: 0,
            contents: 0,
            largest: Vec::new(),
        };
        for copies in contents.chunk_by(|one, other| one.0 == other.0) {
            let (sha256, first) = copies[0];
            let extra_bytes = first.bytes * (copies.len() as u64 - 1);
            if extra_bytes == 0 {
                continue;
            }
            found.bytes += extra_bytes;
            found.contents += 1;
            let shown = copies.iter().take(PATHS_SHOWN_MAX);
            top.offer(extra_bytes, first.path, || Duplicate {
                sha256: sha256.clone(),
                bytes: first.bytes,
                copies: copies.len() as u64,
                paths: shown.map(|(_, file)| absolute(file.path)).collect(),
            });
        }
        found.largest = top.into_vec();
        found
    }

    pub fn wasted(&self, limit: usize) -> Wasted {
        let mut top = Top::of(limit);
        let mut found = Wasted {
            bytes: 0,
            files: 0,
            largest: Vec::new(),
        };
        for waste in self.walk.wasted() {
            let bytes = self.walk.entry(waste.place).size_bytes;
            found.bytes += bytes;
            found.files += 1;
            top.offer(bytes, waste.path, || WastedFile {
                path: absolute(waste.path),
                bytes,
                layer: layer_number(waste.place.layer),
                by_layer: layer_number(waste.by_layer),
                how: match waste.how {
                    walk::How::Overwritten => How::Overwritten,
                    walk::How::Deleted => How::Deleted,
                },
            });
        }
        found.largest = top.into_vec();
        found
    }

    /// Wasted bytes by the layer that brought them.
    pub fn wasted_by_layer(&self) -> BTreeMap<u32, u64> {
        let mut found = BTreeMap::new();
        for waste in self.walk.wasted() {
            let bytes = self.walk.entry(waste.place).size_bytes;
            *found.entry(layer_number(waste.place.layer)).or_default() += bytes;
        }
        found
    }
}

/// What lies below a folder.
#[derive(Default)]
struct Sum {
    bytes: u64,
    files: u64,
    layers: BTreeMap<u32, u64>,
    /// The most that a folder directly in it holds.
    largest_folder_bytes: u64,
}

/// The folders above the file that came last, each with what came below it.
struct Folders<'a> {
    open: Vec<(&'a [u8], Sum)>,
    top: Top<Folder>,
}

impl<'a> Folders<'a> {
    fn of(limit: usize) -> Self {
        Self {
            open: Vec::new(),
            top: Top::of(limit),
        }
    }

    fn add(&mut self, file: &DistinctFile<'a>) {
        let folder = paths::split(file.path).0;
        while self
            .open
            .last()
            .is_some_and(|(path, _)| !holds(path, folder))
        {
            self.close();
        }
        let known = self.open.last().map_or(0, |(path, _)| path.len());
        let deeper = ancestors(folder).filter(|path| path.len() > known);
        self.open.extend(deeper.map(|path| (path, Sum::default())));
        if let Some((_, sum)) = self.open.last_mut() {
            sum.bytes += file.bytes;
            sum.files += 1;
            *sum.layers
                .entry(layer_number(file.place.layer))
                .or_default() += file.bytes;
        }
    }

    fn close(&mut self) {
        let Some((path, sum)) = self.open.pop() else {
            return;
        };
        if let Some((_, above)) = self.open.last_mut() {
            above.bytes += sum.bytes;
            above.files += sum.files;
            above.largest_folder_bytes = above.largest_folder_bytes.max(sum.bytes);
            for (layer, bytes) in &sum.layers {
                *above.layers.entry(*layer).or_default() += bytes;
            }
        }
        let mostly_inner = u128::from(sum.largest_folder_bytes) * 100
            >= u128::from(sum.bytes) * u128::from(MOSTLY_PERCENT);
        if sum.bytes > 0 && !mostly_inner {
            self.top.offer(sum.bytes, path, || folder(path, sum));
        }
    }

    fn finish(mut self) -> Vec<Folder> {
        while !self.open.is_empty() {
            self.close();
        }
        self.top.into_vec()
    }
}

fn folder(path: &[u8], sum: Sum) -> Folder {
    let shares = sum.layers.into_iter();
    let mut layers: Vec<Share> = shares
        .map(|(layer, bytes)| Share { layer, bytes })
        .collect();
    layers.sort_by_key(|share| (std::cmp::Reverse(share.bytes), share.layer));
    Folder {
        path: absolute(path),
        bytes: sum.bytes,
        files: sum.files,
        layers,
    }
}

fn holds(folder: &[u8], path: &[u8]) -> bool {
    let below = path.strip_prefix(folder);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
