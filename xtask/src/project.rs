//! Where things lie: the project's folders, and the working state under
//! `target/lab`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A checkout of this workspace (or a copy of its `experiments/` and `app/`,
/// which is all that a run needs).
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    lab: PathBuf,
}

impl Project {
    /// # Errors
    /// When `root` holds no `experiments/` folder.
    pub fn at(root: &Path) -> Result<Self> {
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot find the project folder {}", root.display()))?;
        ensure!(
            root.join("experiments").is_dir(),
            "{} holds no experiments/ folder; run inside the workspace, or name it with --project",
            root.display()
        );
        let lab = root.join("target/lab");
        Ok(Self { root, lab })
    }

    /// The same sources and results, with working state of its own in a folder
    /// of the lab.
    pub fn apart(&self, folder: &str) -> Self {
        Self {
            root: self.root.clone(),
            lab: self.lab.join(folder),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn experiments(&self) -> PathBuf {
        self.root.join("experiments")
    }

    pub fn results(&self) -> PathBuf {
        self.root.join("results")
    }

    /// All working state, and nothing else, lives here.
    pub fn lab(&self) -> PathBuf {
        self.lab.clone()
    }

    pub fn logs(&self) -> PathBuf {
        self.lab().join("logs")
    }

    /// The OCI layout of a built variant.
    pub fn image(&self, suite: &str, variant: &str) -> PathBuf {
        self.lab().join("images").join(suite).join(variant)
    }
}
