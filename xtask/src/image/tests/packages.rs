//! Packages and other files of the merged root filesystem.

use serde_json::json;

use crate::image::{
    packages::{Package, debian_packages, read_files},
    testing::{Tar, image},
    walk::walk,
};

const OLD: &str = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n";
const NEW: &str = "\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-10
Description: GNU C Library
 Version: in a description counts for nothing

Package: gone
Status: deinstall ok config-files
Version: 1

Package: apt
Status: hold ok installed
Version: 2.6.1
";

#[test]
fn debian_packages_come_from_the_topmost_status_and_the_parts() {
    let parent = tempfile::tempdir().unwrap();
    let status = "var/lib/dpkg/status";
    let parts = Tar::new()
        .file(
            "var/lib/dpkg/status.d/tzdata",
            "Package: tzdata\nVersion: 2024a-0\n",
        )
        .file("var/lib/dpkg/status.d/tzdata.md5sums", "00  Package: x\n")
        .file("var/lib/dpkg/status.d/gone", "Package: y\nVersion: 1\n");
    let layers = [
        Tar::new().file(status, OLD).finish(),
        parts.finish(),
        Tar::new()
            .file(status, NEW)
            .file("var/lib/dpkg/status.d/.wh.gone", "")
            .finish(),
    ];
    let layout = image(&parent.path().join("image"), &layers, json!({}));
    let package = |name: &str, version: &str| Package {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    let expected = [
        package("apt", "2.6.1"),
        package("libc6", "2.36-10"),
        package("tzdata", "2024a-0"),
    ];
    assert_eq!(debian_packages(&layout).unwrap(), expected);
}

#[test]
fn an_image_of_another_kind_has_no_packages() {
    let parent = tempfile::tempdir().unwrap();
    let layer = Tar::new().file("bin/sh", "x").finish();
    let layout = image(&parent.path().join("image"), &[layer], json!({}));
    assert_eq!(debian_packages(&layout).unwrap(), []);
}

#[test]
fn files_are_read_through_symlinks_and_up_to_a_size() {
    let parent = tempfile::tempdir().unwrap();
    let layer = Tar::new()
        .file("empty", "")
        .file("usr/lib/os-release", "ID=debian\n")
        .symlink("etc/os-release", "../usr/lib/os-release")
        .finish();
    let layout = image(&parent.path().join("image"), &[layer], json!({}));
    let walk = walk(&layout, |_| false).unwrap();
    let wanted = [
        "etc/os-release",
        "/usr/lib/os-release",
        "empty",
        "absent",
        "usr",
    ];
    let found = read_files(&layout, &walk, &wanted, 100).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found["etc/os-release"], b"ID=debian\n");
    assert_eq!(found["/usr/lib/os-release"], b"ID=debian\n");
    assert_eq!(found["empty"], b"");
    let error = read_files(&layout, &walk, &wanted, 9).unwrap_err();
    assert!(error.to_string().contains("10 bytes"), "{error}");
}
