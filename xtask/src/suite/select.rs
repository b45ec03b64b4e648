//! `SUITE` and `SUITE/VARIANT` on the command line.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};

use super::Suite;
use crate::manifest::nearest;

/// What a command is about: named suites and variants, or everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<Wanted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    suite: String,
    /// None: the whole suite.
    variant: Option<String>,
}

impl Selection {
    /// Every suite.
    pub fn everything() -> Self {
        Self::default()
    }

    /// From the command line; nothing means everything. What a shell completes
    /// (`experiments/gin/`) is understood, too.
    pub fn parse(words: &[impl AsRef<str>]) -> Result<Self> {
        words
            .iter()
            .map(|word| Wanted::parse(word.as_ref()))
            .collect::<Result<_>>()
            .map(Self)
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The selected ones of the `known` suites, in their order.
    pub(super) fn suites<'k>(&self, known: &'k [String]) -> Result<Vec<&'k str>> {
        for wanted in &self.0 {
            if !known.contains(&wanted.suite) {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                return Err(unknown("suite", &wanted.suite, &known));
            }
        }
        let selected = |suite: &&String| {
            self.is_everything() || self.0.iter().any(|wanted| wanted.suite == **suite)
        };
        Ok(known.iter().filter(selected).map(String::as_str).collect())
    }

    /// The selected variants of the suites; suites keep their order and so do
    /// variants, whatever order the command line has.
    pub(crate) fn keep(&self, mut suites: Vec<Suite>) -> Result<Vec<Suite>> {
        for suite in &mut suites {
            let wanted: Vec<_> = self.0.iter().filter(|w| w.suite == suite.name).collect();
            if wanted.iter().all(|wanted| wanted.variant.is_some()) && !wanted.is_empty() {
                let names: Vec<_> = wanted.iter().filter_map(|w| w.variant.clone()).collect();
                keep_variants(suite, &names)?;
            } else {
                check_variants(suite, &wanted)?;
            }
        }
        Ok(suites)
    }
}

/// The folder under `experiments/` that a word of the command line means.
///
/// # Errors
/// When it is neither SUITE nor SUITE/VARIANT.
pub fn folder_of(word: &str) -> Result<PathBuf> {
    let Wanted { suite, variant } = Wanted::parse(word)?;
    Ok(std::iter::once(suite).chain(variant).collect())
}

impl Wanted {
    fn parse(word: &str) -> Result<Self> {
        let path = word.strip_prefix("experiments/").unwrap_or(word);
        let mut names = path.strip_suffix('/').unwrap_or(path).split('/');
        match (names.next(), names.next(), names.next()) {
            (Some(suite), None, _) if !suite.is_empty() => Ok(Self {
                suite: suite.to_owned(),
                variant: None,
            }),
            (Some(suite), Some(variant), None) if !suite.is_empty() && !variant.is_empty() => {
                Ok(Self {
                    suite: suite.to_owned(),
                    variant: Some(variant.to_owned()),
                })
            }
            _ => bail!("`{word}` is neither SUITE nor SUITE/VARIANT, as in gin or gin/alpine"),
        }
    }
}

fn keep_variants(suite: &mut Suite, names: &[String]) -> Result<()> {
    for name in names {
        known_variant(suite, name)?;
    }
    suite
        .variants
        .retain(|variant| names.contains(&variant.name));
    Ok(())
}

/// `gin gin/alpin`: the whole suite is meant, and still the name is wrong.
fn check_variants(suite: &Suite, wanted: &[&Wanted]) -> Result<()> {
    wanted
        .iter()
        .filter_map(|wanted| wanted.variant.as_deref())
        .try_for_each(|name| known_variant(suite, name))
}

fn known_variant(suite: &Suite, name: &str) -> Result<()> {
    let names: Vec<_> = suite.variants.iter().map(|v| v.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    Err(unknown(&format!("variant of {}", suite.name), name, &names))
}

/// The error for a name that is none of the `known`.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> anyhow::Error {
    let all = known.join(", ");
    match nearest(name, known.iter().copied()) {
        Some(near) => {
            anyhow!("no {what} is called `{name}`; did you mean `{near}`? There are: {all}")
        }
        None => anyhow!("no {what} is called `{name}`; there are: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        vec!["axum".to_owned(), "gin".to_owned()]
    }

    #[test]
    fn nothing_means_everything_and_completed_paths_are_understood() {
        let all = Selection::parse(&[""; 0]).unwrap();
        assert_eq!(all, Selection::everything());
        assert_eq!(all.suites(&known()).unwrap(), ["axum", "gin"]);
        let gin = Selection::parse(&["experiments/gin/"]).unwrap();
        assert_eq!(gin, Selection::parse(&["gin"]).unwrap());
        assert_eq!(gin.suites(&known()).unwrap(), ["gin"]);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in ["", "/", "gin/a/b", "gin//", "/alpine"] {
            let error = Selection::parse(&[bad]).unwrap_err().to_string();
            assert!(error.contains("neither SUITE nor SUITE/VARIANT"), "{bad}");
        }
        let error = |name: &str| {
            let selection = Selection::parse(&[name]).unwrap();
            selection.suites(&known()).unwrap_err().to_string()
        };
        assert_eq!(
            error("gim"),
            "no suite is called `gim`; did you mean `gin`? There are: axum, gin"
        );
        assert_eq!(
            error("flask/a"),
            "no suite is called `flask`; there are: axum, gin"
        );
    }
}
