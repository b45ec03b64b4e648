//! Images in one file: what `docker save` writes, and what it never would.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    digest::Digest,
    image::{
        Choice, Codec, Platform,
        archive::{Archived, read_archive},
        sizes::measure,
        testing::{Tar, docker_tar, image, oci_tar, pack},
    },
};

fn layers() -> [Vec<u8>; 2] {
    let lower = Tar::new().file("etc/os-release", "ID=test\n").finish();
    let upper = Tar::new().executable("app", "program").finish();
    [lower, upper]
}

fn read(archive: &[u8]) -> Result<Archived, String> {
    let folder = tempfile::tempdir().unwrap();
    read_in(folder.path(), archive)
}

fn read_in(folder: &Path, archive: &[u8]) -> Result<Archived, String> {
    let file = folder.join("image.tar");
    fs::write(&file, archive).unwrap();
    let archived = read_archive(&file, &folder.join("image"), Choice::Only);
    archived.map_err(|error| format!("{error:#}"))
}

/// The archive with this `manifest.json`.
fn saved(tar: Tar, manifest: Value) -> Vec<u8> {
    tar.file("manifest.json", manifest.to_string()).finish()
}

#[test]
fn a_layout_in_an_archive_is_the_same_image_however_it_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = image(&folder.path().join("layout"), &layers(), json!({}));
    let tar = oci_tar(&layout).finish();
    for codec in [Codec::Plain, Codec::Gzip, Codec::Zstd] {
        let found = read_in(folder.path(), &pack(&tar, codec)).unwrap();
        assert!(found.has_manifest);
        assert_eq!(found.layout.digest(), layout.digest());
        let sizes = |layout| measure(layout, &Default::default()).unwrap();
        assert_eq!(sizes(&found.layout), sizes(&layout));
    }
}

#[test]
fn the_older_form_of_docker_save_becomes_a_layout() {
    let folder = tempfile::tempdir().unwrap();
    let (tar, manifest) = docker_tar(&layers(), json!({"Cmd": ["/app"]}));
    let config = manifest["Config"].as_str().unwrap().to_owned();
    let found = read_in(folder.path(), &saved(tar, json!([manifest]))).unwrap();
    assert!(!found.has_manifest);
    let id = Digest::of(found.layout.config_bytes());
    assert_eq!(format!("{}.json", id.hex()), config);
    let sizes = measure(&found.layout, &Default::default()).unwrap();
    assert_eq!((sizes.files, sizes.app.unwrap().bytes), (2, 7));
}

#[test]
fn equal_layers_may_be_links_to_each_other_and_layers_may_be_packed() {
    let folder = tempfile::tempdir().unwrap();
    let [lower, _] = layers();
    let (_, manifest) = docker_tar(&[lower.clone(), lower.clone(), lower.clone()], json!({}));
    let (tar, _) = docker_tar(&[], json!({}));
    let mut document = crate::image::testing::config(json!({}));
    document["rootfs"] = json!({"type": "layers", "diff_ids": vec![Digest::of(&lower); 3]});
    let tar = tar
        .file("0/layer.tar", pack(&lower, Codec::Gzip))
        .symlink("1/layer.tar", "../0/layer.tar")
        .hardlink("2/layer.tar", "1/layer.tar")
        .file(manifest["Config"].as_str().unwrap(), document.to_string());
    let found = read_in(folder.path(), &saved(tar, json!([manifest]))).unwrap();
    let layers = found.layout.layers();
    assert!(
        layers
            .iter()
            .all(|it| it.codec == Codec::Gzip && it.digest == layers[0].digest)
    );
    assert_eq!(
        measure(&found.layout, &Default::default())
            .unwrap()
            .content_bytes,
        8
    );
}

#[test]
fn a_sparse_file_fills_no_disk() {
    for name in ["0/layer.tar", "blobs/sha256/00", "index.json"] {
        let (tar, manifest) = docker_tar(&[], json!({}));
        let holes = [
            ("GNU.sparse.size", &b"1000000"[..]),
            ("GNU.sparse.map", &b"0,4"[..]),
        ];
        let tar = tar.pax(&holes).file(name, "DATA");
        let error = read(&saved(tar, json!([manifest]))).unwrap_err();
        assert!(
            error.contains("is a sparse file") && error.contains(name),
            "{error}"
        );
    }
}

#[test]
fn what_manifest_json_gets_wrong_is_named() {
    let archive = || docker_tar(&layers(), json!({}));
    let changed = |key: &str, value: Value| {
        let (tar, mut manifest) = archive();
        manifest[key] = value;
        saved(tar, json!([manifest]))
    };
    let (tar, manifest) = archive();
    let config = manifest["Config"].as_str().unwrap().to_owned();
    let forged = saved(tar.file(&config, "{}"), json!([manifest]));
    let (tar, manifest) = archive();
    let looped = tar.symlink("a", "b").symlink("b", "a");
    let mut to_loop = manifest.clone();
    to_loop["Layers"][0] = json!("a/x");
    let other = json!({"Config": "x", "RepoTags": ["b:2"], "Layers": []});
    for (archive, causes) in [
        (
            Tar::new().file("x", "y").finish(),
            ["neither index.json", "docker save"],
        ),
        (
            saved(Tar::new(), json!({})),
            ["malformed manifest.json", ""],
        ),
        (
            saved(archive().0, json!([manifest, other])),
            ["2 images (app:1, b:2)", ""],
        ),
        (
            changed("Config", json!("../../etc/passwd")),
            ["`../../etc/passwd`", "climbs out"],
        ),
        (
            changed("Config", json!("absent.json")),
            ["config", "missing from the archive"],
        ),
        (
            changed("Layers", json!(["0/layer.tar"])),
            ["2 diff IDs for 1 layers", ""],
        ),
        (
            changed("Layers", json!(["0/layer.tar", "absent"])),
            ["layer 2", "`absent`"],
        ),
        (forged, [config.as_str(), "have the digest"]),
        (
            saved(looped, json!([to_loop])),
            ["layer 1", "symbolic links"],
        ),
    ] {
        let error = read(&archive).unwrap_err();
        assert!(causes.iter().all(|cause| error.contains(cause)), "{error}");
    }
}

#[test]
fn another_platform_than_the_archives_own_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (tar, manifest) = docker_tar(&layers(), json!({}));
    let file = folder.path().join("image.tar");
    fs::write(&file, saved(tar, json!([manifest]))).unwrap();
    let arm: Platform = "linux/arm64".parse().unwrap();
    let read = |choice| read_archive(&file, &folder.path().join("image"), choice);
    let error = format!("{:#}", read(Choice::For(&arm)).unwrap_err());
    assert!(
        error.contains("no image for linux/arm64, but for linux/amd64"),
        "{error}"
    );
    assert!(read(Choice::Preferably(&arm)).is_ok());
}

#[test]
fn broken_and_endless_archives_are_refused_and_leave_nothing() {
    let (tar, manifest) = docker_tar(&layers(), json!({}));
    let whole = saved(tar, json!([manifest]));
    let packed = pack(&whole, Codec::Gzip);
    let many = (0..20_001).fold(Tar::new(), |tar, number| tar.dir(&number.to_string()));
    let cut = whole.len() - 2_000;
    for (archive, cause) in [
        (b"".to_vec(), "neither index.json"),
        (b"no archive at all".to_vec(), "truncated"),
        (vec![b'x'; 5_000], "checksum"),
        (whole[..cut].to_vec(), "truncated"),
        (packed[..packed.len() / 2].to_vec(), "image.tar"),
        ([&packed[..], b"garbage"].concat(), "image.tar"),
        ([&whole[..], b"garbage"].concat(), "garbage"),
        (many.finish(), "more than 20000 files"),
        (Tar::new().file("../../evil", "x").finish(), "climbs out"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = read_in(folder.path(), &archive).unwrap_err();
        assert!(error.contains(cause), "{error}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
