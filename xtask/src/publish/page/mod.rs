//! The report page: one HTML file that holds all it shows, with the network and
//! without, with a script and without.
//!
//! `view` is what the template shows: the suites, each `variant` in detail, and
//! what the controls of `what_if` compute with. The template, its words in both
//! languages, its style and its script lie in `xtask/assets/page/`.

mod cell;
#[cfg(test)]
mod tests;
mod variant;
mod view;
mod what_if;

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

use self::view::View;
use super::{Charts, Evidence, Output, Place};
use crate::{cost::Prices, project::Project, shell};

const FILE: &str = "index.html";
/// The name ends with `.html`, by which minijinja escapes what it is given.
const TEMPLATE: (&str, &str) = ("page.html", include_str!("../../../assets/page/page.html"));

/// A program that has no browser to start says so at once; one that goes on is
/// waiting for the reader.
const OPENER_FAILS_WITHIN: Duration = Duration::from_secs(2);

/// What the page's file should hold.
///
/// # Errors
/// When the prices are wrong.
pub fn publish(
    project: &Project,
    evidence: &Evidence,
    charts: &Charts,
    place: &Place,
) -> Result<Vec<Output>> {
    let prices = Prices::load(project)?;
    let html = render(evidence, prices.as_ref(), charts, place.draft)?;
    Ok(vec![Output::new(place.page.join(FILE), html)])
}

fn render(
    evidence: &Evidence,
    prices: Option<&Prices>,
    charts: &Charts,
    draft: bool,
) -> Result<String> {
    let mut templates = Environment::new();
    // A word that is not there is a mistake of ours, and no empty place.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let lines_of_blocks_go = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    templates.set_syntax(lines_of_blocks_go);
    templates.add_template(TEMPLATE.0, TEMPLATE.1)?;
    let view = View::new(evidence, prices, charts, draft)?;
    templates
        .get_template(TEMPLATE.0)?
        .render(Serde(view))
        .context("cannot make the report page")
}

/// Shows the page in the browser.
///
/// # Errors
/// When nothing here opens files: where the page lies.
pub fn open(place: &Place) -> Result<()> {
    let page = place.page.join(FILE);
    let by_hand = format!("mend: open {} in a browser", page.display());
    let opener = ["xdg-open", "open"].into_iter().find_map(shell::find);
    let Some(opener) = opener else {
        bail!("neither `xdg-open` nor `open` is in PATH to show the page with\n  {by_hand}");
    };
    let mut command = shell::command(&opener);
    let mut opening = shell::spawn(command.arg(&page).stdout(Stdio::null()))?;
    let since = Instant::now();
    while since.elapsed() < OPENER_FAILS_WITHIN {
        match opening.try_wait()? {
            Some(status) if status.success() => break,
            Some(status) => bail!(
                "`{}` failed ({status})\n  {by_hand}",
                shell::shown(&command)
            ),
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
    Ok(())
}
