//! Pushing to, and reading back from, a registry that passes the specification's
//! conformance suite.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::support::noise;
use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xtask::{
    bases::upstream::{Class, Progress, mirror, resolve},
    digest::Digest,
    proxy::{Fault, Options, Proxy, Rule},
    registry::{Registry, config_yaml, free_address},
};

/// Served until dropped.
struct Served {
    address: SocketAddr,
    _runtime: Runtime,
}

fn registry() -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let state = AppState::new(
        Arc::new(InMemoryBlobStore::new()),
        Arc::new(InMemoryRegistryMeta::new()),
    );
    runtime.spawn(async { axum::serve(listener, router(state)).await });
    Served {
        address,
        _runtime: runtime,
    }
}

fn add_blob(layout: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(digest.hex()), bytes).unwrap();
    digest
}

/// A layout folder whose JSON is written in a way that no library writes it,
/// so that parsing and printing it again would change its digest.
fn layout(folder: &Path, layers: &[&[u8]]) -> Digest {
    let config =
        br#"{ "os":"linux",  "architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]} }"#;
    let config_digest = add_blob(folder, config);
    let layers: Vec<_> = layers
        .iter()
        .map(|bytes| {
            let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
            let digest = add_blob(folder, bytes);
            json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }).to_string()
        })
        .collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        "{{ \"mediaType\" : \"{media_type}\",\n\n \"schemaVersion\":2, \"layers\": [{}],\
         \"config\":{{\"size\":{}, \"digest\":\"{config_digest}\",\
         \"mediaType\":\"application/vnd.oci.image.config.v1+json\"}} }}",
        layers.join(" , "),
        config.len(),
    );
    let digest = add_blob(folder, manifest.as_bytes());
    let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": manifest.len() });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    digest
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn an_image_comes_back_byte_for_byte_by_way_of_the_proxy() {
    let (folder, served) = (TempDir::new().unwrap(), registry());
    let proxy = Proxy::start(served.address, Options::default()).unwrap();
    let big = noise(1, 5_000_000);
    let digest = layout(folder.path(), &[&big, b"small", b"small"]);

    let pushed = Registry::at(proxy.address())
        .unwrap()
        .push(folder.path(), "gin/alpine", "latest")
        .unwrap();
    assert_eq!((&pushed.digest, pushed.sent_blobs), (&digest, 3));
    let uploads: Vec<_> = proxy.take_log();
    let passed = |method: &str| uploads.iter().filter(|e| e.method == method).count();
    assert_eq!((passed("POST"), passed("PUT")), (3, 4), "{uploads:?}");

    let out = folder.path().join("mirrored");
    let reference = format!("{}/gin/alpine@{digest}", proxy.address());
    let mut last = None;
    let resolved = mirror(&reference, "linux/amd64", &out, &mut |now| last = Some(now)).unwrap();
    assert_eq!((&resolved.digest, &resolved.index_digest), (&digest, &None));
    let total_bytes: u64 = resolved.blobs.iter().map(|blob| blob.size).sum();
    let done_bytes = total_bytes;
    assert_eq!(
        last,
        Some(Progress {
            done_bytes,
            total_bytes
        })
    );
    let (sent, got) = (folder.path().join("blobs/sha256"), out.join("blobs/sha256"));
    let names = |folder| -> Vec<_> {
        let files = files_below(folder);
        files
            .iter()
            .map(|file| file.file_name().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&sent), names(&got));
    for (a, b) in files_below(&sent).iter().zip(files_below(&got)) {
        assert!(
            fs::read(a).unwrap() == fs::read(&b).unwrap(),
            "{} changed",
            b.display()
        );
    }

    // What was mirrored can be pushed again, under the same digest.
    let again = Registry::at(served.address).unwrap();
    let pushed = again.push(&out, "bases/alpine", "latest").unwrap();
    assert_eq!(pushed.digest, digest);
}

#[test]
fn blobs_are_sent_once_and_mounted_afterwards() {
    let (folder, served) = (TempDir::new().unwrap(), registry());
    layout(folder.path(), &[b"one", b"two"]);
    let registry = Registry::at(served.address).unwrap();
    let first = registry.push(folder.path(), "gin/a", "latest").unwrap();
    assert_eq!((first.sent_blobs, first.mounted_blobs), (3, 0));
    let again = registry.push(folder.path(), "gin/a", "latest").unwrap();
    assert_eq!((again.sent_blobs, again.sent_bytes), (0, 0));
    let other = registry.push(folder.path(), "gin/b", "latest").unwrap();
    assert_eq!((other.sent_blobs, other.digest), (0, first.digest));
}

#[test]
fn reading_back_counts_every_byte_and_notices_a_wrong_one() {
    let (folder, served) = (TempDir::new().unwrap(), registry());
    let digest = layout(folder.path(), &[b"one", &[7; 100_000]]);
    let files = files_below(&folder.path().join("blobs/sha256"));
    let bytes = files.iter().map(|file| fs::metadata(file).unwrap().len());
    let registry = Registry::at(served.address).unwrap();
    registry.push(folder.path(), "gin/a", "latest").unwrap();
    assert_eq!(
        registry.read_back("gin/a", &digest).unwrap(),
        bytes.sum::<u64>()
    );

    let proxy = Proxy::start(served.address, Options::default()).unwrap();
    let broken = Registry::at(proxy.address()).unwrap();
    for fault in [Fault::Corrupt, Fault::CutAfter(50), Fault::Answer(404)] {
        proxy.set_faults(vec![Rule {
            path_contains: Digest::of([7; 100_000]).to_string(),
            fault: fault.clone(),
            times: None,
        }]);
        let error = broken.read_back("gin/a", &digest).unwrap_err();
        assert!(
            format!("{error:#}").contains("does not serve sha256:"),
            "{fault:?}: {error:#}"
        );
    }
    let absent = registry.read_back("gin/other", &digest).unwrap_err();
    assert!(
        absent.to_string().contains("gin/other@sha256:"),
        "{absent:#}"
    );
}

#[test]
fn a_push_that_fails_says_what_and_where() {
    let (folder, served) = (TempDir::new().unwrap(), registry());
    layout(folder.path(), &[b"one"]);
    let blob = folder
        .path()
        .join("blobs/sha256")
        .join(Digest::of("one").hex());
    let registry = Registry::at(served.address).unwrap();
    let failure = || {
        let error = registry.push(folder.path(), "gin/a", "latest").unwrap_err();
        format!("{error:#}")
    };

    fs::write(&blob, "two").unwrap();
    assert!(failure().contains(&format!("the registry refused {}", Digest::of("one"))));
    fs::remove_file(&blob).unwrap();
    assert!(failure().contains(&format!("the layout lacks {}", Digest::of("one"))));
    fs::write(
        folder.path().join("index.json"),
        r#"{"schemaVersion":2,"manifests":[]}"#,
    )
    .unwrap();
    assert!(failure().contains("holds 0 images instead of one"));

    let nobody = Registry::at(free_address().unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    layout(folder.path(), &[b"one"]);
    let error = nobody.push(folder.path(), "gin/a", "latest").unwrap_err();
    assert!(
        format!("{error:#}").contains("Connection refused"),
        "{error:#}"
    );
}

#[test]
fn a_tag_that_is_not_there_is_gone() {
    let served = registry();
    let reference = format!("{}/gin/none:1", served.address);
    let failure = resolve(&reference, "linux/amd64").unwrap_err();
    assert_eq!((&failure.object, failure.class), (&reference, Class::Gone));
}

#[test]
fn the_registrys_configuration_quotes_its_folder() {
    let address = "127.0.0.1:5001".parse().unwrap();
    let yaml = config_yaml(Path::new("/tmp/a \"b\": #c"), address).unwrap();
    assert!(
        yaml.contains("rootdirectory: \"/tmp/a \\\"b\\\": #c\"\n"),
        "{yaml}"
    );
    assert!(yaml.contains("addr: 127.0.0.1:5001\n"), "{yaml}");
}
