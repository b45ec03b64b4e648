//! An OCI image layout folder, seen as the one image it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout,
};
use serde::de::DeserializeOwned;

use super::{Platform, paths};
use crate::digest::Digest;

/// Registries take no larger manifest, and configs are smaller still.
pub const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// An index may list indexes; nobody nests them deeper than once.
const MAX_INDEX_DEPTH: usize = 3;

/// What an index and those in it may list. Each manifest is read to learn its
/// platform; the largest images are published for a tenth of it, attestations
/// included.
const MAX_DESCRIPTORS: usize = 500;

/// How a layer's tar stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Plain,
    Gzip,
    Zstd,
}

impl Codec {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    fn of(media_type: &MediaType) -> Result<Self> {
        let text = media_type.to_string();
        match text.as_str() {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Self::Plain),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd),
            _ => bail!("media type `{text}` is not a layer that can be unpacked"),
        }
    }
}

/// One layer as manifest and config describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub digest: Digest,
    /// The digest of the uncompressed tar stream.
    pub diff_id: Digest,
    /// Of the compressed blob.
    pub transfer_bytes: u64,
    pub codec: Codec,
}

/// Which image of a layout is meant.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// The only one.
    Only,
    /// The one for this platform.
    For(&'a Platform),
    /// The only one, or of several the one for this platform.
    Preferably(&'a Platform),
}

/// An image in a layout folder: documents parsed and verified, sizes of the
/// layer blobs checked. The blobs' digests are checked where they are read.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    platform: Platform,
    manifest_digest: Digest,
    manifest_bytes: Vec<u8>,
    manifest: ImageManifest,
    config_bytes: Vec<u8>,
    config: ImageConfiguration,
    layers: Vec<Layer>,
}

impl Layout {
    /// Opens the folder's only image.
    ///
    /// # Errors
    /// When the folder is no layout, holds no image or several, or a document
    /// or blob is missing, has the wrong size or digest, or cannot be parsed.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::choose(folder, Choice::Only)
    }

    /// Opens the folder's image for one platform.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when no image is for that platform.
    pub fn open_platform(folder: &Path, platform: &Platform) -> Result<Self> {
        Self::choose(folder, Choice::For(platform))
    }

    /// Opens the image that is meant.
    ///
    /// # Errors
    /// As [`open`](Self::open); where the choice leaves none or several, it
    /// names those there are.
    pub fn choose(folder: &Path, choice: Choice<'_>) -> Result<Self> {
        select(folder, choice).with_context(|| format!("OCI layout {}", folder.display()))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The image's identity in a registry.
    pub fn digest(&self) -> &Digest {
        &self.manifest_digest
    }

    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// The manifest as its digest was taken.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    pub fn config(&self) -> &ImageConfiguration {
        &self.config
    }

    /// The config as its digest was taken, with every key that the typed one
    /// does not know.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config_bytes
    }

    /// From the bottom up.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Manifest, config and distinct compressed layers, in bytes.
    pub fn transfer_bytes(&self) -> u64 {
        let layers = self.layers.iter();
        let distinct: BTreeMap<_, _> = layers
            .map(|layer| (&layer.digest, layer.transfer_bytes))
            .collect();
        (self.manifest_bytes().len() + self.config_bytes().len()) as u64
            + distinct.values().sum::<u64>()
    }

    /// The digests of the first `count` layers: what an image shares with its
    /// base when the base has that many.
    pub fn leading_layers(&self, count: usize) -> BTreeSet<Digest> {
        let leading = self.layers.iter().take(count);
        leading.map(|layer| layer.digest.clone()).collect()
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.folder, digest)
    }

    fn load(folder: &Path, descriptor: &Descriptor) -> Result<Self> {
        let manifest_digest = digest_of(descriptor)?;
        let manifest_bytes = read_document(folder, descriptor, "manifest")?;
        let manifest: ImageManifest = parse(&manifest_bytes, "manifest")?;
        let config_bytes = read_document(folder, manifest.config(), "config")?;
        let config: ImageConfiguration = parse(&config_bytes, "config")?;
        let layers = layers(folder, &manifest, &config)?;
        Ok(Self {
            folder: folder.to_owned(),
            platform: platform_of(&config),
            manifest_digest,
            manifest_bytes,
            manifest,
            config_bytes,
            config,
            layers,
        })
    }
}

/// Where a layout folder keeps a blob.
pub fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn select(folder: &Path, choice: Choice<'_>) -> Result<Layout> {
    let version: OciLayout = parse(&read_file(&folder.join("oci-layout"))?, "oci-layout")?;
    ensure!(
        version.image_layout_version().starts_with("1."),
        "oci-layout: version {} is not supported",
        version.image_layout_version()
    );
    let index = parse(&read_file(&folder.join("index.json"))?, "index.json")?;
    let mut found = Manifests::default();
    found.collect(folder, &index, MAX_INDEX_DEPTH)?;
    let mut manifests = found.images;
    ensure!(!manifests.is_empty(), "index.json lists no image manifest");
    let wanted = match choice {
        Choice::Only => None,
        Choice::For(platform) => Some(platform),
        Choice::Preferably(platform) => (manifests.len() > 1).then_some(platform),
    };
    let mut others: BTreeSet<String> = manifests
        .iter()
        .filter_map(|it| Some(named_platform(it)?.to_string()))
        .collect();
    // Where the index names platforms, the others need not be loaded, and may
    // not be there.
    if let Some(wanted) = wanted {
        manifests.retain(|found| named_platform(found).is_none_or(|it| it.serves(wanted)));
    }
    let (mut image, mut names) = (None, Vec::new());
    for manifest in &manifests {
        let found = Layout::load(folder, manifest)?;
        let platform = found.platform.to_string();
        if wanted.is_none_or(|wanted| found.platform.serves(wanted)) {
            names.push(match name_of(manifest) {
                Some(name) => format!("{platform} {name}"),
                None => platform,
            });
            image.get_or_insert(found);
        } else {
            others.insert(platform);
        }
    }
    if names.len() > 1 {
        let names = names.join(", ");
        bail!("holds several images ({names}); name one platform, or keep one image only");
    }
    image.with_context(|| {
        let wanted = wanted.map(Platform::to_string).unwrap_or_default();
        let others: Vec<String> = others.into_iter().collect();
        format!(
            "holds no image for {wanted}, but for {}; name one of them",
            others.join(", ")
        )
    })
}

/// Image manifests of an index and of the indexes in it, each digest once.
#[derive(Default)]
struct Manifests {
    images: Vec<Descriptor>,
    descriptors: usize,
}

impl Manifests {
    fn collect(&mut self, folder: &Path, index: &ImageIndex, depth: usize) -> Result<()> {
        ensure!(depth > 0, "index.json nests indexes too deeply");
        for descriptor in index.manifests() {
            self.descriptors += 1;
            ensure!(
                self.descriptors <= MAX_DESCRIPTORS,
                "index.json lists more than {MAX_DESCRIPTORS} manifests"
            );
            match descriptor.media_type().to_string().as_str() {
                "application/vnd.oci.image.index.v1+json"
                | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                    let nested = parse(&read_document(folder, descriptor, "index")?, "index")?;
                    self.collect(folder, &nested, depth - 1)?;
                }
                "application/vnd.oci.image.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v2+json"
                    if !is_attestation(descriptor) && !self.holds(descriptor) =>
                {
                    self.images.push(descriptor.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn holds(&self, descriptor: &Descriptor) -> bool {
        let mut images = self.images.iter();
        images.any(|it| it.digest() == descriptor.digest())
    }
}

/// What the image was called where it was saved.
fn name_of(descriptor: &Descriptor) -> Option<String> {
    let annotations = descriptor.annotations().as_ref()?;
    let keys = [
        "io.containerd.image.name",
        "org.opencontainers.image.ref.name",
    ];
    let name = keys.iter().find_map(|&key| annotations.get(key))?;
    Some(paths::shown(name.as_bytes()))
}

/// Attestations pose as images for the platform unknown/unknown.
fn is_attestation(descriptor: &Descriptor) -> bool {
    let annotations = descriptor.annotations().as_ref();
    annotations.is_some_and(|all| all.contains_key("vnd.docker.reference.type"))
        || named_platform(descriptor).is_some_and(|platform| platform.os == "unknown")
}

fn named_platform(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.platform().as_ref()?;
    Some(Platform {
        os: platform.os().to_string(),
        architecture: platform.architecture().to_string(),
        variant: platform.variant().clone(),
    })
}

fn platform_of(config: &ImageConfiguration) -> Platform {
    Platform {
        os: config.os().to_string(),
        architecture: config.architecture().to_string(),
        variant: config.variant().clone(),
    }
}

fn layers(
    folder: &Path,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
) -> Result<Vec<Layer>> {
    let diff_ids = config.rootfs().diff_ids();
    ensure!(
        diff_ids.len() == manifest.layers().len(),
        "the config lists {} diff IDs for {} layers",
        diff_ids.len(),
        manifest.layers().len()
    );
    let described = manifest.layers().iter().zip(diff_ids);
    let layers = described.map(|(descriptor, diff_id)| {
        let digest = digest_of(descriptor)?;
        let codec =
            Codec::of(descriptor.media_type()).with_context(|| format!("layer {digest}"))?;
        check_size(folder, &digest, descriptor.size())
            .with_context(|| format!("layer {digest}"))?;
        let diff_id = diff_id.parse();
        Ok(Layer {
            diff_id: diff_id.with_context(|| format!("diff ID of layer {digest}"))?,
            digest,
            transfer_bytes: descriptor.size(),
            codec,
        })
    });
    layers.collect()
}

fn check_size(folder: &Path, digest: &Digest, wanted: u64) -> Result<()> {
    let path = blob_path(folder, digest);
    let meta = fs::metadata(&path).with_context(|| format!("missing {}", path.display()))?;
    ensure!(
        meta.is_file() && meta.len() == wanted,
        "{} has {} bytes, the manifest says {wanted}",
        path.display(),
        meta.len()
    );
    Ok(())
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest> {
    descriptor.digest().to_string().parse()
}

fn read_document(folder: &Path, descriptor: &Descriptor, what: &str) -> Result<Vec<u8>> {
    let digest = digest_of(descriptor)?;
    let read = || {
        let bytes = read_file(&blob_path(folder, &digest))?;
        ensure!(
            bytes.len() as u64 == descriptor.size(),
            "has {} bytes, its descriptor says {}",
            bytes.len(),
            descriptor.size()
        );
        let found = Digest::of(&bytes);
        ensure!(found == digest, "its bytes have the digest {found}");
        Ok(bytes)
    };
    read().with_context(|| format!("{what} {digest}"))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let meta = fs::metadata(path).with_context(|| format!("missing {}", path.display()))?;
    // A pipe would keep whoever opens it waiting.
    ensure!(meta.is_file(), "{} is not a regular file", path.display());
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        bytes.len() as u64 <= MAX_DOCUMENT_BYTES,
        "{} is larger than the {MAX_DOCUMENT_BYTES} bytes that such a document may have",
        path.display()
    );
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| format!("malformed {what}"))
}
