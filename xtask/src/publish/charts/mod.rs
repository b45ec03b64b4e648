//! The charts of the article and the page, in both languages.
//!
//! Each module draws one kind, for one suite and out of one session; what they
//! have in common (text as outlines, colours, axes, rows, the caption) lies in
//! `font`, `svg`, `scale`, `frame`, `stack` and `plane`.

mod app;
mod bytes;
mod cost;
mod font;
mod frame;
mod limit;
mod link;
mod parts;
mod phases;
mod plane;
mod scale;
mod scene;
mod stack;
mod svg;
#[cfg(test)]
mod tests;

use anyhow::Result;

pub use self::link::Model as LinkModel;
use self::scene::Scene;
use super::{Evidence, Output, Place, fit::PROFILES};

/// Who reads the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lang {
    En,
    Ko,
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    /// The text in this language.
    pub fn of<'a>(self, english: &'a str, korean: &'a str) -> &'a str {
        match self {
            Self::En => english,
            Self::Ko => korean,
        }
    }
}

/// One picture in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// As `gin-bytes`: the suite and what is shown.
    pub name: String,
    pub lang: Lang,
    /// The whole file.
    pub svg: String,
    /// What it shows, for those who do not see it: one line, no markup.
    pub alt: String,
    /// Machine, file system and session: one line, no markup.
    pub caption: String,
}

impl Chart {
    /// As `gin-bytes.svg` and `gin-bytes.ko.svg`.
    pub fn file(&self) -> String {
        format!("{}{}.svg", self.name, self.lang.of("", ".ko"))
    }
}

/// All charts, in the order of the article.
#[derive(Clone, Debug, Default)]
pub struct Charts(pub Vec<Chart>);

impl Charts {
    pub fn get(&self, name: &str, lang: Lang) -> Option<&Chart> {
        self.0.iter().find(|it| it.name == name && it.lang == lang)
    }

    pub fn outputs(&self, place: &Place) -> impl Iterator<Item = Output> {
        let folder = place.charts();
        self.0
            .iter()
            .map(move |chart| Output::new(folder.join(chart.file()), chart.svg.as_bytes()))
    }
}

/// Every chart of every suite in both languages. One whose rows are missing is
/// left out; [`fit`](super::fit) has told, or refused, that before.
///
/// # Errors
/// When a file of samples is broken, or the font lacks a letter.
pub fn all(evidence: &Evidence, draft: bool) -> Result<Charts> {
    let mut charts = Vec::new();
    for suite in &evidence.suites {
        for lang in Lang::ALL {
            let scene = Scene::new(evidence, suite, lang, draft);
            charts.extend(of_scene(&scene)?);
        }
    }
    Ok(Charts(charts))
}

fn of_scene(scene: &Scene<'_>) -> Result<Vec<Chart>> {
    let mut charts = vec![bytes::draw(scene)?, parts::draw(scene)?];
    for profile in PROFILES {
        charts.push(phases::draw(scene, profile)?);
    }
    for profile in PROFILES {
        charts.push(limit::draw(scene, profile)?);
    }
    charts.extend([app::draw(scene)?, link::draw(scene)?, cost::draw(scene)?]);
    Ok(charts.into_iter().flatten().collect())
}
