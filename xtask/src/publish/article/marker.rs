//! Where a document takes its numbers from: HTML comments, which a reader of
//! the rendered page never sees.
//!
//! `<!-- n: CELL UNIT -->6.2 MB<!-- / -->` is a number in a sentence.
//! `<!-- table: NAME -->` and `<!-- chart: NAME -->` stand alone on a line, and
//! what they hold goes to the next `<!-- / -->`. `<!-- holds: CELL < CELL -->`
//! or `<!-- holds: CELL is WORDS -->` holds nothing: it says what the sentence before
//! it stands on.

use std::{ops::Range, path::Path};

use crate::{
    manifest::nearest,
    problem::{Problem, line_of},
};

const OPEN: &str = "<!--";
const SHUT: &str = "-->";
const END: &str = "/";
const NAMES: [(&str, Kind); 4] = [
    ("n", Kind::Number),
    ("table", Kind::Table),
    ("chart", Kind::Chart),
    ("holds", Kind::Claim),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Table,
    Chart,
    Claim,
}

/// One marker of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker<'t> {
    pub kind: Kind,
    /// What follows its name.
    pub words: &'t str,
    /// 1-based.
    pub line: usize,
    /// What stands between it and its end; empty for a claim.
    pub content: Range<usize>,
    /// It, its content and its end.
    pub whole: Range<usize>,
}

/// The markers of `text`, in their order.
///
/// # Errors
/// Everything that is wrong with them, by line.
pub fn find<'t>(file: &Path, text: &'t str) -> Result<Vec<Marker<'t>>, Vec<Problem>> {
    let mut reader = Reader {
        file,
        text,
        found: Vec::new(),
        problems: Vec::new(),
    };
    reader.read();
    if reader.problems.is_empty() {
        Ok(reader.found)
    } else {
        Err(reader.problems)
    }
}

struct Reader<'f, 't> {
    file: &'f Path,
    text: &'t str,
    found: Vec<Marker<'t>>,
    problems: Vec<Problem>,
}

/// A comment's place, and what it says.
struct Comment<'t> {
    whole: Range<usize>,
    says: &'t str,
}

impl<'t> Reader<'_, 't> {
    fn read(&mut self) {
        let mut at = 0;
        while let Some(comment) = self.comment(at) {
            at = comment.whole.end;
            if comment.says == END {
                self.problem(comment.whole.start, "ends no marker", "remove it");
            } else if let Some((name, words)) = marker_of(comment.says) {
                at = self.marker(&comment, name, words).unwrap_or(at);
            }
        }
    }

    fn comment(&self, from: usize) -> Option<Comment<'t>> {
        let start = from + self.text[from..].find(OPEN)?;
        let inner = start + OPEN.len();
        let length = self.text[inner..].find(SHUT)?;
        Some(Comment {
            whole: start..inner + length + SHUT.len(),
            says: self.text[inner..inner + length].trim(),
        })
    }

    /// Where the marker that `opening` begins ends.
    fn marker(&mut self, opening: &Comment<'t>, name: &str, words: &'t str) -> Option<usize> {
        let start = opening.whole.start;
        let Some(&(_, kind)) = NAMES.iter().find(|(known, _)| *known == name) else {
            let names = NAMES.map(|(name, _)| name);
            let near = nearest(name, names).unwrap_or("n, table, chart or holds");
            self.problem(
                start,
                &format!("there is no marker `{name}:`"),
                &format!("write `{near}:`, or no word with a colon at the beginning of a comment"),
            );
            return None;
        };
        let opened = opening.whole.end;
        let (content, end) = match kind {
            Kind::Claim => (opened..opened, opened),
            _ => self.content(opening)?,
        };
        let marker = Marker {
            kind,
            words,
            line: line_of(self.text, start),
            content,
            whole: start..end,
        };
        self.in_its_place(&marker);
        self.found.push(marker);
        Some(end)
    }

    fn content(&mut self, opening: &Comment<'t>) -> Option<(Range<usize>, usize)> {
        let closing = self.comment(opening.whole.end);
        let Some(closing) = closing.filter(|it| it.says == END) else {
            self.problem(
                opening.whole.start,
                &format!("`{}` has no end before the next comment", opening.says),
                &format!("write {OPEN} {END} {SHUT} behind what it holds"),
            );
            return None;
        };
        Some((opening.whole.end..closing.whole.start, closing.whole.end))
    }

    /// A line that begins with a comment is a block of HTML to Markdown, and
    /// what follows on it is no text: right for a table, wrong in a sentence.
    fn in_its_place(&mut self, marker: &Marker<'t>) {
        let before = self.text[..marker.whole.start].rsplit('\n').next();
        let before = before.unwrap_or_default();
        let begins = before.trim_matches([' ', '-', '*', '>', '\t']).is_empty();
        let content = &self.text[marker.content.clone()];
        match marker.kind {
            Kind::Number if begins => self.problem(
                marker.whole.start,
                &format!(
                    "`n: {}` begins its line, which Markdown takes for HTML",
                    marker.words
                ),
                "move a word of the sentence in front of it",
            ),
            Kind::Number if content.contains('\n') => self.problem(
                marker.whole.start,
                &format!("`n: {}` goes over the end of its line", marker.words),
                "keep the number and both comments on one line",
            ),
            Kind::Table | Kind::Chart if !before.is_empty() || !content.starts_with('\n') => self
                .problem(
                    marker.whole.start,
                    &format!("`{}` does not stand alone on its line", marker.words),
                    "give the marker and its end a line each",
                ),
            _ => {}
        }
    }

    fn problem(&mut self, at: usize, what: &str, mend: &str) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: line_of(self.text, at),
            what: what.to_owned(),
            mend: mend.to_owned(),
        });
    }
}

/// The name before the colon and the rest; other comments are only comments.
fn marker_of(says: &str) -> Option<(&str, &str)> {
    let (name, words) = says.split_once(": ")?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_name.then_some((name, words.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let found = find(Path::new("a.md"), text).unwrap_err();
        found.iter().map(|it| format!("{it}\n")).collect()
    }

    #[test]
    fn every_kind_is_found_with_what_it_holds() {
        let text = "It is <!-- n: sizes a/b transfer MB -->6.2 MB<!-- / -->, less\n\
                    than that. <!-- holds: a < b --> <!-- only a comment -->\n\n\
                    <!-- table: sizes gin -->\n\n| a |\n\n<!-- / -->\n";
        let found = find(Path::new("a.md"), text).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|it| (it.kind, it.words, it.line, &text[it.content.clone()]))
            .collect();
        assert_eq!(
            told,
            [
                (Kind::Number, "sizes a/b transfer MB", 1, "6.2 MB"),
                (Kind::Claim, "a < b", 2, ""),
                (Kind::Table, "sizes gin", 4, "\n\n| a |\n\n"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        insta::assert_snapshot!(problems("x\ny <!-- tabel: sizes -->"), @r"
        a.md:2: there is no marker `tabel:`
          mend: write `table:`, or no word with a colon at the beginning of a comment
        ");
        insta::assert_snapshot!(problems("is <!-- n: a --> MB\n\nis <!-- n: b -->1<!-- / -->"), @r"
        a.md:1: `n: a` has no end before the next comment
          mend: write <!-- / --> behind what it holds
        ");
        insta::assert_snapshot!(problems("x <!-- / -->"), @r"
        a.md:1: ends no marker
          mend: remove it
        ");
    }

    #[test]
    fn a_number_never_begins_a_line_and_a_table_always_does() {
        for bad in [
            "<!-- n: a -->1<!-- / --> is it",
            "  - <!-- n: a -->1<!-- / --> is it",
            "it is <!-- n: a -->1\n<!-- / -->",
            "see <!-- table: a -->\n<!-- / -->",
            "<!-- chart: a -->![a](a.svg)<!-- / -->",
        ] {
            assert!(find(Path::new("a.md"), bad).is_err(), "{bad}");
        }
    }
}
