use std::{collections::BTreeSet, fs, io::Read as _, os::unix::fs::MetadataExt as _};

use proptest::prelude::*;
use serde_json::json;
use tar::EntryType;

use super::*;
use crate::image::{
    assemble::{ImageConfig, image_from_layers},
    compare::{What, compare_trees},
    sizes::measure,
    testing::{Tar, gzip, image},
    walk::walk_layer,
};

const LATER: u64 = EPOCH_S as u64 + 86_400;

/// A tar stream with everything that a header can say, in one of many orders.
fn awkward(order: &[usize], mtime: u64) -> Vec<u8> {
    let long = format!("{}/file", "folder-name".repeat(12));
    let longer = format!("{}file", "folder/".repeat(60));
    let no_split = "x".repeat(180);
    let target = "t".repeat(150);
    let special = |tar: Tar, kind, path: &str| {
        tar.entry(kind, path, "", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(300).unwrap();
        })
    };
    let late = |header: &mut tar::Header| {
        header.set_mtime(mtime);
        header.set_uid(3_000_000);
        header.set_mode(0o4755);
        header.set_username("builder").unwrap();
    };
    let mut tar = Tar::new();
    for number in order {
        tar = match number {
            0 => tar.dir("./").dir("etc/"),
            1 => tar.file("etc/passwd", "root").file("etc+x", "beside etc/"),
            // The name that sorts first is the link, the target comes later.
            2 => tar
                .entry(EntryType::Regular, "z/target", "", b"linked", late)
                .hardlink("a/link", "z/target"),
            3 => tar.symlink("short", "etc/passwd").symlink("long", &target),
            4 => tar.file(&long, "1").file(&longer, "2").file(&no_split, "3"),
            5 => tar
                .pax(&[
                    ("SCHILY.xattr.security.capability", &b"\x01\0\n=\xff"[..]),
                    ("SCHILY.xattr.user.b", b"2"),
                    ("atime", mtime.to_string().as_bytes()),
                    ("comment", b"noise"),
                ])
                .file("xattr", "x"),
            6 => special(
                special(tar, EntryType::Char, "dev/c"),
                EntryType::Block,
                "dev/b",
            ),
            7 => special(tar, EntryType::Fifo, "fifo"),
            8 => tar
                .dir("gone/")
                .file("gone/+first", "+")
                .file("gone/.wh..wh..opq", "")
                .file("gone/.wh.x", ""),
            9 => tar.pax(&[("mtime", b"-12.5")]).file("old", "x"),
            _ => tar.entry(EntryType::GNUSparse, "sparse", "", &[7; 512], |header| {
                let gnu = header.as_gnu_mut().unwrap();
                gnu.set_real_size(70_000);
                gnu.sparse[0].set_offset(4096);
                gnu.sparse[0].set_length(512);
            }),
        };
    }
    tar.finish()
}

const IN_ORDER: [usize; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn built(&self, layers: &[Vec<u8>]) -> Layout {
        image(
            &self.0.path().join("built"),
            layers,
            json!({"Cmd": ["/app"]}),
        )
    }

    fn normalised(&self, source: &Layout, base: &BTreeSet<Digest>, name: &str) -> Normalised {
        let target = self.0.path().join(name);
        normalise(source, base, &target, self.0.path()).unwrap()
    }

    fn digest_of(&self, layer: Vec<u8>) -> Digest {
        let built = self.built(&[layer]);
        let normalised = self.normalised(&built, &BTreeSet::new(), "normalised");
        normalised.layout.digest().clone()
    }
}

#[test]
fn the_output_bytes_are_those_of_the_normaliser_id() {
    let digest = Lab::new().digest_of(awkward(&IN_ORDER, LATER));
    // Whoever changes this digest changes NORMALISER_ID too: committed rows
    // move only when their inputs do.
    assert_eq!(
        (NORMALISER_ID, digest.short().as_str()),
        ("1", "8956cd27da5b")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn order_and_time_do_not_matter(
        order in Just(IN_ORDER.to_vec()).prop_shuffle(), late in 0_u64..1_000_000_000,
    ) {
        let lab = Lab::new();
        let first = lab.digest_of(awkward(&IN_ORDER, LATER));
        prop_assert_eq!(first, lab.digest_of(awkward(&order, LATER + late)));
    }
}

#[test]
fn nothing_changes_but_late_times() {
    let lab = Lab::new();
    let built = lab.built(&[awkward(&IN_ORDER, LATER)]);
    let normalised = lab
        .normalised(&built, &BTreeSet::new(), "normalised")
        .layout;
    let tree = |layout: &Layout| {
        walk_layer(layout, &layout.layers()[0], |_| true)
            .unwrap()
            .tree
    };
    let (before, after) = (tree(&built), tree(&normalised));
    let linked = [b"a/link".to_vec(), b"z/target".to_vec()];
    let expected = linked.map(|path| (path, What::Mtime));
    assert_eq!(compare_trees(&before, &after), expected);
    assert_eq!(after.get(b"a/link").unwrap().mtime_s, EPOCH_S);
    assert_eq!(after.get(b"old").unwrap().mtime_s, -12);
    assert_eq!(after.get(b"z/target").unwrap().mode, 0o4755);
    assert_eq!(before.names().count(), after.names().count());
}

#[test]
fn a_second_time_changes_nothing() {
    let lab = Lab::new();
    let built = lab.built(&[awkward(&IN_ORDER, LATER)]);
    let once = lab.normalised(&built, &BTreeSet::new(), "once").layout;
    let twice = lab.normalised(&once, &BTreeSet::new(), "twice").layout;
    assert_eq!(crate::image::compare::compare(&once, &twice).unwrap(), []);
}

#[test]
fn base_layers_keep_their_bytes_and_the_rest_says_what_it_was() {
    let lab = Lab::new();
    let base = Tar::new().file("z", "base").file("a", "unsorted").finish();
    let app = awkward(&IN_ORDER, LATER);
    let built = lab.built(&[base.clone(), app.clone()]);
    let kept = built.leading_layers(1);
    let normalised = lab.normalised(&built, &kept, "normalised");
    let layers = &normalised.layers;
    assert_eq!(layers[0].digest, Digest::of(gzip(&base)));
    assert_eq!((layers[0].from_base, layers[1].from_base), (true, false));
    let blob = normalised.layout.blob_path(&layers[0].digest);
    assert_eq!(fs::metadata(blob).unwrap().nlink(), 2, "not a hard link");
    assert_ne!(layers[1].digest, layers[1].buildkit_digest);
    assert_eq!(layers[1].buildkit_transfer_bytes, gzip(&app).len() as u64);
    let sizes = measure(&normalised.layout, &kept).unwrap();
    assert_eq!(sizes.layers[1].transfer_bytes, layers[1].transfer_bytes);
    assert_eq!(sizes.layers[1].diff_id, layers[1].diff_id);
    let before = measure(&built, &kept).unwrap();
    assert_eq!(sizes.content_bytes, before.content_bytes);
    assert_eq!(sizes.layer_file_bytes, before.layer_file_bytes);
}

#[test]
fn the_stream_has_one_form() {
    let lab = Lab::new();
    let built = lab.built(&[awkward(&IN_ORDER, LATER)]);
    let layout = lab
        .normalised(&built, &BTreeSet::new(), "normalised")
        .layout;
    let layer = &layout.layers()[0];
    let packed = fs::read(layout.blob_path(&layer.digest)).unwrap();
    // No name, no time, no operating system.
    assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut stream = Vec::new();
    LayerStream::of(&layout, layer)
        .unwrap()
        .read_to_end(&mut stream)
        .unwrap();
    let mut archive = tar::Archive::new(&stream[..]);
    let mut names = Vec::new();
    let mut contents = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert!(entry.header().as_ustar().is_some());
        assert_eq!(entry.header().username_bytes(), Some(&b""[..]));
        assert!(entry.header().mtime().unwrap() <= EPOCH_S as u64);
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if entry.header().entry_type() == EntryType::Regular {
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            contents.push((name.clone(), content));
        }
        names.push(name);
    }
    let at = |name: &str| names.iter().position(|it| it == name).unwrap();
    assert_eq!(at("./"), 0);
    assert!(at("etc/") < at("etc/passwd"));
    assert!(at("gone/.wh..wh..opq") < at("gone/.wh.x"));
    assert!(at("gone/.wh.x") < at("gone/+first"));
    assert!(contents.contains(&("a/link".to_owned(), "linked".to_owned())));
    assert!(names.iter().any(|name| name.len() == 180));
}

#[test]
fn the_config_keeps_all_but_times_and_buildkits_keys() {
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "created": "2025-01-02T03:04:05Z",
        "config": {"Healthcheck": {"Test": ["NONE"]}},
        "history": [
            {"created": "2025-01-02T03:04:05Z", "created_by": "COPY", "empty_layer": true},
            {"comment": "without a time"},
        ],
        "moby.buildkit.buildinfo.v1": "noise",
    });
    let found = normalised_config(config.to_string().as_bytes()).unwrap();
    let expected = json!({
        "architecture": "amd64", "os": "linux",
        "created": EPOCH_TEXT,
        "config": {"Healthcheck": {"Test": ["NONE"]}},
        "history": [
            {"created": EPOCH_TEXT, "created_by": "COPY", "empty_layer": true},
            {"comment": "without a time"},
        ],
    });
    assert_eq!(found, expected);
}

#[test]
fn a_root_filesystem_becomes_an_image_that_repeats() {
    let lab = Lab::new();
    let digests: BTreeSet<Digest> = [LATER, LATER + 1]
        .into_iter()
        .map(|mtime| {
            let writer = LayoutWriter::create(&lab.0.path().join("base")).unwrap();
            let written = layer_from_tar(&writer, &awkward(&IN_ORDER, mtime)[..]).unwrap();
            let config = ImageConfig::bare("linux/amd64".parse().unwrap());
            let layers = [(written.layer, "mmdebstrap".to_owned())];
            let layout = image_from_layers(writer, &layers, &config).unwrap();
            layout.digest().clone()
        })
        .collect();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_layer_that_breaks_leaves_nothing() {
    let lab = Lab::new();
    let hostile = Tar::new().file("../bait", "x").finish();
    let built = lab.built(&[hostile]);
    let target = lab.0.path().join("normalised");
    let error = normalise(&built, &BTreeSet::new(), &target, lab.0.path()).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("../bait") && error.contains("layer sha256:"),
        "{error}"
    );
    assert_eq!(fs::read_dir(lab.0.path()).unwrap().count(), 1);
}
