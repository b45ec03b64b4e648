//! The local registry: pushing OCI layouts to it, byte for byte, and reading
//! them back.

mod layout;
pub mod program;

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Mutex,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{TryStreamExt as _, stream};
use hyper::{body::Bytes, header::HeaderValue};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use oci_spec::image::ImageManifest;
use tokio::runtime::Runtime;

use self::layout::Layout;
use crate::{digest::Digest, proxy::cold::Blob, tls};

/// One read of a blob's file on its way to the registry.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The manifests of one platform's image; an index is never asked for.
const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A registry on this machine, spoken to without TLS and without credentials.
/// Its methods block: call them from a thread that drives no async runtime.
pub struct Registry {
    address: SocketAddr,
    client: Client,
    runtime: Runtime,
    /// A repository that holds the blob, for every blob pushed so far.
    holders: Mutex<HashMap<Digest, String>>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest: what to pull.
    pub digest: Digest,
    pub sent_blobs: usize,
    pub sent_bytes: u64,
    /// Blobs that another repository of the registry held already.
    pub mounted_blobs: usize,
}

/// How a blob got into its repository.
enum Arrival {
    Present,
    Mounted,
    Sent,
}

impl Registry {
    pub fn at(address: SocketAddr) -> Result<Self> {
        tls::install_provider();
        let config = ClientConfig {
            protocol: ClientProtocol::Http,
            // One PUT with a length per blob: the chunked way costs a request
            // for every few megabytes.
            use_monolithic_push: true,
            // Naming a proxy is this client's only way not to take the one of
            // the environment, which cannot reach our loopback.
            http_proxy: Some(format!("http://{address}")),
            no_proxy: Some(address.ip().to_string()),
            ..ClientConfig::default()
        };
        Ok(Self {
            address,
            client: Client::try_from(config).context("cannot set up the registry's client")?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            holders: Mutex::default(),
        })
    }

    /// Pushes the one image of the layout folder `from` as `repository:tag`.
    /// Blobs that are there already are left alone.
    pub fn push(&self, from: &Path, repository: &str, tag: &str) -> Result<Pushed> {
        let layout = Layout::open(from)?;
        self.runtime
            .block_on(self.push_layout(&layout, repository, tag))
            .with_context(|| {
                let registry = self.address;
                format!(
                    "cannot push {} to {registry}/{repository}:{tag}",
                    from.display()
                )
            })
    }

    /// Reads every blob of an image once and checks its size and digest. That
    /// proves the image whole, and leaves the registry's files in the page
    /// cache, so that the first measured pull finds what the later ones do.
    /// Returns the image's transfer bytes: manifest, config and layers.
    pub fn read_back(&self, repository: &str, digest: &Digest) -> Result<u64> {
        self.runtime
            .block_on(self.read_image(repository, digest))
            .with_context(|| {
                let registry = self.address;
                format!("cannot read {registry}/{repository}@{digest} back")
            })
    }

    async fn push_layout(&self, layout: &Layout, repository: &str, tag: &str) -> Result<Pushed> {
        let registry = self.address.to_string();
        let image = Reference::with_tag(registry, repository.into(), tag.into());
        let mut pushed = Pushed {
            digest: layout.digest.clone(),
            sent_blobs: 0,
            sent_bytes: 0,
            mounted_blobs: 0,
        };
        for blob in &layout.blobs {
            match self.bring(layout, blob, &image).await? {
                Arrival::Present => {}
                Arrival::Mounted => pushed.mounted_blobs += 1,
                Arrival::Sent => {
                    pushed.sent_blobs += 1;
                    pushed.sent_bytes += blob.size;
                }
            }
            let mut holders = self.holders.lock().unwrap();
            holders.insert(blob.digest.clone(), repository.into());
        }
        let media_type = HeaderValue::from_str(&layout.media_type)?;
        self.client
            .push_manifest_raw(&image, layout.manifest.clone(), media_type)
            .await
            .context("the registry refused the manifest")?;
        Ok(pushed)
    }

    async fn bring(&self, layout: &Layout, blob: &Blob, image: &Reference) -> Result<Arrival> {
        let digest = blob.digest.to_string();
        let there = self.client.blob_exists(image, &digest).await;
        if there.with_context(|| format!("the registry does not say whether it has {digest}"))? {
            return Ok(Arrival::Present);
        }
        if self.mount(blob, image).await? {
            return Ok(Arrival::Mounted);
        }
        let file = File::open(layout.path_of(&blob.digest))
            .with_context(|| format!("the layout lacks {digest}"))?;
        self.client
            .push_blob_stream(image, stream::iter(Chunks(file)), &digest, Some(blob.size))
            .await
            .with_context(|| format!("the registry refused {digest}"))?;
        Ok(Arrival::Sent)
    }

    /// Asks the registry to take the blob from another of its repositories; it
    /// may decline.
    async fn mount(&self, blob: &Blob, image: &Reference) -> Result<bool> {
        let Some(holder) = self.holders.lock().unwrap().get(&blob.digest).cloned() else {
            return Ok(false);
        };
        let source = Reference::with_tag(self.address.to_string(), holder, "latest".into());
        let digest = blob.digest.to_string();
        match self.client.mount_blob(image, &source, &digest).await {
            Ok(()) => Ok(true),
            Err(OciDistributionError::SpecViolationError(_)) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot mount {digest}")),
        }
    }

    async fn read_image(&self, repository: &str, digest: &Digest) -> Result<u64> {
        let registry = self.address.to_string();
        let image = Reference::with_digest(registry, repository.into(), digest.to_string());
        let (manifest, _) = self
            .client
            .pull_manifest_raw(&image, &RegistryAuth::Anonymous, &MANIFEST_TYPES)
            .await?;
        let mut transfer_bytes = manifest.len() as u64;
        for blob in blobs_of(&manifest)? {
            let served = self.read_blob(&image, &blob).await?;
            let Blob { digest, size } = blob;
            ensure!(
                served == size,
                "{digest} has {served} bytes instead of {size}"
            );
            transfer_bytes += served;
        }
        Ok(transfer_bytes)
    }

    async fn read_blob(&self, image: &Reference, blob: &Blob) -> Result<u64> {
        let digest = blob.digest.to_string();
        let body = self.client.pull_blob_stream(image, digest.as_str()).await;
        body.with_context(|| format!("the registry does not serve {digest}"))?
            .stream
            .try_fold(0, async |sum, chunk| Ok(sum + chunk.len() as u64))
            .await
            .with_context(|| format!("the registry does not serve {digest} whole"))
    }
}

/// A file in pieces, as a request's body takes them.
struct Chunks(File);

impl Iterator for Chunks {
    type Item = Result<Bytes, OciDistributionError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        match (&self.0).take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(chunk.into())),
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// The distinct blobs that a manifest names: its config, then its layers.
pub fn blobs_of(manifest: &[u8]) -> Result<Vec<Blob>> {
    let manifest = ImageManifest::from_reader(manifest).context("not an image manifest")?;
    let mut blobs: Vec<Blob> = Vec::new();
    for descriptor in std::iter::once(manifest.config()).chain(manifest.layers()) {
        let blob = Blob {
            digest: descriptor.digest().to_string().parse()?,
            size: descriptor.size(),
        };
        if !blobs.contains(&blob) {
            blobs.push(blob);
        }
    }
    Ok(blobs)
}

/// An address of 127.0.0.1 that nobody listens on. The registry cannot be told
/// to choose a port and say which, so another process may take it meanwhile:
/// try again when the registry does not come up.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("cannot find a free port on 127.0.0.1")
}

/// The registry's `config.yml`: files below `storage`, served at `address`,
/// and nothing that works in the background while we measure.
pub fn config_yaml(storage: &Path, address: SocketAddr) -> Result<String> {
    let Some(storage) = storage.to_str() else {
        bail!("the registry's storage folder {storage:?} is no UTF-8 text");
    };
    // A JSON string is a YAML string, whatever the path holds.
    let storage = serde_json::to_string(storage)?;
    Ok(format!(
        r#"version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {storage}
  cache:
    blobdescriptor: inmemory
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: {address}
  # Signs upload sessions; without one every start draws its own and says so.
  secret: loopback only
health:
  storagedriver:
    enabled: false
"#
    ))
}
