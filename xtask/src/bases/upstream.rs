//! Bases from the registry that publishes them.
//!
//! The requests are our own, on reqwest, where pushing uses oci-client: that
//! client's errors keep neither the status of most refusals nor `Retry-After`
//! nor why a token was denied, and those are what a person who cannot get a
//! base needs to read.

pub mod failure;
mod session;

use std::{
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use oci_client::Reference;
use oci_spec::image::{ImageConfiguration, ImageIndex};
use serde_json::json;

pub use self::failure::{Class, Failure};
use self::session::Session;
use crate::{
    digest::Digest,
    files::{self, AtomicFile},
    proxy::cold::Blob,
    registry::blobs_of,
};

/// An image of one platform, as its registry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Of the platform's manifest: the base's identity.
    pub digest: Digest,
    /// Of the index that led to it, where the reference names one.
    pub index_digest: Option<Digest>,
    pub media_type: String,
    pub manifest: Vec<u8>,
    /// Config, then layers.
    pub blobs: Vec<Blob>,
}

impl Resolved {
    /// Manifest, config and layers.
    pub fn transfer_bytes(&self) -> u64 {
        self.manifest.len() as u64 + self.blob_bytes()
    }

    fn blob_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

/// How far a mirror is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// Asks the registry what `reference` (`golang:1.23`, `…@sha256:…`) means on
/// `platform` (`linux/amd64`, `linux/arm64/v8`). Blocks.
pub fn resolve(reference: &str, platform: &str) -> Result<Resolved, Failure> {
    run(reference, async |session, wanted| {
        look_up(session, wanted, platform).await
    })
}

/// Copies an image into the OCI layout folder `out`, byte for byte; the folder
/// appears when it is whole. Give the reference a digest (`golang@sha256:…`), or
/// what a tag means may change between resolving and mirroring. Blocks.
pub fn mirror(
    reference: &str,
    platform: &str,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resolved, Failure> {
    run(reference, async |session, wanted| {
        let resolved = look_up(session, wanted, platform).await?;
        copy(session, &resolved, platform, out, progress).await?;
        Ok(resolved)
    })
}

fn run<T>(
    reference: &str,
    work: impl AsyncFnOnce(&mut Session, &str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let broken = |error: anyhow::Error| Failure::new(reference, Class::local(error));
    let parsed: Reference = reference
        .parse()
        .map_err(|error| broken(anyhow::Error::new(error).context("not an image reference")))?;
    let wanted = parsed.digest().or(parsed.tag()).unwrap_or("latest");
    let mut session = Session::open(&parsed).map_err(broken)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| broken(error.into()))?
        .block_on(work(&mut session, wanted))
}

async fn look_up(session: &mut Session, wanted: &str, platform: &str) -> Result<Resolved, Failure> {
    let top = session.manifest(wanted).await?;
    let (manifest, index_digest) = if top.is_index() {
        let index_digest = top.digest.clone();
        let digest =
            choose(&top.bytes, platform).map_err(|class| session.failure(wanted, class))?;
        (
            session.manifest(&digest.to_string()).await?,
            Some(index_digest),
        )
    } else {
        (top, None)
    };
    let blobs = blobs_of(&manifest.bytes)
        .map_err(|error| session.failure(wanted, Class::Unexpected(format!("{error:#}"))))?;
    if index_digest.is_none() {
        check_platform(session, &blobs[0], platform).await?;
    }
    Ok(Resolved {
        digest: manifest.digest,
        index_digest,
        media_type: manifest.media_type,
        manifest: manifest.bytes,
        blobs,
    })
}

/// The manifest of `platform` in an index.
fn choose(index: &[u8], platform: &str) -> Result<Digest, Class> {
    let unexpected = |error: anyhow::Error| Class::Unexpected(format!("{error:#}"));
    let index = ImageIndex::from_reader(index).map_err(|error| unexpected(error.into()))?;
    let mut offered = Vec::new();
    for descriptor in index.manifests() {
        let Some(of) = descriptor.platform() else {
            continue;
        };
        let name = platform_name(of.os(), of.architecture(), of.variant().as_deref());
        if is_platform(&name, platform) {
            return descriptor.digest().to_string().parse().map_err(unexpected);
        }
        // Attestations hide behind a platform of this name.
        if name != "unknown/unknown" {
            offered.push(name);
        }
    }
    Err(Class::PlatformMissing {
        platform: platform.into(),
        offered,
    })
}

/// An image without an index names its platform in its config only.
async fn check_platform(
    session: &mut Session,
    config: &Blob,
    platform: &str,
) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    session
        .blob(config, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
    let of = ImageConfiguration::from_reader(bytes.as_slice()).map_err(|error| {
        session.failure(
            &config.digest.to_string(),
            Class::Unexpected(error.to_string()),
        )
    })?;
    let name = platform_name(of.os(), of.architecture(), of.variant().as_deref());
    if is_platform(&name, platform) {
        return Ok(());
    }
    let class = Class::PlatformMissing {
        platform: platform.into(),
        offered: vec![name],
    };
    Err(session.failure(&config.digest.to_string(), class))
}

fn platform_name(
    os: &impl ToString,
    architecture: &impl ToString,
    variant: Option<&str>,
) -> String {
    let mut name = format!("{}/{}", os.to_string(), architecture.to_string());
    if let Some(variant) = variant.filter(|variant| !variant.is_empty()) {
        name = format!("{name}/{variant}");
    }
    name
}

/// `linux/arm64` takes `linux/arm64/v8`; `linux/arm/v7` takes only itself.
fn is_platform(offered: &str, wanted: &str) -> bool {
    offered
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn copy(
    session: &mut Session,
    image: &Resolved,
    platform: &str,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let name = image.digest.to_string();
    let broken = |error| Failure::new(&format!("{name} in {}", out.display()), Class::local(error));
    let folder = tempfile::Builder::new()
        .prefix(".mirror-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(parent_of(out).map_err(broken)?)
        .context("cannot create a temporary folder")
        .map_err(broken)?;
    files::give_to_owner_of_parent(folder.path()).map_err(broken)?;
    let mut now = Progress {
        done_bytes: 0,
        total_bytes: image.blob_bytes(),
    };
    progress(now);
    for blob in &image.blobs {
        copy_blob(session, blob, folder.path(), &mut |bytes| {
            now.done_bytes += bytes;
            progress(now);
        })
        .await?;
    }
    describe(image, platform, folder.path()).map_err(broken)?;
    files::replace_dir(folder.path(), out).map_err(broken)
}

async fn copy_blob(
    session: &mut Session,
    blob: &Blob,
    layout: &Path,
    arrived: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    let name = blob.digest.to_string();
    let broken = |error| Failure::new(&name, Class::local(error));
    let mut file = AtomicFile::create(&blob_path(layout, &blob.digest)).map_err(broken)?;
    session
        .blob(blob, |chunk| {
            file.write_all(chunk)?;
            arrived(chunk.len() as u64);
            Ok(())
        })
        .await?;
    file.commit().map_err(broken)
}

/// Adds the manifest and the two files that make a folder an OCI layout.
fn describe(image: &Resolved, platform: &str, layout: &Path) -> anyhow::Result<()> {
    files::write_atomic(&blob_path(layout, &image.digest), &image.manifest)?;
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    files::write_atomic(&layout.join("oci-layout"), version.to_string())?;
    let mut parts = platform.split('/');
    let mut of = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        of["variant"] = variant.into();
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": image.manifest.len(),
            "platform": of,
        }],
    });
    files::write_atomic(&layout.join("index.json"), index.to_string())
}

fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

/// The folder that `out` will stand in, which is made if need be.
fn parent_of(out: &Path) -> anyhow::Result<&Path> {
    let parent = out
        .parent()
        .context("a layout needs a folder to stand in")?;
    files::create_dir_all(parent)?;
    Ok(parent)
}
