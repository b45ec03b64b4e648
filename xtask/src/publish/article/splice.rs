//! A document with every marker's content made anew, and what stood there
//! instead.

use std::path::Path;

use super::{
    cell::Wrong,
    digits, formula,
    marker::{self, Kind, Marker},
    table,
};
use crate::{
    problem::{Problem, Problems},
    publish::{Charts, Evidence, Lang},
};

const MEND: &str = "cargo xtask publish article";
/// What a draft shows for a cell that is empty.
const NOT_MEASURED: &str = "–";

/// What documents are made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub evidence: &'a Evidence,
    pub charts: &'a Charts,
    /// Whether a number may be missing.
    pub draft: bool,
    /// Whether what moved is asked for.
    pub check: bool,
}

/// The folder of the charts, as a document in `file` links to it.
fn charts_from(file: &Path) -> &'static str {
    match file.parent() {
        Some(folder) if folder.ends_with("docs") => "charts",
        _ => "docs/charts",
    }
}

/// A document as the rows have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spliced {
    pub text: String,
    /// Every number that the old text had wrong.
    pub stale: Vec<Problem>,
}

/// Makes `text`, found in `file`, anew in its language.
///
/// # Errors
/// [`Problems`]: markers that are wrong or name nothing, numbers that were
/// typed, and claims that no longer hold.
pub fn splice(
    file: &Path,
    text: &str,
    lang: Lang,
    source: Source<'_>,
) -> Result<Spliced, Problems> {
    let markers = marker::find(file, text).map_err(Problems)?;
    let mut problems = digits::typed(file, text, &markers);
    let mut spliced = Spliced {
        text: String::with_capacity(text.len()),
        stale: Vec::new(),
    };
    let mut copied = 0;
    for marker in &markers {
        let problem = |wrong: Wrong| Problem {
            file: file.to_owned(),
            line: marker.line,
            what: wrong.what,
            mend: wrong.mend,
        };
        let old = &text[marker.content.clone()];
        match content(file, marker, lang, source) {
            Ok(new) => {
                spliced.text.push_str(&text[copied..marker.content.start]);
                spliced.text.push_str(&new);
                copied = marker.content.end;
                let moved = differences(marker, old, &new);
                spliced.stale.extend(moved.into_iter().map(problem));
            }
            Err(wrong) => problems.push(problem(wrong)),
        }
    }
    spliced.text.push_str(&text[copied..]);
    if problems.is_empty() {
        return Ok(spliced);
    }
    if source.check {
        // A number that moved is often why a claim no longer holds.
        problems.extend(spliced.stale);
    }
    problems.sort_by_key(|problem| problem.line);
    Err(Problems(problems))
}

fn content(
    file: &Path,
    marker: &Marker<'_>,
    lang: Lang,
    source: Source<'_>,
) -> Result<String, Wrong> {
    let made = match marker.kind {
        Kind::Number => formula::number(marker.words, source.evidence, lang),
        Kind::Table => table::markdown(marker.words, source.evidence, lang).map(block),
        Kind::Chart => chart(file, marker.words, lang, source).map(block),
        Kind::Claim => claim(marker.words, source.evidence).map(|()| String::new()),
    };
    match made {
        Err(wrong) if source.draft && wrong.a_draft_goes_on => Ok(match marker.kind {
            Kind::Claim => String::new(),
            _ => NOT_MEASURED.to_owned(),
        }),
        made => made,
    }
}

/// Markdown apart from the comments around it, which are HTML.
fn block(markdown: String) -> String {
    format!("\n\n{}\n\n", markdown.trim_end())
}

fn chart(file: &Path, name: &str, lang: Lang, source: Source<'_>) -> Result<String, Wrong> {
    let chart = source.charts.get(name, lang).ok_or_else(|| {
        let known = source.charts.0.iter().filter(|it| it.lang == lang);
        Wrong::unknown("chart", name, &known.map(|it| it.name.clone()).collect())
    })?;
    let folder = charts_from(file);
    Ok(format!("![{}]({folder}/{})", chart.alt, chart.file()))
}

fn claim(words: &str, evidence: &Evidence) -> Result<(), Wrong> {
    match formula::contradiction(words, evidence)? {
        None => Ok(()),
        Some(found) => Err(Wrong {
            what: format!("the sentence stands on `{words}`, which does not hold: {found}"),
            mend: "write what the numbers say, and the claim with it".to_owned(),
            a_draft_goes_on: true,
        }),
    }
}

/// What `old` says and the rows do not, cell by cell.
fn differences(marker: &Marker<'_>, old: &str, new: &str) -> Vec<Wrong> {
    if old == new {
        return Vec::new();
    }
    let words = marker.words;
    let moved = |what: &str, old: &str, new: &str| {
        let (old, new) = (old.trim(), new.trim());
        Wrong::new(
            format!("{what} is `{new}`, and the text says `{old}`"),
            MEND,
        )
    };
    match marker.kind {
        Kind::Table => cells(words, old, new, &moved)
            .unwrap_or_else(|| vec![Wrong::new(format!("table `{words}` has other rows"), MEND)]),
        Kind::Chart => vec![Wrong::new(
            format!("chart `{words}` has another description"),
            MEND,
        )],
        Kind::Number | Kind::Claim => vec![moved(&format!("`{words}`"), old, new)],
    }
}

/// Cells that moved, in two tables of the same shape.
fn cells(
    table: &str,
    old: &str,
    new: &str,
    moved: &impl Fn(&str, &str, &str) -> Wrong,
) -> Option<Vec<Wrong>> {
    let grid = |text: &str| -> Vec<Vec<String>> {
        let lines = text.trim().lines();
        lines
            .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
            .collect()
    };
    let (old, new) = (grid(old), grid(new));
    let shape = |grid: &[Vec<String>]| grid.iter().map(Vec::len).collect::<Vec<_>>();
    if shape(&old) != shape(&new) {
        return None;
    }
    let mut found = Vec::new();
    for (old_line, new_line) in old.iter().zip(&new) {
        for (column, (old_cell, new_cell)) in old_line.iter().zip(new_line).enumerate() {
            if old_cell != new_cell {
                let (row, head) = (new_line.get(1)?, new.first()?.get(column)?);
                let what = format!("table `{table}`: {row}, {head}");
                found.push(moved(&what, old_cell, new_cell));
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::{charts, evidence};

    const TEXT: &str = "The image is <!-- n: sizes gin/scratch transfer MB -->?<!-- / --> small.\n\
        It is less. <!-- holds: sizes gin/scratch transfer < sizes gin/single-stage transfer -->\n\n\
        <!-- chart: gin-bytes -->\n<!-- / -->\n\n<!-- table: sizes gin -->\n<!-- / -->\nEnd.\n";

    fn run(text: &str, evidence: &Evidence) -> Result<Spliced, Problems> {
        let source = Source {
            evidence,
            charts: &charts(),
            draft: false,
            check: false,
        };
        splice(Path::new("docs/article.md"), text, Lang::En, source)
    }

    fn told(problems: &[Problem]) -> String {
        problems.iter().map(|it| format!("{it}\n")).collect()
    }

    #[test]
    fn a_second_time_nothing_moves() {
        let once = run(TEXT, &evidence()).unwrap();
        assert!(
            once.text
                .contains("is <!-- n: sizes gin/scratch transfer MB -->6.2 MB<!-- / -->")
        );
        assert!(once.text.contains("\n\n![bytes](charts/gin-bytes.svg)\n\n"));
        let twice = run(&once.text, &evidence()).unwrap();
        assert_eq!(twice.text, once.text);
        assert_eq!(twice.stale, []);
    }

    #[test]
    fn a_cell_that_moved_is_named_with_both_numbers() {
        let written = run(TEXT, &evidence()).unwrap().text;
        let mut moved = evidence();
        let scratch = moved.sizes.iter_mut().find(|it| it.variant == "scratch");
        scratch.unwrap().transfer_bytes = Some(7_000_000);
        insta::assert_snapshot!(told(&run(&written, &moved).unwrap().stale), @"
        docs/article.md:1: `sizes gin/scratch transfer MB` is `7.0 MB`, and the text says `6.2 MB`
          mend: cargo xtask publish article
        docs/article.md:10: table `sizes gin`: `scratch`, transfer bytes is `7.0 MB`, and the text says `6.2 MB`
          mend: cargo xtask publish article
        ");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
        let text = "It is 5 MB.\nIt is <!-- n: sizes gin/scrach transfer MB -->?<!-- / -->.\n\
            No. <!-- holds: sizes gin/single-stage transfer < sizes gin/scratch transfer -->\n\n\
            <!-- chart: gin-byte -->\n<!-- / -->\n\n<!-- table: size gin -->\n<!-- / -->\n";
        let problems = run(text, &evidence()).unwrap_err();
        insta::assert_snapshot!(told(&problems.0), @"
        docs/article.md:1: `5 MB` is typed, so nothing keeps it right
          mend: put a marker in its place: <!-- n: CELL UNIT --><!-- / -->
        docs/article.md:2: `sizes gin/scrach transfer`: there is no variant `scrach`
          mend: write `scratch`
        docs/article.md:3: the sentence stands on `sizes gin/single-stage transfer < sizes gin/scratch transfer`, which does not hold: `sizes gin/single-stage transfer` is 447114539, and `sizes gin/scratch transfer` is 6172901
          mend: write what the numbers say, and the claim with it
        docs/article.md:5: there is no chart `gin-byte`
          mend: write `gin-bytes`
        docs/article.md:8: there is no table `size`
          mend: write `sizes`
        ");
    }

    #[test]
    fn a_draft_goes_on_without_an_empty_cell() {
        let text = "It is <!-- n: node_cold gin/alpine pull ms --><!-- / -->.\n";
        assert!(run(text, &evidence()).is_err());
        let source = Source {
            evidence: &evidence(),
            charts: &charts(),
            draft: true,
            check: false,
        };
        let draft = splice(Path::new("a.md"), text, Lang::En, source).unwrap();
        assert!(draft.text.contains("-->–<!--"), "{}", draft.text);
    }
}
