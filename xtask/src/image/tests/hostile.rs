//! Layers that nobody should trust: each is an error that names the layer and,
//! where there is one, the entry.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use serde_json::json;
use tar::EntryType;

use crate::{
    digest::Digest,
    image::{
        Codec,
        budget::Budget,
        sizes::measure,
        testing::{Tar, gzip, image, packed_image},
        walk::{walk, walk_within},
    },
};

/// The error of measuring an image with this one blob as its layer.
fn refusal(blob: &[u8], codec: Codec, diff_id: Digest) -> String {
    let folder = tempfile::tempdir().unwrap();
    let layer = (blob.to_vec(), codec, diff_id);
    let layout = packed_image(&folder.path().join("image"), &[layer], json!({}));
    let error = match measure(&layout, &BTreeSet::new()) {
        Err(error) => format!("{error:#}"),
        Ok(sizes) => panic!("was accepted: {sizes:?}"),
    };
    let layer = format!("layer {}", Digest::of(blob));
    assert!(error.contains(&layer), "`{error}` does not name the layer");
    error
}

fn refused_tar(tar: Vec<u8>) -> String {
    refusal(&gzip(&tar), Codec::Gzip, Digest::of(&tar))
}

fn huge(kind: EntryType, size: u64) -> Vec<u8> {
    let tar = Tar::new().entry(kind, "bait", "", b"", |header| header.set_size(size));
    tar.finish()
}

#[test]
fn entries_that_no_engine_would_unpack_are_named() {
    let loops = Tar::new().symlink("a", "b").symlink("b", "a");
    for (tar, entry, cause) in [
        (Tar::new().file("../bait", "x"), "../bait", "climbs out"),
        (Tar::new().file("a/../../bait", "x"), "bait", "climbs out"),
        (
            Tar::new().hardlink("bait", "../../etc/shadow"),
            "bait",
            "climbs out",
        ),
        (
            Tar::new().hardlink("bait", "absent"),
            "bait",
            "not earlier in the layer",
        ),
        (
            Tar::new().file("bait", "x").hardlink("bait", "bait"),
            "bait",
            "itself",
        ),
        (
            Tar::new().dir("d").hardlink("bait", "d"),
            "bait",
            "hard link to the folder",
        ),
        (
            Tar::new().file("f", "x").file("f/bait", "x"),
            "f/bait",
            "`f` is not a folder",
        ),
        (loops.file("a/bait", "x"), "a/bait", "symbolic links"),
        (
            Tar::new().file(&"long/".repeat(1000), "x"),
            "long/",
            "longer than",
        ),
        (
            Tar::new().file(&"deep/".repeat(300), "x"),
            "deep/",
            "deeper than",
        ),
        (
            Tar::new().entry(EntryType::Regular, "bait", "", b"", |header| {
                header.as_old_mut().size = [0xff; 12];
            }),
            "bait",
            "negative size",
        ),
        (
            Tar::new().entry(EntryType::Regular, "bait", "", b"", |header| {
                header.as_old_mut().size = *b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
            }),
            "bait",
            "too large",
        ),
        (
            Tar::new().pax(&[("size", b"-1")]).file("bait", "x"),
            "bait",
            "not a number",
        ),
        (Tar::new().file(".", "x"), "", "the root is not a folder"),
        (
            Tar::new().entry(EntryType::new(b'V'), "bait", "", b"", |_| {}),
            "bait",
            "not one that engines unpack",
        ),
        (
            Tar::new().entry(EntryType::Regular, "bait", "", b"", |header| {
                header.as_old_mut().mode = *b"eeeeeee\0";
            }),
            "bait",
            "not an octal number",
        ),
        (
            Tar::new().pax(&[("uid", b"99999999999")]).file("bait", "x"),
            "bait",
            "absurd",
        ),
        (
            Tar::new().pax(&[("mtime", b"soon")]).file("bait", "x"),
            "bait",
            "not a time",
        ),
    ] {
        let error = refused_tar(tar.finish());
        assert!(error.contains(entry) && error.contains(cause), "{error}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_allocated() {
    for (tar, cause) in [
        (huge(EntryType::Regular, 1 << 60), "absurd"),
        (huge(EntryType::Regular, 1 << 30), "truncated"),
        (huge(EntryType::XHeader, 1 << 40), "longer than"),
        (huge(EntryType::GNULongName, 1 << 21), "longer than"),
        (huge(EntryType::XGlobalHeader, 1 << 35), "longer than"),
        (
            Tar::new()
                .pax(&[("size", b"18446744073709551615")])
                .file("bait", "x")
                .finish(),
            "absurd",
        ),
    ] {
        let error = refused_tar(tar);
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn a_size_that_is_smaller_than_the_contents_makes_no_entry_of_them() {
    let tar = Tar::new()
        .file("bait", [b'x'; 2000])
        .file("next", "x")
        .finish();
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&tar[..512]);
    header.set_size(1000);
    header.set_cksum();
    let lying = [header.as_bytes(), &tar[512..]].concat();
    let error = refused_tar(lying);
    assert!(
        error.contains("entry `bait`") && error.contains("checksum"),
        "{error}"
    );
}

#[test]
fn headers_before_an_entry_are_bounded_together() {
    let large = vec![b'x'; 600_000];
    let records = [("comment", &large[..])];
    let tar = Tar::new().pax(&records).pax(&records).file("bait", "x");
    let error = refused_tar(tar.finish());
    assert!(error.contains("before one entry"), "{error}");
}

/// The error of walking an image whose layers may take only so much.
fn over_budget(tars: &[Vec<u8>], budget: Budget) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let layout = image(&folder.path().join("image"), tars, json!({}));
    let walked = walk_within(&layout, &Arc::new(budget), |_| true);
    walked.err().map(|error| format!("{error:#}"))
}

#[test]
fn all_layers_draw_on_one_budget() {
    let xattr = vec![b'x'; 100_000];
    let record = [("SCHILY.xattr.user.x", &xattr[..])];
    let one = Tar::new().pax(&record).file("a", "x").finish();
    let room = || Budget::of(150_000, 1 << 30);
    assert_eq!(over_budget(std::slice::from_ref(&one), room()), None);
    let error = over_budget(&[one.clone(), one.clone()], room()).unwrap();
    assert!(
        error.contains("names and attributes") && error.contains("entry `a`"),
        "{error}"
    );

    let work = || Budget::of(1 << 30, 150_000);
    let zeros = [one.clone(), vec![0; 100_000]].concat();
    let error = over_budget(&[zeros], work()).unwrap();
    assert!(error.contains("packed and unpacked"), "{error}");

    assert_eq!(over_budget(std::slice::from_ref(&one), work()), None);
    let error = over_budget(&[one.clone(), one], work()).unwrap();
    assert!(
        error.contains("packed and unpacked") && error.contains("layer sha256:"),
        "{error}"
    );

    // A megabyte of zeros takes a few bytes, and time to hash.
    let sparse = map_of("0,4", "1000000");
    let error = over_budget(&[sparse], work()).unwrap();
    assert!(error.contains("packed and unpacked"), "{error}");
}

/// A short name below a link is kept as the long one that it stands for.
#[test]
fn names_draw_on_the_budget_as_they_are_kept() {
    let long = vec!["x".repeat(200); 15].join("/");
    let link = Tar::new().symlink("a", &long);
    let files = |tar: Tar| {
        let names = (0..100).map(|n| format!("a/{n}"));
        names.fold(tar, |tar, name| tar.file(&name, "")).finish()
    };
    let room = || Budget::of(200_000, 1 << 30);
    assert_eq!(over_budget(&[files(Tar::new())], room()), None);
    let lower = link.finish();
    let one_layer = files(Tar::new().symlink("a", &long));
    for tars in [vec![one_layer], vec![lower, files(Tar::new())]] {
        let error = over_budget(&tars, room()).unwrap();
        assert!(error.contains("names and attributes"), "{error}");
    }
}

#[test]
fn more_layers_than_any_engine_takes_are_refused() {
    let layer = Tar::new().file("a", "x").finish();
    let error = over_budget(&vec![layer; 501], Budget::default()).unwrap();
    assert!(error.contains("501 layers are more than"), "{error}");
}

#[test]
fn a_link_out_of_the_image_leads_back_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let lower = Tar::new()
        .symlink("out", "../../../..")
        .symlink("etc", "/../..");
    let upper = Tar::new().file("out/bait", "x").file("etc/shadow", "y");
    let tars = [lower.finish(), upper.finish()];
    let layout = image(&folder.path().join("image"), &tars, json!({}));
    let walk = walk(&layout, |_| false).unwrap();
    let files: Vec<_> = walk.files().map(|(path, _)| path.to_vec()).collect();
    assert_eq!(files, [b"bait".to_vec(), b"shadow".to_vec()]);
}

#[test]
fn maps_of_sparse_files_must_add_up() {
    for (map, size, cause) in [
        ("0,2,1,2", "9", "overlap"),
        ("8,4", "9", "beyond its end"),
        ("18446744073709551615,4", "9", "beyond its end"),
        ("0,3", "9", "sum to 3 bytes"),
        ("0,4,5", "9", "middle of a piece"),
        ("0,4", "99999999999999", "absurd"),
        ("0,x", "9", "not a number"),
    ] {
        let error = refused_tar(map_of(map, size));
        assert!(error.contains(cause) && error.contains("bait"), "{error}");
    }
}

fn map_of(map: &str, size: &str) -> Vec<u8> {
    let records = [
        ("GNU.sparse.size", size.as_bytes()),
        ("GNU.sparse.map", map.as_bytes()),
    ];
    Tar::new().pax(&records).file("bait", "DATA").finish()
}

#[test]
fn broken_streams_are_refused() {
    let tar = Tar::new()
        .file("first", [1; 5000])
        .file("last", [2; 5000])
        .finish();
    let packed = gzip(&tar);
    let whole = Digest::of(&tar);

    let cut = refused_tar(tar[..7000].to_vec());
    assert!(
        cut.contains("entry `last`") && cut.contains("truncated"),
        "{cut}"
    );

    let half_header = refused_tar(tar[..5 * 512 + 100].to_vec());
    assert!(half_header.contains("truncated"), "{half_header}");

    let after_tar = refused_tar([&tar[..], &[9; 512]].concat());
    assert!(after_tar.contains("garbage"), "{after_tar}");

    let cut_gzip = refusal(&packed[..packed.len() - 9], Codec::Gzip, whole.clone());
    assert!(cut_gzip.contains("digest"), "{cut_gzip}");

    let after_gzip = [&packed[..], b"garbage"].concat();
    refusal(&after_gzip, Codec::Gzip, whole.clone());

    let no_tar = refused_tar(vec![7; 4096]);
    assert!(no_tar.contains("the first entry: checksum"), "{no_tar}");

    let wrong_codec = refusal(&packed, Codec::Zstd, whole.clone());
    assert!(
        wrong_codec.contains("media type says Zstd"),
        "{wrong_codec}"
    );
    let packed_plain = refusal(&packed, Codec::Plain, whole);
    assert!(packed_plain.contains("media type"), "{packed_plain}");

    let wrong_diff_id = refusal(&packed, Codec::Gzip, Digest::of("other"));
    assert!(wrong_diff_id.contains("diff ID"), "{wrong_diff_id}");
}

#[test]
fn a_blob_whose_bytes_changed_is_told_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let tar = Tar::new().file("a", "content").finish();
    let layout = image(&folder.path().join("image"), &[tar], json!({}));
    let blob = layout.blob_path(&layout.layers()[0].digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    // The operating system byte of the gzip header: the contents stay whole.
    bytes[9] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let error = measure(&layout, &BTreeSet::new()).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("the blob's bytes have the digest"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is done to a layer: an error or sizes, never a panic.
    #[test]
    fn damaged_layers_never_panic(
        at in 0_usize..6000, with in any::<[u8; 3]>(), cut in 0_usize..6000, packed: bool,
    ) {
        let tar = Tar::new()
            .pax(&[("SCHILY.xattr.user.x", b"1")])
            .file("etc/a", "12345")
            .file(&"long/".repeat(60), "x")
            .hardlink("b", "etc/a")
            .pax(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"3,4")])
            .file("sparse", "DATA")
            .finish();
        let mut blob = if packed { gzip(&tar) } else { tar };
        let at = at % blob.len();
        for (byte, with) in blob[at..].iter_mut().zip(with) {
            *byte ^= with;
        }
        blob.truncate(blob.len() - cut % 2048 % blob.len());
        let codec = if packed { Codec::Gzip } else { Codec::Plain };
        let folder = tempfile::tempdir().unwrap();
        let layer = (blob.clone(), codec, Digest::of(&blob));
        let layout = packed_image(&folder.path().join("image"), &[layer], json!({}));
        let _ = measure(&layout, &BTreeSet::new());
    }
}
