//! A layer's tree as a tar stream of which there is only one form.
//!
//! Folders come before what they hold and whiteouts before their siblings; of
//! the names of a hard-linked file the first has the contents. Headers are
//! ustar with PAX records only where a value does not fit, without user and
//! group names, and no time is later than [`EPOCH_S`].

use std::{
    cmp::Ordering,
    collections::HashMap,
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::{
    Codec,
    entry::{Entry, Kind},
    hashing::Hashing,
    paths,
    tree::Tree,
    writer::{LayerBlob, LayoutWriter},
};

/// 2024-01-01T00:00:00Z, as the latest time that anything of ours may carry. A
/// fixed date rather than the commit's, so that a commit alone moves no digest;
/// later than 1980, because zip and some package managers refuse older files.
pub const EPOCH_S: i64 = 1_704_067_200;
pub const EPOCH_TEXT: &str = "2024-01-01T00:00:00Z";

/// What a build pushes: gzip's and BuildKit's own default.
pub const BUILD_LEVEL: u32 = 6;
/// What Debian's published root file systems are packed with: with it a rebuilt
/// one comes within a thousandth of the published size.
pub const ROOTFS_LEVEL: u32 = 9;

/// gzip's "unknown" operating system.
const GZIP_OS_UNKNOWN: u8 = 255;

const BLOCK: u64 = 512;

/// How the stream is cut for the compressor; part of what its output is.
const CHUNK_BYTES: usize = 64 * 1024;

/// A layer as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub layer: LayerBlob,
    /// Of the uncompressed stream.
    pub unpacked_bytes: u64,
}

/// Writes the tree as a gzip layer; `stream` holds the tar stream that the tree
/// was read from, `level` is gzip's.
pub fn write_layer(
    writer: &LayoutWriter,
    tree: &Tree,
    stream: &File,
    level: u32,
) -> Result<Written> {
    let gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(GZIP_OS_UNKNOWN)
        .write(writer.blob()?, Compression::new(level));
    let mut out = Hashing::new(EqualChunks::new(gzip));
    write_tar(tree, stream, &mut out)?;
    let (chunks, diff_id, unpacked_bytes) = out.finish();
    let blob = chunks.finish()?.finish()?.commit(None)?;
    Ok(Written {
        layer: LayerBlob {
            blob,
            codec: Codec::Gzip,
            diff_id,
        },
        unpacked_bytes,
    })
}

fn write_tar(tree: &Tree, stream: &File, out: &mut impl Write) -> Result<()> {
    let mut names: Vec<(&[u8], u32)> = tree.names().collect();
    names.sort_by(|(left, _), (right, _)| canonical_order(left, right));
    let mut first_names: HashMap<u32, &[u8]> = HashMap::new();
    for (path, inode) in names {
        let entry = tree.inode(inode);
        let first = *first_names.entry(inode).or_insert(path);
        let linked = (first != path).then_some(first);
        let written = write_entry(path, entry, linked, stream, out);
        written.with_context(|| format!("entry `{}`", paths::shown(path)))?;
    }
    // The end of the archive.
    out.write_all(&[0; 2 * BLOCK as usize])?;
    Ok(())
}

/// Name by name from the root, a whiteout before every other name: the order
/// that the image specification asks for.
fn canonical_order(left: &[u8], right: &[u8]) -> Ordering {
    let parts = |path| <[u8]>::split(path, |&byte| byte == b'/');
    let key = |part: &'_ [u8]| !part.starts_with(paths::WHITEOUT);
    match (left.is_empty(), right.is_empty()) {
        (false, false) => {
            let left = parts(left).map(|part| (key(part), part));
            left.cmp(parts(right).map(|part| (key(part), part)))
        }
        // The root comes first.
        (left, right) => right.cmp(&left),
    }
}

fn write_entry(
    path: &[u8],
    entry: &Entry,
    linked_to: Option<&[u8]>,
    stream: &File,
    out: &mut impl Write,
) -> Result<()> {
    let (kind, link): (EntryType, &[u8]) = match (&entry.kind, linked_to) {
        (_, Some(first)) => (EntryType::Link, first),
        (Kind::File | Kind::HardLink(_), None) => (EntryType::Regular, b""),
        (Kind::Directory, None) => (EntryType::Directory, b""),
        (Kind::Symlink(target), None) => (EntryType::Symlink, target),
        (Kind::CharDevice(..), None) => (EntryType::Char, b""),
        (Kind::BlockDevice(..), None) => (EntryType::Block, b""),
        (Kind::Fifo, None) => (EntryType::Fifo, b""),
    };
    write_header(path, kind, link, entry, out)?;
    if kind == EntryType::Regular {
        copy_contents(entry, stream, out)?;
        pad(entry.size_bytes, out)?;
    }
    Ok(())
}

fn write_header(
    path: &[u8],
    kind: EntryType,
    link: &[u8],
    entry: &Entry,
    out: &mut impl Write,
) -> Result<()> {
    let mut header = Header::new_ustar();
    let mut records = Records::default();
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    let name = match (path, kind) {
        (b"", _) => b"./".to_vec(),
        (_, EntryType::Directory) => [path, b"/"].concat(),
        _ => path.to_vec(),
    };
    set_name(&mut header, &name, &mut records);
    if link.len() <= 100 {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    } else {
        records.add("linkpath", link);
    }
    let size = if kind == EntryType::Regular {
        entry.size_bytes
    } else {
        0
    };
    header.set_size(records.number("size", size as i64, 11));
    header.set_uid(records.number("uid", entry.uid as i64, 7));
    header.set_gid(records.number("gid", entry.gid as i64, 7));
    header.set_mtime(records.number("mtime", entry.mtime_s.min(EPOCH_S), 11));
    let (major, minor) = match entry.kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => (major, minor),
        _ => (0, 0),
    };
    header.set_device_major(major)?;
    header.set_device_minor(minor)?;
    // A hard link has no attributes of its own.
    if kind != EntryType::Link {
        for (name, value) in &entry.xattrs {
            records.add_bytes([b"SCHILY.xattr.", &name[..]].concat(), value);
        }
    }
    header.set_cksum();
    records.write(out)?;
    out.write_all(header.as_bytes())?;
    Ok(())
}

/// The name field, the prefix field too if a slash lies in the right place,
/// else a PAX record.
fn set_name(header: &mut Header, name: &[u8], records: &mut Records) {
    if name.len() <= 100 {
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        return;
    }
    // A folder's own trailing slash is no place to split.
    let slashes = name[..name.len() - 1].iter().enumerate();
    let mut slashes = slashes.filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let split = slashes.find(|&at| name.len() - at - 1 <= 100 && at <= 155);
    match (split, header.as_ustar_mut()) {
        (Some(at), Some(ustar)) if at > 0 => {
            ustar.prefix[..at].copy_from_slice(&name[..at]);
            ustar.name[..name.len() - at - 1].copy_from_slice(&name[at + 1..]);
        }
        _ => {
            records.add("path", name);
            header.as_old_mut().name.copy_from_slice(&name[..100]);
        }
    }
}

/// PAX records of one entry.
#[derive(Default)]
struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    fn add(&mut self, key: &str, value: &[u8]) {
        self.add_bytes(key.as_bytes().to_vec(), value);
    }

    fn add_bytes(&mut self, key: Vec<u8>, value: &[u8]) {
        self.0.push((key, value.to_vec()));
    }

    /// What to put into a header field of so many octal digits; a value that
    /// does not fit goes into a record and leaves 0 in the field.
    fn number(&mut self, key: &str, value: i64, digits: u32) -> u64 {
        match u64::try_from(value) {
            Ok(value) if value < 1 << (3 * digits) => value,
            _ => {
                self.add(key, value.to_string().as_bytes());
                0
            }
        }
    }

    fn write(mut self, out: &mut impl Write) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        let mut text = Vec::new();
        for (key, value) in &self.0 {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + digits(rest);
            if digits(length) > digits(rest) {
                length = rest + digits(length);
            }
            write!(text, "{length} ")?;
            text.extend([key, &b"="[..], value, b"\n"].concat());
        }
        let mut header = Header::new_ustar();
        let name = b"PaxHeaders.0";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_device_major(0)?;
        header.set_device_minor(0)?;
        header.set_size(text.len() as u64);
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        out.write_all(&text)?;
        pad(text.len() as u64, out)
    }
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

fn copy_contents(entry: &Entry, stream: &File, out: &mut impl Write) -> Result<()> {
    let mut from = entry.data_offset;
    let mut written = 0;
    for segment in entry.segments() {
        zeros(segment.file_offset - written, out)?;
        copy_range(stream, from, segment.bytes, out)?;
        from += segment.bytes;
        written = segment.file_offset + segment.bytes;
    }
    zeros(entry.size_bytes - written, out)
}

fn copy_range(stream: &File, from: u64, bytes: u64, out: &mut impl Write) -> Result<()> {
    let mut buffer = [0; CHUNK_BYTES];
    let mut done = 0;
    while done < bytes {
        let n = usize::try_from(bytes - done).map_or(buffer.len(), |left| left.min(buffer.len()));
        stream.read_exact_at(&mut buffer[..n], from + done)?;
        out.write_all(&buffer[..n])?;
        done += n as u64;
    }
    Ok(())
}

/// Hands a stream on in chunks of one size. The compressor's output depends on
/// where its input is cut, and nothing but the stream may decide about that.
struct EqualChunks<W> {
    inner: W,
    chunk: Vec<u8>,
}

impl<W: Write> EqualChunks<W> {
    fn new(inner: W) -> Self {
        let chunk = Vec::with_capacity(CHUNK_BYTES);
        Self { inner, chunk }
    }

    fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&self.chunk)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for EqualChunks<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = buffer.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&buffer[..n]);
        if self.chunk.len() == CHUNK_BYTES {
            self.inner.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(n)
    }

    /// What is not a whole chunk waits for the rest.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn pad(size: u64, out: &mut impl Write) -> Result<()> {
    zeros(size.next_multiple_of(BLOCK) - size, out)
}

fn zeros(count: u64, out: &mut impl Write) -> Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out)?;
    Ok(())
}
