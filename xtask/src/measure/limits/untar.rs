//! What writing an image's files costs at least.

use anyhow::{Context, Result};

use super::rootfs::{inflate, open_folder, place_layer};
use crate::{
    clock::MonoNs,
    engine::LabEngine,
    image::{Layout, Walk},
};

/// Nanoseconds to make the files of every layer, out of memory, on the file
/// system of the subject's data root. One layer after the other, as the engine
/// does it: only one is in memory at a time, and is removed before the next.
///
/// # Errors
/// Names the layer and the entry that cannot be made.
pub fn untar(subject: &LabEngine, layout: &Layout, walk: &Walk) -> Result<u64> {
    let mut total = 0;
    for walked in walk.layers() {
        let contents = inflate(layout, &walked.layer)?;
        let scratch = subject.scratch("untar")?;
        let folder = open_folder(scratch.outside())?;
        let start = MonoNs::now();
        place_layer(&folder, walked, &contents)
            .with_context(|| format!("layer {}", walked.layer.digest))?;
        total += MonoNs::now().0 - start.0;
    }
    Ok(total)
}
