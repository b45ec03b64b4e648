//! What checking and inflating an image's layers costs at least.

use anyhow::Result;

use crate::{
    clock::MonoNs,
    image::{Layout, in_parallel, unpack::LayerStream},
};

/// Nanoseconds to hash, inflate and hash every layer of `layout`, as many at
/// once as there are cores, and each of them on two threads.
///
/// The blobs come from the page cache: read them once before.
///
/// # Errors
/// When a blob cannot be read or is not what manifest and config say.
pub fn inflate_hash(layout: &Layout) -> Result<u64> {
    let start = MonoNs::now();
    in_parallel(
        layout.layers(),
        |layer| layer.transfer_bytes,
        |layer| LayerStream::of(layout, layer)?.verify(layer),
    )?;
    Ok(MonoNs::now().0 - start.0)
}
