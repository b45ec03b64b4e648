//! What the command line names: a variant that was built, an OCI layout, or an
//! image in one file.

use std::{fs::File, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    clean::{self, UNPACKED_PREFIX},
    files,
    image::{Choice, Layout, Platform, archive::read_archive},
    project::Project,
    suite::{self, Selection},
};

/// An image to look at.
pub struct Source {
    pub name: String,
    pub layout: Layout,
    /// Whether its manifest is a registry's, or was made of an archive without
    /// one.
    pub has_manifest: bool,
    /// Suite and variant, where it is one.
    pub variant: Option<(String, String)>,
    /// What was unpacked of an archive, for as long as it is looked at.
    _unpacked: Option<(TempDir, File)>,
}

impl Source {
    /// Opens the image for `platform`, or else the only one there is, or else
    /// the one for this machine.
    ///
    /// # Errors
    /// For a name that is nothing of this, a variant that is not built, and
    /// everything that is wrong with a layout or an archive.
    pub fn open(project: &Project, name: &str, platform: Option<&Platform>) -> Result<Self> {
        let here = Platform::here();
        let choice = platform.map_or(Choice::Preferably(&here), Choice::For);
        let path = Path::new(name);
        if path.is_file() {
            return Self::archive(project, name, path, choice);
        }
        if path.join("oci-layout").exists() || path.join("index.json").exists() {
            let layout = Layout::choose(path, choice)?;
            return Ok(Self::of(name, layout, None));
        }
        let (suite, variant) = find_variant(project, name)?;
        let folder = project.image(&suite, &variant);
        ensure!(
            folder.is_dir(),
            "{suite}/{variant} is not built yet; mend: cargo xtask build {suite}/{variant}"
        );
        let layout = Layout::choose(&folder, choice)?;
        let name = format!("{suite}/{variant}");
        Ok(Self::of(&name, layout, Some((suite, variant))))
    }

    pub(super) fn of(name: &str, layout: Layout, variant: Option<(String, String)>) -> Self {
        Self {
            name: name.to_owned(),
            layout,
            has_manifest: true,
            variant,
            _unpacked: None,
        }
    }

    fn archive(project: &Project, name: &str, path: &Path, choice: Choice<'_>) -> Result<Self> {
        let lab = project.lab();
        files::create_dir_all(&lab)?;
        clean::sweep_unpacked(&lab)?;
        let folder = tempfile::Builder::new()
            .prefix(UNPACKED_PREFIX)
            .tempdir_in(&lab)
            .with_context(|| format!("cannot create a folder in {}", lab.display()))?;
        files::give_to_owner_of_parent(folder.path())?;
        let held = files::hold(folder.path())?;
        let archived = read_archive(path, &folder.path().join("image"), choice)?;
        Ok(Self {
            has_manifest: archived.has_manifest,
            _unpacked: Some((folder, held)),
            ..Self::of(name, archived.layout, None)
        })
    }
}

fn find_variant(project: &Project, name: &str) -> Result<(String, String)> {
    let platform = Platform::here().to_string();
    let load = || suite::load(project, &Selection::parse(&[name])?, &platform);
    let suites =
        load().with_context(|| format!("`{name}` is no archive, no OCI layout and no variant"))?;
    let suite = suites.first().context("a selection has a suite")?;
    let is_named = |variant: &&suite::Variant| {
        let full = format!("{}/{}", suite.name, variant.name);
        name.trim_end_matches('/').ends_with(&full)
    };
    let Some(variant) = suite.variants.iter().find(is_named) else {
        let names = suite.variants.iter();
        let names: Vec<_> = names
            .map(|it| format!("{}/{}", suite.name, it.name))
            .collect();
        bail!(
            "`{name}` is a suite; mend: name one of its variants: {}",
            names.join(", ")
        );
    };
    Ok((suite.name.clone(), variant.name.clone()))
}
