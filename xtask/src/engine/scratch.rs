//! A folder beside an engine's images, on the same file system.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::namespace::Namespace;
use crate::files;

/// An empty folder, removed with everything in it on drop.
pub struct Scratch {
    inside: PathBuf,
    outside: PathBuf,
}

impl Scratch {
    pub(super) fn create(namespace: &Namespace, inside: &str) -> Result<Self> {
        let outside = namespace.path(inside);
        files::remove_dir_all(&outside)?;
        files::create_dir_all(&outside)?;
        Ok(Self {
            inside: inside.into(),
            outside,
        })
    }

    /// As the engine's namespace sees it.
    pub fn inside(&self) -> &Path {
        &self.inside
    }

    /// As the outside reaches it.
    pub fn outside(&self) -> &Path {
        &self.outside
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The data root goes with its engine, whatever is left in it.
        let _ = files::remove_dir_all(&self.outside);
    }
}
