//! TOML that a person wrote, read key by key.
//!
//! Deserialising into a struct stops at the first mistake. Here a reader asks a
//! [`Section`] for the keys it knows, every mistake becomes a [`Problem`] with
//! its line, and a key that nobody asked for is one as well.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    path::PathBuf,
};

use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, line_of};

/// A value and the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub line: usize,
}

/// Reads `text`, found in `file`, with `body`; the value is worth using only
/// when no problem was found. A file that is not TOML has no value: what else it
/// seems to lack would be noise.
pub fn read<T>(
    file: PathBuf,
    text: &str,
    body: impl FnOnce(&Section<'_>) -> T,
) -> (Option<T>, Vec<Problem>) {
    let (root, syntax) = DeTable::parse_recoverable(text);
    let page = Page {
        file,
        text,
        found: RefCell::default(),
    };
    if !syntax.is_empty() {
        let problems = syntax.iter().map(|error| page.syntax_problem(error));
        return (None, problems.collect());
    }
    let section = Section {
        page: &page,
        header: None,
        line: 0,
        table: root.get_ref(),
        asked: RefCell::default(),
        keys_are_data: Cell::default(),
    };
    let value = body(&section);
    section.report_unknown_keys();
    let mut found = page.found.into_inner();
    found.sort_by_key(|problem| problem.line);
    (Some(value), found)
}

/// The candidate that `word` was most likely meant to be.
pub fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = impl Into<&'c str>>,
) -> Option<&'c str> {
    // clap suggests subcommands by the same measure; 0.8 takes `reson` for
    // `reason` but not `title`.
    candidates
        .into_iter()
        .map(Into::into)
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The file being read, and what was found in it.
struct Page<'a> {
    file: PathBuf,
    text: &'a str,
    found: RefCell<Vec<Problem>>,
}

impl Page<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        line_of(self.text, span.start)
    }

    fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        Problem {
            file: self.file.clone(),
            line: error.span().map_or(0, |span| self.line(&span)),
            what: format!("not TOML: {}", error.message()),
            mend: "correct this line: `key = value`, text in quotes".to_owned(),
        }
    }
}

/// One table of the file.
pub struct Section<'p> {
    page: &'p Page<'p>,
    /// `[probe]`, `[[variant]]`; none for the file's top level.
    header: Option<String>,
    line: usize,
    table: &'p DeTable<'p>,
    asked: RefCell<Vec<&'static str>>,
    keys_are_data: Cell<bool>,
}

impl Section<'_> {
    /// The line of the section's header; 0 for the file's top level.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Records a finding in this file.
    pub fn problem(&self, line: usize, what: impl Into<String>, mend: impl Into<String>) {
        self.page.found.borrow_mut().push(Problem {
            file: self.page.file.clone(),
            line,
            what: what.into(),
            mend: mend.into(),
        });
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The keys and their lines, of a table whose keys are data: which of them
    /// are unknown, the caller says.
    pub fn keys(&self) -> Vec<At<String>> {
        self.keys_are_data.set(true);
        let keys = self.table.keys();
        keys.map(|key| At {
            value: key.get_ref().to_string(),
            line: self.page.line(&key.span()),
        })
        .collect()
    }

    /// Text, which may be absent.
    pub fn text(&self, key: &'static str) -> Option<At<String>> {
        self.typed(key, "text in quotes", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        })
    }

    /// Text that must be there and say something; `example` goes into the mend.
    pub fn required_text(&self, key: &'static str, example: &str) -> Option<At<String>> {
        if !self.has(key) {
            self.asked.borrow_mut().push(key);
            self.problem(
                self.line,
                format!("{}`{key}` is missing", self.place()),
                format!("add `{key} = {example}`"),
            );
            return None;
        }
        let text = self.text(key)?;
        if text.value.trim().is_empty() {
            self.problem(
                text.line,
                format!("{}`{key}` is empty", self.place()),
                format!("write for example `{key} = {example}`"),
            );
            return None;
        }
        Some(text)
    }

    /// A whole number from `range`, which may be absent.
    pub fn number(&self, key: &'static str, range: Range<u64>) -> Option<At<u64>> {
        let expected = match range.end {
            u64::MAX => format!("a whole number, {} or more", range.start),
            end => format!("a whole number from {} to {}", range.start, end - 1),
        };
        self.typed(key, &expected, |value| match value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|number| range.contains(number)),
            _ => None,
        })
    }

    /// A list of texts; absent is empty.
    pub fn texts(&self, key: &'static str) -> Vec<At<String>> {
        let read = |value: &DeValue<'_>| match value {
            DeValue::Array(items) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(At {
                        value: text.to_string(),
                        line: self.page.line(&item.span()),
                    }),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        self.typed(key, "a list of texts, as in [\"a\", \"b\"]", read)
            .map(|texts| texts.value)
            .unwrap_or_default()
    }

    /// The table `[key]`, which may be absent.
    pub fn section<T>(
        &self,
        key: &'static str,
        body: impl FnOnce(&Section<'_>) -> T,
    ) -> Option<At<T>> {
        let header = self.header_of(key, ("[", "]"));
        self.typed(key, &format!("a table, `{header}`"), |value| match value {
            DeValue::Table(table) => Some(table),
            _ => None,
        })
        .map(|table| At {
            value: self.enter(header, table.line, table.value, body),
            line: table.line,
        })
    }

    /// The tables `[[key]]`, in the order they stand; none is empty.
    pub fn sections<T>(&self, key: &'static str, body: impl Fn(&Section<'_>) -> T) -> Vec<At<T>> {
        let header = self.header_of(key, ("[[", "]]"));
        let read = |value: &'_ DeValue<'_>| match value {
            DeValue::Array(_) => Some(()),
            _ => None,
        };
        let expected = format!("a list of tables, `{header}`");
        if self.typed(key, &expected, read).is_none() {
            return Vec::new();
        }
        let Some(DeValue::Array(items)) = self.table.get(key).map(|value| value.get_ref()) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            let line = self.page.line(&item.span());
            match item.get_ref() {
                DeValue::Table(table) => sections.push(At {
                    value: self.enter(header.clone(), line, table, &body),
                    line,
                }),
                _ => self.wrong_type(key, line, &expected),
            }
        }
        sections
    }

    fn enter<T>(
        &self,
        header: String,
        line: usize,
        table: &DeTable<'_>,
        body: impl FnOnce(&Section<'_>) -> T,
    ) -> T {
        let section = Section {
            page: self.page,
            header: Some(header),
            line,
            table,
            asked: RefCell::default(),
            keys_are_data: Cell::default(),
        };
        let value = body(&section);
        section.report_unknown_keys();
        value
    }

    fn typed<'s, T>(
        &'s self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'s DeValue<'s>) -> Option<T>,
    ) -> Option<At<T>> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        let line = self.page.line(&value.span());
        let read = read(value.get_ref());
        if read.is_none() {
            self.wrong_type(key, line, expected);
        }
        read.map(|value| At { value, line })
    }

    fn wrong_type(&self, key: &str, line: usize, expected: &str) {
        self.problem(
            line,
            format!("{}`{key}` is not {expected}", self.place()),
            format!("make `{key}` {expected}"),
        );
    }

    fn report_unknown_keys(&self) {
        if self.keys_are_data.get() {
            return;
        }
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let mend = match nearest(name, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? else remove the line"),
                None => format!("remove the line; known here: {}", asked.join(", ")),
            };
            self.problem(
                self.page.line(&key.span()),
                format!("{}unknown key `{name}`", self.place()),
                mend,
            );
        }
    }

    fn header_of(&self, key: &str, (open, close): (&str, &str)) -> String {
        match &self.header {
            None => format!("{open}{key}{close}"),
            Some(outer) => {
                let outer = outer.trim_matches(['[', ']']);
                format!("{open}{outer}.{key}{close}")
            }
        }
    }

    fn place(&self) -> String {
        self.header
            .as_ref()
            .map_or_else(String::new, |header| format!("{header} "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> String {
        let (_, found) = read("a.toml".into(), text, |top| {
            top.required_text("title", "\"Go, Gin\"");
            top.number("port", 1..65_536);
            top.section("probe", |probe| {
                probe.required_text("body", "\"ok\"");
            });
            top.sections("variant", |variant| {
                variant.required_text("reason", "\"why\"");
                variant.texts("cmd");
                variant.section("archive", |archive| archive.text("url"));
            });
        });
        crate::problem::Problems(found).to_string()
    }

    #[test]
    fn a_good_file_has_no_findings() {
        let text = "title = 'a'\nport = 8_080\nprobe.body = 'x'\n[[variant]]\nreason = 'r'\n";
        assert_eq!(findings(text), "");
    }

    #[test]
    fn every_mistake_is_found_in_one_go() {
        insta::assert_snapshot!(findings(
            "port = 'x'\n[probe]\nbodi = 'a'\n\n[[variant]]\nreason = ' '\ncmd = [1]\n\
             [variant.archive]\nurl = 1\n[[variant]]\nzzz = 1\nvariant = []\n"
        ), @r#"
        a.toml: `title` is missing
          mend: add `title = "Go, Gin"`
        a.toml:1: `port` is not a whole number from 1 to 65535
          mend: make `port` a whole number from 1 to 65535
        a.toml:2: [probe] `body` is missing
          mend: add `body = "ok"`
        a.toml:3: [probe] unknown key `bodi`
          mend: did you mean `body`? else remove the line
        a.toml:6: [[variant]] `reason` is empty
          mend: write for example `reason = "why"`
        a.toml:7: [[variant]] `cmd` is not a list of texts, as in ["a", "b"]
          mend: make `cmd` a list of texts, as in ["a", "b"]
        a.toml:9: [variant.archive] `url` is not text in quotes
          mend: make `url` text in quotes
        a.toml:10: [[variant]] `reason` is missing
          mend: add `reason = "why"`
        a.toml:11: [[variant]] unknown key `zzz`
          mend: remove the line; known here: reason, cmd, archive
        a.toml:12: [[variant]] unknown key `variant`
          mend: remove the line; known here: reason, cmd, archive
        "#);
    }

    #[test]
    fn what_should_be_tables_is_said_to_be_none() {
        insta::assert_snapshot!(findings("title = 'a'\nprobe = 1\nvariant = ['b']\n"), @"
        a.toml:2: `probe` is not a table, `[probe]`
          mend: make `probe` a table, `[probe]`
        a.toml:3: `variant` is not a list of tables, `[[variant]]`
          mend: make `variant` a list of tables, `[[variant]]`
        ");
    }

    #[test]
    fn all_syntax_errors_are_shown_and_nothing_else() {
        let found = findings("title = a\n\n[probe\n");
        assert!(found.contains("a.toml:1: not TOML"), "{found}");
        assert!(found.contains("a.toml:3: not TOML"), "{found}");
        assert!(!found.contains("missing"), "{found}");
    }

    #[test]
    fn the_nearest_name_is_suggested_or_none() {
        assert_eq!(nearest("reson", ["title", "reason"]), Some("reason"));
        assert_eq!(nearest("zzz", ["title", "reason"]), None);
    }
}
