//! Reading an OCI layout from a tar stream, as BuildKit writes it
//! (`--output type=oci`): blobs first, `index.json` last.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    Choice, Layout, LayoutWriter, Platform,
    entries::TarReader,
    entry::{Entry, Kind},
    layout::MAX_DOCUMENT_BYTES,
    paths,
    writer::Blob,
};
use crate::digest::Digest;

/// Unpacks a tar stream into the layout folder `target` while it arrives. The
/// digest of every blob is checked; names only select what an entry is, and
/// never become paths. `platform` chooses where the stream holds several
/// images.
///
/// # Errors
/// For a stream that is no OCI layout, a path that climbs out, a blob whose
/// bytes are not those of its name or that is missing. `target` is then left as
/// it was.
pub fn read_oci_tar(
    stream: impl Read,
    target: &Path,
    platform: Option<&Platform>,
) -> Result<Layout> {
    let writer = LayoutWriter::create(target)?;
    let mut tar = TarReader::new(BufReader::with_capacity(1 << 17, stream));
    while let Some(entry) = tar.next_entry().context("OCI tar")? {
        take(&writer, &mut tar, &entry)
            .with_context(|| format!("OCI tar: entry `{}`", paths::shown(&entry.path)))?;
    }
    tar.finish().context("OCI tar")?;
    finish(writer, platform.map_or(Choice::Only, Choice::For))
}

/// Makes the image that is meant the only one of a layout whose files have all
/// arrived.
pub(super) fn finish(writer: LayoutWriter, choice: Choice<'_>) -> Result<Layout> {
    let image = Layout::choose(writer.folder(), choice)?;
    let manifest = Blob {
        digest: image.digest().clone(),
        bytes: image.manifest_bytes().len() as u64,
    };
    let media_type = image.manifest().media_type().as_ref();
    let media_type = media_type.map_or_else(
        || "application/vnd.oci.image.manifest.v1+json".to_owned(),
        ToString::to_string,
    );
    writer.finish(&manifest, &media_type)
}

/// Takes an entry that belongs to a layout, and says whether it was one.
pub(super) fn take<R: std::io::BufRead>(
    writer: &LayoutWriter,
    tar: &mut TarReader<R>,
    entry: &Entry,
) -> Result<bool> {
    // It would fill the disk with what the archive does not hold.
    ensure!(
        entry.hole_bytes() == 0,
        "is a sparse file, and no exporter of images writes those"
    );
    let name = std::str::from_utf8(&entry.path).unwrap_or_default();
    let blob = name.strip_prefix("blobs/sha256/");
    let wanted = blob.is_some() || matches!(name, "oci-layout" | "index.json");
    if !wanted {
        // Folders, and what other exporters add for `docker load`.
        return Ok(false);
    }
    ensure!(entry.kind == Kind::File, "is not a regular file");
    if let Some(hex) = blob {
        let digest: Digest = format!("sha256:{hex}").parse()?;
        let mut blob = writer.blob()?;
        tar.copy_content(entry, &mut blob)?;
        blob.commit(Some(&digest))?;
        return Ok(true);
    }
    writer.write_root_file(name, &document(tar, entry)?)?;
    Ok(true)
}

pub(super) fn document<R: std::io::BufRead>(
    tar: &mut TarReader<R>,
    entry: &Entry,
) -> Result<Vec<u8>> {
    ensure!(
        entry.size_bytes <= MAX_DOCUMENT_BYTES,
        "a document of {} bytes is too large",
        entry.size_bytes
    );
    let mut bytes = Vec::new();
    tar.copy_content(entry, &mut bytes)?;
    Ok(bytes)
}
