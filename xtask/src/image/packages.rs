//! Files of the root filesystem by path, and the Debian packages they list.
//!
//! A rebuilt base has no digest of its own that means anything; the versions of
//! its packages are its identity.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::{
    Layout,
    entry::Kind,
    paths,
    walk::{Walk, walk},
};

/// The status file of a full Debian desktop is a tenth of this.
const MAX_STATUS_BYTES: u64 = 64 << 20;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";

/// An installed Debian package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    pub version: String,
}

/// The contents of those of `wanted` that the root filesystem holds, symlinks
/// followed. Paths that are absent or no regular files are left out.
///
/// # Errors
/// For a file larger than `max_bytes`, and when a layer cannot be read.
pub fn read_files(
    layout: &Layout,
    walk: &Walk,
    wanted: &[&str],
    max_bytes: u64,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut places = BTreeMap::new();
    for &path in wanted {
        let found = walk.lookup(path.as_bytes());
        let Some((_, place)) = found.with_context(|| path.to_owned())? else {
            continue;
        };
        let entry = walk.entry(place);
        ensure!(
            entry.size_bytes <= max_bytes,
            "{path} has {} bytes, more than the {max_bytes} expected",
            entry.size_bytes
        );
        if entry.kind == Kind::File {
            places.insert(path, place);
        }
    }
    let contents = walk.contents(layout, &places.values().copied().collect())?;
    let of = |place| contents.get(&place).cloned().unwrap_or_default();
    let files = places.into_iter();
    Ok(files
        .map(|(path, place)| (path.to_owned(), of(place)))
        .collect())
}

/// The installed Debian packages of an image, sorted by name: those of
/// `/var/lib/dpkg/status` and, as distroless images have them, of the files in
/// `/var/lib/dpkg/status.d`. Empty for an image of another kind.
///
/// # Errors
/// Those of [`walk`] and [`read_files`], and for a stanza without a version.
pub fn debian_packages(layout: &Layout) -> Result<Vec<Package>> {
    packages_of(layout, &walk(layout, |_| false)?)
}

/// [`debian_packages`] of an image that was walked already.
pub fn packages_of(layout: &Layout, walk: &Walk) -> Result<Vec<Package>> {
    let mut wanted = vec![STATUS.to_owned()];
    for path in walk.list(STATUS_FOLDER.as_bytes())? {
        let path = paths::shown(&path);
        if !path.ends_with(".md5sums") {
            wanted.push(path);
        }
    }
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut packages = Vec::new();
    for (path, contents) in read_files(layout, walk, &wanted, MAX_STATUS_BYTES)? {
        parse_status(&contents, &mut packages).with_context(|| path.clone())?;
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

fn parse_status(contents: &[u8], packages: &mut Vec<Package>) -> Result<()> {
    let text = String::from_utf8_lossy(contents);
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let mut lines = stanza.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let Some(name) = field("Package") else {
            continue;
        };
        // `status.d` has no such field: what is there is installed.
        let installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        if !installed {
            continue;
        }
        let version = field("Version");
        let version = version.with_context(|| format!("package {name} has no version"))?;
        packages.push(Package {
            name: name.to_owned(),
            version: version.to_owned(),
        });
    }
    Ok(())
}
