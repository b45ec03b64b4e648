//! The walk against the plainest model there is: layers unpacked into real
//! folders and laid over each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use proptest::prelude::*;
use serde_json::json;

use crate::image::{
    testing::{Tar, image},
    walk::walk,
};

#[derive(Clone, Debug)]
enum Op {
    File(String, usize),
    Dir(String),
    Symlink(String, usize),
    HardLink(String, usize),
    Whiteout(String),
    Opaque(String),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (path(), 12_usize..2000).prop_map(|(path, size)| Op::File(path, size)),
        2 => path().prop_map(Op::Dir),
        1 => (path(), 1_usize..50).prop_map(|(path, size)| Op::Symlink(path + "-link", size)),
        2 => (path(), 0_usize..9).prop_map(|(path, target)| Op::HardLink(path, target)),
        2 => path().prop_map(Op::Whiteout),
        1 => path().prop_map(Op::Opaque),
    ]
}

/// One layer as a tar stream and, unpacked as engines unpack, as a folder.
struct Layer<'a> {
    root: &'a Path,
    tar: Tar,
    serial: usize,
}

impl Layer<'_> {
    fn add(mut self, op: &Op) -> Self {
        match op {
            Op::File(path, size) => {
                let content = self.unique(*size);
                self = self.parents(path);
                self.clear(path);
                fs::write(self.root.join(path), &content).unwrap();
                self.tar = self.tar.file(path, content);
            }
            Op::Dir(path) => self = self.folder(path),
            Op::Symlink(path, size) => {
                let target = "t".repeat(*size);
                self = self.parents(path);
                self.clear(path);
                std::os::unix::fs::symlink(&target, self.root.join(path)).unwrap();
                self.tar = self.tar.symlink(path, &target);
            }
            Op::HardLink(path, choice) => {
                let files: Vec<String> = files(self.root).into_keys().collect();
                // Making way for the link must not remove its target.
                let inside = |file: &&String| format!("{file}/").starts_with(&format!("{path}/"));
                let above = |file: &&String| format!("{path}/").starts_with(&format!("{file}/"));
                let mut usable = files.iter().filter(|file| !inside(file) && !above(file));
                if let Some(target) = usable.nth(*choice) {
                    self = self.parents(path);
                    self.clear(path);
                    fs::hard_link(self.root.join(target), self.root.join(path)).unwrap();
                    self.tar = self.tar.hardlink(path, target);
                }
            }
            Op::Whiteout(path) => {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                self = self.marker(folder, &format!(".wh.{name}"));
            }
            Op::Opaque(path) => self = self.marker(path, ".wh..wh..opq"),
        }
        self
    }

    fn marker(mut self, folder: &str, name: &str) -> Self {
        let path = format!("{folder}/{name}");
        let path = path.trim_start_matches('/');
        self = self.parents(path);
        fs::write(self.root.join(path), "").unwrap();
        self.tar = self.tar.file(path, "");
        self
    }

    fn parents(mut self, path: &str) -> Self {
        for (at, _) in path.match_indices('/') {
            if !self.root.join(&path[..at]).is_dir() {
                self = self.folder(&path[..at]);
            }
        }
        self
    }

    fn folder(mut self, path: &str) -> Self {
        self = self.parents(path);
        if !self.root.join(path).is_dir() {
            self.clear(path);
            fs::create_dir(self.root.join(path)).unwrap();
        }
        self.tar = self.tar.dir(path);
        self
    }

    fn clear(&self, path: &str) {
        remove(&self.root.join(path));
    }

    /// Contents that say which version of which file they are.
    fn unique(&mut self, size: usize) -> Vec<u8> {
        self.serial += 1;
        let mut content = format!("{:012}", self.serial).into_bytes();
        content.resize(size, b'.');
        content
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn all(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Regular files, markers aside, with the version that each name holds.
fn files(root: &Path) -> BTreeMap<String, (String, u64)> {
    let names = all(root).into_iter().filter(|path| !path.contains(".wh."));
    let files = names.filter(|path| root.join(path).symlink_metadata().unwrap().is_file());
    files
        .map(|path| {
            let content = fs::read_to_string(root.join(&path)).unwrap();
            let version = (content[..12].to_owned(), content.len() as u64);
            (path, version)
        })
        .collect()
}

fn versions(root: &Path) -> BTreeSet<(String, u64)> {
    files(root).into_values().collect()
}

/// What an overlay2 engine sums: everything but folders, each inode once.
fn lstat_bytes(root: &Path) -> u64 {
    let mut inodes = BTreeSet::new();
    let metas = all(root)
        .into_iter()
        .map(|path| root.join(path).symlink_metadata().unwrap());
    metas
        .filter(|meta| !meta.is_dir() && inodes.insert(meta.ino()))
        .map(|meta| meta.len())
        .sum()
}

fn overlay(layer: &Path, merged: &Path) {
    let names = all(layer);
    for marker in names.iter().filter(|path| path.contains(".wh.")) {
        let (folder, name) = marker.rsplit_once('/').unwrap_or(("", marker));
        let folder = merged.join(folder);
        if name != ".wh..wh..opq" {
            remove(&folder.join(&name[4..]));
        } else if folder.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            for entry in fs::read_dir(&folder).unwrap() {
                remove(&entry.unwrap().path());
            }
        }
    }
    for path in names.iter().filter(|path| !path.contains(".wh.")) {
        let (from, to) = (layer.join(path), merged.join(path));
        let (new, old) = (from.symlink_metadata().unwrap(), to.symlink_metadata());
        if !(new.is_dir() && old.is_ok_and(|old| old.is_dir())) {
            remove(&to);
        }
        if new.is_dir() {
            fs::create_dir_all(&to).unwrap();
        } else {
            // The layer's inode itself, so that its hard links stay links.
            fs::hard_link(&from, &to).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_walk_agrees_with_real_folders(
        layers in prop::collection::vec(prop::collection::vec(op(), 0..12), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let merged = folder.path().join("merged");
        fs::create_dir(&merged).unwrap();
        let (mut tars, mut layer_bytes, mut wasted, mut serial) = (vec![], vec![], 0, 0);
        for (number, ops) in layers.iter().enumerate() {
            let root = folder.path().join(number.to_string());
            fs::create_dir(&root).unwrap();
            let empty = Layer { root: &root, tar: Tar::new(), serial };
            let layer = ops.iter().fold(empty, Layer::add);
            serial = layer.serial;
            tars.push(layer.tar.finish());
            layer_bytes.push(lstat_bytes(&root));
            let before = versions(&merged);
            overlay(&root, &merged);
            let after = versions(&merged);
            wasted += before.difference(&after).map(|(_, bytes)| bytes).sum::<u64>();
        }
        let layout = image(&folder.path().join("image"), &tars, json!({}));
        let walk = walk(&layout, |_| true).unwrap();
        let found: Vec<String> = walk
            .names()
            .map(|(path, _)| String::from_utf8(path.to_vec()).unwrap())
            .collect();
        prop_assert_eq!(found, all(&merged));
        let contents: BTreeMap<String, _> = walk
            .files()
            .map(|(path, place)| {
                let path = String::from_utf8(path.to_vec()).unwrap();
                (path, walk.entry(place).content.clone().unwrap())
            })
            .collect();
        let expected = files(&merged).into_keys().map(|path| {
            let digest = crate::digest::Digest::of(fs::read(merged.join(&path)).unwrap());
            (path, digest)
        });
        prop_assert_eq!(contents, expected.collect());
        let bytes: u64 = versions(&merged).iter().map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(walk.content_bytes(), bytes);
        prop_assert_eq!(walk.wasted_bytes(), wasted);
        let listed = walk.wasted().into_iter();
        let listed: u64 = listed.map(|waste| walk.entry(waste.place).size_bytes).sum();
        prop_assert_eq!(listed, wasted);
        let found: Vec<u64> =
            walk.layers().iter().map(|layer| layer.tree.layer_file_bytes()).collect();
        prop_assert_eq!(found, layer_bytes);
    }
}
