//! Opening, writing and receiving layout folders.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use serde_json::{Value, json};

use crate::{
    digest::Digest,
    image::{
        Choice, Codec, Layout, LayoutWriter, Platform,
        assemble::{ImageConfig, image_from_layers, layer_from_archive},
        oci_tar::read_oci_tar,
        sizes::measure,
        testing::{Tar, add_blob, gzip, image, oci_tar, pack},
    },
};

fn layer() -> Vec<u8> {
    Tar::new().file("etc/os-release", "ID=test\n").finish()
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn refusal(folder: &Path) -> String {
    format!("{:#}", Layout::open(folder).unwrap_err())
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let fresh = || image(&folder, &[layer()], json!({}));

    assert!(refusal(&folder).contains("missing"));
    let layout = fresh();
    fs::remove_file(folder.join("index.json")).unwrap();
    assert!(refusal(&folder).contains("index.json"));

    fresh();
    rewrite(&folder.join("index.json"), |index| {
        index["manifests"] = json!([]);
    });
    assert!(refusal(&folder).contains("lists no image manifest"));

    fresh();
    fs::write(layout.blob_path(layout.digest()), "{}").unwrap();
    let error = refusal(&folder);
    assert!(error.contains(&layout.digest().to_string()), "{error}");

    fresh();
    let config = layout.manifest().config().digest().to_string();
    let path = layout.blob_path(&config.parse().unwrap());
    let text = fs::read_to_string(&path).unwrap().replace("linux", "linuz");
    fs::write(&path, text).unwrap();
    let error = refusal(&folder);
    assert!(
        error.contains("config") && error.contains("have the digest"),
        "{error}"
    );

    fresh();
    fs::write(layout.blob_path(&layout.layers()[0].digest), "short").unwrap();
    assert!(refusal(&folder).contains("has 5 bytes, the manifest says"));
}

#[test]
fn layers_of_unknown_media_types_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let layout = image(&folder, &[layer()], json!({}));
    let text = String::from_utf8(layout.manifest_bytes().to_vec()).unwrap();
    let manifest = add_blob(&folder, text.replace("tar+gzip", "tar+xz").as_bytes());
    rewrite(&folder.join("index.json"), |index| {
        index["manifests"][0]["digest"] = json!(manifest.digest);
        index["manifests"][0]["size"] = json!(manifest.bytes);
    });
    let error = refusal(&folder);
    let layer = layout.layers()[0].digest.to_string();
    assert!(
        error.contains("tar+xz") && error.contains(&layer),
        "{error}"
    );
}

#[test]
fn several_platforms_need_a_choice_and_attestations_do_not_count() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let layout = image(&folder, &[layer()], json!({}));
    let text = String::from_utf8(layout.config_bytes().to_vec()).unwrap();
    let config = add_blob(&folder, text.replace("amd64", "arm64").as_bytes());
    let mut manifest: Value = serde_json::from_slice(layout.manifest_bytes()).unwrap();
    manifest["config"]["digest"] = json!(config.digest);
    let manifest = add_blob(&folder, manifest.to_string().as_bytes());
    let descriptor = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest.digest, "size": manifest.bytes,
    });
    let mut attestation = descriptor.clone();
    attestation["digest"] = json!(Digest::of("absent"));
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    rewrite(&folder.join("index.json"), |index| {
        let list = index["manifests"].as_array_mut().unwrap();
        list.extend([descriptor, attestation]);
    });
    let error = refusal(&folder);
    let named = "several images (linux/amd64, linux/arm64); name one platform";
    assert!(error.contains(named), "{error}");
    let arm: Platform = "linux/arm64".parse().unwrap();
    assert_eq!(
        Layout::open_platform(&folder, &arm).unwrap().digest(),
        &manifest.digest
    );
    let s390: Platform = "linux/s390x".parse().unwrap();
    let error = Layout::open_platform(&folder, &s390).unwrap_err();
    let error = format!("{error:#}");
    let named = "no image for linux/s390x, but for linux/amd64, linux/arm64";
    assert!(error.contains(named), "{error}");
    let choose = |platform| Layout::choose(&folder, Choice::Preferably(platform));
    assert_eq!(choose(&arm).unwrap().digest(), &manifest.digest);
    assert!(choose(&s390).is_err());
    let alone = image(&folder, &[layer()], json!({}));
    assert_eq!(choose(&s390).unwrap().digest(), alone.digest());
}

#[test]
fn an_index_that_would_never_end_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let layout = image(&folder, &[layer()], json!({}));
    let manifest = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": layout.digest(), "size": layout.manifest_bytes().len(),
    });
    let index = |manifests: Value| json!({"schemaVersion": 2, "manifests": manifests});
    let many = index(vec![manifest; 300].into());
    let nested = add_blob(&folder, many.to_string().as_bytes());
    let nested = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": nested.digest, "size": nested.bytes,
    });
    let write = |manifests: Value| {
        fs::write(folder.join("index.json"), index(manifests).to_string()).unwrap();
    };
    write(json!([nested]));
    assert_eq!(Layout::open(&folder).unwrap().digest(), layout.digest());
    write(json!([nested, nested]));
    let error = refusal(&folder);
    assert!(error.contains("more than 500 manifests"), "{error}");
}

#[test]
fn what_is_no_file_is_not_opened() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let layout = image(&folder, &[layer()], json!({}));
    let manifest = layout.blob_path(layout.digest());
    fs::remove_file(&manifest).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &manifest).unwrap();
    let error = refusal(&folder);
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn an_unfinished_layout_leaves_nothing_and_the_old_one_stays() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("image");
    let old = image(&folder, &[layer()], json!({}));
    let writer = LayoutWriter::create(&folder).unwrap();
    writer.blob_of(b"x").unwrap();
    let wrong = writer.blob_from(&b"x"[..], Some(&Digest::of("y")));
    assert!(wrong.unwrap_err().to_string().contains("digest"));
    drop(writer);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    assert_eq!(Layout::open(&folder).unwrap().digest(), old.digest());
}

#[test]
fn blobs_of_another_layout_are_linked_not_copied() {
    let parent = tempfile::tempdir().unwrap();
    let old = image(&parent.path().join("old"), &[layer()], json!({}));
    let digest = &old.layers()[0].digest;
    let writer = LayoutWriter::create(&parent.path().join("new")).unwrap();
    let blob = writer.link(&old, digest).unwrap();
    assert_eq!(blob, writer.link(&old, digest).unwrap());
    assert_eq!(blob.bytes, old.layers()[0].transfer_bytes);
    assert_eq!(fs::metadata(old.blob_path(digest)).unwrap().nlink(), 2);
}

#[test]
fn an_oci_tar_becomes_the_same_layout() {
    let parent = tempfile::tempdir().unwrap();
    let layout = image(&parent.path().join("image"), &[layer(), layer()], json!({}));
    let tar = oci_tar(&layout).finish();
    let received = read_oci_tar(&tar[..], &parent.path().join("received"), None).unwrap();
    assert_eq!(received.digest(), layout.digest());
    let sizes = |layout| measure(layout, &layout.leading_layers(0)).unwrap();
    assert_eq!(sizes(&received), sizes(&layout));
    let amd: Platform = "linux/amd64".parse().unwrap();
    let chosen = read_oci_tar(&tar[..], &parent.path().join("received"), Some(&amd));
    assert_eq!(chosen.unwrap().digest(), layout.digest());
}

#[test]
fn a_hostile_oci_tar_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let layout = image(&parent.path().join("image"), &[layer()], json!({}));
    let blob = format!("blobs/sha256/{}", layout.layers()[0].digest.hex());
    let whole = oci_tar(&layout).finish();
    for (tar, cause) in [
        (Tar::new().file("../../evil", "x").finish(), "climbs out"),
        (oci_tar(&layout).file(&blob, "forged").finish(), "digest"),
        (
            oci_tar(&layout).symlink(&blob, "/etc/shadow").finish(),
            "regular file",
        ),
        (
            oci_tar(&layout)
                .symlink("index.json", "/etc/shadow")
                .finish(),
            "regular file",
        ),
        (
            Tar::new().file("blobs/sha256/../../x", "x").finish(),
            "missing",
        ),
        (
            Tar::new().file("blobs/sha256/abc", "x").finish(),
            "not a digest",
        ),
        (whole[..1600].to_vec(), "truncated"),
        (vec![], "oci-layout"),
    ] {
        let target = parent.path().join("received");
        let error = read_oci_tar(&tar[..], &target, None).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(cause), "{error}");
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn an_archive_becomes_a_layer_with_its_own_bytes() {
    let parent = tempfile::tempdir().unwrap();
    for codec in [Codec::Plain, Codec::Gzip, Codec::Zstd] {
        let archive = parent.path().join("rootfs.tar");
        fs::write(&archive, pack(&layer(), codec)).unwrap();
        let writer = LayoutWriter::create(&parent.path().join("image")).unwrap();
        let written = layer_from_archive(&writer, &archive).unwrap();
        assert_eq!(written.unpacked_bytes, layer().len() as u64);
        let mut config = ImageConfig::bare("linux/arm64/v8".parse().unwrap());
        config.env = vec!["PATH=/bin".to_owned()];
        config.cmd = vec!["sh".to_owned()];
        let layers = [(written.layer, "rootfs.tar".to_owned())];
        let layout = image_from_layers(writer, &layers, &config).unwrap();
        assert_eq!(layout.layers()[0].digest, Digest::of(pack(&layer(), codec)));
        assert_eq!(layout.layers()[0].diff_id, Digest::of(layer()));
        assert_eq!(layout.platform().to_string(), "linux/arm64/v8");
        let run = layout.config().config().as_ref().unwrap();
        assert_eq!(run.cmd().as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(run.entrypoint(), &None);
    }
    let writer = LayoutWriter::create(&parent.path().join("image")).unwrap();
    let xz = parent.path().join("rootfs.tar.xz");
    fs::write(&xz, b"\xfd7zXZ\0").unwrap();
    let error = layer_from_archive(&writer, &xz).unwrap_err();
    assert!(format!("{error:#}").contains("xz"), "{error:#}");
    fs::write(&xz, &gzip(&layer())[..90]).unwrap();
    assert!(layer_from_archive(&writer, &xz).is_err());
}
