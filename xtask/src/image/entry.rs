//! One thing in a layer, as its headers describe it.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tar::{EntryType, Header};

use super::{fields::Extensions, paths, sparse::Segment};
use crate::digest::Digest;

/// What seven octal digits hold; Linux has 12 bits of major and 20 of minor.
const MAX_DEVICE_NUMBER: u32 = 0o7_777_777;

/// One thing in a layer, with all that an engine would restore of it. Times
/// other than mtime, and user and group names, are not kept: engines ignore
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Clean, see [`paths`]. Shared with the maps that hold the entry under it:
    /// names are most of what a walk keeps.
    pub path: Arc<[u8]>,
    pub kind: Kind,
    /// What `lstat` would say after unpacking: a file's apparent size, the
    /// length of a symlink's target, 0 for everything else.
    pub size_bytes: u64,
    /// Permission bits, with set-uid, set-gid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Whole seconds since 1970: BuildKit's differ cuts the fraction off, too.
    pub mtime_s: i64,
    /// Extended attributes (PAX records `SCHILY.xattr.*`), sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the contents begin in the uncompressed stream; this also tells two
    /// versions of a path in one layer apart.
    pub data_offset: u64,
    /// Set for sparse files: what is stored, and where it belongs.
    pub sparse: Option<Box<[Segment]>>,
    /// The digest of a file's contents, where the reader asked for it.
    pub content: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink(Vec<u8>),
    /// Another name of an earlier entry of the same layer (clean path).
    HardLink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

impl Entry {
    /// What its texts and its map take in memory.
    pub(super) fn text_bytes(&self) -> u64 {
        let target = match &self.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => target.len(),
            _ => 0,
        };
        let xattr = |(name, value): &(Vec<u8>, Vec<u8>)| {
            size_of::<(Vec<u8>, Vec<u8>)>() + name.len() + value.len()
        };
        let xattrs: usize = self.xattrs.iter().map(xattr).sum();
        let map = self.sparse.as_deref().unwrap_or_default();
        (self.path.len() + target + xattrs + size_of_val(map)) as u64
    }

    /// Zeros of a sparse file that are not stored.
    pub(super) fn hole_bytes(&self) -> u64 {
        let stored = |segments: &[Segment]| segments.iter().map(|it| it.bytes).sum();
        let stored: u64 = self.sparse.as_deref().map_or(self.size_bytes, stored);
        self.size_bytes - stored
    }

    /// The pieces to copy, for ordinary and sparse files alike.
    pub fn segments(&self) -> Vec<Segment> {
        match &self.sparse {
            Some(segments) => segments.to_vec(),
            None => vec![Segment {
                file_offset: 0,
                bytes: self.size_bytes,
            }],
        }
    }
}

pub(super) fn kind(header: &Header, extensions: &Extensions, name: &[u8]) -> Result<Kind> {
    let link = || -> Result<Vec<u8>> {
        let target = extensions.get("linkpath").or(extensions.link.as_deref());
        let target = match target {
            Some(target) => target.to_vec(),
            None => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        ensure!(
            target.len() <= paths::MAX_PATH_BYTES && !target.contains(&0),
            "the link's target is too long or holds a NUL byte"
        );
        Ok(target)
    };
    let device = || -> Result<(u32, u32)> {
        let major = header.device_major()?.unwrap_or_default();
        let minor = header.device_minor()?.unwrap_or_default();
        ensure!(
            major.max(minor) <= MAX_DEVICE_NUMBER,
            "a device number of {major}:{minor} is absurd"
        );
        Ok((major, minor))
    };
    Ok(match header.entry_type() {
        // Version 7 archives mark a folder by its trailing slash only.
        EntryType::Regular if header.as_old().linkflag == [0] && name.ends_with(b"/") => {
            Kind::Directory
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link()?),
        EntryType::Link => Kind::HardLink(paths::clean(&link()?).context("hard link's target")?),
        EntryType::Char => device().map(|(major, minor)| Kind::CharDevice(major, minor))?,
        EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
        EntryType::Fifo => Kind::Fifo,
        other => bail!(
            "entry type `{}` is not one that engines unpack",
            other.as_byte().escape_ascii()
        ),
    })
}

pub(super) fn xattrs(extensions: &Extensions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = std::collections::BTreeMap::new();
    for (key, value) in &extensions.records {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            found.insert(name.to_vec(), value.clone());
        }
    }
    found.into_iter().collect()
}
