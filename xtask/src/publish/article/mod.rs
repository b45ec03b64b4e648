//! The article in both languages and the generated part of the README: what
//! people wrote, with every number spliced in between markers.
//!
//! `marker` finds the markers, `cell` what they name, `unit` writes it and
//! `formula` puts two cells together; `table` and `capabilities` are the blocks;
//! `splice` makes a document of them and `digits` finds what was typed by hand.
//! `hugo` turns the Korean article into a post, with the picture of `preview`.

mod capabilities;
mod cell;
mod digits;
mod formula;
mod hugo;
mod marker;
mod preview;
mod splice;
mod table;
#[cfg(test)]
mod testing;
mod unit;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

pub use self::capabilities::name as capability_name;
use self::splice::{Source, splice};
use super::{Charts, Evidence, Lang, Output, Place};
use crate::{
    cli,
    problem::{Problem, Problems},
    project::Project,
};

const KOREAN: &str = "docs/article.ko.md";
const DOCUMENTS: [(&str, Lang); 4] = [
    ("docs/article.md", Lang::En),
    (KOREAN, Lang::Ko),
    ("docs/AGAINST-THE-ARTICLE.md", Lang::En),
    ("README.md", Lang::En),
];

/// What the article's files and the README should hold, and those of the post
/// where a Hugo site is named.
///
/// # Errors
/// [`Problems`] with all that is wrong in the documents: markers that name
/// nothing, numbers that were typed, sentences whose claim no longer holds.
pub fn publish(
    project: &Project,
    evidence: &Evidence,
    charts: &Charts,
    place: &Place,
    options: &cli::Publish,
) -> Result<Vec<Output>> {
    let source = Source {
        evidence,
        charts,
        // The sentences are about the committed machine; another one's numbers
        // need not bear them out.
        draft: place.root != project.root(),
        check: options.check,
    };
    let outputs = documents(project, place, source)?;
    let Some(site) = &options.hugo else {
        return Ok(outputs);
    };
    let korean = outputs
        .iter()
        .find(|it| it.path.ends_with(KOREAN))
        .context("there is no Korean article")?;
    let text = String::from_utf8_lossy(&korean.bytes).into_owned();
    let post = hugo::post(&text, evidence, charts, site, source.draft)?;
    Ok(outputs.into_iter().chain(post).collect())
}

fn documents(project: &Project, place: &Place, source: Source<'_>) -> Result<Vec<Output>> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut outputs = Vec::new();
    for (name, lang) in DOCUMENTS {
        let path = project.root().join(name);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; mend: git checkout {name}", path.display())
        })?;
        match splice(Path::new(name), &text, lang, source) {
            Ok(spliced) => outputs.push(Output {
                path: place.root.join(name),
                bytes: spliced.text.into_bytes(),
                stale: spliced.stale,
            }),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    Problems::none_or(problems)?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{charts, testing};

    fn document(name: &str) -> String {
        fs::read_to_string(testing::project().root().join(name)).unwrap()
    }

    /// Whether the sentences still hold is for `publish` to say, in the commit
    /// that follows new rows.
    #[test]
    fn the_documents_name_only_what_there_is() {
        let evidence = testing::fit_evidence();
        let source = Source {
            evidence: &evidence,
            charts: &charts::all(&evidence, true).unwrap(),
            draft: true,
            check: false,
        };
        for (name, lang) in DOCUMENTS {
            let told = splice(Path::new(name), &document(name), lang, source);
            assert!(told.is_ok(), "{}", told.unwrap_err());
        }
    }

    /// One tells what the other does: the same blocks, on the same grounds.
    #[test]
    fn both_articles_call_for_the_same() {
        let called = |name: &str| {
            let text = document(name);
            let mut called: Vec<_> = marker::find(Path::new(name), &text)
                .unwrap()
                .iter()
                .map(|it| format!("{:?} {}", it.kind, it.words))
                .collect();
            called.sort();
            called.dedup();
            called
        };
        assert_eq!(called(KOREAN), called("docs/article.md"));
    }

    #[test]
    fn every_word_of_the_methodology_has_a_korean_one() {
        let methodology = document("docs/METHODOLOGY.md");
        let words = methodology.split("## Words").nth(1).unwrap();
        let words = words.split("\n## ").next().unwrap();
        let korean = document(KOREAN);
        let mut count = 0;
        for line in words.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let word = line.split('|').nth(1).unwrap();
            assert!(
                korean.contains(&format!("\n|{word}|")),
                "no Korean word for{word}"
            );
            count += 1;
        }
        assert!(count > 10, "{count}");
    }
}
