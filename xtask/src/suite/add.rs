//! `cargo xtask new SUITE/VARIANT`: a folder, a Dockerfile and three lines.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use toml::Value;

use super::{MANIFEST, NAME_RULE, dockerfile_folders, folders, is_name, select::unknown};
use crate::{files::write_atomic, project::Project};

/// Where there is no sibling to start from.
const FIRST_DOCKERFILE: &str = "\
# The files to copy are those of the suite's build context.
FROM scratch
COPY . /
";

/// What [`add_variant`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    pub dockerfile: PathBuf,
    /// The variant whose Dockerfile the new one is a copy of.
    pub copied_from: Option<String>,
    pub manifest: PathBuf,
}

/// Makes a new variant: its Dockerfile, a copy of the suite's last one, and its
/// lines at the end of suite.toml. Where one of the two is there already, only
/// the other is made. An empty `reason` is left for a person to write; every
/// later command asks for it, with the line.
pub fn add_variant(project: &Project, name: &str, reason: &str) -> Result<Added> {
    let Some((suite, variant)) = name.split_once('/') else {
        bail!("`{name}` is not SUITE/VARIANT, as in gin/chainguard");
    };
    let (suites, _) = folders(project)?;
    if !suites.iter().any(|known| known == suite) {
        let known: Vec<_> = suites.iter().map(String::as_str).collect();
        return Err(unknown("suite", suite, &known));
    }
    if !is_name(variant) {
        bail!("`{variant}` is no name for a variant; use {NAME_RULE}");
    }
    let folder = project.experiments().join(suite);
    let manifest = folder.join(MANIFEST);
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let declared = declared(&text).with_context(|| format!("in {}", manifest.display()))?;
    let dockerfile = folder.join(variant).join("Dockerfile");
    let is_declared = declared.iter().any(|known| known == variant);
    if is_declared && dockerfile.is_file() {
        bail!("{name} is there already: {}", dockerfile.display());
    }

    let mut copied_from = None;
    if !dockerfile.is_file() {
        let present = dockerfile_folders(&folder)?;
        copied_from = declared.into_iter().rfind(|name| present.contains(name));
        let template = match &copied_from {
            Some(sibling) => fs::read_to_string(folder.join(sibling).join("Dockerfile"))
                .with_context(|| format!("cannot read the Dockerfile of {suite}/{sibling}"))?,
            None => FIRST_DOCKERFILE.to_owned(),
        };
        write_atomic(&dockerfile, template)?;
    }
    if !is_declared {
        write_atomic(&manifest, with_variant(&text, variant, reason))?;
    }
    Ok(Added {
        dockerfile,
        copied_from,
        manifest,
    })
}

/// The names that suite.toml declares.
fn declared(text: &str) -> Result<Vec<String>> {
    let table: toml::Table = text.parse()?;
    let variants = table.get("variant").and_then(Value::as_array);
    Ok(variants
        .into_iter()
        .flatten()
        .filter_map(|variant| Some(variant.get("name")?.as_str()?.to_owned()))
        .collect())
}

/// `text` with three lines more; what stands there stays, byte for byte.
fn with_variant(text: &str, name: &str, reason: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    format!(
        "{}\n\n[[variant]]\nname = {}\nreason = {}\n",
        text.trim_end(),
        quoted(name),
        quoted(reason)
    )
}
