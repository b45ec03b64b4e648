//! `cargo xtask explain`: what lies in an image, and what its base costs.
//!
//! `source` opens what the command line names, `picture` asks the image itself
//! (through `contents`), `known` and `timings` ask results/; together they are the
//! `report`, which `show` writes for a terminal and `json` for a program. An image
//! may be a stranger's: `image` bounds what it can take.

mod contents;
mod json;
mod known;
mod picture;
mod report;
mod show;
mod source;
#[cfg(test)]
mod tests;
mod timings;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Result, anyhow};

use crate::{
    cli, human,
    image::{Platform, walk::walk},
    project::Project,
};
use known::Known;
use picture::Picture;
use report::Report;
use source::Source;
use timings::Timings;

/// Prints what there is to say of an image.
///
/// # Errors
/// When the image cannot be found or read; names file, layer and entry.
pub fn run(project: &Project, options: &cli::Explain) -> Result<ExitCode> {
    // What an error quotes may be a stranger's text, too.
    let report = explain(project, options)
        .map_err(|error| anyhow!("{}", human::printable(&format!("{error:#}"))))?;
    let text = if options.json {
        json::text(&report)?
    } else {
        human::printable(&show::text(&report))
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever pipes it into `head` has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn explain(project: &Project, options: &cli::Explain) -> Result<Report> {
    let source = Source::open(project, &options.image, options.platform.as_ref())?;
    report(project, &source, usize::from(options.top))
}

/// Everything that is known of the image, its lists cut to `top`.
fn report(project: &Project, source: &Source, top: usize) -> Result<Report> {
    let known = Known::load(project)?;
    let walk = walk(&source.layout, |_| true)?;
    // Rows name no variant of an architecture.
    let platform = Platform {
        variant: None,
        ..source.layout.platform().clone()
    };
    let platform = platform.to_string();
    let named = source.variant.as_ref();
    let row = named.and_then(|(suite, variant)| known.size(suite, variant, &platform));
    let timings = match named {
        Some((suite, variant)) => Timings::find(project, suite, variant, &platform)?,
        None => None,
    };
    let base = known.base(&source.layout);
    let mut report = Picture::of(source, &walk, base, row).report(top)?;
    report.alternatives = row.and_then(|row| known.alternatives(row, timings.as_ref()));
    report.start = timings.map(|timings| timings.start());
    Ok(report)
}
