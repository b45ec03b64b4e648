//! One cell of `results/`, as a marker names it: the table, its key in the
//! order of the columns, the column.
//!
//! `sizes gin/scratch transfer`, `node_cold@100mbit gin/scratch pull`, `warm
//! gin/scratch app`, `cost gin/scratch amazon-ecr/internet standalone`. The
//! machine, the platform and the file system are those of the settings.

use std::collections::BTreeSet;

use super::unit::Quantity;
use crate::{
    manifest::nearest,
    publish::Evidence,
    record::row::{Row, columns},
};

/// What a column's name may leave out at its end.
const ENDINGS: [&str; 5] = [
    "",
    "_median_us",
    "_bytes",
    "_microusd_per_month",
    "_permille",
];
const TABLES: [&str; 12] = [
    "sizes",
    "layers",
    "capabilities",
    "bases",
    "cost",
    "limits",
    "node_cold",
    "redeploy",
    "warm",
    "article",
    "session",
    "proofs",
];
const UNSHAPED: &str = "unshaped";

/// What one cell says.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// As the marker has it.
    pub named: String,
    pub text: String,
    pub number: Option<Number>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub value: f64,
    pub quantity: Quantity,
    /// The ends of a median's interval.
    pub interval: Option<(f64, f64)>,
    /// The session that measured it; exact numbers have none.
    pub session: Option<String>,
}

/// Why a marker gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub mend: String,
    /// Whether other rows may give it, so that a draft shows the rest.
    pub a_draft_goes_on: bool,
}

impl Wrong {
    pub fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
            a_draft_goes_on: false,
        }
    }

    /// `word` is not one of `known`.
    pub fn unknown(kind: &str, word: &str, known: &BTreeSet<String>) -> Self {
        let names = || known.iter().map(String::as_str);
        let mend = match nearest(word, names()) {
            Some(near) => format!("write `{near}`"),
            None => format!("one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        Self::new(format!("there is no {kind} `{word}`"), mend)
    }
}

/// The cell that `words` name.
///
/// # Errors
/// When there is none, with the nearest name; when it is empty.
pub fn look_up(evidence: &Evidence, words: &[&str]) -> Result<Cell, Wrong> {
    let named = words.join(" ");
    let Some((table, rest)) = words.split_first() else {
        return Err(Wrong::new("a cell has no name", "write: TABLE KEY COLUMN"));
    };
    let (table, profile) = table.split_once('@').unwrap_or((table, UNSHAPED));
    let at = Place {
        named: &named,
        table,
        profile,
    };
    match table {
        "sizes" => at.of_variant(&evidence.sizes, rest, &[]),
        "layers" => at.of_variant(&evidence.layers, rest, &["layer"]),
        "capabilities" => at.of_variant(&evidence.capabilities, rest, &["capability"]),
        "cost" => at.of_variant(&evidence.cost, rest, &["price", "path"]),
        "node_cold" | "redeploy" => at.timed(&evidence.node, rest, &["scenario"]),
        "warm" => at.timed(&evidence.start, rest, &["scenario"]),
        "limits" => at.timed(&evidence.limits, rest, &["metric", "limit_by"]),
        "bases" => at.keyed(&evidence.bases, rest, &["base"]),
        "proofs" => at.keyed(&evidence.proofs, rest, &["proof"]),
        "article" => at.article(evidence, rest),
        "session" => at.session(evidence, rest),
        _ => Err(Wrong::unknown("table", table, &set(&TABLES))),
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A table, and what its marker says before the key.
struct Place<'a> {
    named: &'a str,
    table: &'a str,
    profile: &'a str,
}

impl Place<'_> {
    /// `SUITE/VARIANT`, then more of the key joined by `/`, then the column.
    fn of_variant<R: Row>(
        &self,
        rows: &[R],
        words: &[&str],
        more: &[&'static str],
    ) -> Result<Cell, Wrong> {
        let keys = [&["suite", "variant"], more].concat();
        self.keyed(rows, words, &keys)
    }

    /// The same for a profile. The scenario is the table's own name.
    fn timed<R: Row>(
        &self,
        rows: &[R],
        words: &[&str],
        more: &[&'static str],
    ) -> Result<Cell, Wrong> {
        let keys = [&["profile", "suite", "variant"], more].concat();
        let scenario = (more == ["scenario"]).then_some(self.table);
        let words = words
            .split_first()
            .map_or_else(Vec::new, |(variant, rest)| {
                let first = format!("{}/{variant}", self.profile);
                std::iter::once(first)
                    .chain(scenario.map(str::to_owned))
                    .chain(rest.iter().map(|&word| word.to_owned()))
                    .collect()
            });
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.keyed(rows, &words, &keys)
    }

    fn keyed<R: Row>(&self, rows: &[R], words: &[&str], keys: &[&str]) -> Result<Cell, Wrong> {
        let usage = || {
            let named = self.named;
            Wrong::new(
                format!("`{named}` does not name a cell"),
                format!("write: {} {} COLUMN", self.table, keys.join("/")),
            )
        };
        let (column, key) = words.split_last().ok_or_else(usage)?;
        // A base's own name holds slashes, and its key is that name alone.
        let values: Vec<&str> = match keys {
            [_] => key.to_vec(),
            _ => key.iter().flat_map(|word| word.split('/')).collect(),
        };
        if values.len() != keys.len() {
            return Err(usage());
        }
        let wanted: Vec<(&str, &str)> = keys.iter().copied().zip(values).collect();
        self.find(rows, &wanted, column)
    }

    fn find<R: Row>(
        &self,
        rows: &[R],
        wanted: &[(&str, &str)],
        column: &str,
    ) -> Result<Cell, Wrong> {
        let names = columns::<R>();
        let place = |name: &str| names.iter().position(|it| it == name);
        let mut left: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        for &(key, value) in wanted {
            let Some(at) = place(key) else { continue };
            let there: BTreeSet<_> = left.iter().map(|cells| cells[at].clone()).collect();
            left.retain(|cells| cells[at] == value);
            if left.is_empty() {
                return Err(self.unknown(key, value, &there));
            }
        }
        let cells = &left[0];
        let at = ENDINGS
            .iter()
            .find_map(|end| place(&format!("{column}{end}")))
            .ok_or_else(|| self.unknown("column", column, &names.iter().cloned().collect()))?;
        let cell = |name: &str| place(name).map(|at| cells[at].clone());
        self.read(&names[at], &cells[at], cell)
    }

    fn read(
        &self,
        column: &str,
        text: &str,
        cell: impl Fn(&str) -> Option<String>,
    ) -> Result<Cell, Wrong> {
        if text.is_empty() {
            let error = cell("error").filter(|error| !error.is_empty());
            return Err(self.empty(error));
        }
        let stem = column.strip_suffix("_median_us");
        let end = |which: &str| number(&cell(&format!("{}_{which}_us", stem?))?);
        let number = number(text).map(|value| Number {
            value,
            quantity: Quantity::of(column),
            interval: end("low").zip(end("high")),
            session: cell("session"),
        });
        Ok(Cell {
            named: self.named.to_owned(),
            text: text.to_owned(),
            number,
        })
    }

    fn unknown(&self, kind: &str, word: &str, known: &BTreeSet<String>) -> Wrong {
        let wrong = Wrong::unknown(kind, word, known);
        Wrong {
            what: format!("`{}`: {}", self.named, wrong.what),
            ..wrong
        }
    }

    fn empty(&self, error: Option<String>) -> Wrong {
        let why = error.map(|error| format!(": {error}")).unwrap_or_default();
        Wrong {
            what: format!("`{}` is not measured{why}", self.named),
            mend: "cargo xtask run-all".to_owned(),
            a_draft_goes_on: true,
        }
    }

    /// What the article printed, from suite.toml.
    fn article(&self, evidence: &Evidence, words: &[&str]) -> Result<Cell, Wrong> {
        let [name] = words else {
            return Err(Wrong::new(
                format!("`{}` does not name a figure", self.named),
                "write: article SUITE/VARIANT",
            ));
        };
        let (suite, variant) = name.split_once('/').unwrap_or((name, ""));
        let known = evidence.suites.iter().flat_map(|suite| {
            let figures = suite
                .variants
                .iter()
                .filter(|it| it.article_bytes.is_some());
            figures.map(|it| format!("{}/{}", suite.name, it.name))
        });
        let bytes = evidence
            .variant(suite, variant)
            .and_then(|it| it.article_bytes)
            .ok_or_else(|| Wrong::unknown("article_bytes of", name, &known.collect()))?;
        self.read("article_bytes", &bytes.to_string(), |_| None)
    }

    /// A fact of the session that a suite and profile were measured in.
    fn session(&self, evidence: &Evidence, words: &[&str]) -> Result<Cell, Wrong> {
        let [suite, fact] = words else {
            return Err(Wrong::new(
                format!("`{}` does not name a fact", self.named),
                "write: session SUITE FACT",
            ));
        };
        let wanted = [("suite", *suite), ("profile", self.profile)];
        let id = self.find(&evidence.node, &wanted, "session")?.text;
        let wanted = [("session", id.as_str()), ("fact", fact)];
        let mut cell = self.find(&evidence.environment, &wanted, "value")?;
        if let Some(number) = &mut cell.number {
            number.quantity = Quantity::of(fact);
        }
        Ok(cell)
    }
}

fn number(text: &str) -> Option<f64> {
    // A digest of digits alone is no number; every count is a whole one.
    text.parse::<i64>().ok().map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::evidence;

    fn look(words: &str) -> Result<Cell, Wrong> {
        look_up(&evidence(), &words.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn a_cell_is_found_by_its_table_key_and_column() {
        let text = |words| look(words).unwrap().text;
        assert_eq!(text("sizes gin/scratch transfer_bytes"), "6172901");
        assert_eq!(text("sizes gin/scratch transfer"), "6172901");
        assert_eq!(text("sizes gin/scratch base"), "scratch");
        assert_eq!(text("node_cold gin/scratch pull"), "113306");
        assert_eq!(text("node_cold@100mbit gin/scratch pull"), "583545");
        assert_eq!(text("warm gin/scratch start_total"), "128839");
        assert_eq!(text("article gin/scratch"), "10800000");
        assert_eq!(text("session gin kernel"), "6.18.44");
        assert_eq!(text("bases gcr.io/distroless/static-debian12 layers"), "12");
        assert_eq!(
            text("cost gin/scratch amazon-ecr/internet standalone"),
            "166720"
        );
    }

    #[test]
    fn a_median_comes_with_its_interval_and_session() {
        let number = look("node_cold gin/scratch pull").unwrap().number.unwrap();
        assert_eq!(number.interval, Some((109_359.0, 116_767.0)));
        assert_eq!(number.session.as_deref(), Some("467682a2"));
        let exact = look("sizes gin/scratch transfer").unwrap().number.unwrap();
        assert_eq!((exact.interval, exact.session), (None, None));
    }

    #[test]
    fn what_is_not_there_is_said_with_the_nearest_name() {
        let said = |words| {
            let wrong = look(words).unwrap_err();
            format!("{}; mend: {}", wrong.what, wrong.mend)
        };
        assert_eq!(
            said("sizes gin/scrach transfer"),
            "`sizes gin/scrach transfer`: there is no variant `scrach`; mend: write `scratch`"
        );
        assert_eq!(
            said("sizes gin/scratch transfer_byte"),
            "`sizes gin/scratch transfer_byte`: there is no column `transfer_byte`; \
             mend: write `transfer_bytes`"
        );
        assert_eq!(
            said("size gin/scratch transfer"),
            "there is no table `size`; mend: write `sizes`"
        );
        assert_eq!(
            said("node_cold@100mbits gin/scratch pull"),
            "`node_cold@100mbits gin/scratch pull`: there is no profile `100mbits`; \
             mend: write `100mbit`"
        );
        assert_eq!(
            said("sizes gin transfer"),
            "`sizes gin transfer` does not name a cell; mend: write: sizes suite/variant COLUMN"
        );
    }

    #[test]
    fn an_empty_cell_is_not_nought() {
        let wrong = look("sizes gin/scratch digest").unwrap_err();
        assert!(wrong.a_draft_goes_on, "{wrong:?}");
        let wrong = look("node_cold gin/alpine pull").unwrap_err();
        assert_eq!(
            wrong.what,
            "`node_cold gin/alpine pull` is not measured: not_cold"
        );
    }
}
