//! Suites and their variants: `experiments/*/suite.toml` as checked values.

mod add;
mod budget;
mod context;
mod ignore;
mod read;
mod select;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

pub use add::{Added, add_variant};
pub use budget::{Budget, NoColumn, budget_column};
pub use context::Context;
pub use ignore::Ignore;
pub use read::budgets;
pub use select::{Selection, folder_of};

use crate::{
    digest::Digest,
    dockerfile::Dockerfile,
    problem::{Problem, Problems, shown},
    project::Project,
};

/// The file that makes a folder a suite.
const MANIFEST: &str = "suite.toml";
/// The folder beside the suites that holds the bases' recipes.
const BASES: &str = "bases";
/// What the service listens on where suite.toml does not say.
const DEFAULT_PORT: u16 = 8080;
const DEFAULT_STATUS: u16 = 200;

/// One application with its Dockerfile variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    pub name: String,
    pub title: String,
    /// The build context; absolute.
    pub context: PathBuf,
    pub port: u16,
    pub probe: Probe,
    pub variants: Vec<Variant>,
}

/// The request that tells readiness, and the answer that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub path: String,
    pub status: u16,
    pub body: String,
}

/// One Dockerfile of a suite; one row in every table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub name: String,
    pub reason: String,
    /// The article's own figure.
    pub article_bytes: Option<u64>,
    /// Absolute.
    pub dockerfile: PathBuf,
    /// The digest of the Dockerfile's bytes.
    pub dockerfile_id: Digest,
    /// The identity of the files this build may copy: per variant, because an
    /// ignore file may stand beside a Dockerfile.
    pub context_id: Digest,
    /// The images it stands on.
    pub images: Dockerfile,
}

impl Suite {
    /// The files that `variant`'s build may copy.
    pub fn context_of(&self, variant: &Variant) -> Result<Context> {
        let (file, text) = ignore_file(&self.context, &variant.dockerfile)
            .context("cannot read the ignore file")?;
        let ignore = Ignore::parse(&text)
            .map_err(|(line, why)| anyhow::anyhow!("{}:{line}: {why}", file.display()))?;
        Context::read(&self.context, &ignore)
    }
}

/// Loads the selected suites; platforms are written `linux/amd64`.
///
/// # Errors
/// [`Problems`] with everything there is to mend, or a name in `selection` that
/// does not exist.
pub fn load(project: &Project, selection: &Selection, platform: &str) -> Result<Vec<Suite>> {
    let (suites, found) = find(project, selection, platform)?;
    Problems::none_or(found)?;
    selection.keep(suites)
}

/// The selected suites as far as they can be read, whole, and every problem.
pub(crate) fn find(
    project: &Project,
    selection: &Selection,
    platform: &str,
) -> Result<(Vec<Suite>, Vec<Problem>)> {
    let mut found = Vec::new();
    let mut suites = Vec::new();
    let (named, unnamed) = folders(project)?;
    for name in selection.suites(&named)? {
        let (suite, problems) = read::suite(project, name, platform);
        suites.extend(suite);
        found.extend(problems);
    }
    if selection.is_everything() {
        found.extend(unnamed.iter().map(|name| no_manifest(project, name)));
        if named.is_empty() && unnamed.is_empty() {
            bail!("{} holds no suite", project.experiments().display());
        }
    }
    Ok((suites, found))
}

/// The names of the suites, and of folders that hold Dockerfiles but no
/// suite.toml.
fn folders(project: &Project) -> Result<(Vec<String>, Vec<String>)> {
    let mut named = Vec::new();
    let mut unnamed = Vec::new();
    for name in subfolders(&project.experiments())? {
        let folder = project.experiments().join(&name);
        if name == BASES {
            continue;
        } else if folder.join(MANIFEST).is_file() {
            named.push(name);
        } else if !dockerfile_folders(&folder)?.is_empty() {
            unnamed.push(name);
        }
    }
    Ok((named, unnamed))
}

fn no_manifest(project: &Project, name: &str) -> Problem {
    let file = project.experiments().join(name).join(MANIFEST);
    Problem {
        file: shown(&file, project.root()),
        line: 0,
        what: format!("experiments/{name} holds Dockerfiles but no {MANIFEST}"),
        mend: format!(
            "write it: `title = \"…\"`, `context = \"src\"`, and under `[probe]` the `body` that \
             the service answers; then `cargo xtask new {name}/VARIANT` for each Dockerfile"
        ),
    }
}

/// The names of the folders in `folder`, sorted; hidden ones are nobody's.
fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for item in fs::read_dir(folder).with_context(unreadable)? {
        let item = item.with_context(unreadable)?;
        let name = item.file_name().to_string_lossy().into_owned();
        if item.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The folders in `folder` that hold a Dockerfile.
fn dockerfile_folders(folder: &Path) -> Result<Vec<String>> {
    let mut names = subfolders(folder)?;
    names.retain(|name| folder.join(name).join("Dockerfile").is_file());
    Ok(names)
}

/// The ignore file that BuildKit would use, and its text: the one beside the
/// Dockerfile goes before the context's.
fn ignore_file(context: &Path, dockerfile: &Path) -> std::io::Result<(PathBuf, String)> {
    let beside = dockerfile.with_file_name("Dockerfile.dockerignore");
    let file = if beside.is_file() {
        beside
    } else {
        context.join(".dockerignore")
    };
    match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((file, String::new())),
        text => Ok((file, text?)),
    }
}

/// Names become columns, folders and image tags, so they are kept plain.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// What [`is_name`] asks, in words.
const NAME_RULE: &str = "lowercase letters, digits and inner hyphens";
