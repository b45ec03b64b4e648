//! The uncompressed tar stream of a layer blob, with both digests checked.
//!
//! A thread inflates the blob and does nothing else; whoever reads the stream
//! hashes what was packed and what came out, and parses it. So the two halves,
//! which cost about the same, run on two cores. Between them go round a few
//! buffers, which bound what a layer keeps in memory.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    mem,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::bufread::MultiGzDecoder;

use super::{Codec, Layer, Layout, budget::Budget};
use crate::digest::{Digest, Hasher};

/// Large enough that handing over costs nothing, small enough for the cache.
const BUFFER_BYTES: usize = 64 * 1024;

/// Each side holds one or two; the others let either run ahead.
const BUFFERS: usize = 6;

/// What a stream turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub digest: Digest,
    pub transfer_bytes: u64,
    pub diff_id: Digest,
    pub unpacked_bytes: u64,
}

/// An uncompressed layer as it is inflated.
pub struct LayerStream {
    pieces: Receiver<Piece>,
    empty: Sender<Buffer>,
    chunk: Buffer,
    at: usize,
    packed: Tally,
    unpacked: Tally,
    budget: Arc<Budget>,
    inflater: JoinHandle<Result<()>>,
}

impl LayerStream {
    /// Opens a blob file.
    pub fn open(path: &Path, codec: Codec) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let (empty, empty_to_fill) = channel();
        let (filled, pieces) = channel();
        for _ in 2..BUFFERS {
            empty.send(Buffer::new())?;
        }
        let exchange = Exchange {
            empty: empty_to_fill,
            filled,
        };
        let inflater = thread::Builder::new()
            .name("inflate".to_owned())
            .spawn(move || inflate(file, codec, &exchange))
            .context("cannot start a thread")?;
        Ok(Self {
            pieces,
            empty,
            chunk: Buffer::new(),
            at: 0,
            packed: Tally::default(),
            unpacked: Tally::default(),
            budget: Arc::default(),
            inflater,
        })
    }

    /// The same stream, drawing on a budget that it shares with others.
    pub fn within(self, budget: Arc<Budget>) -> Self {
        Self { budget, ..self }
    }

    /// Opens a layer of a layout.
    pub fn of(layout: &Layout, layer: &Layer) -> Result<Self> {
        Self::open(&layout.blob_path(&layer.digest), layer.codec)
    }

    /// Reads what is left and says what the whole stream was.
    pub fn finish(mut self) -> Result<Unpacked> {
        loop {
            let n = self.fill_buf()?.len();
            if n == 0 {
                break;
            }
            self.consume(n);
        }
        let inflated = self.inflater.join();
        inflated.map_err(|_| anyhow!("the inflater panicked"))??;
        Ok(Unpacked {
            digest: self.packed.hasher.finish(),
            transfer_bytes: self.packed.bytes,
            diff_id: self.unpacked.hasher.finish(),
            unpacked_bytes: self.unpacked.bytes,
        })
    }

    /// [`finish`](Self::finish), and the digests must be those of `layer`.
    pub fn verify(self, layer: &Layer) -> Result<Unpacked> {
        let found = self.finish()?;
        ensure!(
            found.digest == layer.digest,
            "the blob's bytes have the digest {}",
            found.digest
        );
        ensure!(
            found.diff_id == layer.diff_id,
            "the unpacked stream has the digest {}, the config's diff ID is {}",
            found.diff_id,
            layer.diff_id
        );
        Ok(found)
    }
}

impl LayerStream {
    fn take(&mut self, piece: Piece) -> io::Result<()> {
        // Before it is hashed, and whatever the stream says of itself: zeros after
        // the archive and frames that are skipped take time as well.
        if let Piece::Packed(buffer) | Piece::Unpacked(buffer) = &piece {
            let bytes = buffer.filled().len() as u64;
            self.budget.read(bytes).map_err(io::Error::other)?;
        }
        let done = match piece {
            Piece::Packed(buffer) => {
                self.packed.add(buffer.filled());
                buffer
            }
            Piece::Unpacked(buffer) => {
                self.unpacked.add(buffer.filled());
                self.at = 0;
                mem::replace(&mut self.chunk, buffer)
            }
            Piece::Broken(error) => {
                let digest = self.packed.hasher.clone().finish();
                let text = format!("{error:#} (the blob's bytes have the digest {digest})");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        };
        // An inflater that is through needs no buffer any more.
        let _ = self.empty.send(done);
        Ok(())
    }
}

impl BufRead for LayerStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.filled {
            match self.pieces.recv() {
                Ok(piece) => self.take(piece)?,
                // The end; the inflater's result says which.
                Err(_) => break,
            }
        }
        Ok(&self.chunk.filled()[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for LayerStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

/// What was hashed so far, and how much it was.
#[derive(Default)]
struct Tally {
    hasher: Hasher,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_BYTES].into(),
            filled: 0,
        }
    }

    fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Less than full only at the end of `stream`.
    fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.filled = 0;
        while self.filled < self.bytes.len() {
            match stream.read(&mut self.bytes[self.filled..])? {
                0 => break,
                n => self.filled += n,
            }
        }
        Ok(())
    }
}

/// What the inflater hands over.
enum Piece {
    /// Bytes of the blob, which are inflated.
    Packed(Buffer),
    Unpacked(Buffer),
    /// Why nothing more comes out of the blob, all of which came before.
    Broken(anyhow::Error),
}

/// The inflater's end of the two channels.
struct Exchange {
    empty: Receiver<Buffer>,
    filled: Sender<Piece>,
}

impl Exchange {
    fn empty(&self) -> io::Result<Buffer> {
        self.empty.recv().map_err(|_| nobody())
    }

    fn hand_over(&self, piece: Piece) -> io::Result<()> {
        self.filled.send(piece).map_err(|_| nobody())
    }
}

fn nobody() -> io::Error {
    io::Error::other("nobody reads the stream to its end")
}

/// The blob as the decoder reads it, every buffer handed over once it is used.
struct Blob<'a> {
    file: File,
    buffer: Buffer,
    at: usize,
    exchange: &'a Exchange,
}

impl BufRead for Blob<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.filled {
            let used = mem::replace(&mut self.buffer, self.exchange.empty()?);
            // Before anything can fail: whoever reads on reads the new buffer.
            self.at = 0;
            self.exchange.hand_over(Piece::Packed(used))?;
            self.buffer.fill(&mut self.file)?;
        }
        Ok(&self.buffer.filled()[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

fn inflate(file: File, codec: Codec, exchange: &Exchange) -> Result<()> {
    let mut blob = Blob {
        file,
        buffer: Buffer::new(),
        at: 0,
        exchange,
    };
    let inflated = check_magic(&mut blob, codec).and_then(|()| match codec {
        Codec::Plain => hand_over(&mut blob, exchange),
        Codec::Gzip => hand_over(MultiGzDecoder::new(&mut blob), exchange),
        Codec::Zstd => hand_over(zstd::Decoder::with_buffer(&mut blob)?, exchange),
    });
    // A broken stream is most often a broken blob, and its digest says so
    // better than a decoder can. So the rest is hashed in any case.
    let rest = io::copy(&mut blob, &mut io::sink());
    if let Err(error) = inflated.and(rest.map_err(Into::into)) {
        // Without a reader nobody needs the message.
        let _ = exchange.hand_over(Piece::Broken(error));
        bail!("the stream is broken");
    }
    Ok(())
}

fn hand_over(mut stream: impl Read, exchange: &Exchange) -> Result<()> {
    loop {
        let mut buffer = exchange.empty()?;
        buffer.fill(&mut stream)?;
        if buffer.filled == 0 {
            return Ok(());
        }
        exchange.hand_over(Piece::Unpacked(buffer))?;
    }
}

/// A blob that is not what its media type says gets that as its error.
fn check_magic(blob: &mut impl BufRead, codec: Codec) -> Result<()> {
    let start = blob.fill_buf()?;
    let found = codec_of(start);
    ensure!(
        found == codec,
        "the media type says {codec:?}, the bytes are {found:?}"
    );
    Ok(())
}

/// The codec that a stream's first bytes speak of.
pub fn codec_of(start: &[u8]) -> Codec {
    match start {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
        _ => Codec::Plain,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn a_blob_that_nobody_reads_any_more_is_an_error_however_often_it_is_asked() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 3 * BUFFER_BYTES]).unwrap();
        file.rewind().unwrap();
        let (empty_sender, empty) = channel();
        let (filled, pieces) = channel();
        for _ in 0..3 {
            empty_sender.send(Buffer::new()).unwrap();
        }
        let mut blob = Blob {
            file,
            buffer: Buffer::new(),
            at: 0,
            exchange: &Exchange { empty, filled },
        };
        assert_eq!(blob.fill_buf().unwrap().len(), BUFFER_BYTES);
        blob.consume(BUFFER_BYTES);
        drop(pieces);
        for _ in 0..2 {
            assert!(io::copy(&mut blob, &mut io::sink()).is_err());
        }
    }
}
