//! bases.lock: what it holds, what it refuses, what moved.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Lab {
    fn lock_problems(&self, text: &str) -> String {
        self.write("bases.lock", text);
        let error = Lock::load(&self.project()).unwrap_err();
        error.downcast::<Problems>().unwrap().to_string()
    }
}

fn packages(list: &[&str]) -> Vec<Package> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn entry(reference: &str, origin: Origin) -> Entry {
    Entry {
        name: name(reference),
        platform: AMD64.to_owned(),
        digest: None,
        origin,
    }
}

fn rebuild(list: &[&str]) -> Rebuild {
    Rebuild {
        recipe_id: "0123456789ab".to_owned(),
        packages: packages(list),
        toolchain: packages(&["go 1.23.12"]),
    }
}

#[test]
fn the_lock_reads_what_it_writes_sorted() {
    let lab = Lab::new();
    assert_eq!(Lock::load(&lab.project()).unwrap(), Lock::default());
    let mut lock = Lock::default();
    lock.set(entry(
        "golang:1.23",
        Origin::Rebuilt(rebuild(&["z 1", "openssl 3.0.17-1"])),
    ));
    lock.set(Entry {
        digest: Some(Digest::of("")),
        ..entry("gcr.io/distroless/static", Origin::Upstream)
    });
    lock.set(entry("busybox", Origin::Upstream));
    lock.set(entry("a", Origin::StandIn(rebuild(&[]))));
    let archive = Origin::Archive {
        file: "alpine.tar.gz".to_owned(),
        sha256: Digest::of(""),
        otherwise: Some(rebuild(&["musl 1.2"])),
    };
    lock.set(entry("alpine:3.22", archive));
    lock.save(&lab.project()).unwrap();
    let text = fs::read_to_string(lab.0.path().join("experiments/bases.lock")).unwrap();
    insta::assert_snapshot!(text, @r#"
    # Written by `cargo xtask bases update`; edit bases.toml instead.
    # Per base and platform: where it comes from, and its identity.

    [[base]]
    reference = "a"
    platform = "linux/amd64"
    source = "stand-in"
    digest = ""
    recipe_id = "0123456789ab"
    toolchain = [
        "go 1.23.12",
    ]

    [[base]]
    reference = "alpine:3.22"
    platform = "linux/amd64"
    source = "archive"
    digest = ""
    file = "alpine.tar.gz"
    sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    otherwise = "stand-in"
    recipe_id = "0123456789ab"
    toolchain = [
        "go 1.23.12",
    ]
    packages = [
        "musl 1.2",
    ]

    [[base]]
    reference = "busybox"
    platform = "linux/amd64"
    source = "upstream"
    digest = ""

    [[base]]
    reference = "golang:1.23"
    platform = "linux/amd64"
    source = "rebuilt"
    digest = ""
    recipe_id = "0123456789ab"
    toolchain = [
        "go 1.23.12",
    ]
    packages = [
        "openssl 3.0.17-1",
        "z 1",
    ]

    [[base]]
    reference = "gcr.io/distroless/static"
    platform = "linux/amd64"
    source = "upstream"
    digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    "#);
    assert_eq!(Lock::load(&lab.project()).unwrap(), lock);
}

#[test]
fn the_identity_is_what_the_source_says() {
    let id = |origin| entry("a", origin).id();
    assert_eq!(id(Origin::Upstream), None, "never guessed");
    let resolved = Entry {
        digest: Some(Digest::of("")),
        ..entry("a", Origin::Upstream)
    };
    assert_eq!(resolved.id().as_deref(), Some(&HEX[..12]));
    let one = id(Origin::Rebuilt(rebuild(&["a 1", "b 1"])));
    assert_eq!(one, id(Origin::Rebuilt(rebuild(&["b 1", "a 1"]))));
    assert_ne!(one, id(Origin::Rebuilt(rebuild(&["a 1", "b 2"]))));
    let archive = entry(
        "a",
        Origin::Archive {
            file: "f".to_owned(),
            sha256: Digest::of(""),
            otherwise: Some(rebuild(&["a 1"])),
        },
    );
    assert_eq!(archive.id().as_deref(), Some(&HEX[..12]));
    let stand_in = archive.otherwise().unwrap();
    assert_eq!(
        (stand_in.source(), stand_in.id()),
        ("stand-in", Some(rebuild(&["a 1"]).id()))
    );
    assert_eq!(stand_in.otherwise(), None);
}

#[test]
fn a_lock_that_is_none_is_refused_line_by_line() {
    let lab = Lab::new();
    let found = lab.lock_problems(
        "[[base]]\nreference = 'A'\nplatform = 'p'\nsource = 'home'\ndigest = 'x'\n\
         [[base]]\nreference = 'a'\nplatform = 'p'\nsource = 'rebuilt'\nrecipe_id = '0'\npackages = ['x']\n\
         [[base]]\nreference = 'b'\nplatform = 'p'\nsource = 'archive'\nfile = 'f'\nsha256 = '1'\notherwise = 'luck'\n\
         [[base]]\nreference = 'c'\nplatform = 'p'\nsource = 'upstream'\n\
         [[base]]\nreference = 'c'\nplatform = 'p'\nsource = 'upstream'\nfoo = 1\n",
    );
    let lines: Vec<_> = found
        .lines()
        .filter(|line| !line.contains("mend:"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    experiments/bases.lock:2: `A` is not an image reference
    experiments/bases.lock:4: `source` is `home`, not upstream, archive, rebuilt or stand-in
    experiments/bases.lock:5: `x` is not a digest of the form sha256:<64 hex>
    experiments/bases.lock:11: `x` is not `name version`
    experiments/bases.lock:17: `sha256:1` is not a digest of the form sha256:<64 hex>
    experiments/bases.lock:18: `otherwise` is `luck`, not `stand-in`
    experiments/bases.lock:23: c:latest p stands here twice
    experiments/bases.lock:27: [[base]] unknown key `foo`
    ");
    assert_eq!(
        found
            .matches("write it anew: `cargo xtask bases update`")
            .count(),
        8
    );
}

#[test]
fn what_moved_is_named_with_both_versions() {
    let lock = |entries: Vec<Entry>| {
        let mut lock = Lock::default();
        entries.into_iter().for_each(|entry| lock.set(entry));
        lock
    };
    let digest = |text: &str| Entry {
        digest: Some(Digest::of(text)),
        ..entry("d", Origin::Upstream)
    };
    let mut new_recipe = rebuild(&["openssl 3.0.18-1", "same 1", "new 2"]);
    new_recipe.recipe_id = "ba9876543210".to_owned();
    new_recipe.toolchain = packages(&["go 1.23.13"]);
    let old = lock(vec![
        entry(
            "golang:1.23",
            Origin::Rebuilt(rebuild(&["openssl 3.0.17-1", "same 1", "old 2"])),
        ),
        entry("b", Origin::Rebuilt(rebuild(&[]))),
        entry("c", Origin::Upstream),
        digest("1"),
        entry("e", Origin::Upstream),
        Entry {
            digest: Some(Digest::of("1")),
            ..entry("f", Origin::Rebuilt(rebuild(&[])))
        },
    ]);
    let new = lock(vec![
        entry("golang:1.23", Origin::Rebuilt(new_recipe)),
        entry("b", Origin::Upstream),
        entry("a", Origin::Upstream),
        digest("2"),
        entry("e", Origin::Upstream),
        Entry {
            digest: Some(Digest::of("2")),
            ..entry("f", Origin::Rebuilt(rebuild(&[])))
        },
    ]);
    insta::assert_snapshot!(diff(&old, &new).join("\n"), @"
    c linux/amd64: removed
    a linux/amd64: added, upstream
    b linux/amd64: rebuilt -> upstream
    d linux/amd64: 6b86b273ff34 -> d4735e3a265e
    f linux/amd64: 6b86b273ff34 -> d4735e3a265e
    golang:1.23 linux/amd64: recipe 0123456789ab -> ba9876543210
    golang:1.23 linux/amd64: go 1.23.12 -> 1.23.13
    golang:1.23 linux/amd64: new 2 added
    golang:1.23 linux/amd64: old 2 removed
    golang:1.23 linux/amd64: openssl 3.0.17-1 -> 3.0.18-1
    ");
    assert_eq!(diff(&new, &new), [""; 0]);
}

#[test]
fn archives_and_their_stand_ins_move_separately() {
    let archive = |sha: &str, otherwise| {
        let mut lock = Lock::default();
        lock.set(entry(
            "a",
            Origin::Archive {
                file: "f".to_owned(),
                sha256: Digest::of(sha),
                otherwise,
            },
        ));
        lock
    };
    let moved = diff(&archive("1", None), &archive("2", Some(rebuild(&[]))));
    assert_eq!(
        moved,
        [
            "a linux/amd64: a stand-in is allowed now",
            "a linux/amd64: 6b86b273ff34 -> d4735e3a265e"
        ]
    );
    let moved = diff(&archive("1", Some(rebuild(&["m 1"]))), &archive("1", None));
    assert_eq!(moved, ["a linux/amd64: no stand-in is allowed any more"]);
}

#[test]
fn wanted_bases_without_an_entry_are_said_and_forgotten_ones_go() {
    let lab = Lab::new();
    let (_, bases) = lab.check().unwrap();
    let mut lock = Lock::default();
    lock.set(entry("debian:bookworm", Origin::Upstream));
    lock.set(entry("gone", Origin::Upstream));
    lock.retain_known(&bases);
    assert_eq!(lock.iter().count(), 1);
    let missing = lock.missing(&lab.project(), bases.iter().map(|base| &base.name), AMD64);
    insta::assert_snapshot!(Problems(missing), @"
    experiments/bases.lock: `golang:1.23` has no entry for linux/amd64
      mend: `cargo xtask bases update golang:1.23`
    ");
}
