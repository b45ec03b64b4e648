//! Reading one repository of a registry, anonymously.

use std::time::Duration;

use anyhow::Context as _;
use oci_client::Reference;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use super::{Class, Failure};
use crate::{
    digest::{Digest, Hasher},
    proxy::cold::Blob,
    tls,
};

/// Registries answer in well under a second; a proxy may take its time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest silence inside an answer. There is no limit on a whole answer:
/// a slow line may take an hour for a large base.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Manifests are a few kilobytes; registries refuse them above 4 MiB.
const MANIFEST_LIMIT_BYTES: usize = 4 * 1024 * 1024;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A conversation with a registry about one repository.
pub struct Session {
    client: Client,
    /// `https://host/v2/repository`
    base: String,
    /// `host/repository`, as a person would write it.
    name: String,
    repository: String,
    token: Option<String>,
}

/// A manifest or an index, as it came.
pub struct Manifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Manifest {
    pub fn is_index(&self) -> bool {
        [OCI_INDEX, DOCKER_LIST].contains(&self.media_type.as_str())
    }
}

/// What a token service answers: the one name, the other, or both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session {
    pub fn open(image: &Reference) -> anyhow::Result<Self> {
        tls::install_provider();
        let host = image.resolve_registry();
        let repository = image.repository();
        let local = is_loopback(host);
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT);
        if local {
            client = client.no_proxy();
        }
        let scheme = if local { "http" } else { "https" };
        Ok(Self {
            client: client.build().context("cannot set up the HTTPS client")?,
            base: format!("{scheme}://{host}/v2/{repository}"),
            name: format!("{}/{repository}", image.registry()),
            repository: repository.into(),
            token: None,
        })
    }

    /// A failure of the tag, manifest or blob `object` of this repository.
    pub fn failure(&self, object: &str, class: Class) -> Failure {
        let separator = if object.starts_with("sha256:") {
            '@'
        } else {
            ':'
        };
        Failure::new(&format!("{}{separator}{object}", self.name), class)
    }

    /// Fetches a manifest or index by tag or digest.
    pub async fn manifest(&mut self, wanted: &str) -> Result<Manifest, Failure> {
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let answer = self.get(&format!("manifests/{wanted}"), &accept).await;
        let read = match answer {
            Ok(answer) => read_manifest(answer, wanted).await,
            Err(refusal) => return Err(self.refused(wanted, refusal)),
        };
        read.map_err(|class| self.failure(wanted, class))
    }

    /// Streams a blob's bytes to `sink`, and fails unless they are exactly those
    /// that its digest and size promise.
    pub async fn blob(
        &mut self,
        blob: &Blob,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let name = blob.digest.to_string();
        let mut answer = match self.get(&format!("blobs/{name}"), "*/*").await {
            Ok(answer) => answer,
            Err(refusal) => return Err(self.refused(&name, refusal)),
        };
        let streamed = async {
            let mut check = Check::of(blob);
            while let Some(chunk) = answer.chunk().await.map_err(|e| Class::of_error(&e))? {
                check.add(&chunk)?;
                sink(&chunk).map_err(|error| Class::local(error.into()))?;
            }
            check.finish()
        };
        streamed.await.map_err(|class| self.failure(&name, class))
    }

    /// Asks once, and once more with a fresh token if that is what the registry
    /// wants: tokens run out during a long download.
    async fn get(&mut self, path: &str, accept: &str) -> Result<Response, Refusal> {
        let url = format!("{}/{path}", self.base);
        let answer = self.ask(&url, accept).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return success(answer).map_err(Refusal::Object);
        }
        match self.token_request(&answer) {
            Some(request) => self.token = Some(fetch_token(request).await?),
            None => return Err(Refusal::Object(Class::Auth { status: 401 })),
        }
        success(self.ask(&url, accept).await?).map_err(Refusal::Object)
    }

    async fn ask(&self, url: &str, accept: &str) -> Result<Response, Refusal> {
        let mut request = self.client.get(url).header(ACCEPT, accept);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await;
        answer.map_err(|error| Refusal::Object(Class::of_error(&error)))
    }

    /// The request that a `WWW-Authenticate: Bearer …` asks for.
    fn token_request(&self, answer: &Response) -> Option<RequestBuilder> {
        let challenge = answer.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?;
        let challenges = http_auth::parse_challenges(challenge).ok()?;
        let bearer = challenges
            .iter()
            .find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))?;
        let param = |name: &str| {
            let found = bearer
                .params
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let mut url: Url = param("realm")?.parse().ok()?;
        let scope = param("scope");
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = param("service") {
            url.query_pairs_mut().append_pair("service", &service);
        }
        Some(self.client.get(url))
    }

    fn refused(&self, object: &str, refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Object(class) => self.failure(object, class),
            Refusal::Token(class) => {
                Failure::new(&format!("the token service of {}", self.name), class)
            }
        }
    }
}

/// Who refused.
enum Refusal {
    Object(Class),
    Token(Class),
}

async fn fetch_token(request: RequestBuilder) -> Result<String, Refusal> {
    let fetched = async {
        let answer = request.send().await.map_err(|e| Class::of_error(&e))?;
        let body = success(answer)?.bytes().await;
        let body = body.map_err(|error| Class::of_error(&error))?;
        let parsed = serde_json::from_slice::<Token>(&body).ok();
        parsed
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| Class::Unexpected("no token in it".into()))
    };
    fetched.await.map_err(Refusal::Token)
}

fn success(answer: Response) -> Result<Response, Class> {
    if answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    let retry_after = answer.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    Err(Class::of_status(
        answer.status().as_u16(),
        retry_after.map(str::to_owned),
    ))
}

async fn read_manifest(mut answer: Response, wanted: &str) -> Result<Manifest, Class> {
    let header = answer.headers().get(CONTENT_TYPE);
    let media_type = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Class::of_error(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MANIFEST_LIMIT_BYTES {
            return Err(Class::Unexpected("a manifest without end".into()));
        }
    }
    let digest = Digest::of(&bytes);
    if wanted.contains(':') && wanted != digest.to_string() {
        return Err(Class::DigestMismatch { actual: digest });
    }
    let known = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
    if !known.contains(&media_type.as_str()) {
        return Err(Class::Unexpected(format!(
            "a manifest of type `{media_type}`"
        )));
    }
    Ok(Manifest {
        digest,
        media_type,
        bytes,
    })
}

/// Whether `host` (with its port) is this machine, the one place where a
/// registry may be spoken to without TLS.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

/// Hashes a stream of chunks and holds it against what was promised.
struct Check<'a> {
    blob: &'a Blob,
    hasher: Hasher,
    received: u64,
}

impl<'a> Check<'a> {
    fn of(blob: &'a Blob) -> Self {
        Self {
            blob,
            hasher: Hasher::new(),
            received: 0,
        }
    }

    /// Fails as soon as there is more than promised.
    fn add(&mut self, chunk: &[u8]) -> Result<(), Class> {
        self.received += chunk.len() as u64;
        self.hasher.update(chunk);
        if self.received > self.blob.size {
            return Err(self.wrong_size());
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Class> {
        if self.received != self.blob.size {
            return Err(self.wrong_size());
        }
        let actual = self.hasher.finish();
        if actual == self.blob.digest {
            return Ok(());
        }
        Err(Class::DigestMismatch { actual })
    }

    fn wrong_size(&self) -> Class {
        Class::SizeMismatch {
            expected_bytes: self.blob.size,
            received_bytes: self.received,
        }
    }
}
