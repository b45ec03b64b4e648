//! A folder beside an engine's images, on the same file system.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::namespace::Namespace;
use crate::files;

/// An empty folder, removed with everything in it on drop.
pub struct Scratch {
    inside: PathBuf,
    // The data root goes with its engine, whatever is left in it.
    outside: tempfile::TempDir,
}

impl Scratch {
    /// In the folder `parent`, and never where an earlier one was.
    pub(super) fn create(namespace: &Namespace, parent: &str, name: &str) -> Result<Self> {
        let folder = namespace.path(parent);
        files::create_dir_all(&folder)?;
        files::spread(&folder)?;
        let outside = tempfile::Builder::new()
            .prefix(name)
            // Programs of any user are started in it.
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&folder)
            .with_context(|| format!("cannot create a folder in {}", folder.display()))?;
        let name = outside.path().file_name().context("a folder has a name")?;
        Ok(Self {
            inside: Path::new(parent).join(name),
            outside,
        })
    }

    /// As the engine's namespace sees it.
    pub fn inside(&self) -> &Path {
        &self.inside
    }

    /// As the outside reaches it.
    pub fn outside(&self) -> &Path {
        self.outside.path()
    }
}
