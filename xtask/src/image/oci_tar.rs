//! Reading an OCI layout from a tar stream, as BuildKit writes it
//! (`--output type=oci`): blobs first, `index.json` last.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    Layout, LayoutWriter, Platform,
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
    let image = match platform {
        Some(platform) => Layout::open_platform(writer.folder(), platform)?,
        None => Layout::open(writer.folder())?,
    };
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

fn take<R: std::io::BufRead>(
    writer: &LayoutWriter,
    tar: &mut TarReader<R>,
    entry: &Entry,
) -> Result<()> {
    let name = std::str::from_utf8(&entry.path).unwrap_or_default();
    let blob = name.strip_prefix("blobs/sha256/");
    let wanted = blob.is_some() || matches!(name, "oci-layout" | "index.json");
    if !wanted {
        // Folders, and what other exporters add for `docker load`.
        return Ok(());
    }
    ensure!(entry.kind == Kind::File, "is not a regular file");
    if let Some(hex) = blob {
        let digest: Digest = format!("sha256:{hex}").parse()?;
        let mut blob = writer.blob()?;
        tar.copy_content(entry, &mut blob)?;
        blob.commit(Some(&digest))?;
        return Ok(());
    }
    ensure!(
        entry.size_bytes <= MAX_DOCUMENT_BYTES,
        "a document of {} bytes is too large",
        entry.size_bytes
    );
    let mut bytes = Vec::new();
    tar.copy_content(entry, &mut bytes)?;
    writer.write_root_file(name, &bytes)
}
