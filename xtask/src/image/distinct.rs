//! The files of a root filesystem, one with several names once, and the largest
//! of them.

use std::collections::HashMap;

use super::{
    top::Top,
    walk::{Place, Walk},
};

/// A file of the root filesystem under its first name.
pub struct DistinctFile<'a> {
    pub path: &'a [u8],
    pub place: Place,
    pub bytes: u64,
    pub names: u64,
}

/// In the order of their paths.
pub fn distinct_files(walk: &Walk) -> Vec<DistinctFile<'_>> {
    let mut files: Vec<DistinctFile<'_>> = Vec::new();
    let mut known = HashMap::new();
    for (path, place) in walk.files() {
        let index = *known.entry(place).or_insert(files.len());
        match files.get_mut(index) {
            Some(file) => file.names += 1,
            None => files.push(DistinctFile {
                path,
                place,
                bytes: walk.entry(place).size_bytes,
                names: 1,
            }),
        }
    }
    files
}

/// The largest first, those of the same size in the order of their paths.
pub fn largest<'a, 'w>(files: &'a [DistinctFile<'w>], limit: usize) -> Vec<&'a DistinctFile<'w>> {
    let mut top = Top::of(limit);
    for file in files {
        top.offer(file.bytes, file.path, || file);
    }
    top.into_vec()
}
