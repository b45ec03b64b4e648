//! Where two builds of the same inputs differ, down to the path.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Layer, Layout,
    entry::{Entry, Kind},
    in_parallel, paths,
    tree::Tree,
    walk::walk_layer,
};

/// One difference between two images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// From the bottom, counted from 0; `None` for the config.
    pub layer: Option<usize>,
    /// Absolute in the layer, or the place in the config (`/config/Env/0`).
    pub path: String,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    OnlyInFirst,
    OnlyInSecond,
    /// A file became a folder, a symlink, ….
    Kind,
    Content,
    LinkTarget,
    /// The same names, but not the same hard links among them.
    HardLinks,
    Mode,
    Owner,
    Mtime,
    Xattrs,
    DeviceNumber,
    /// A value in the config.
    Value,
    /// The same tree in other bytes: entry order, headers or compression.
    Encoding,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer {layer}: ")?,
            None => write!(f, "config: ")?,
        }
        write!(f, "{}: {}", self.path, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyInFirst => "only in the first build",
            Self::OnlyInSecond => "only in the second build",
            Self::Kind => "kind of file",
            Self::Content => "content",
            Self::LinkTarget => "symlink target",
            Self::HardLinks => "hard links",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Mtime => "modification time",
            Self::Xattrs => "extended attributes",
            Self::DeviceNumber => "device number",
            Self::Value => "value",
            Self::Encoding => "same tree, other bytes",
        })
    }
}

/// What differs between two images, sorted by layer and path; empty exactly
/// when their manifests are equal. Only layers whose digests differ are read.
///
/// # Errors
/// Those of [`walk_layer`].
pub fn compare(first: &Layout, second: &Layout) -> Result<Vec<Difference>> {
    if first.digest() == second.digest() {
        return Ok(Vec::new());
    }
    let mut found = compare_configs(first, second)?;
    let pairs: Vec<(usize, &Layer, &Layer)> = first
        .layers()
        .iter()
        .zip(second.layers())
        .enumerate()
        .filter(|(_, (left, right))| left.digest != right.digest)
        .map(|(number, (left, right))| (number, left, right))
        .collect();
    let layers = in_parallel(
        &pairs,
        |(_, left, _)| left.transfer_bytes,
        |&(number, left, right)| compare_layers(number, (first, left), (second, right)),
    )?;
    found.extend(layers.into_iter().flatten());
    let (left, right) = (first.layers().len(), second.layers().len());
    let whole = |layer, what| difference(Some(layer), b"", what);
    found.extend((right..left).map(|layer| whole(layer, What::OnlyInFirst)));
    found.extend((left..right).map(|layer| whole(layer, What::OnlyInSecond)));
    if found.is_empty() {
        found.push(Difference {
            layer: None,
            path: "/".to_owned(),
            what: What::Encoding,
        });
    }
    found.sort();
    Ok(found)
}

fn compare_layers(
    number: usize,
    first: (&Layout, &Layer),
    second: (&Layout, &Layer),
) -> Result<Vec<Difference>> {
    let tree = |(layout, layer): (&Layout, &Layer)| {
        let walked = walk_layer(layout, layer, |_| true);
        walked.with_context(|| format!("layer {}", layer.digest))
    };
    let found = compare_trees(&tree(first)?.tree, &tree(second)?.tree);
    let mut found: Vec<Difference> = found
        .into_iter()
        .map(|(path, what)| difference(Some(number), &path, what))
        .collect();
    if found.is_empty() {
        found.push(difference(Some(number), b"", What::Encoding));
    }
    Ok(found)
}

fn difference(layer: Option<usize>, path: &[u8], what: What) -> Difference {
    let shown = paths::shown(path);
    let path = if shown.starts_with('/') {
        shown
    } else {
        format!("/{shown}")
    };
    Difference { layer, path, what }
}

/// What differs between two trees whose contents were hashed, sorted by path.
pub fn compare_trees(first: &Tree, second: &Tree) -> Vec<(Vec<u8>, What)> {
    let names = |tree: &Tree| -> BTreeSet<Vec<u8>> {
        tree.names().map(|(path, _)| path.to_owned()).collect()
    };
    let (left_links, right_links) = (first_names(first), first_names(second));
    let mut found = Vec::new();
    for path in names(first).union(&names(second)) {
        let differs = match (first.get(path), second.get(path)) {
            (Some(left), Some(right)) => compare_entries(left, right),
            (Some(_), None) => vec![What::OnlyInFirst],
            (None, _) => vec![What::OnlyInSecond],
        };
        let both = first.get(path).is_some() && second.get(path).is_some();
        found.extend(differs.into_iter().map(|what| (path.clone(), what)));
        if both && left_links.get(&path[..]) != right_links.get(&path[..]) {
            found.push((path.clone(), What::HardLinks));
        }
    }
    found
}

fn compare_entries(left: &Entry, right: &Entry) -> Vec<What> {
    use Kind::{BlockDevice, CharDevice, Symlink};
    let kind = match (&left.kind, &right.kind) {
        (left, right) if left == right => None,
        (Symlink(_), Symlink(_)) => Some(What::LinkTarget),
        (CharDevice(..), CharDevice(..)) | (BlockDevice(..), BlockDevice(..)) => {
            Some(What::DeviceNumber)
        }
        _ => Some(What::Kind),
    };
    let checks = [
        (left.mode == right.mode, What::Mode),
        ((left.uid, left.gid) == (right.uid, right.gid), What::Owner),
        (left.mtime_s == right.mtime_s, What::Mtime),
        (left.xattrs == right.xattrs, What::Xattrs),
        (
            kind.is_some() || left.content == right.content,
            What::Content,
        ),
    ];
    let differs = checks.into_iter().filter(|(same, _)| !same);
    kind.into_iter()
        .chain(differs.map(|(_, what)| what))
        .collect()
}

/// For every name of a hard-linked file the first one; two trees agree on their
/// links exactly when they agree on these.
fn first_names(tree: &Tree) -> HashMap<&[u8], &[u8]> {
    let mut firsts: HashMap<u32, &[u8]> = HashMap::new();
    let names = tree.names();
    names
        .map(|(path, inode)| (path, *firsts.entry(inode).or_insert(path)))
        .filter(|(path, first)| path != first)
        .collect()
}

fn compare_configs(first: &Layout, second: &Layout) -> Result<Vec<Difference>> {
    let parse = |layout: &Layout| -> Result<Value> {
        let mut config: Value = serde_json::from_slice(layout.config_bytes())?;
        // Diff IDs repeat what the layers say better.
        if let Some(config) = config.as_object_mut() {
            config.remove("rootfs");
        }
        Ok(config)
    };
    let mut found = Vec::new();
    compare_values("", &parse(first)?, &parse(second)?, &mut found);
    Ok(found)
}

fn compare_values(place: &str, left: &Value, right: &Value, found: &mut Vec<Difference>) {
    let config = |path: String, what| Difference {
        layer: None,
        path,
        what,
    };
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let place = format!("{place}/{key}");
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => compare_values(&place, left, right, found),
                    (Some(_), None) => found.push(config(place, What::OnlyInFirst)),
                    (None, _) => found.push(config(place, What::OnlyInSecond)),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (number, (left, right)) in left.iter().zip(right).enumerate() {
                compare_values(&format!("{place}/{number}"), left, right, found);
            }
        }
        _ if left == right => {}
        _ => found.push(config(place.to_owned(), What::Value)),
    }
}
