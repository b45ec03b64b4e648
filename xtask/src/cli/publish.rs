//! The words of `cargo xtask publish`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

pub(super) const EXAMPLES: &str = "Examples:\n  \
    cargo xtask publish                          charts, article, README and page\n  \
    cargo xtask publish --check                  is what is committed what results/ says? Which number is not?\n  \
    cargo xtask publish charts --machine NAME    another machine's charts, in target/publish/NAME\n  \
    cargo xtask publish --draft                  what there is so far, in target/publish\n  \
    cargo xtask publish article --hugo ../blog   the post, for a Hugo site\n  \
    cargo xtask publish page --open              the report page, in the browser";

/// What is published, and where.
#[derive(Args, Clone, Debug, Default)]
pub struct Publish {
    /// One part of it [default: all]
    #[arg(value_enum, value_name = "PART")]
    pub part: Option<Part>,
    /// Write nothing; leave with 1 where a file is not what results/ says, and name the line or number
    #[arg(long, conflicts_with_all = ["draft", "hugo", "open"])]
    pub check: bool,
    /// Show rows that are quick, stale or noisy, and go without those that are missing
    #[arg(long)]
    pub draft: bool,
    /// The folder under results/ whose timings are shown [default: as in experiments/publish.toml]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Write the article as a post of the Hugo site in this folder as well
    #[arg(long, value_name = "DIR")]
    pub hugo: Option<PathBuf>,
    /// Show the report page in the browser
    #[arg(long)]
    pub open: bool,
}

impl Publish {
    /// # Errors
    /// When an option is about a part that is not made, which would show an old page,
    /// or write no post and say nothing.
    pub fn refuse_what_is_not_made(&self) -> Result<()> {
        let made = |part| self.part.is_none_or(|only| only == part);
        ensure!(
            !self.open || made(Part::Page),
            "--open shows the report page, and this part is another one; mend: cargo xtask publish page --open"
        );
        ensure!(
            self.hugo.is_none() || made(Part::Article),
            "--hugo writes the article, and this part is another one; mend: cargo xtask publish article --hugo DIR"
        );
        Ok(())
    }
}

/// What can be published by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// docs/charts/*.svg
    Charts,
    /// docs/article.md, docs/article.ko.md and the generated part of README.md
    Article,
    /// One self-contained HTML file in target/publish
    Page,
}
