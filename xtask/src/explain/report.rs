//! What is said of an image, whole: the terminal's text and the JSON are written
//! from it. Bytes are whole bytes, times are microseconds, layers are counted
//! from 1 at the bottom, and what is not known is `None`.

use serde::Serialize;

use crate::{digest::Digest, record::cell::Origin};

#[derive(Debug, Serialize)]
pub struct Report {
    /// As the command line named it.
    pub name: String,
    pub identity: Identity,
    pub totals: Totals,
    pub layers: Vec<Layer>,
    pub largest_files: Vec<File>,
    pub largest_folders: Vec<Folder>,
    pub wasted: Wasted,
    pub duplicates: Duplicates,
    /// Of a variant that results/ knows.
    pub alternatives: Option<Alternatives>,
    /// Of a variant that was measured.
    pub start: Option<Start>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Identity {
    /// The manifest's.
    pub digest: Option<Digest>,
    /// The config's: what engines call the image's ID.
    pub config_digest: Digest,
    pub platform: String,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub working_dir: String,
    pub user: String,
    /// Where entrypoint or cmd names a file of the image.
    pub application: Option<Application>,
}

#[derive(Debug, Serialize)]
pub struct Application {
    pub path: String,
    pub bytes: u64,
    pub sha256: Digest,
    pub linking: Linking,
    /// The loader of a dynamic program, or what runs a script.
    pub needs: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Linking {
    Static,
    Dynamic,
    Script,
    Unknown,
}

/// The words are those of docs/METHODOLOGY.md.
#[derive(Debug, Serialize)]
pub struct Totals {
    pub transfer_bytes: Option<u64>,
    pub unpacked_bytes: u64,
    pub layer_file_bytes: u64,
    pub content_bytes: u64,
    pub wasted_bytes: u64,
    pub files: u64,
    /// As a `FROM` line names it; `scratch` for none.
    pub base: Option<String>,
    pub base_transfer_bytes: Option<u64>,
    pub app_transfer_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct Layer {
    pub layer: u32,
    #[serde(serialize_with = "word")]
    pub origin: Option<Origin>,
    pub created_by: Option<String>,
    pub transfer_bytes: Option<u64>,
    pub unpacked_bytes: u64,
    pub layer_file_bytes: u64,
    /// The part of its files that later layers overwrite or delete.
    pub wasted_bytes: u64,
    pub files: u64,
    pub digest: Option<Digest>,
    pub diff_id: Digest,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct File {
    pub path: String,
    pub bytes: u64,
    pub layer: u32,
    /// Hard links to the same file, this one included.
    pub names: u64,
}

/// With everything below it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    pub path: String,
    pub bytes: u64,
    pub files: u64,
    /// Which brought how much of it, the most first.
    pub layers: Vec<Share>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    pub layer: u32,
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Wasted {
    pub bytes: u64,
    pub files: u64,
    pub largest: Vec<WastedFile>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct WastedFile {
    pub path: String,
    pub bytes: u64,
    pub layer: u32,
    pub by_layer: u32,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Overwritten,
    Deleted,
}

/// Files of the same contents that are no hard links of each other.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// What one copy of each would save.
    pub bytes: u64,
    /// Contents that there are several copies of.
    pub contents: u64,
    pub largest: Vec<Duplicate>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    pub sha256: Digest,
    /// Of one copy.
    pub bytes: u64,
    pub copies: u64,
    /// Of some of the copies.
    pub paths: Vec<String>,
}

/// The same application on other bases.
#[derive(Debug, Serialize)]
pub struct Alternatives {
    pub suite: String,
    /// Smallest transfer first, this variant among them.
    pub variants: Vec<Alternative>,
}

#[derive(Debug, Serialize)]
pub struct Alternative {
    pub variant: String,
    pub base: String,
    pub transfer_bytes: u64,
    pub unpacked_bytes: u64,
    /// Against this variant's row.
    pub transfer_difference_bytes: i64,
    pub unpacked_difference_bytes: i64,
    /// Whether its application is the same file, byte for byte.
    pub same_application: Option<bool>,
    /// Of the same sessions as this variant's.
    pub times: Vec<Times>,
}

#[derive(Debug, Serialize)]
pub struct Times {
    pub profile: String,
    pub pull_median_us: Option<u64>,
    pub node_total_median_us: Option<u64>,
}

/// What its start was measured to take.
#[derive(Debug, Serialize)]
pub struct Start {
    /// The folder under results/.
    pub machine: String,
    pub this_machine: bool,
    pub data_root_fs: String,
    pub scenarios: Vec<Scenario>,
}

#[derive(Debug, Serialize)]
pub struct Scenario {
    /// `node_cold` or `warm`.
    pub scenario: String,
    pub profile: String,
    pub session: String,
    pub samples: u64,
    pub total: Phase,
    /// In their order; medians do not sum to the total's to the microsecond.
    pub phases: Vec<Phase>,
    /// Why the row is not fit to be published.
    pub remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Phase {
    pub phase: String,
    pub median_us: Option<u64>,
    pub low_us: Option<u64>,
    pub high_us: Option<u64>,
}

fn word<S: serde::Serializer>(origin: &Option<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    origin.map(Origin::word).serialize(serializer)
}
