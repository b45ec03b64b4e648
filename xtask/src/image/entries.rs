//! Reading a tar stream entry by entry: ustar, GNU long names, PAX, sparse.
//!
//! Rules are those of Go's `archive/tar`, with which every engine unpacks
//! layers; where it is lax in a way that matters (paths, sizes, trailing
//! bytes) this is strict, and every error names the entry.

use std::io::{self, BufRead, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use tar::{EntryType, GnuExtSparseHeader, Header};

use super::{
    entry::{Entry, Kind, kind, xattrs},
    fields::{Extensions, check_sum, field, owner, parse_pax, seconds, without_nul},
    hashing::Hashing,
    paths,
    sparse::{self, MapInContents, Segment},
};
use crate::digest::Digest;

const BLOCK: u64 = 512;

/// Bound of a sparse map, and of all long names and PAX headers of one entry;
/// Go's own limit for each of them.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// Far above any file in an image; keeps sums from overflowing and a sparse
/// file of a few bytes from keeping a hash busy for days.
const MAX_FILE_BYTES: u64 = 64 << 30;

/// Reads entries from an uncompressed tar stream.
pub struct TarReader<R> {
    stream: R,
    position: u64,
    /// Where the stored bytes of the current entry end.
    data_end: u64,
    current: Vec<u8>,
}

impl<R: BufRead> TarReader<R> {
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            position: 0,
            data_end: 0,
            current: Vec::new(),
        }
    }

    /// The next entry, skipping what is left of the one before; `None` at the
    /// end of the archive.
    ///
    /// # Errors
    /// Names the entry it is about, or the one after which the stream broke.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            let header = self.next_header().with_context(|| self.place())?;
            let Some(header) = header else {
                ensure!(
                    !extensions.found,
                    "the archive ends after an extension header"
                );
                return Ok(None);
            };
            match header.entry_type() {
                EntryType::GNULongName => {
                    let name = self.extension(&header, &mut extensions)?;
                    extensions.path = Some(without_nul(name));
                }
                EntryType::GNULongLink => {
                    let target = self.extension(&header, &mut extensions)?;
                    extensions.link = Some(without_nul(target));
                }
                EntryType::XHeader => {
                    let text = self.extension(&header, &mut extensions)?;
                    let records = parse_pax(&text).context("malformed PAX header")?;
                    extensions.records.extend(records);
                }
                // Says nothing that engines restore.
                EntryType::XGlobalHeader => drop(self.extension(&header, &mut extensions)?),
                _ => {
                    let entry = self.entry(&header, &extensions);
                    return entry.with_context(|| self.place()).map(Some);
                }
            }
        }
    }

    /// Writes the contents of `entry`, holes as zeros. Only right after
    /// [`next_entry`](Self::next_entry) returned it.
    pub fn copy_content(&mut self, entry: &Entry, out: &mut impl Write) -> Result<()> {
        let place = || format!("entry `{}`", paths::shown(&entry.path));
        let mut written = 0;
        for segment in entry.segments() {
            let hole = segment.file_offset - written;
            io::copy(&mut io::repeat(0).take(hole), out).with_context(place)?;
            self.copy(segment.bytes, out).with_context(place)?;
            written = segment.file_offset + segment.bytes;
        }
        let hole = entry.size_bytes - written;
        io::copy(&mut io::repeat(0).take(hole), out).with_context(place)?;
        Ok(())
    }

    /// The digest of the contents of `entry`; see
    /// [`copy_content`](Self::copy_content).
    pub fn hash_content(&mut self, entry: &Entry) -> Result<Digest> {
        let mut sink = Hashing::new(io::sink());
        self.copy_content(entry, &mut sink)?;
        Ok(sink.finish().1)
    }

    /// Reads to the end of the stream and returns it. After the archive only
    /// zeros may follow: writers pad, and nothing else is part of the image.
    pub fn finish(mut self) -> Result<R> {
        self.skip_to(self.data_end)?;
        loop {
            let chunk = self.stream.fill_buf()?;
            if chunk.is_empty() {
                return Ok(self.stream);
            }
            ensure!(
                chunk.iter().all(|&byte| byte == 0),
                "garbage after the end of the tar archive"
            );
            let n = chunk.len();
            self.stream.consume(n);
        }
    }

    fn place(&self) -> String {
        if self.current.is_empty() && self.position <= BLOCK {
            return "the first entry".to_owned();
        }
        format!("entry `{}`", paths::shown(&self.current))
    }

    fn next_header(&mut self) -> Result<Option<Header>> {
        self.skip_to(self.data_end.next_multiple_of(BLOCK))?;
        if self.stream.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut header = Header::new_old();
        self.read_exact(header.as_mut_bytes())?;
        self.data_end = self.position;
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        check_sum(&header)?;
        Ok(Some(header))
    }

    fn entry(&mut self, header: &Header, extensions: &Extensions) -> Result<Entry> {
        let name = extensions
            .get("GNU.sparse.name")
            .or(extensions.get("path"))
            .or(extensions.path.as_deref())
            .map_or_else(|| header.path_bytes().into_owned(), <[u8]>::to_vec);
        self.current.clone_from(&name);
        let kind = kind(header, extensions, &name)?;
        let old = header.as_old();
        let mut entry = Entry {
            path: paths::clean(&name)?.into(),
            kind,
            size_bytes: 0,
            mode: (field(&old.mode).context("mode")? & 0o7777) as u32,
            uid: owner(&old.uid, extensions.number("uid")?)?,
            gid: owner(&old.gid, extensions.number("gid")?)?,
            mtime_s: match extensions.get("mtime") {
                Some(text) => seconds(text)?,
                None => field(&old.mtime).context("mtime")?,
            },
            xattrs: xattrs(extensions),
            data_offset: self.position,
            sparse: None,
            content: None,
        };
        match &entry.kind {
            Kind::File => self.file_size(header, extensions, &mut entry)?,
            Kind::Symlink(target) => entry.size_bytes = target.len() as u64,
            // As in Go, a size in the header of anything else means nothing.
            _ => {}
        }
        Ok(entry)
    }

    /// Fills in the sizes of a file, and its map if it is sparse.
    fn file_size(&mut self, header: &Header, ext: &Extensions, entry: &mut Entry) -> Result<()> {
        let stored = match ext.number("size")? {
            Some(size) => size,
            None => u64::try_from(field(&header.as_old().size)?).context("negative size")?,
        };
        ensure!(
            stored <= MAX_FILE_BYTES,
            "a size of {stored} bytes is absurd"
        );
        self.data_end = self.position + stored;
        let Some((segments, size)) = self.sparse_map(header, ext)? else {
            entry.data_offset = self.position;
            entry.size_bytes = stored;
            return Ok(());
        };
        ensure!(size <= MAX_FILE_BYTES, "a size of {size} bytes is absurd");
        let map_end = self.position;
        ensure!(
            map_end <= self.data_end,
            "the map of the sparse file is longer than its contents"
        );
        sparse::check(&segments, size, self.data_end - map_end)?;
        entry.data_offset = map_end;
        entry.size_bytes = size;
        entry.sparse = Some(segments.into());
        Ok(())
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        ext: &Extensions,
    ) -> Result<Option<(Vec<Segment>, u64)>> {
        if header.entry_type() == EntryType::GNUSparse {
            return self.gnu_sparse_map(header).map(Some);
        }
        let real_size = || -> Result<u64> {
            let size = ext.number("GNU.sparse.realsize")?;
            match size {
                Some(size) => Ok(size),
                None => ext
                    .number("GNU.sparse.size")?
                    .context("no size of the sparse file"),
            }
        };
        if ext.get("GNU.sparse.major") == Some(b"1") {
            let mut map = MapInContents::default();
            let first = self.position;
            loop {
                ensure!(
                    self.position - first < MAX_EXTENSION_BYTES,
                    "the map of the sparse file is too long"
                );
                let mut block = [0; BLOCK as usize];
                self.read_exact(&mut block)?;
                if let Some(segments) = map.push(&block)? {
                    return Ok(Some((segments, real_size()?)));
                }
            }
        }
        if let Some(map) = ext.get("GNU.sparse.map") {
            let numbers: Result<Vec<u64>> = map.split(|&b| b == b',').map(sparse::number).collect();
            return Ok(Some((sparse::from_numbers(&numbers?)?, real_size()?)));
        }
        // PAX 0.0 repeats the keys, once per piece.
        let is_number = |key: &[u8]| matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
        let pieces = ext.records.iter().filter(|(key, _)| is_number(key));
        let numbers: Vec<u64> = pieces
            .map(|(_, value)| sparse::number(value))
            .collect::<Result<_>>()?;
        if numbers.is_empty() {
            return Ok(None);
        }
        Ok(Some((sparse::from_numbers(&numbers)?, real_size()?)))
    }

    /// The map of an old GNU sparse file goes on in blocks after the header,
    /// which the header's size does not count.
    fn gnu_sparse_map(&mut self, header: &Header) -> Result<(Vec<Segment>, u64)> {
        let gnu = header
            .as_gnu()
            .context("a sparse file without a GNU header")?;
        let first = self.position;
        let mut segments = sparse::from_gnu_headers(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            ensure!(
                self.position - first < MAX_EXTENSION_BYTES,
                "the map of the sparse file is too long"
            );
            let mut block = GnuExtSparseHeader::new();
            self.read_exact(block.as_mut_bytes())?;
            self.data_end += BLOCK;
            segments.extend(sparse::from_gnu_headers(block.sparse())?);
            more = block.is_extended();
        }
        Ok((segments, gnu.real_size()?))
    }

    /// The contents of a header that speaks about the next entry.
    fn extension(&mut self, header: &Header, extensions: &mut Extensions) -> Result<Vec<u8>> {
        let size = field(&header.as_old().size).context("size")?;
        let size = u64::try_from(size).context("negative size")?;
        extensions.found = true;
        extensions.bytes = extensions.bytes.saturating_add(size);
        ensure!(
            extensions.bytes <= MAX_EXTENSION_BYTES,
            "extension headers of {} bytes before one entry are longer than the \
             {MAX_EXTENSION_BYTES} allowed",
            extensions.bytes
        );
        let mut bytes = vec![0; size as usize];
        self.read_exact(&mut bytes)?;
        self.data_end = self.position;
        Ok(bytes)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(truncated)?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, position: u64) -> Result<()> {
        self.copy(position.saturating_sub(self.position), &mut io::sink())
    }

    /// Passes `bytes` bytes of the stream on without holding them.
    fn copy(&mut self, bytes: u64, out: &mut impl Write) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let chunk = self.stream.fill_buf()?;
            if chunk.is_empty() {
                bail!("the tar stream is truncated: {left} bytes are missing");
            }
            let n = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.write_all(&chunk[..n])?;
            self.stream.consume(n);
            self.position += n as u64;
            left -= n as u64;
        }
        Ok(())
    }
}

fn truncated(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return anyhow::anyhow!("the tar stream is truncated");
    }
    error.into()
}
