//! The uncompressed tar stream of a layer blob, with both digests checked.
//!
//! A thread reads, hashes and inflates the blob and hands chunks over a bounded
//! channel; whoever reads the stream hashes and parses them. So the two halves,
//! which cost about the same, run on two cores.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::bufread::MultiGzDecoder;

use super::{Codec, Layer, Layout, hashing::Hashing};
use crate::digest::{Digest, Hasher};

/// Large enough that handing over costs nothing, small enough for the cache.
const CHUNK_BYTES: usize = 128 * 1024;

/// With the chunk's size this bounds what a layer keeps in memory.
const CHUNKS_AHEAD: usize = 8;

/// Far above any layer: a blob that inflates without end is refused here.
const MAX_UNPACKED_BYTES: u64 = 256 << 30;

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
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    hasher: Hasher,
    bytes: u64,
    inflater: JoinHandle<Result<(Digest, u64)>>,
}

impl LayerStream {
    /// Opens a blob file.
    pub fn open(path: &Path, codec: Codec) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let blob = BufReader::with_capacity(CHUNK_BYTES, Hashing::new(file));
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        let inflater = thread::Builder::new()
            .name("inflate".to_owned())
            .spawn(move || inflate(blob, codec, &sender))
            .context("cannot start a thread")?;
        Ok(Self {
            chunks,
            chunk: Vec::new(),
            at: 0,
            hasher: Hasher::new(),
            bytes: 0,
            inflater,
        })
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
        let (digest, transfer_bytes) = inflated.map_err(|_| anyhow!("the inflater panicked"))??;
        Ok(Unpacked {
            digest,
            transfer_bytes,
            diff_id: self.hasher.finish(),
            unpacked_bytes: self.bytes,
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

impl BufRead for LayerStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() {
            // A closed channel is the end; the inflater's result says which.
            self.chunk = self.chunks.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            self.at = 0;
            self.hasher.update(&self.chunk);
            self.bytes += self.chunk.len() as u64;
            if self.bytes > MAX_UNPACKED_BYTES {
                return Err(io::Error::other(format!(
                    "unpacks to more than {MAX_UNPACKED_BYTES} bytes"
                )));
            }
        }
        Ok(&self.chunk[self.at..])
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

/// Sends the inflated stream; returns digest and size of the blob.
fn inflate(
    mut blob: BufReader<Hashing<File>>,
    codec: Codec,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) -> Result<(Digest, u64)> {
    let sent = check_magic(&mut blob, codec).and_then(|()| match codec {
        Codec::Plain => send(&mut blob, chunks),
        Codec::Gzip => send(MultiGzDecoder::new(&mut blob), chunks),
        Codec::Zstd => send(zstd::Decoder::with_buffer(&mut blob)?, chunks),
    });
    if let Ok(Reader::Left) = sent {
        bail!("nobody read the stream to its end");
    }
    // A broken stream is most often a broken blob, and its digest says so
    // better than a decoder can. So the rest is hashed in any case.
    let mut blob = blob.into_inner();
    io::copy(&mut blob, &mut io::sink())?;
    let (_, digest, bytes) = blob.finish();
    if let Err(error) = sent {
        let text = format!("{error:#} (the blob's bytes have the digest {digest})");
        // Without a reader nobody needs the message.
        let _ = chunks.send(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        bail!("the stream is broken");
    }
    Ok((digest, bytes))
}

/// Whether somebody still wants the stream.
enum Reader {
    Stayed,
    Left,
}

fn send(mut stream: impl Read, chunks: &SyncSender<io::Result<Vec<u8>>>) -> Result<Reader> {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut filled = 0;
        while filled < chunk.len() {
            match stream.read(&mut chunk[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return Ok(Reader::Stayed);
        }
        chunk.truncate(filled);
        if chunks.send(Ok(chunk)).is_err() {
            return Ok(Reader::Left);
        }
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
