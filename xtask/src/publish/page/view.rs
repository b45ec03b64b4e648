//! What the template shows: every text and number of the page, in its order.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    cell::{self, Cell, Text},
    variant::Details,
    what_if::{Line, WhatIf},
};
use crate::{
    cost::Prices,
    human,
    publish::{Charts, Evidence, Lang},
    record::{
        exact::SizeRow,
        timings::{NodeRow, Phase, StartRow},
    },
    suite::{Suite, Variant},
};

const STYLE: &str = include_str!("../../../assets/page/page.css");
const SCRIPT: &str = include_str!("../../../assets/page/page.js");
const WORDS: &str = include_str!("../../../assets/page/words.toml");

#[derive(Debug, Serialize)]
pub struct View {
    style: &'static str,
    script: &'static str,
    words: BTreeMap<String, Text>,
    draft: bool,
    suites: Vec<SuiteView>,
    /// None without prices.
    what_if: Option<WhatIf>,
    /// Where the prices come from.
    prices: Vec<PriceView>,
    machine: String,
    platform: String,
    data_root_fs: String,
    /// What was measured together.
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct SuiteView {
    name: String,
    title: String,
    headline: Option<Headline>,
    /// Largest transfer first, as in the charts.
    rows: Vec<Row>,
    details: Vec<Details>,
    what_if: Vec<Line>,
    charts: Vec<ChartView>,
}

/// From the largest image to the smallest.
#[derive(Debug, Serialize)]
struct Headline {
    largest: String,
    smallest: String,
    transfer: Pair,
    /// On a new node behind 100 Mbit/s.
    node: Option<Pair>,
    /// The warm starts of all variants, shortest and longest.
    warm: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pair {
    from: String,
    to: String,
    /// From ÷ to, in as many digits as are worth saying.
    times: String,
}

/// A line of the table of all variants.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    variant: String,
    cells: Vec<Cell>,
}

/// One picture in both languages.
#[derive(Debug, Serialize)]
struct ChartView {
    name: String,
    en: String,
    ko: String,
}

#[derive(Debug, Serialize)]
struct PriceView {
    name: String,
    date: String,
    source: Vec<Piece>,
}

/// A part of a text that is a link, or is none.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Piece {
    text: String,
    is_link: bool,
}

#[derive(Debug, Serialize)]
struct Session {
    name: String,
    suite: String,
    profile: String,
    facts: BTreeMap<String, String>,
}

impl View {
    /// # Errors
    /// When the words are broken.
    pub fn new(
        evidence: &Evidence,
        prices: Option<&Prices>,
        charts: &Charts,
        draft: bool,
    ) -> Result<Self> {
        let what_if = prices.map(|it| WhatIf::new(evidence, it));
        let suite = |it: &&Suite| SuiteView::new(evidence, it, what_if.as_ref(), charts);
        Ok(Self {
            style: STYLE,
            script: SCRIPT,
            words: toml::from_str(WORDS).context("xtask/assets/page/words.toml")?,
            draft,
            suites: suites(evidence).iter().map(suite).collect(),
            what_if,
            prices: prices.map(sources).unwrap_or_default(),
            machine: evidence.settings.machine.clone(),
            platform: evidence.settings.platform.clone(),
            data_root_fs: evidence.settings.data_root_fs.clone(),
            sessions: sessions(evidence),
        })
    }
}

/// The article's suite first.
fn suites(evidence: &Evidence) -> Vec<&Suite> {
    let mut suites: Vec<&Suite> = evidence.suites.iter().collect();
    let is_articles = |it: &Suite| it.variants.iter().any(|it| it.article_bytes.is_some());
    suites.sort_by_key(|it| !is_articles(it));
    suites
}

/// The variants of a suite, the largest transfer first: the order of the charts.
pub fn variants<'a>(evidence: &Evidence, suite: &'a Suite) -> Vec<&'a Variant> {
    let mut variants: Vec<&Variant> = suite.variants.iter().collect();
    let size = |it: &&Variant| evidence.size(&suite.name, &it.name)?.transfer_bytes;
    variants.sort_by_key(|it| std::cmp::Reverse(size(it)));
    variants
}

impl SuiteView {
    fn new(evidence: &Evidence, suite: &Suite, what_if: Option<&WhatIf>, charts: &Charts) -> Self {
        let variants = variants(evidence, suite);
        let name = &suite.name;
        let row = |it: &&Variant| Row::new(evidence, name, &it.name, what_if);
        let line = |model: &WhatIf| {
            let line = |it: &&Variant| model.line(evidence, name, &it.name);
            variants.iter().map(line).collect()
        };
        Self {
            name: name.clone(),
            title: suite.title.clone(),
            headline: Headline::new(evidence, name, &variants),
            rows: variants.iter().map(row).collect(),
            details: variants
                .iter()
                .map(|it| Details::new(evidence, suite, it))
                .collect(),
            what_if: what_if.map(line).unwrap_or_default(),
            charts: of_suite(evidence, charts, name),
        }
    }
}

impl Row {
    fn new(evidence: &Evidence, suite: &str, variant: &str, what_if: Option<&WhatIf>) -> Self {
        let size = evidence.size(suite, variant);
        let node = evidence.node(suite, variant, "unshaped", "node_cold");
        let warm = evidence.start(suite, variant, "warm");
        let bytes = |of: fn(&SizeRow) -> Option<u64>| Cell::bytes(size.and_then(of));
        let node_time = |of: fn(&NodeRow) -> Phase| Cell::time(&node.map(of).unwrap_or_default());
        let warm_time = |of: fn(&StartRow) -> Phase| Cell::time(&warm.map(of).unwrap_or_default());
        let cost = what_if.and_then(|it| it.cost(evidence, suite, variant));
        Self {
            name: format!("{suite}/{variant}"),
            variant: variant.to_owned(),
            cells: vec![
                bytes(|it| it.transfer_bytes),
                bytes(|it| it.unpacked_bytes),
                Cell::count(size.and_then(|it| it.layers)),
                node_time(|it| it.pull.phase),
                node_time(|it| it.node_total.phase),
                warm_time(|it| it.start_total.phase),
                warm_time(|it| it.app.phase),
                Cell::dollars(cost.and_then(|it| it.standalone_microusd_per_month)),
            ],
        }
    }
}

impl Headline {
    /// None with less than two images.
    fn new(evidence: &Evidence, suite: &str, variants: &[&Variant]) -> Option<Self> {
        let sizes: Vec<&SizeRow> = variants
            .iter()
            .filter_map(|it| evidence.size(suite, &it.name))
            .filter(|it| it.transfer_bytes.is_some())
            .collect();
        let [first, .., last] = sizes[..] else {
            return None;
        };
        let bytes = |it: &SizeRow| it.transfer_bytes;
        let node = |it: &SizeRow| {
            let row = evidence.node(suite, &it.variant, "100mbit", "node_cold")?;
            row.node_total.phase.median_us
        };
        let warm = variants.iter().filter_map(|it| {
            let row = evidence.start(suite, &it.name, "warm")?;
            row.start_total.phase.median_us
        });
        let warm: BTreeSet<u64> = warm.collect();
        Some(Self {
            largest: first.variant.clone(),
            smallest: last.variant.clone(),
            transfer: Pair::new(bytes(first)?, bytes(last)?, |it| Cell::bytes(Some(it)).text)?,
            node: node(first)
                .zip(node(last))
                .and_then(|(from, to)| Pair::new(from, to, human::time)),
            warm: warm
                .first()
                .zip(warm.last())
                .map(|(least, most)| cell::range(*least, *most)),
        })
    }
}

impl Pair {
    fn new(from: u64, to: u64, text: impl Fn(u64) -> String) -> Option<Self> {
        let times = from as f64 / (to > 0).then_some(to)? as f64;
        let digits = usize::from(times < 10.0);
        Some(Self {
            from: text(from),
            to: text(to),
            times: format!("{times:.digits$}"),
        })
    }
}

fn of_suite(evidence: &Evidence, charts: &Charts, suite: &str) -> Vec<ChartView> {
    // `gin-x-bytes` is of the suite `gin-x` where there is one, and not of `gin`.
    let owner = |chart: &str| {
        let begins = |suite: &&str| {
            let kind = chart.strip_prefix(suite);
            kind.is_some_and(|kind| kind.starts_with('-'))
        };
        let names = evidence.suites.iter().map(|it| it.name.as_str());
        names.filter(begins).max_by_key(|it| it.len())
    };
    let english = charts.0.iter().filter(|it| it.lang == Lang::En);
    let of_suite = english.filter(|it| owner(&it.name) == Some(suite));
    let both = of_suite.map(|it| ChartView {
        name: it.name.clone(),
        en: it.svg.clone(),
        ko: charts
            .get(&it.name, Lang::Ko)
            .map(|it| it.svg.clone())
            .unwrap_or_default(),
    });
    both.collect()
}

fn sources(prices: &Prices) -> Vec<PriceView> {
    let price = |it: &crate::cost::prices::Price| PriceView {
        name: it.name.clone(),
        date: it.date.clone(),
        source: pieces(&it.source),
    };
    prices.prices.iter().map(price).collect()
}

/// A text with the addresses in it told apart.
fn pieces(text: &str) -> Vec<Piece> {
    let piece = |text: &str, is_link| Piece {
        text: text.to_owned(),
        is_link,
    };
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("https://") {
        let address = &rest[start..];
        let ends = |c: char| c.is_whitespace() || matches!(c, ')' | ';' | ',' | '"');
        let address = &address[..address.find(ends).unwrap_or(address.len())];
        pieces.push(piece(&rest[..start], false));
        pieces.push(piece(address, true));
        rest = &rest[start + address.len()..];
    }
    pieces.push(piece(rest, false));
    pieces.retain(|it| !it.text.is_empty());
    pieces
}

/// The sessions whose times are shown, as the environment file states them.
fn sessions(evidence: &Evidence) -> Vec<Session> {
    let node = evidence
        .node
        .iter()
        .map(|it| (&it.suite, &it.profile, &it.session));
    let start = evidence
        .start
        .iter()
        .map(|it| (&it.suite, &it.profile, &it.session));
    let shown: BTreeSet<_> = node.chain(start).collect();
    let session = |(suite, profile, name): (&String, &String, &String)| {
        let facts = evidence.environment.iter().filter(|it| it.session == *name);
        Session {
            name: name.clone(),
            suite: suite.clone(),
            profile: profile.clone(),
            facts: facts
                .map(|it| (it.fact.clone(), it.value.clone()))
                .collect(),
        }
    };
    shown.into_iter().map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_from_the_words_around_them() {
        let told = |text: &str| {
            let mark = |it: &Piece| match it.is_link {
                true => format!("[{}]", it.text),
                false => it.text.clone(),
            };
            pieces(text).iter().map(mark).collect::<String>()
        };
        assert_eq!(
            told("https://a.example/x (as quoted by https://b.example); read"),
            "[https://a.example/x] (as quoted by [https://b.example]); read"
        );
        assert_eq!(told("none"), "none");
        assert_eq!(told("https://a.example"), "[https://a.example]");
    }

    #[test]
    fn a_ratio_has_the_digits_that_are_worth_saying() {
        let pair = |from, to| Pair::new(from, to, |it| it.to_string()).map(|it| it.times);
        assert_eq!(pair(4_466, 62), Some("72".to_owned()));
        assert_eq!(pair(15, 10), Some("1.5".to_owned()));
        assert_eq!(pair(15, 0), None);
    }
}
