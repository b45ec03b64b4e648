//! The exact size columns, from an OCI layout alone.
//!
//! Every definition is that of docs/METHODOLOGY.md ("Words"). All figures are
//! bytes or counts of one platform's image; no engine's idea of a size enters.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    Layout,
    app_binary::{self, AppBinary},
    walk::{Walk, WalkedLayer, walk},
};
use crate::digest::Digest;

/// The sizes of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Manifest + config + distinct compressed layer blobs.
    pub transfer_bytes: u64,
    /// The uncompressed tar streams of all layers.
    pub unpacked_bytes: u64,
    /// What an overlay2 engine's `docker images` prints: the layers' sum.
    pub layer_file_bytes: u64,
    /// Regular files of the root filesystem, hard links once.
    pub content_bytes: u64,
    /// Every file version that a later layer overwrites or deletes.
    pub wasted_bytes: u64,
    /// The part of `transfer_bytes` in distinct layers of the base.
    pub base_transfer_bytes: u64,
    /// The rest: distinct other layers, manifest and config.
    pub app_transfer_bytes: u64,
    /// Names of regular files in the root filesystem.
    pub files: u64,
    /// From the bottom up.
    pub layers: Vec<LayerSizes>,
    /// What the image starts, where its command names a file of the image.
    pub app: Option<AppBinary>,
}

/// The sizes of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSizes {
    pub digest: Digest,
    pub diff_id: Digest,
    /// The compressed blob.
    pub transfer_bytes: u64,
    /// The uncompressed tar stream.
    pub unpacked_bytes: u64,
    /// Apparent bytes of files and symlinks, hard links once.
    pub layer_file_bytes: u64,
    /// Names of regular files, whiteouts aside.
    pub files: u64,
    /// Whether the layer's blob is one of the base's.
    pub from_base: bool,
}

/// Walks the image and counts; see [`measure_walked`].
///
/// # Errors
/// Those of [`walk`].
pub fn measure(layout: &Layout, base: &BTreeSet<Digest>) -> Result<Sizes> {
    measure_walked(layout, base).map(|(sizes, _)| sizes)
}

/// Walks the image and counts, for who has more to ask of it; `base` holds the digests of the layer blobs that
/// come from the base (empty where there is none).
///
/// # Errors
/// Those of [`walk`].
pub fn measure_walked(layout: &Layout, base: &BTreeSet<Digest>) -> Result<(Sizes, Walk)> {
    let name = app_binary::command_name(layout.config());
    let walk = walk(layout, |entry| {
        name.as_deref() == Some(super::paths::split(&entry.path).1)
    })?;
    let app = app_binary::find(layout, &walk)?;
    Ok((of_walk(layout, &walk, base, app), walk))
}

/// The sizes of an image that was walked already.
pub fn of_walk(
    layout: &Layout,
    walk: &Walk,
    base: &BTreeSet<Digest>,
    app: Option<AppBinary>,
) -> Sizes {
    let layers: Vec<LayerSizes> = walk
        .layers()
        .iter()
        .map(|layer| of_layer(layer, base))
        .collect();
    let distinct = |from_base: bool| -> u64 {
        let chosen = layers.iter().filter(|layer| layer.from_base == from_base);
        let blobs: BTreeMap<&Digest, u64> = chosen
            .map(|layer| (&layer.digest, layer.transfer_bytes))
            .collect();
        blobs.values().sum()
    };
    let documents = layout.manifest_bytes().len() + layout.config_bytes().len();
    let base_transfer_bytes = distinct(true);
    let app_transfer_bytes = distinct(false) + documents as u64;
    Sizes {
        transfer_bytes: base_transfer_bytes + app_transfer_bytes,
        unpacked_bytes: layers.iter().map(|layer| layer.unpacked_bytes).sum(),
        layer_file_bytes: layers.iter().map(|layer| layer.layer_file_bytes).sum(),
        content_bytes: walk.content_bytes(),
        wasted_bytes: walk.wasted_bytes(),
        base_transfer_bytes,
        app_transfer_bytes,
        files: walk.files().count() as u64,
        layers,
        app,
    }
}

fn of_layer(walked: &WalkedLayer, base: &BTreeSet<Digest>) -> LayerSizes {
    let layer = &walked.layer;
    LayerSizes {
        digest: layer.digest.clone(),
        diff_id: layer.diff_id.clone(),
        transfer_bytes: layer.transfer_bytes,
        unpacked_bytes: walked.unpacked_bytes,
        layer_file_bytes: walked.tree.layer_file_bytes(),
        files: walked.tree.files(),
        from_base: base.contains(&layer.digest),
    }
}
