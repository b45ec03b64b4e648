//! `cargo xtask publish`: charts, article and page out of `results/` and what
//! `experiments/` says of suites, prices and the machine to show: the same files,
//! the same bytes.
//!
//! Each part says what its files hold; only this module writes them, or, with
//! `--check`, says where what lies there differs.

mod article;
mod charts;
mod evidence;
mod fit;
mod output;
mod page;
mod settings;
#[cfg(test)]
mod testing;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};

pub use charts::{Chart, Charts, Lang, LinkModel};
pub use evidence::Evidence;
pub use output::Output;
pub use settings::Settings;

use crate::{
    cli::{self, Part},
    problem::shown,
    project::Project,
    record::paths,
};

/// Where things are published: the committed files, or a folder of their own
/// for what is not to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Holds `docs/` and `README.md`.
    pub root: PathBuf,
    /// Holds `index.html`.
    pub page: PathBuf,
    /// Whether the rows need not be fit to be published.
    pub draft: bool,
}

impl Place {
    fn of(project: &Project, options: &cli::Publish, machine: &str) -> Self {
        let target = project.root().join("target/publish");
        let apart = options.draft || options.machine.is_some();
        let folder = if apart { target.join(machine) } else { target };
        Self {
            root: if apart {
                folder.clone()
            } else {
                project.root().to_owned()
            },
            page: folder.join("page"),
            draft: options.draft,
        }
    }

    pub fn docs(&self) -> PathBuf {
        self.root.join("docs")
    }

    pub fn charts(&self) -> PathBuf {
        self.docs().join("charts")
    }
}

/// # Errors
/// When an option belongs to another part; when rows are not fit to be published:
/// each with the command that mends it.
pub fn run(project: &Project, options: &cli::Publish) -> Result<ExitCode> {
    options.refuse_what_is_not_made()?;
    let mut settings = Settings::load(project)?;
    settings.machine = options.machine.clone().unwrap_or(settings.machine);
    let timings = paths::machine(&project.results(), &settings.machine);
    ensure!(
        timings.is_dir(),
        "there is no {}; mend: name a folder of results/ with --machine, or measure: cargo xtask run-all",
        shown(&timings, project.root()).display()
    );
    let place = Place::of(project, options, &settings.machine);
    let evidence = Evidence::read(project, settings)?;
    fit::to_publish(&evidence, options.draft)?;
    let charts = charts::all(&evidence, options.draft)?;
    let outputs = outputs(project, &evidence, &charts, &place, options)?;
    if options.check {
        return output::check(project, &place.charts(), &outputs);
    }
    output::write(project, &place.charts(), &outputs)?;
    if options.open {
        page::open(&place)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn outputs(
    project: &Project,
    evidence: &Evidence,
    charts: &Charts,
    place: &Place,
    options: &cli::Publish,
) -> Result<Vec<Output>> {
    let wanted = |part| options.part.is_none_or(|only| only == part);
    let mut outputs = Vec::new();
    if wanted(Part::Charts) {
        outputs.extend(charts.outputs(place));
    }
    if wanted(Part::Article) {
        outputs.extend(article::publish(project, evidence, charts, place, options)?);
    }
    // The page is not committed, so a check of everything has nothing to say of it.
    if options.part == Some(Part::Page) || wanted(Part::Page) && !options.check {
        outputs.extend(page::publish(project, evidence, charts, place)?);
    }
    Ok(outputs)
}
