//! Every size field exact by hand.

use std::collections::BTreeSet;

use serde_json::json;
use tar::EntryType;

use crate::{
    digest::Digest,
    image::{
        Codec,
        distinct::{distinct_files, largest},
        paths,
        sizes::{Sizes, measure},
        testing::{Tar, gzip, image, pack, packed_image},
        walk::{How, layer_number, walk},
    },
};

const SPARSE_BYTES: u64 = 1 << 20;

/// A file of 1 MiB of which 512 bytes are stored, as GNU tar writes it.
fn sparse(tar: Tar, path: &str) -> Tar {
    tar.entry(EntryType::GNUSparse, path, "", &[7; 512], |header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(SPARSE_BYTES);
        gnu.sparse[0].set_offset(4096);
        gnu.sparse[0].set_length(512);
        gnu.sparse[1].set_offset(SPARSE_BYTES);
        gnu.sparse[1].set_length(0);
    })
}

fn lower() -> Vec<u8> {
    Tar::new()
        .dir("./")
        .dir("etc/")
        .file("etc/a", "12345")
        .file("etc/b", [b'b'; 10])
        .dir("opaque/")
        .file("opaque/x", [b'x'; 7])
        .file("opaque/y", [b'y'; 11])
        .file("deleted", [b'd'; 13])
        .executable("bin/tool", [b't'; 17])
        .hardlink("bin/tool-too", "bin/tool")
        .symlink("link", "etc/a")
        .finish()
}

fn upper() -> Vec<u8> {
    let tar = Tar::new()
        .dir("etc/")
        .file("etc/a", "123456")
        .file(".wh.deleted", "")
        .dir("opaque/")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/z", "zzz")
        .dir("bin/")
        .file("bin/.wh.tool", "")
        .executable("srv/app", [b'A'; 100]);
    sparse(tar, "sparse").finish()
}

#[test]
fn a_known_image_has_the_sizes_that_a_pencil_finds() {
    let folder = tempfile::tempdir().unwrap();
    let run = json!({"Entrypoint": ["./app"], "WorkingDir": "/srv"});
    let layout = image(&folder.path().join("image"), &[lower(), upper()], run);
    let base = layout.leading_layers(1);
    let sizes = measure(&layout, &base).unwrap();

    let (lower, upper) = (lower(), upper());
    let packed = [gzip(&lower).len() as u64, gzip(&upper).len() as u64];
    let documents = (layout.manifest_bytes().len() + layout.config_bytes().len()) as u64;
    // 5+10 in etc, 7+11 in opaque, 13 deleted, 17 under two names, and a
    // symlink of 5.
    assert_eq!(sizes.layers[0].layer_file_bytes, 68);
    assert_eq!(sizes.layers[0].files, 7);
    // The whiteouts, the opaque marker and the folders have no bytes.
    assert_eq!(sizes.layers[1].layer_file_bytes, 6 + 3 + 100 + SPARSE_BYTES);
    assert_eq!(sizes.layers[1].files, 4);
    let expected = Sizes {
        transfer_bytes: packed[0] + packed[1] + documents,
        unpacked_bytes: (lower.len() + upper.len()) as u64,
        layer_file_bytes: 68 + 109 + SPARSE_BYTES,
        // etc/a, etc/b, opaque/z, the tool's second name, app, sparse.
        content_bytes: 6 + 10 + 3 + 17 + 100 + SPARSE_BYTES,
        // The first etc/a, opaque/x and y, deleted; the tool lives on.
        wasted_bytes: 5 + 7 + 11 + 13,
        base_transfer_bytes: packed[0],
        app_transfer_bytes: packed[1] + documents,
        files: 6,
        layers: sizes.layers.clone(),
        app: sizes.app.clone(),
    };
    assert_eq!(sizes, expected);
    for (found, (tar, from_base)) in sizes.layers.iter().zip([(&lower, true), (&upper, false)]) {
        assert_eq!(found.from_base, from_base);
        assert_eq!(found.diff_id, Digest::of(tar));
        assert_eq!(found.digest, Digest::of(gzip(tar)));
        assert_eq!(found.transfer_bytes, gzip(tar).len() as u64);
        assert_eq!(found.unpacked_bytes, tar.len() as u64);
    }
    let app = sizes.app.unwrap();
    assert_eq!((app.path.as_str(), app.bytes), ("/srv/app", 100));
    assert_eq!(app.sha256, Digest::of([b'A'; 100]));
}

#[test]
fn the_largest_files_of_a_known_image_are_those_that_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let top = Tar::new()
        .file("z", [b'z'; 100])
        .file("a\tb", [b'a'; 10])
        .finish();
    let layout = image(folder.path(), &[lower(), upper(), top], json!({}));
    let walk = walk(&layout, |_| false).unwrap();
    let files = distinct_files(&walk);
    let found = |limit| -> Vec<_> {
        let files = largest(&files, limit).into_iter();
        files
            .map(|it| {
                let layer = layer_number(it.place.layer);
                (paths::absolute(it.path), it.bytes, layer, it.names)
            })
            .collect()
    };
    let all = [
        ("/sparse", SPARSE_BYTES, 2, 1),
        // Of one size: in the order of their paths.
        ("/srv/app", 100, 2, 1),
        ("/z", 100, 3, 1),
        // Its first name was deleted.
        ("/bin/tool-too", 17, 1, 1),
        (r"/a\tb", 10, 3, 1),
        ("/etc/b", 10, 1, 1),
        // Overwritten: the upper one.
        ("/etc/a", 6, 2, 1),
        ("/opaque/z", 3, 2, 1),
    ];
    let all = all.map(|(path, bytes, layer, names)| (path.to_owned(), bytes, layer, names));
    assert_eq!(found(10), all);
    assert_eq!(found(2), all[..2]);
}

#[test]
fn the_codec_moves_transfer_bytes_only() {
    let folder = tempfile::tempdir().unwrap();
    let tar = lower();
    let mut seen = BTreeSet::new();
    for codec in [Codec::Plain, Codec::Gzip, Codec::Zstd] {
        let layer = (pack(&tar, codec), codec, Digest::of(&tar));
        let layout = packed_image(&folder.path().join("image"), &[layer], json!({}));
        let sizes = measure(&layout, &BTreeSet::new()).unwrap();
        assert_eq!(
            sizes.layers[0].transfer_bytes,
            pack(&tar, codec).len() as u64
        );
        seen.insert((sizes.unpacked_bytes, sizes.layer_file_bytes, sizes.files));
    }
    assert_eq!(seen, BTreeSet::from([(tar.len() as u64, 68, 7)]));
}

#[test]
fn a_blob_that_comes_twice_is_transferred_once_but_unpacked_twice() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [lower(), lower()];
    let layout = image(&folder.path().join("image"), &layers, json!({}));
    let sizes = measure(&layout, &layout.leading_layers(2)).unwrap();
    assert_eq!(sizes.base_transfer_bytes, gzip(&lower()).len() as u64);
    assert_eq!(sizes.unpacked_bytes, 2 * lower().len() as u64);
    assert_eq!(sizes.content_bytes, sizes.wasted_bytes);
}

#[test]
fn gzip_members_in_a_row_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let tar = lower();
    let (first, second) = tar.split_at(777);
    let blob = [gzip(first), gzip(second)].concat();
    let layer = (blob, Codec::Gzip, Digest::of(&tar));
    let layout = packed_image(&folder.path().join("image"), &[layer], json!({}));
    let sizes = measure(&layout, &BTreeSet::new()).unwrap();
    assert_eq!(sizes.unpacked_bytes, tar.len() as u64);
}

#[test]
fn folders_files_and_symlinks_take_each_others_place() {
    let folder = tempfile::tempdir().unwrap();
    let lower = Tar::new()
        .file("dir-to-file/deep/x", "1")
        .file("file-to-dir", "22")
        .dir("usr/lib/")
        .symlink("lib", "usr/lib")
        .file("usr/lib/old", "333");
    let upper = Tar::new()
        .file("dir-to-file", "4444")
        .file("file-to-dir/x", "55555")
        // Through the lower layer's symlink, without a folder entry.
        .file("lib/new", "666666")
        .file("lib/.wh.old", "");
    let layers = [lower.finish(), upper.finish()];
    let layout = image(&folder.path().join("image"), &layers, json!({}));
    let walk = crate::image::walk::walk(&layout, |_| false).unwrap();
    let files: Vec<_> = walk.files().map(|(path, _)| path.to_vec()).collect();
    let expected: [&[u8]; 3] = [b"dir-to-file", b"file-to-dir/x", b"usr/lib/new"];
    assert_eq!(files, expected);
    assert_eq!((walk.content_bytes(), walk.wasted_bytes()), (15, 6));
    let wasted: Vec<_> = walk
        .wasted()
        .iter()
        .map(|it| (it.path, it.by_layer, it.how))
        .collect();
    let expected: [(&[u8], u32, How); 3] = [
        (b"dir-to-file/deep/x", 1, How::Deleted),
        (b"file-to-dir", 1, How::Overwritten),
        (b"usr/lib/old", 1, How::Deleted),
    ];
    assert_eq!(wasted, expected);
}

#[test]
fn a_name_that_comes_twice_in_a_layer_means_the_later_one_and_nothing_is_wasted() {
    let folder = tempfile::tempdir().unwrap();
    let layer = Tar::new()
        .file("twice", "first")
        .file("twice", "second!")
        .file(".wh.absent", "")
        .file("nowhere/.wh.absent", "");
    let layout = image(&folder.path().join("image"), &[layer.finish()], json!({}));
    let sizes = measure(&layout, &BTreeSet::new()).unwrap();
    assert_eq!((sizes.content_bytes, sizes.layer_file_bytes), (7, 7));
    assert_eq!((sizes.wasted_bytes, sizes.files), (0, 1));
}

#[test]
fn the_application_is_found_as_a_runtime_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let layer = Tar::new()
        .executable("opt/app-1.2", "app")
        .symlink("usr/bin/app", "/etc/alternatives/app")
        .symlink("etc/alternatives/app", "../../opt/app-1.2")
        .file("bin/app", "not executable")
        .executable("own/tool", "tool")
        .symlink("loop", "loop")
        .finish();
    let find = |run: serde_json::Value| {
        let layout = image(
            &folder.path().join("image"),
            std::slice::from_ref(&layer),
            run,
        );
        let sizes = measure(&layout, &BTreeSet::new()).unwrap();
        sizes.app.map(|app| (app.path, app.sha256))
    };
    let app = Some(("/opt/app-1.2".to_owned(), Digest::of("app")));
    let tool = Some(("/own/tool".to_owned(), Digest::of("tool")));
    let path = "PATH=/own:/bin:/usr/bin";
    for (run, expected) in [
        (json!({"Cmd": ["app"]}), &app),
        (
            json!({"Entrypoint": ["tool"], "Cmd": ["x"], "Env": [path]}),
            &tool,
        ),
        (json!({"Entrypoint": ["tool"]}), &None),
        (json!({"Cmd": ["bin/app"], "WorkingDir": "/usr"}), &app),
        (
            json!({"Cmd": ["/bin/sh", "-c", "exec /own/tool --flag"]}),
            &tool,
        ),
        (json!({"Cmd": ["/bin/sh", "-c", "(cd /; $X)"]}), &None),
        (json!({"Cmd": ["/loop/x"]}), &None),
        (json!({}), &None),
    ] {
        assert_eq!(&find(run.clone()), expected, "{run}");
    }
}

#[test]
fn sparse_files_of_every_format_have_their_apparent_size_and_contents() {
    let folder = tempfile::tempdir().unwrap();
    let map_in_contents =
        |map: &str| [map.as_bytes(), &vec![0; 512 - map.len()][..], b"DATA"].concat();
    let name = ("GNU.sparse.name", &b"real/name"[..]);
    let major = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    let v1 = Tar::new()
        .pax(&[&[name, ("GNU.sparse.realsize", b"10")], &major[..]].concat())
        .file("GNUSparseFile.0/name", map_in_contents("1\n3\n4\n"));
    let v01 = Tar::new()
        .pax(&[name, ("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"3,4")])
        .file("x", "DATA");
    let v00 = Tar::new()
        .pax(&[
            ("GNU.sparse.size", b"10"),
            ("GNU.sparse.offset", b"3"),
            ("GNU.sparse.numbytes", b"4"),
        ])
        .file("real/name", "DATA");
    for tar in [v1, v01, v00] {
        let layout = image(&folder.path().join("image"), &[tar.finish()], json!({}));
        let walk = crate::image::walk::walk(&layout, |_| true).unwrap();
        let (path, place) = walk.files().next().unwrap();
        assert_eq!(path, b"real/name");
        assert_eq!(walk.entry(place).size_bytes, 10);
        let content = walk.entry(place).content.clone();
        assert_eq!(content, Some(Digest::of(b"\0\0\0DATA\0\0\0")));
    }
}
