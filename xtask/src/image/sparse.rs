//! Sparse files in tar streams: the stored pieces and where they belong.
//!
//! GNU tar writes four forms (old GNU headers, PAX 0.0, 0.1 and 1.0); the tar
//! library of the container engines reads them all, so we have to.

use anyhow::{Context, Result, bail, ensure};

/// A stored piece of a file; the pieces lie one after the other in the stream,
/// the gaps between them are zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub file_offset: u64,
    pub bytes: u64,
}

/// Checks that the pieces ascend, stay inside the file and account for every
/// stored byte.
pub fn check(segments: &[Segment], size_bytes: u64, stored_bytes: u64) -> Result<()> {
    let mut end = 0;
    let mut stored = 0;
    for segment in segments {
        ensure!(
            segment.file_offset >= end,
            "the pieces of the sparse file overlap"
        );
        end = segment
            .file_offset
            .checked_add(segment.bytes)
            .filter(|&end| end <= size_bytes)
            .context("a piece of the sparse file lies beyond its end")?;
        stored += segment.bytes;
    }
    ensure!(
        stored == stored_bytes,
        "the pieces of the sparse file sum to {stored} bytes, but {stored_bytes} are stored"
    );
    Ok(())
}

/// The pieces in an old GNU header, up to the first empty one.
pub fn from_gnu_headers(headers: &[tar::GnuSparseHeader]) -> Result<Vec<Segment>> {
    headers
        .iter()
        .take_while(|header| !header.is_empty())
        .map(|header| {
            Ok(Segment {
                file_offset: header.offset()?,
                bytes: header.length()?,
            })
        })
        .collect()
}

/// The pieces from the numbers of `GNU.sparse.map` or of the 0.0 records:
/// offset, length, offset, length, …
pub fn from_numbers(numbers: &[u64]) -> Result<Vec<Segment>> {
    ensure!(
        numbers.len().is_multiple_of(2),
        "the map of the sparse file ends in the middle of a piece"
    );
    Ok(numbers
        .chunks(2)
        .map(|pair| Segment {
            file_offset: pair[0],
            bytes: pair[1],
        })
        .collect())
}

/// The map that stands before the contents in PAX 1.0: decimal lines, first the
/// number of pieces, padded to a block. Fed block by block.
#[derive(Default)]
pub struct MapInContents {
    text: Vec<u8>,
    lines: usize,
}

impl MapInContents {
    /// Takes the next block; `Some` once the map is whole.
    pub fn push(&mut self, block: &[u8]) -> Result<Option<Vec<Segment>>> {
        self.text.extend_from_slice(block);
        self.lines += block.iter().filter(|&&byte| byte == b'\n').count();
        if self.lines == 0 {
            bail!("the map of the sparse file does not begin with a number");
        }
        let mut lines = self.text.split(|&byte| byte == b'\n');
        let pieces = number(lines.next().unwrap_or_default())?;
        let wanted = pieces
            .checked_mul(2)
            .and_then(|numbers| usize::try_from(numbers).ok())
            .context("the sparse file has too many pieces")?;
        if self.lines <= wanted {
            return Ok(None);
        }
        let numbers = lines.take(wanted).map(number).collect::<Result<Vec<_>>>()?;
        from_numbers(&numbers).map(Some)
    }
}

/// A decimal number as PAX writes it.
pub fn number(text: &[u8]) -> Result<u64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("`{}` is not a number", text.escape_ascii()))
}
