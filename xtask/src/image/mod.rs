//! OCI images as bytes: read, counted, compared and written without an engine.
//!
//! The order is that of the data. A layout folder ([`layout`], [`writer`],
//! [`oci_tar`], [`archive`]) holds layer blobs; [`unpack`] inflates and hashes
//! one, [`entries`] reads the tar stream inside, [`tree`] makes it the state that
//! a layer leaves, and [`walk`] stacks those into the root filesystem. [`sizes`],
//! [`distinct`], [`app_binary`], [`program`], [`packages`] and [`compare`] only ask
//! questions of a walk.
//! The other way round, [`canonical`] writes a tree as a tar stream that
//! repeats, and [`assemble`] makes images of such layers.
//!
//! Nothing here trusts its input: a path that climbs out, an absurd size, a
//! truncated stream or a wrong digest is an error that names the layer and the
//! entry, and [`budget`] bounds what an image may take in memory and time.

pub mod app_binary;
pub mod archive;
pub mod assemble;
pub mod budget;
pub mod canonical;
pub mod compare;
pub mod distinct;
pub mod entries;
pub mod entry;
mod fields;
mod hashing;
pub mod layout;
pub mod oci_tar;
pub mod packages;
mod parallel;
pub mod paths;
pub mod platform;
pub mod program;
pub mod sizes;
mod sparse;
pub mod top;
pub mod tree;
pub mod unpack;
pub mod walk;
pub mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use layout::{Choice, Codec, Layer, Layout};
pub use parallel::in_parallel;
pub use platform::Platform;
pub use sizes::{LayerSizes, Sizes};
pub use walk::Walk;
pub use writer::LayoutWriter;
