//! Differences between two builds are named down to the path.

use serde_json::json;
use tar::EntryType;

use crate::image::{
    compare::{What, compare},
    testing::{Tar, image},
};

fn differences(first: Vec<u8>, second: Vec<u8>) -> Vec<(String, What)> {
    let parent = tempfile::tempdir().unwrap();
    let base = Tar::new().file("base", "same").finish();
    let first = image(&parent.path().join("1"), &[base.clone(), first], json!({}));
    let second = image(&parent.path().join("2"), &[base, second], json!({}));
    let found = compare(&first, &second).unwrap();
    assert!(found.iter().all(|it| it.layer == Some(1)), "{found:?}");
    found.into_iter().map(|it| (it.path, it.what)).collect()
}

#[test]
fn equal_images_do_not_differ() {
    let layer = || Tar::new().file("a", "x").finish();
    assert_eq!(differences(layer(), layer()), []);
}

#[test]
fn every_kind_of_difference_is_told() {
    let device = |tar: Tar, minor| {
        tar.entry(EntryType::Char, "device", "", b"", |header| {
            header.set_device_minor(minor).unwrap();
        })
    };
    let first = Tar::new()
        .file("content", "time 1")
        .file("gone", "x")
        .executable("mode", "x")
        .file("kind", "x")
        .symlink("link", "a")
        .file("hard", "x")
        .file("hard-too", "x")
        .pax(&[("SCHILY.xattr.user.a", b"1")])
        .file("xattr", "x");
    let second = Tar::new()
        .file("content", "time 2")
        .file("new", "x")
        .file("mode", "x")
        .dir("kind")
        .symlink("link", "b")
        .file("hard", "x")
        .hardlink("hard-too", "hard")
        .file("xattr", "x")
        .entry(EntryType::Regular, "owner", "", b"", |header| {
            header.set_uid(7);
            header.set_mtime(5);
        });
    let first = device(first, 1).file("owner", "");
    let found = differences(first.finish(), device(second, 2).finish());
    let expected = [
        ("/content", What::Content),
        ("/device", What::DeviceNumber),
        ("/gone", What::OnlyInFirst),
        ("/hard-too", What::HardLinks),
        ("/kind", What::Kind),
        ("/kind", What::Mode),
        ("/link", What::LinkTarget),
        ("/mode", What::Mode),
        ("/new", What::OnlyInSecond),
        ("/owner", What::Owner),
        ("/owner", What::Mtime),
        ("/xattr", What::Xattrs),
    ];
    assert_eq!(found, expected.map(|(path, what)| (path.to_owned(), what)));
}

#[test]
fn the_same_tree_in_another_order_is_another_encoding() {
    let first = Tar::new().file("a", "x").file("b", "y").finish();
    let second = Tar::new().file("b", "y").file("a", "x").finish();
    assert_eq!(
        differences(first, second),
        [("/".to_owned(), What::Encoding)]
    );
}

#[test]
fn configs_and_layer_counts_are_compared_too() {
    let parent = tempfile::tempdir().unwrap();
    let layer = Tar::new().file("a", "x").finish();
    let env = |value: &str| json!({"Env": ["A=1", value]});
    let first = image(
        &parent.path().join("1"),
        std::slice::from_ref(&layer),
        env("B=1"),
    );
    let second = image(
        &parent.path().join("2"),
        &[layer.clone(), layer],
        env("B=2"),
    );
    let found = compare(&first, &second).unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "config: /config/Env/1: value",
        "layer 1: /: only in the second build",
    ];
    assert_eq!(found, expected);
}
