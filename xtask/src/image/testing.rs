//! Layers and layouts for tests, written by the tar crate rather than by our
//! own writer, so that a mistake in one does not hide in the other.

use std::{io::Write as _, path::Path};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{
    Codec, Layout, LayoutWriter,
    writer::{Blob, LayerBlob},
};
use crate::digest::Digest;

/// A tar stream in the making.
pub struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_ref(), |_| {})
    }

    pub fn executable(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.entry(EntryType::Regular, path, "", content, |header| {
            header.set_mode(0o755);
        })
    }

    pub fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"", |header| {
            header.set_mode(0o755);
        })
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"", |_| {})
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"", |_| {})
    }

    /// An entry whose header may be changed before its checksum is taken.
    pub fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        link: &str,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        change(&mut header);
        // The crate's own setters refuse the names that hostile tests need.
        self.long(b'L', path);
        self.long(b'K', link);
        let old = header.as_old_mut();
        let name = &path.as_bytes()[..path.len().min(100)];
        old.name[..name.len()].copy_from_slice(name);
        let link = &link.as_bytes()[..link.len().min(100)];
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let records = records.iter().copied();
        self.0.append_pax_extensions(records).unwrap();
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn long(&mut self, kind: u8, name: &str) {
        if name.len() > 100 {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::new(kind));
            header.set_size(name.len() as u64 + 1);
            header.set_cksum();
            let name = [name.as_bytes(), b"\0"].concat();
            self.0.append(&header, &name[..]).unwrap();
        }
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub fn pack(bytes: &[u8], codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Plain => bytes.to_vec(),
        Codec::Gzip => gzip(bytes),
        Codec::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// A config as BuildKit writes it, but for `rootfs`.
pub fn config(run: Value) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2025-06-07T08:09:10.111213Z",
        "config": run,
    })
}

/// An image of gzip layers.
pub fn image(folder: &Path, layers: &[Vec<u8>], run: Value) -> Layout {
    let packed: Vec<(Vec<u8>, Codec, Digest)> = layers
        .iter()
        .map(|layer| (gzip(layer), Codec::Gzip, Digest::of(layer)))
        .collect();
    packed_image(folder, &packed, run)
}

/// An image of layers that are packed already; their diff IDs are taken on
/// trust, as those of a hostile image.
pub fn packed_image(folder: &Path, layers: &[(Vec<u8>, Codec, Digest)], run: Value) -> Layout {
    let writer = LayoutWriter::create(folder).unwrap();
    let layers: Vec<LayerBlob> = layers
        .iter()
        .map(|(bytes, codec, diff_id)| LayerBlob {
            blob: writer.blob_of(bytes).unwrap(),
            codec: *codec,
            diff_id: diff_id.clone(),
        })
        .collect();
    writer.finish_image(config(run), &layers).unwrap()
}

/// Adds a blob to a finished layout folder.
pub fn add_blob(folder: &Path, bytes: &[u8]) -> Blob {
    let digest = Digest::of(bytes);
    std::fs::write(super::layout::blob_path(folder, &digest), bytes).unwrap();
    let bytes = bytes.len() as u64;
    Blob { digest, bytes }
}

/// A layout as BuildKit sends it: blobs first, the index last.
pub fn oci_tar(layout: &Layout) -> Tar {
    let mut tar = Tar::new().dir("blobs/").dir("blobs/sha256/");
    for blob in std::fs::read_dir(layout.folder().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let name = format!("blobs/sha256/{}", blob.file_name().to_str().unwrap());
        tar = tar.file(&name, std::fs::read(blob.path()).unwrap());
    }
    let index = std::fs::read(layout.folder().join("index.json")).unwrap();
    tar.file("index.json", index)
        .file("manifest.json", "[]")
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// An image as `docker save` wrote it before it wrote OCI layouts, but for
/// `manifest.json`: the value that belongs into it comes with the archive.
pub fn docker_tar(layers: &[Vec<u8>], run: Value) -> (Tar, Value) {
    let mut document = config(run);
    let diff_ids: Vec<Digest> = layers.iter().map(Digest::of).collect();
    document["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let document = document.to_string();
    let name = format!("{}.json", Digest::of(&document).hex());
    let mut tar = Tar::new().file(&name, document);
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        names.push(format!("{number}/layer.tar"));
        tar = tar
            .dir(&format!("{number}/"))
            .file(&format!("{number}/VERSION"), "1.0")
            .file(&names[number], layer);
    }
    (
        tar,
        json!({"Config": name, "RepoTags": ["app:1"], "Layers": names}),
    )
}
