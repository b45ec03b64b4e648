//! The layer walk against the least that any walk must do: inflating the same
//! layers on the same cores.
//!
//! The layers are generated, or those of the OCI layout in `WALK_LAYOUT`. Peak
//! memory is that of a process which does one thing and ends: with `WALK_ONCE`
//! set to the name of a method, this program is that process.

use std::{
    env, fs,
    fs::File,
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use criterion::{Criterion, Throughput};
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use serde_json::json;
use xtask::{
    digest::Digest,
    image::{
        Codec, Layer, Layout, LayoutWriter, Walk,
        entries::TarReader,
        in_parallel,
        tree::Tree,
        walk::{WalkedLayer, walk},
        writer::LayerBlob,
    },
};

const BUFFER_BYTES: usize = 128 * 1024;

/// What is compared; each gets through all layers of an image.
#[derive(Clone, Copy)]
enum Method {
    /// What `sizes.csv` is made with: both digests of every layer are checked.
    Walk,
    /// The same result on trust.
    WalkUnchecked,
    Inflate,
}

const METHODS: [Method; 3] = [Method::Walk, Method::WalkUnchecked, Method::Inflate];

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::WalkUnchecked => "walk-unchecked",
            Self::Inflate => "inflate",
        }
    }

    /// Returns the unpacked bytes of all layers.
    fn run(self, layout: &Layout) -> Result<u64> {
        let unpacked_bytes = |walk: Walk| walk.layers().iter().map(|it| it.unpacked_bytes).sum();
        match self {
            Self::Walk => walk(layout, |_| false).map(unpacked_bytes),
            Self::WalkUnchecked => walk_unchecked(layout).map(unpacked_bytes),
            Self::Inflate => inflate(layout),
        }
    }
}

fn unpacked(layout: &Layout, layer: &Layer) -> Result<Box<dyn Read>> {
    let file = File::open(layout.blob_path(&layer.digest))?;
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(match layer.codec {
        Codec::Plain => Box::new(file),
        Codec::Gzip => Box::new(MultiGzDecoder::new(file)),
        Codec::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
    })
}

fn walk_unchecked(layout: &Layout) -> Result<Walk> {
    let layers = in_parallel(
        layout.layers(),
        |layer| layer.transfer_bytes,
        |layer| {
            let stream = Counted(unpacked(layout, layer)?, 0);
            let mut tar = TarReader::new(BufReader::with_capacity(BUFFER_BYTES, stream));
            let mut tree = Tree::default();
            while let Some(entry) = tar.next_entry()? {
                tree.add(entry)?;
            }
            Ok(WalkedLayer {
                layer: layer.clone(),
                unpacked_bytes: tar.finish()?.get_ref().1,
                tree,
            })
        },
    )?;
    Walk::of(layers)
}

struct Counted(Box<dyn Read>, u64);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1 += n as u64;
        Ok(n)
    }
}

fn inflate(layout: &Layout) -> Result<u64> {
    let layers = in_parallel(
        layout.layers(),
        |layer| layer.transfer_bytes,
        |layer| {
            let mut stream = unpacked(layout, layer)?;
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut total = 0;
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(total),
                    n => total += n as u64,
                }
            }
        },
    )?;
    Ok(layers.iter().sum())
}

/// Does one thing and says what it took.
fn once(method: &str) -> Result<()> {
    let folder = env::var_os("WALK_LAYOUT").context("WALK_ONCE needs WALK_LAYOUT")?;
    let method = METHODS.into_iter().find(|it| it.name() == method);
    let method = method.context("WALK_ONCE is none of walk, walk-unchecked, inflate")?;
    let start = Instant::now();
    let bytes = method.run(&Layout::open(Path::new(&folder))?)?;
    println!(
        "{}: {bytes} bytes unpacked in {} ms, peak memory {} kB",
        method.name(),
        start.elapsed().as_millis(),
        peak_memory_kb()?
    );
    Ok(())
}

/// The kernel's high-water mark of this process's resident memory.
fn peak_memory_kb() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let number = line.context("no VmHWM")?.trim().trim_end_matches(" kB");
    Ok(number.parse()?)
}

fn print_peak_memory(layout: &Layout) -> Result<()> {
    for method in METHODS {
        let mut child = Command::new(env::current_exe()?);
        child.env("WALK_ONCE", method.name());
        let status = child.env("WALK_LAYOUT", layout.folder()).status()?;
        if !status.success() {
            bail!("{} failed", method.name());
        }
    }
    Ok(())
}

fn bench(criterion: &mut Criterion, name: &str, layout: &Layout) -> Result<()> {
    // Also brings the blobs into the page cache.
    let bytes = Method::Walk.run(layout)?;
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for method in METHODS {
        group.bench_function(method.name(), |bench| {
            bench.iter(|| assert_eq!(method.run(layout).unwrap(), bytes));
        });
    }
    group.finish();
    print_peak_memory(layout)
}

const LAYERS: u64 = 4;
const LAYER_BYTES: usize = 16 << 20;

/// An image whose layers have the mix of a distribution's: text, machine code
/// and packed files, most of them small.
fn generated(folder: &Path, codec: Codec) -> Result<Layout> {
    let writer = LayoutWriter::create(folder)?;
    let mut layers = Vec::new();
    for number in 0..LAYERS {
        let tar = layer(number)?;
        layers.push(LayerBlob {
            blob: writer.blob_of(&pack(&tar, codec)?)?,
            codec,
            diff_id: Digest::of(&tar),
        });
    }
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}});
    writer.finish_image(config, &layers)
}

fn pack(tar: &[u8], codec: Codec) -> Result<Vec<u8>> {
    Ok(match codec {
        Codec::Plain => tar.to_vec(),
        Codec::Gzip => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
            gzip.write_all(tar)?;
            gzip.finish()?
        }
        Codec::Zstd => zstd::encode_all(tar, 3)?,
    })
}

fn layer(number: u64) -> Result<Vec<u8>> {
    let mut random = Random(number + 1);
    let mut tar = tar::Builder::new(Vec::new());
    let mut files = 0;
    while tar.get_ref().len() < LAYER_BYTES {
        // From 256 bytes to 2 MiB, every power of two as likely.
        let bytes = (256 << random.below(13)) + random.below(256);
        let content = content(&mut random, bytes as usize);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let path = format!("usr/lib/layer-{number}/{}/file-{files}", files / 50);
        tar.append_data(&mut header, path, &content[..])?;
        files += 1;
    }
    Ok(tar.into_inner()?)
}

fn content(random: &mut Random, bytes: usize) -> Vec<u8> {
    let kind = random.below(10);
    let mut content = Vec::with_capacity(bytes + 16);
    while content.len() < bytes {
        let next = random.next();
        match kind {
            // Packed already.
            0 => content.extend(next.to_le_bytes()),
            // Code: few opcodes, arbitrary operands.
            1..6 => content.extend([0x48, 0x8b, (next % 8) as u8, (next >> 8) as u8]),
            _ => content.extend(WORDS[(next % WORDS.len() as u64) as usize].bytes()),
        }
    }
    content.truncate(bytes);
    content
}

const WORDS: [&str; 16] = [
    "return ",
    "the ",
    "if err != nil {\n",
    "license ",
    "of ",
    "0x",
    "struct ",
    "and ",
    "static ",
    "const ",
    "to ",
    "\n",
    "(",
    ") ",
    "# ",
    "version ",
];

/// Marsaglia's xorshift: the same layers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn main() -> Result<()> {
    if let Ok(method) = env::var("WALK_ONCE") {
        return once(&method);
    }
    let mut criterion = Criterion::default().configure_from_args();
    match env::var_os("WALK_LAYOUT").map(PathBuf::from) {
        Some(folder) => bench(&mut criterion, "layout", &Layout::open(&folder)?)?,
        None => {
            let folder = tempfile::tempdir()?;
            for (name, codec) in [("gzip", Codec::Gzip), ("zstd", Codec::Zstd)] {
                let layout = generated(&folder.path().join(name), codec)?;
                bench(&mut criterion, name, &layout)?;
            }
        }
    }
    criterion.final_summary();
    Ok(())
}
