//! `experiments/publish.toml`: whose results the charts and the article show.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    manifest::{self, Section},
    problem::{Problems, shown},
    project::Project,
};

const FILE: &str = "publish.toml";

/// One machine, one platform and one file system: what is shown together was
/// measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder under `results/`.
    pub machine: String,
    /// As `linux/amd64`.
    pub platform: String,
    /// The file system of the subject's data root, as in `node.csv`.
    pub data_root_fs: String,
}

impl Settings {
    /// # Errors
    /// [`Problems`] with everything there is to mend in the file.
    pub fn load(project: &Project) -> Result<Self> {
        let file = project.experiments().join(FILE);
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "cannot read {}; mend: git checkout experiments/{FILE}",
                file.display()
            )
        })?;
        let (settings, found) = manifest::read(shown(&file, project.root()), &text, settings);
        Problems::none_or(found)?;
        settings
            .flatten()
            .with_context(|| format!("{} says nothing", file.display()))
    }
}

fn settings(top: &Section<'_>) -> Option<Settings> {
    let machine = top.required_text("machine", "\"linux-x86_64-2c-9e654d\"");
    let platform = top.required_text("platform", "\"linux/amd64\"");
    let data_root_fs = top.required_text("data_root_fs", "\"tmpfs\"");
    Some(Settings {
        machine: machine?.value,
        platform: platform?.value,
        data_root_fs: data_root_fs?.value,
    })
}
