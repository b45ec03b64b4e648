//! Building an OCI image layout folder that appears only when it is whole.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::{Codec, Layout, hashing::Hashing, layout::blob_path};
use crate::{digest::Digest, files};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A blob that lies in the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub bytes: u64,
}

/// A layer whose blob lies in the layout, for [`LayoutWriter::finish_image`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    pub blob: Blob,
    pub codec: Codec,
    pub diff_id: Digest,
}

/// Collects blobs in a temporary folder beside the final one. Several threads
/// may write blobs at once. Dropped unfinished, it leaves nothing.
pub struct LayoutWriter {
    folder: TempDir,
    target: PathBuf,
    scratch: PathBuf,
}

impl LayoutWriter {
    /// # Errors
    /// When the folder of `target` cannot be made or written.
    pub fn create(target: &Path) -> Result<Self> {
        let parent = target.parent().context("a layout needs a parent folder")?;
        files::create_dir_all(parent)?;
        let folder = tempfile::Builder::new()
            .prefix(".tmp-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
            .with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        files::give_to_owner_of_parent(folder.path())?;
        files::create_dir_all(&folder.path().join("blobs/sha256"))?;
        Ok(Self {
            scratch: folder.path().to_owned(),
            folder,
            target: target.to_owned(),
        })
    }

    /// Where temporary files may grow to the unpacked size of a layer; without
    /// this, beside the layout.
    pub fn with_scratch(self, scratch: &Path) -> Self {
        let scratch = scratch.to_owned();
        Self { scratch, ..self }
    }

    /// An unnamed file that is gone when it is closed.
    pub fn scratch_file(&self) -> Result<fs::File> {
        tempfile::tempfile_in(&self.scratch)
            .with_context(|| format!("cannot create a file in {}", self.scratch.display()))
    }

    /// Opens a blob for writing.
    pub fn blob(&self) -> Result<BlobFile<'_>> {
        let file = tempfile::Builder::new()
            .prefix(".tmp-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(self.folder.path().join("blobs/sha256"));
        let file = file.context("cannot create a blob")?;
        Ok(BlobFile {
            stream: io::BufWriter::with_capacity(1 << 18, Hashing::new(file)),
            writer: self,
        })
    }

    pub fn blob_of(&self, bytes: &[u8]) -> Result<Blob> {
        self.blob_from(bytes, None)
    }

    /// Copies a stream into a blob.
    ///
    /// # Errors
    /// When the stream's digest is not `expected`, and on I/O errors.
    pub fn blob_from(&self, mut stream: impl Read, expected: Option<&Digest>) -> Result<Blob> {
        let mut blob = self.blob()?;
        io::copy(&mut stream, &mut blob).context("cannot copy a blob")?;
        blob.commit(expected)
    }

    /// Takes over a blob of another layout: as a hard link where the file
    /// systems allow it (its bytes are then as good as they were), else as a
    /// copy with the digest checked.
    pub fn link(&self, from: &Layout, digest: &Digest) -> Result<Blob> {
        let source = from.blob_path(digest);
        let target = blob_path(self.folder.path(), digest);
        let linked = fs::hard_link(&source, &target);
        let there = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        if linked.is_ok() || linked.as_ref().is_err_and(there) {
            let meta = fs::metadata(&target);
            let meta = meta.with_context(|| format!("cannot read {}", target.display()))?;
            return Ok(Blob {
                digest: digest.clone(),
                bytes: meta.len(),
            });
        }
        let file = fs::File::open(&source);
        let file = file.with_context(|| format!("cannot open {}", source.display()))?;
        self.blob_from(file, Some(digest))
            .with_context(|| format!("cannot copy {}", source.display()))
    }

    /// Writes config and manifest for these layers, and finishes. `config` gets
    /// the layers' diff IDs; both documents have their keys sorted and no
    /// spaces, so equal images have equal bytes.
    pub fn finish_image(self, mut config: Value, layers: &[LayerBlob]) -> Result<Layout> {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.blob_of(&canonical_json(config))?;
        let descriptor = |media_type: &str, blob: &Blob| json!({"mediaType": media_type, "digest": blob.digest, "size": blob.bytes});
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| descriptor(layer.codec.media_type(), &layer.blob))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers,
        });
        let manifest = self.blob_of(&canonical_json(manifest))?;
        self.finish(&manifest, MANIFEST_TYPE)
    }

    /// Writes `oci-layout` and an `index.json` that lists exactly this
    /// manifest, checks that the image is whole, and puts the folder in its
    /// place, whatever stood there.
    pub fn finish(self, manifest: &Blob, media_type: &str) -> Result<Layout> {
        let version = json!({"imageLayoutVersion": "1.0.0"});
        let descriptor = json!({
            "mediaType": media_type, "digest": manifest.digest, "size": manifest.bytes,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [descriptor],
        });
        self.write_root_file("oci-layout", &canonical_json(version))?;
        self.write_root_file("index.json", &canonical_json(index))?;
        Layout::open(self.folder.path())?;
        files::replace_dir(self.folder.path(), &self.target)?;
        // Moved away: there is nothing left to remove.
        let _moved = self.folder.keep();
        Layout::open(&self.target)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Not synced, as the blobs are not: the folder can be made again, and
    /// whoever opens it checks it.
    pub(super) fn write_root_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        files::give_to_owner_of_parent(&path)
    }
}

/// A blob in the making; dropped before [`commit`](Self::commit), it leaves
/// nothing.
pub struct BlobFile<'a> {
    stream: io::BufWriter<Hashing<NamedTempFile>>,
    writer: &'a LayoutWriter,
}

impl BlobFile<'_> {
    /// # Errors
    /// When the digest of what was written is not `expected`, and on I/O
    /// errors.
    pub fn commit(self, expected: Option<&Digest>) -> Result<Blob> {
        let stream = self.stream.into_inner().map_err(|error| error.into_error());
        let stream = stream.context("cannot write a blob")?;
        let (file, digest, bytes) = stream.finish();
        ensure!(
            expected.is_none_or(|expected| *expected == digest),
            "the bytes have the digest {digest}"
        );
        files::give_to_owner_of_parent(file.path())?;
        file.persist(blob_path(self.writer.folder.path(), &digest))
            .with_context(|| format!("cannot write blob {digest}"))?;
        Ok(Blob { digest, bytes })
    }
}

impl Write for BlobFile<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// JSON with sorted keys and without spaces.
pub fn canonical_json(mut value: Value) -> Vec<u8> {
    value.sort_all_objects();
    value.to_string().into_bytes()
}
