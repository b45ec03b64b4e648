//! The exact files: sizes, layers, largest files and bases. Their numbers have no spread; a
//! row moves only when its inputs or what they build moved.

use super::{
    cell::{ErrorWord, Id, Origin},
    row::{of_variant, row},
};
use crate::digest::Digest;

row! {
    /// What an image weighs: one row per variant and platform.
    SizeRow, key (suite: String, variant: String, platform: String) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// Manifest, config and distinct compressed layers: what a cold pull fetches.
        transfer_bytes: Option<u64>,
        /// The sum of the uncompressed layer tar streams.
        unpacked_bytes: Option<u64>,
        /// Files and symlinks of each layer, hard links once, no tar headers, summed over layers: what `docker images` prints on an overlay2 engine.
        layer_file_bytes: Option<u64>,
        /// Regular files in the merged root filesystem, hard links once.
        content_bytes: Option<u64>,
        /// Every file version that a later layer overwrites or deletes.
        wasted_bytes: Option<u64>,
        /// The part of the transfer bytes that are layers of the base.
        base_transfer_bytes: Option<u64>,
        /// The part of the transfer bytes that are layers of the Dockerfile.
        app_transfer_bytes: Option<u64>,
        /// Layers of the image.
        layers: Option<u64>,
        /// Names of regular files in the merged root filesystem; hard links each count.
        files: Option<u64>,
        /// Whether two builds from the same inputs gave the same digest.
        reproducible: Option<bool>,
        /// Why there are no numbers.
        error: Option<ErrorWord>,
        /// The base of the final stage, as its `FROM` names it; `scratch` for none.
        base: String,
        /// Where that base came from: `upstream`, `archive`, `rebuilt` or `stand-in`.
        base_source: String,
        /// The identity of that base.
        base_id: Option<Id>,
        /// The identities of the images beside the base that the build read, as `reference=id`, separated by spaces.
        build_base_ids: String,
        /// The Dockerfile's identity.
        dockerfile_id: Option<Id>,
        /// The build context's identity.
        context_id: Option<Id>,
        /// The application binary in the image.
        app_sha256: Option<Digest>,
        /// The engine and BuildKit that built it.
        builder: String,
        /// The version of our normalising and counting.
        method: String,
        /// The identity of everything that the build reads; while it stays, the row stays.
        inputs: Option<Id>,
        /// The image's manifest; empty where the build does not repeat.
        digest: Option<Digest>,
    }
}

row! {
    /// The layers of every image, lowest first.
    LayerRow, key (suite: String, variant: String, platform: String, layer: u64) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// The layer's place in the image, counted from 1 at the bottom.
        layer: u64,
        /// The compressed layer as the registry serves it.
        transfer_bytes: Option<u64>,
        /// The layer as BuildKit compressed it, before we normalised it; empty for layers of the base.
        buildkit_transfer_bytes: Option<u64>,
        /// The uncompressed tar stream.
        unpacked_bytes: Option<u64>,
        /// Files and symlinks of the layer, hard links once, no tar headers.
        layer_file_bytes: Option<u64>,
        /// Names of regular files in the layer, whiteouts aside.
        files: Option<u64>,
        /// Whether the layer came with the base or the Dockerfile made it.
        origin: Option<Origin>,
        /// The instruction that made it, on one line and shortened.
        created_by: String,
        /// The compressed layer; empty where the build does not repeat.
        digest: Option<Digest>,
        /// The uncompressed tar stream; empty where the build does not repeat.
        diff_id: Option<Digest>,
        /// The inputs of the image, as in `sizes.csv`.
        inputs: Option<Id>,
    }
}

row! {
    /// The ten largest files of every image's root filesystem.
    FileRow, key (suite: String, variant: String, platform: String, rank: u64) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// The file's place, the largest first; files of one size are in the order of their paths.
        rank: u64,
        /// The file's name; of hard links, the first. One that is no plain text has its bytes escaped.
        path: String,
        /// The file's part of the image's content bytes.
        content_bytes: u64,
        /// The layer that brought it, as in `layers.csv`.
        layer: u64,
        /// The inputs of the image, as in `sizes.csv`.
        inputs: Option<Id>,
    }
}

row! {
    /// What the bases weigh, beside what their publishers' images do.
    BaseRow, key (base: String, platform: String) {
        /// The reference, as a `FROM` line names it.
        base: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// Where the base came from: `upstream`, `archive`, `rebuilt` or `stand-in`.
        source: String,
        /// Manifest, config and distinct compressed layers.
        transfer_bytes: Option<u64>,
        /// The sum of the uncompressed layer tar streams.
        unpacked_bytes: Option<u64>,
        /// The transfer bytes of the published image, where they are known.
        published_transfer_bytes: Option<u64>,
        /// The unpacked bytes of the published image, where they are known.
        published_unpacked_bytes: Option<u64>,
        /// How much more than the published image ours transfers.
        transfer_difference_permille: Option<i64>,
        /// How much more than the published image ours unpacks to.
        unpacked_difference_permille: Option<i64>,
        /// Layers of the base.
        layers: Option<u64>,
        /// What the lock pins: of a rebuilt base, its package versions.
        id: Option<Id>,
        /// The image's manifest.
        digest: Option<Digest>,
        /// What a reader should know about this base.
        note: String,
    }
}

of_variant!(SizeRow, LayerRow, FileRow);

/// How many of an image's files have rows.
pub const FILES_OF_IMAGE_MAX: usize = 10;

/// An image's row and all that lie in other files: they speak of one build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRows {
    pub size: SizeRow,
    /// Lowest first.
    pub layers: Vec<LayerRow>,
    /// Largest first.
    pub files: Vec<FileRow>,
}

/// The longest `created_by` that a layer row keeps: one line of a review.
const CREATED_BY_CHARS_MAX: usize = 80;

/// An image's history entry on one line, shortened.
pub fn one_line(created_by: &str) -> String {
    let line = created_by.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CREATED_BY_CHARS_MAX) {
        Some(_) => line
            .chars()
            .take(CREATED_BY_CHARS_MAX - 1)
            .chain(['…'])
            .collect(),
        None => line,
    }
}

/// How much larger `ours` is than `published`, in thousandths of the latter,
/// rounded to the nearest and halves away from zero. `None` without either.
pub fn difference_permille(ours: Option<u64>, published: Option<u64>) -> Option<i64> {
    let (ours, published) = (i128::from(ours?), i128::from(published?));
    if published == 0 {
        return None;
    }
    let doubled = 2 * 1000 * (ours - published);
    let rounded = (doubled + doubled.signum() * published) / (2 * published);
    i64::try_from(rounded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::columns;

    #[test]
    fn the_columns_of_sizes_are_the_contract() {
        assert_eq!(
            columns::<SizeRow>().join(", "),
            "suite, variant, platform, transfer_bytes, unpacked_bytes, layer_file_bytes, \
             content_bytes, wasted_bytes, base_transfer_bytes, app_transfer_bytes, layers, \
             files, reproducible, error, base, base_source, base_id, build_base_ids, \
             dockerfile_id, context_id, app_sha256, builder, method, inputs, digest"
        );
    }

    #[test]
    fn history_becomes_one_short_line() {
        assert_eq!(one_line("RUN a \\\n\t b\n"), "RUN a \\ b");
        let long = one_line(&"é".repeat(200));
        assert_eq!(long.chars().count(), CREATED_BY_CHARS_MAX);
        assert!(long.ends_with('…'));
        assert_eq!(one_line(&"x".repeat(80)), "x".repeat(80));
    }

    #[test]
    fn differences_are_rounded_and_signed() {
        assert_eq!(difference_permille(Some(1_001), Some(1_000)), Some(1));
        assert_eq!(difference_permille(Some(900), Some(1_000)), Some(-100));
        assert_eq!(difference_permille(Some(2_001), Some(2_000)), Some(1)); // 0.5
        assert_eq!(difference_permille(Some(1_999), Some(2_000)), Some(-1)); // -0.5
        assert_eq!(difference_permille(Some(48_530), Some(48_490)), Some(1));
        assert_eq!(difference_permille(None, Some(1)), None);
        assert_eq!(difference_permille(Some(1), Some(0)), None);
    }
}
