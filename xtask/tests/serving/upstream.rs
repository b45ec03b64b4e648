//! Mirroring from a registry that does what a test tells it to: every way in
//! which the real ones refuse, break or lie has its own name and remedy.

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{Asked, Reply, Scripted, converse, noise};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{
    bases::upstream::{Class, Failure, mirror, resolve},
    digest::Digest,
};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PLATFORM: &str = "linux/arm64";

/// An upstream image: an index over two platforms and an attestation.
struct Upstream {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    index: Vec<u8>,
}

fn descriptor(media_type: &str, bytes: &[u8], platform: Value) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(bytes),
        "size": bytes.len(),
        "platform": platform,
    })
}

impl Upstream {
    fn new() -> Self {
        let layer = noise(1, 300_000);
        let rootfs = json!({ "type": "layers", "diff_ids": [] });
        let config = json!({ "architecture": "arm64", "os": "linux", "rootfs": rootfs });
        let config = config.to_string().into_bytes();
        let part = |media_type, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": part("application/vnd.docker.container.image.v1+json", &config),
            "layers": [part("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let of = |os, architecture| json!({ "os": os, "architecture": architecture });
        let arm = json!({ "os": "linux", "architecture": "arm64", "variant": "v8" });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                descriptor(MANIFEST, b"another", of("linux", "amd64")),
                descriptor(MANIFEST, b"attestation", of("unknown", "unknown")),
                descriptor(MANIFEST, &manifest, arm),
            ],
        });
        Self {
            layer,
            config,
            manifest,
            index: index.to_string().into_bytes(),
        }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let name = asked.path.rsplit('/').next().unwrap();
        let is = |bytes: &[u8]| name == Digest::of(bytes).to_string();
        if name == "3.22" || is(&self.index) {
            Reply::new(200, &*self.index).header("Content-Type", INDEX)
        } else if name == "single" || is(&self.manifest) {
            Reply::new(200, &*self.manifest).header("Content-Type", MANIFEST)
        } else if is(&self.config) {
            Reply::new(200, &*self.config)
        } else if is(&self.layer) {
            Reply::new(200, &*self.layer)
        } else {
            Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)
        }
    }

    fn serve(self) -> Scripted {
        Scripted::start(move |asked| self.answer(asked))
    }
}

/// Serves the image, but answers for paths that contain `part` as told.
fn spoilt(part: &'static str, reply: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> Scripted {
    let upstream = Upstream::new();
    Scripted::start(move |asked| match upstream.answer(asked) {
        answer if asked.path.contains(part) => reply(answer),
        answer => answer,
    })
}

fn reference(server: &Scripted) -> String {
    format!("{}/library/alpine:3.22", server.address)
}

fn mirror_into(folder: &Path, server: &Scripted) -> Result<(), Failure> {
    mirror(
        &reference(server),
        PLATFORM,
        &folder.join("out"),
        &mut |_| {},
    )
    .map(drop)
}

/// The failure of mirroring from `server`, which must leave nothing behind.
fn failure(server: &Scripted) -> Failure {
    let folder = TempDir::new().unwrap();
    let failure = mirror_into(folder.path(), server).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(failure.to_string().contains("\n  mend: "));
    failure
}

#[test]
fn a_tag_resolves_to_the_platforms_manifest_and_mirrors_whole() {
    let (upstream, folder) = (Upstream::new(), TempDir::new().unwrap());
    let (manifest, index) = (upstream.manifest.clone(), Digest::of(&upstream.index));
    let server = upstream.serve();
    let resolved = resolve(&reference(&server), PLATFORM).unwrap();
    assert_eq!(resolved.digest, Digest::of(&manifest));
    assert_eq!(resolved.index_digest.as_ref(), Some(&index));
    let of_blobs: u64 = resolved.blobs.iter().map(|blob| blob.size).sum();
    assert_eq!(resolved.transfer_bytes(), manifest.len() as u64 + of_blobs);

    let out = folder.path().join("out");
    for named in [index, resolved.digest.clone()] {
        let pinned = format!("{}/library/alpine@{named}", server.address);
        let mirrored = mirror(&pinned, PLATFORM, &out, &mut |_| {}).unwrap();
        assert_eq!(mirrored.digest, resolved.digest);
    }
    for blob in &resolved.blobs {
        let bytes = std::fs::read(out.join("blobs/sha256").join(blob.digest.hex())).unwrap();
        assert_eq!(Digest::of(bytes), blob.digest);
    }
    let layout = std::fs::read_to_string(out.join("index.json")).unwrap();
    let layout: Value = serde_json::from_str(&layout).unwrap();
    assert_eq!(layout["manifests"][0]["mediaType"], MANIFEST);
    assert_eq!(layout["manifests"][0]["platform"]["architecture"], "arm64");
}

#[test]
fn another_platform_is_never_taken_instead() {
    let server = Upstream::new().serve();
    let missing = resolve(&reference(&server), "linux/riscv64").unwrap_err();
    assert_eq!(
        missing.class,
        Class::PlatformMissing {
            platform: "linux/riscv64".into(),
            offered: vec!["linux/amd64".into(), "linux/arm64/v8".into()],
        }
    );
    // Without an index, the config tells the platform.
    let single = format!("{}/library/alpine:single", server.address);
    assert!(resolve(&single, "linux/arm64").is_ok());
    let wrong = resolve(&single, "linux/amd64").unwrap_err().class;
    assert!(matches!(wrong, Class::PlatformMissing { offered, .. } if offered == ["linux/arm64"]));
}

#[test]
fn every_refusal_has_its_class() {
    let rate_limited = Class::RateLimited {
        retry_after: Some("42".into()),
    };
    for (status, class) in [
        (401, Class::Auth { status: 401 }),
        (403, Class::Auth { status: 403 }),
        (404, Class::Gone),
        (407, Class::Proxy("it answered 407".into())),
        (429, rate_limited),
        (503, Class::Server { status: 503 }),
        (302, Class::Unexpected("it answered 302".into())),
    ] {
        // Real registries put an error envelope around it, which must not hide
        // the status.
        let envelope = r#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
        for part in ["/manifests/3.22", "/manifests/sha256", "/blobs/"] {
            let server = spoilt(part, move |_| {
                Reply::new(status, envelope).header("Retry-After", "42")
            });
            let failure = failure(&server);
            assert_eq!(failure.class, class, "{part} answered {status}");
            let name = format!("{}/library/alpine", server.address);
            assert!(failure.object.starts_with(&name), "{}", failure.object);
        }
    }
}

#[test]
fn wrong_bytes_are_never_kept() {
    let corrupt = |reply: Reply| {
        let mut body = reply.body.to_vec();
        body[0] ^= 1;
        let body = Arc::new(body);
        Reply { body, ..reply }
    };
    let class = failure(&spoilt("/blobs/", corrupt)).class;
    assert!(matches!(class, Class::DigestMismatch { .. }), "{class:?}");
    let class = failure(&spoilt("/manifests/sha256", corrupt)).class;
    assert!(matches!(class, Class::DigestMismatch { .. }), "{class:?}");

    let class = failure(&spoilt("/blobs/", |reply| Reply {
        cut_after: Some(40),
        ..reply
    }))
    .class;
    assert!(matches!(class, Class::Unreachable(_)), "{class:?}");

    for change in [-1_isize, 1] {
        let resize = move |reply: Reply| {
            let mut body = reply.body.to_vec();
            body.resize(body.len().checked_add_signed(change).unwrap(), 0);
            let body = Arc::new(body);
            let chunked = true;
            Reply {
                body,
                chunked,
                ..reply
            }
        };
        let class = failure(&spoilt("/blobs/", resize)).class;
        assert!(matches!(class, Class::SizeMismatch { .. }), "{class:?}");
    }
}

/// A registry that wants a token of its own token service; the first token
/// runs out after three requests.
fn guarded(token_service: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Scripted {
    let (upstream, served) = (Upstream::new(), AtomicUsize::new(0));
    Scripted::start(move |asked| {
        if asked.path.starts_with("/token") {
            return token_service(asked);
        }
        let token = asked.headers.get("authorization").map(String::as_str);
        let valid = match token {
            Some("Bearer first") => served.fetch_add(1, Ordering::SeqCst) < 3,
            Some("Bearer second") => true,
            _ => false,
        };
        if valid {
            return upstream.answer(asked);
        }
        let host = &asked.headers["host"];
        let challenge = format!(
            "Bearer realm=\"http://{host}/token?a=b\",service=\"the service\",\
             scope=\"repository:library/alpine:pull\""
        );
        Reply::new(401, r#"{"errors":[]}"#).header("WWW-Authenticate", challenge)
    })
}

#[test]
fn a_challenge_is_met_with_an_anonymous_token_and_again_when_it_runs_out() {
    let tokens = AtomicUsize::new(0);
    let server = guarded(move |asked| {
        let scope = "/token?a=b&scope=repository%3Alibrary%2Falpine%3Apull&service=the+service";
        assert_eq!(asked.path, scope);
        match tokens.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::new(
                200,
                r#"{"token":"first","access_token":"first","expires_in":60}"#,
            ),
            _ => Reply::new(200, r#"{"access_token":"second"}"#),
        }
    });
    mirror_into(TempDir::new().unwrap().path(), &server).unwrap();
}

#[test]
fn a_token_service_that_refuses_is_named() {
    let service = |status| guarded(move |_| Reply::new(status, "").header("Retry-After", "7"));
    let limited = failure(&service(429));
    assert!(
        limited
            .object
            .starts_with("the token service of 127.0.0.1:")
    );
    let retry_after = Some("7".into());
    assert_eq!(limited.class, Class::RateLimited { retry_after });
    assert_eq!(failure(&service(503)).class, Class::Server { status: 503 });

    let useless = guarded(|_| Reply::new(200, r#"{"token":"useless"}"#));
    assert_eq!(failure(&useless).class, Class::Auth { status: 401 });
    let nonsense = guarded(|_| Reply::new(200, "<html>"));
    assert!(matches!(failure(&nonsense).class, Class::Unexpected(_)));
}

#[test]
fn nobody_there_is_unreachable() {
    let server = Upstream::new().serve();
    let reference = reference(&server);
    drop(server);
    let failure = resolve(&reference, PLATFORM).unwrap_err();
    assert_eq!(failure.object, reference);
    assert!(matches!(failure.class, Class::Unreachable(why) if why.contains("refused")));
    let failure = resolve("No Reference", PLATFORM).unwrap_err();
    assert!(matches!(failure.class, Class::Local(_)));
}

/// 0.0.0.0 reaches this machine and is not one of its names, so that the client
/// insists on TLS.
fn by_tls(server: &Scripted) -> Failure {
    let reference = format!("0.0.0.0:{}/library/alpine:3.22", server.address.port());
    resolve(&reference, PLATFORM).unwrap_err()
}

#[test]
fn a_certificate_that_nobody_signed_is_a_tls_error() {
    let signed = rcgen::generate_simple_self_signed(["0.0.0.0".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.unwrap())
        .unwrap();
    let (config, upstream) = (Arc::new(config), Upstream::new());
    let server = Scripted::start_with(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let stream = rustls::StreamOwned::new(connection, stream);
        converse(stream, &|asked| upstream.answer(asked));
    });
    let class = by_tls(&server).class;
    assert!(
        matches!(&class, Class::Tls(why) if why.contains("certificate")),
        "{class:?}"
    );
}

#[test]
fn a_registry_without_tls_is_a_tls_error() {
    let server = Scripted::start_with(|mut stream: TcpStream| {
        let refusal = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(refusal).unwrap();
        // Closing at once would throw the refusal away with what was not read.
        let _ = stream.read(&mut [0; 4096]);
    });
    let class = by_tls(&server).class;
    assert!(matches!(class, Class::Tls(_)), "{class:?}");
}

#[test]
fn a_proxy_that_wants_a_password_is_a_proxy_error() {
    let proxy = Scripted::start_with(|mut stream: TcpStream| {
        let mut head = [0; 1];
        let mut asked = BufReader::new(stream.try_clone().unwrap());
        asked.read_exact(&mut head).unwrap();
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal).unwrap();
    });
    // The client reads the environment once, so it needs a process of its own.
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "upstream::child_behind_a_proxy",
            "--ignored",
            "--nocapture",
        ])
        .env("HTTPS_PROXY", format!("http://{}", proxy.address))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        text.contains("the proxy refuses to pass the request on"),
        "{text}"
    );
    assert!(
        text.contains("mend: put the proxy's user and password"),
        "{text}"
    );
}

#[test]
#[ignore = "run by the test above"]
fn child_behind_a_proxy() {
    println!("{}", resolve("registry.test/a:1", PLATFORM).unwrap_err());
}
