//! An image in one file: an OCI layout in a tar stream, or what `docker save`
//! wrote before it wrote such layouts.
//!
//! The older form has no manifest. Its `manifest.json` names the config and the
//! layers' tar files, which may be links to each other; the manifest that is
//! made of them here is no registry's.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek as _},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::json;

use super::{
    Choice, Codec, Layout, LayoutWriter,
    entries::TarReader,
    entry::{Entry, Kind},
    layout::blob_path,
    oci_tar, paths,
    unpack::codec_of,
    writer::{Blob, canonical_json},
};
use crate::digest::Digest;

const BUFFER_BYTES: usize = 1 << 17;

/// Every file of the archive becomes one on the disk. The most layers that an
/// engine takes are 128, and the older form has four entries for each.
const MAX_ENTRIES: usize = 20_000;

/// What a packed archive may unpack to, in times of its own size: layers shrink
/// to a fifth at best, and packed ones not at all.
const MAX_RATIO: u64 = 100;

/// What any archive may unpack to: an image of a few empty disk images is small.
const ALWAYS_ALLOWED_BYTES: u64 = 1 << 30;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image that was taken out of a file.
#[derive(Debug)]
pub struct Archived {
    pub layout: Layout,
    /// Whether the manifest, and with it the image's digest and the packing of
    /// its layers, came with the archive.
    pub has_manifest: bool,
}

/// Unpacks an archive (plain, gzip or zstd) into the layout folder `target`.
/// Names in it only select what an entry is, and never become paths; the digests
/// of blobs and config are checked. It takes as much space as the archive
/// unpacked.
///
/// # Errors
/// For a file that is neither kind of archive, or broken; names the entry.
/// `target` is then left as it was.
pub fn read_archive(archive: &Path, target: &Path, choice: Choice<'_>) -> Result<Archived> {
    let read = || {
        let writer = LayoutWriter::create(target)?;
        let found = Contents::read(open(archive)?, &writer)?;
        if writer.folder().join("index.json").is_file() {
            let layout = oci_tar::finish(writer, choice)?;
            return Ok(Archived {
                layout,
                has_manifest: true,
            });
        }
        let layout = found.into_layout(writer)?;
        if let Choice::For(wanted) = choice {
            let platform = layout.platform();
            ensure!(
                platform.serves(wanted),
                "holds no image for {wanted}, but for {platform}"
            );
        }
        Ok(Archived {
            layout,
            has_manifest: false,
        })
    };
    read().with_context(|| format!("archive {}", archive.display()))
}

fn open(archive: &Path) -> Result<Box<dyn BufRead>> {
    let mut file = File::open(archive).context("cannot be opened")?;
    let bytes = file.metadata()?.len();
    let mut start = [0; 4];
    // A shorter file is no archive, and the tar reader says so.
    let _ = file.read(&mut start)?;
    file.rewind()?;
    let packed = BufReader::with_capacity(BUFFER_BYTES, file);
    let stream: Box<dyn Read> = match codec_of(&start) {
        Codec::Plain => return Ok(Box::new(packed)),
        Codec::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Codec::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?),
    };
    let allowed_bytes = ALWAYS_ALLOWED_BYTES.max(bytes.saturating_mul(MAX_RATIO));
    let bounded = Bounded {
        stream,
        left_bytes: allowed_bytes,
        allowed_bytes,
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, bounded)))
}

/// A stream that may not go on for ever.
struct Bounded {
    stream: Box<dyn Read>,
    left_bytes: u64,
    allowed_bytes: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.left_bytes = self.left_bytes.checked_sub(n as u64).ok_or_else(|| {
            io::Error::other(format!(
                "unpacks to more than {} bytes, which no image of its size does",
                self.allowed_bytes
            ))
        })?;
        Ok(n)
    }
}

/// What `docker save` wrote beside, or instead of, a layout.
#[derive(Default)]
struct Contents {
    manifest: Option<Vec<u8>>,
    /// By their names in the archive.
    files: BTreeMap<Vec<u8>, Blob>,
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// An image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Contents {
    fn read(stream: impl BufRead, writer: &LayoutWriter) -> Result<Self> {
        let mut tar = TarReader::new(stream);
        let mut found = Self::default();
        let mut entries = 0;
        while let Some(entry) = tar.next_entry()? {
            entries += 1;
            ensure!(
                entries <= MAX_ENTRIES,
                "holds more than {MAX_ENTRIES} files, as no saved image does"
            );
            found
                .take(writer, &mut tar, &entry)
                .with_context(|| format!("entry `{}`", paths::shown(&entry.path)))?;
        }
        tar.finish()?;
        Ok(found)
    }

    fn take<R: BufRead>(
        &mut self,
        writer: &LayoutWriter,
        tar: &mut TarReader<R>,
        entry: &Entry,
    ) -> Result<()> {
        if oci_tar::take(writer, tar, entry)? {
            return Ok(());
        }
        let name = entry.path.to_vec();
        match &entry.kind {
            Kind::File if name == b"manifest.json" => {
                self.manifest = Some(oci_tar::document(tar, entry)?);
            }
            Kind::File => {
                let mut blob = writer.blob()?;
                tar.copy_content(entry, &mut blob)?;
                self.files.insert(name, blob.commit(None)?);
            }
            Kind::Symlink(target) => {
                self.links.insert(name, target.clone());
            }
            // Its target is a path from the top.
            Kind::HardLink(target) => {
                self.links.insert(name, [b"/", &target[..]].concat());
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes the one image of `manifest.json` a layout.
    fn into_layout(self, writer: LayoutWriter) -> Result<Layout> {
        let manifest = self.manifest.as_deref();
        let manifest = manifest.context(
            "holds neither index.json nor manifest.json, so it is no image; \
             mend: docker save IMAGE -o FILE",
        )?;
        let saved: Vec<Saved> =
            serde_json::from_slice(manifest).context("malformed manifest.json")?;
        let [image] = &saved[..] else {
            let tags = saved.iter().flat_map(|it| it.repo_tags.iter().flatten());
            let tags: Vec<String> = tags.map(|tag| paths::shown(tag.as_bytes())).collect();
            bail!(
                "holds {} images ({}); mend: docker save one of them",
                saved.len(),
                tags.join(", ")
            );
        };
        let config = self.file(&image.config).context("config")?;
        check_config_name(&image.config, config)?;
        let mut layers = Vec::new();
        for (number, name) in (1..).zip(&image.layers) {
            let blob = self.file(name).with_context(|| format!("layer {number}"))?;
            let codec = packed_as(&blob_path(writer.folder(), &blob.digest))?;
            layers.push(descriptor(codec.media_type(), blob));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        });
        let manifest = writer.blob_of(&canonical_json(manifest))?;
        writer.finish(&manifest, MANIFEST_TYPE)
    }

    /// The file of that name, links followed inside the archive.
    fn file(&self, name: &str) -> Result<&Blob> {
        let shown = paths::shown(name.as_bytes());
        let find = || {
            let clean = paths::clean(name.as_bytes())?;
            let path = paths::resolve(&clean, |path| self.links.get(path).map(Vec::as_slice))?;
            self.files.get(&path).context("missing from the archive")
        };
        find().with_context(|| format!("`{shown}` of manifest.json"))
    }
}

/// A config is called by its digest, which is the image's ID.
fn check_config_name(name: &str, config: &Blob) -> Result<()> {
    let stem = name.rsplit('/').next().unwrap_or_default();
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    let hex = stem.strip_prefix("sha256:").unwrap_or(stem);
    if let Ok(named) = format!("sha256:{hex}").parse::<Digest>() {
        ensure!(
            named == config.digest,
            "config `{name}`: its bytes have the digest {}",
            config.digest
        );
    }
    Ok(())
}

/// `docker save` does not pack layers, and other exporters do.
fn packed_as(blob: &Path) -> Result<Codec> {
    let mut start = Vec::new();
    File::open(blob)?.take(4).read_to_end(&mut start)?;
    Ok(codec_of(&start))
}

fn descriptor(media_type: &str, blob: &Blob) -> serde_json::Value {
    json!({"mediaType": media_type, "digest": blob.digest, "size": blob.bytes})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_goes_on_is_cut_with_its_cause() {
        let bounded = |bytes: u64| Bounded {
            stream: Box::new(io::repeat(0).take(bytes)),
            left_bytes: 1_000,
            allowed_bytes: 1_000,
        };
        let read = |bytes| io::copy(&mut bounded(bytes), &mut io::sink());
        assert_eq!(read(1_000).unwrap(), 1_000);
        let error = read(1_001).unwrap_err().to_string();
        assert!(error.contains("more than 1000 bytes"), "{error}");
    }
}
