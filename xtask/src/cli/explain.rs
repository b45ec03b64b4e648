//! The words of `cargo xtask explain`.

use clap::Args;

use crate::image::Platform;

pub(super) const EXAMPLES: &str = "Examples:\n  \
    cargo xtask explain gin/debian-slim               a variant that was built\n  \
    cargo xtask explain gin/debian-slim --json        for a program: docs/explain.schema.json\n  \
    docker save nginx -o nginx.tar; cargo xtask explain nginx.tar   any image\n\n\
    A file may be an OCI layout in a tar archive or what docker save writes, packed or not. How to read it, and\n\
    where other tools count otherwise: docs/EXPLAIN.md.";

/// Which image, and how it is told.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// A variant, a folder that holds an OCI layout, or an image in one file
    #[arg(value_name = "SUITE/VARIANT|PATH")]
    pub image: String,
    /// Write all of it as JSON
    #[arg(long)]
    pub json: bool,
    /// So many of the largest files, folders, wasted and duplicated files
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: u16,
    /// Which one of several images [default: the only one, or the one for this machine]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
}
