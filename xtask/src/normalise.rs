//! A built image made to repeat: the same inputs, the same bytes.
//!
//! BuildKit's layers carry the build's wall-clock times and the order in which
//! a folder happened to be read. Layers of the base keep their bytes, because
//! their digests are what registries and caches know; every other layer is
//! written anew in the one form of [`canonical`](crate::image::canonical).
//! Names, contents, ownership, modes, extended attributes, devices and hard
//! links stay as the Dockerfile made them.
//!
//! (BuildKit's own `rewrite-timestamp` rewrites base layers too, so that no
//! image shares them with its base any more.)

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::image::canonical::{BUILD_LEVEL, ROOTFS_LEVEL};
pub use crate::image::canonical::{EPOCH_S, EPOCH_TEXT};
use crate::{
    digest::Digest,
    image::{
        Layer, Layout, LayoutWriter,
        canonical::{Written, write_layer},
        entries::TarReader,
        in_parallel,
        tree::Tree,
        unpack::LayerStream,
        writer::LayerBlob,
    },
};

/// Part of every row's inputs. A new value for every change of the bytes that
/// come out, of the compressor's too: a test holds them against a digest.
pub const NORMALISER_ID: &str = "1";

/// An image that repeats.
#[derive(Debug)]
pub struct Normalised {
    pub layout: Layout,
    /// From the bottom up.
    pub layers: Vec<NormalisedLayer>,
}

/// What became of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalisedLayer {
    pub digest: Digest,
    pub diff_id: Digest,
    pub transfer_bytes: u64,
    /// Kept byte for byte.
    pub from_base: bool,
    /// The layer as BuildKit had written it, and as a push would have sent it.
    pub buildkit_digest: Digest,
    pub buildkit_transfer_bytes: u64,
}

/// Writes the image of `source` to the folder `target` in its repeatable form.
/// `base` holds the digests of the layer blobs to keep. The uncompressed layers
/// pass through unnamed files in `scratch`, as large as the largest ones.
///
/// # Errors
/// For a layer that does not unpack or is not what manifest and config say, and
/// when a folder cannot be written. `target` is then left as it was.
pub fn normalise(
    source: &Layout,
    base: &BTreeSet<Digest>,
    target: &Path,
    scratch: &Path,
) -> Result<Normalised> {
    let writer = LayoutWriter::create(target)?.with_scratch(scratch);
    let blobs = in_parallel(
        source.layers(),
        |layer| layer.transfer_bytes,
        |layer| {
            let blob = if base.contains(&layer.digest) {
                keep(&writer, source, layer)
            } else {
                rewrite(&writer, source, layer)
            };
            blob.with_context(|| format!("layer {}", layer.digest))
        },
    )?;
    let layers = source.layers().iter().zip(&blobs);
    let layers = layers
        .map(|(was, is)| NormalisedLayer {
            digest: is.blob.digest.clone(),
            diff_id: is.diff_id.clone(),
            transfer_bytes: is.blob.bytes,
            from_base: base.contains(&was.digest),
            buildkit_digest: was.digest.clone(),
            buildkit_transfer_bytes: was.transfer_bytes,
        })
        .collect();
    let config = normalised_config(source.config_bytes())?;
    Ok(Normalised {
        layout: writer.finish_image(config, &blobs)?,
        layers,
    })
}

/// Writes a layer in its repeatable form from an uncompressed tar stream, such
/// as a root filesystem.
///
/// # Errors
/// For a stream that does not unpack.
pub fn layer_from_tar(writer: &LayoutWriter, mut stream: impl Read) -> Result<Written> {
    let mut spill = writer.scratch_file()?;
    io::copy(&mut stream, &mut spill)?;
    from_spill(writer, spill, ROOTFS_LEVEL)
}

fn keep(writer: &LayoutWriter, source: &Layout, layer: &Layer) -> Result<LayerBlob> {
    Ok(LayerBlob {
        blob: writer.link(source, &layer.digest)?,
        codec: layer.codec,
        diff_id: layer.diff_id.clone(),
    })
}

fn rewrite(writer: &LayoutWriter, source: &Layout, layer: &Layer) -> Result<LayerBlob> {
    let mut spill = writer.scratch_file()?;
    let mut stream = LayerStream::of(source, layer)?;
    io::copy(&mut stream, &mut spill)?;
    stream.verify(layer)?;
    Ok(from_spill(writer, spill, BUILD_LEVEL)?.layer)
}

/// Sorting needs every entry's place before the first is written, so the stream
/// lies in a file: memory holds names and offsets, never contents.
fn from_spill(writer: &LayoutWriter, mut spill: File, level: u32) -> Result<Written> {
    spill.seek(SeekFrom::Start(0))?;
    let mut tar = TarReader::new(BufReader::with_capacity(1 << 17, &spill));
    let mut tree = Tree::default();
    while let Some(entry) = tar.next_entry()? {
        tree.add(entry)?;
    }
    tar.finish()?;
    write_layer(writer, &tree, &spill, level)
}

/// The config with every time at the epoch and without what BuildKit says about
/// the build. Keys that we don't know stay.
fn normalised_config(bytes: &[u8]) -> Result<Value> {
    let mut config: Value = serde_json::from_slice(bytes)?;
    let keys = config.as_object_mut().context("the config is no object")?;
    keys.retain(|key, _| !key.starts_with("moby.buildkit."));
    keys.insert("created".to_owned(), json!(EPOCH_TEXT));
    let history = keys.get_mut("history").and_then(Value::as_array_mut);
    for step in history.into_iter().flatten() {
        if let Some(created) = step.get_mut("created") {
            *created = json!(EPOCH_TEXT);
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
