//! Reading what a push needs from an OCI layout folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use oci_spec::image::ImageIndex;

use super::{MANIFEST_TYPES, blobs_of};
use crate::{digest::Digest, proxy::cold::Blob};

/// A layout folder with one image of one platform.
pub struct Layout {
    folder: PathBuf,
    pub digest: Digest,
    pub media_type: String,
    pub manifest: Vec<u8>,
    pub blobs: Vec<Blob>,
}

impl Layout {
    pub fn open(folder: &Path) -> Result<Self> {
        let index = folder.join("index.json");
        let index = ImageIndex::from_file(&index)
            .with_context(|| format!("{} is no index of an OCI layout", index.display()))?;
        let [descriptor] = index.manifests().as_slice() else {
            let (count, folder) = (index.manifests().len(), folder.display());
            anyhow::bail!("{folder} holds {count} images instead of one");
        };
        let media_type = descriptor.media_type().to_string();
        ensure!(
            MANIFEST_TYPES.contains(&media_type.as_str()),
            "{} holds a {media_type} instead of the image of one platform",
            folder.display()
        );
        let digest: Digest = descriptor.digest().to_string().parse()?;
        let path = blob_path(folder, &digest);
        let manifest =
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            folder: folder.into(),
            blobs: blobs_of(&manifest).with_context(|| format!("cannot use {}", path.display()))?,
            digest,
            media_type,
            manifest,
        })
    }

    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.folder, digest)
    }
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}
