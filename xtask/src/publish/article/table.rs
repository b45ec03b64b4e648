//! The tables of the article and the README, as Markdown.

use std::collections::BTreeSet;

use super::{
    capabilities,
    cell::{Wrong, look_up},
    unit::Unit,
};
use crate::{
    human::grouped,
    publish::{Evidence, Lang},
    record::{exact::SizeRow, timings::Phase},
};

/// What a document calls for by `table: NAME` and, of some, a suite.
const TABLES: [&str; 7] = [
    "headline",
    "sizes",
    "times",
    "article",
    "cost",
    "bases",
    "capabilities",
];
const ABSENT: &str = "–";
/// The price that one column has room for: pulls that leave the provider.
const PRICE: [&str; 2] = ["amazon-ecr", "internet"];

/// A table before it is Markdown: what its first columns hold are names, and
/// numbers stand right.
pub struct Grid {
    head: Vec<String>,
    names: usize,
    /// How the columns behind the names are aligned.
    rule: &'static str,
    lines: Vec<Vec<String>>,
}

const RIGHT: &str = "---:";
const CENTRE: &str = ":---:";

impl Grid {
    pub fn new(lang: Lang, names: usize, head: &[[&str; 2]]) -> Self {
        let head = head.iter().map(|[en, ko]| lang.of(en, ko).to_owned());
        Self {
            head: head.collect(),
            names,
            rule: RIGHT,
            lines: Vec::new(),
        }
    }

    /// One of words: names in the first column, and more to come.
    pub fn centred(lang: Lang, head: [&str; 2]) -> Self {
        Self {
            rule: CENTRE,
            ..Self::new(lang, 1, &[head])
        }
    }

    pub fn with_column(mut self, name: &str) -> Self {
        self.head.push(name.to_owned());
        self
    }

    pub fn push(&mut self, line: Vec<String>) {
        self.lines.push(line);
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.head.len()).map(|column| match column {
            _ if column < self.names => "---",
            _ => self.rule,
        });
        let rule: Vec<String> = rule.map(str::to_owned).collect();
        let mut text = line(&self.head) + &line(&rule);
        self.lines
            .iter()
            .for_each(|cells| text.push_str(&line(cells)));
        text
    }
}

/// The table that `words` call for.
///
/// # Errors
/// When there is none of that name, or no such suite.
pub fn markdown(words: &str, evidence: &Evidence, lang: Lang) -> Result<String, Wrong> {
    let (name, suite) = words.split_once(' ').unwrap_or((words, ""));
    let grid = match name {
        "headline" => headline(evidence, &variants(evidence, suite)?, lang),
        "bases" => bases(evidence, lang),
        "sizes" => sizes(&variants(evidence, suite)?, lang),
        "times" => times(evidence, &variants(evidence, suite)?, lang),
        "article" => article(evidence, &variants(evidence, suite)?, lang),
        "cost" => cost(evidence, &variants(evidence, suite)?, lang),
        "capabilities" => capabilities::grid(evidence, suite, lang)?,
        _ => {
            let known = TABLES.iter().map(|&name| name.to_owned());
            return Err(Wrong::unknown("table", name, &known.collect()));
        }
    };
    Ok(grid.markdown())
}

/// The variants of a suite, lightest first.
///
/// # Errors
/// When there is no such suite.
pub fn variants<'e>(evidence: &'e Evidence, suite: &str) -> Result<Vec<&'e SizeRow>, Wrong> {
    let of_suite = evidence.sizes.iter().filter(|row| row.suite == suite);
    let mut rows: Vec<_> = of_suite.collect();
    if rows.is_empty() {
        let known: BTreeSet<_> = evidence.sizes.iter().map(|row| row.suite.clone()).collect();
        return Err(Wrong::unknown("suite", suite, &known));
    }
    rows.sort_by_key(|row| (row.transfer_bytes.is_none(), row.transfer_bytes));
    Ok(rows)
}

/// The number that a marker would write, or the sign for none.
fn cell(evidence: &Evidence, words: &[&str], unit: Unit, lang: Lang) -> String {
    let found = look_up(evidence, words).ok().and_then(|cell| cell.number);
    found.map_or_else(|| ABSENT.to_owned(), |it| unit.write(it.value, lang))
}

fn megabytes(bytes: Option<u64>, lang: Lang) -> String {
    bytes.map_or_else(
        || ABSENT.to_owned(),
        |bytes| Unit::Megabytes.write(bytes as f64, lang),
    )
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(|| ABSENT.to_owned(), |number| grouped(number.into()))
}

/// A median and how well it is known.
fn time(phase: Option<Phase>, unit: Unit, lang: Lang) -> String {
    let Some(Phase {
        median_us: Some(median),
        low_us,
        high_us,
    }) = phase
    else {
        return ABSENT.to_owned();
    };
    let median = unit.write(median as f64, lang);
    match low_us.zip(high_us) {
        Some((low, high)) => {
            let (low, high) = (unit.digits(low as f64), unit.digits(high as f64));
            format!("{median} ({low}–{high})")
        }
        None => median,
    }
}

fn headline(evidence: &Evidence, rows: &[&SizeRow], lang: Lang) -> Grid {
    let head = [
        ["variant", "변형"],
        ["transfer bytes", "전송 바이트"],
        ["layers", "레이어"],
        [
            "new node, first 200, at 100 Mbit/s",
            "새 노드에서 첫 200까지, 100 Mbit/s",
        ],
        ["warm start", "웜 스타트"],
        ["dollars a month", "월 비용"],
    ];
    let mut grid = Grid::new(lang, 1, &head);
    for row in rows {
        let name = format!("{}/{}", row.suite, row.variant);
        let cost = ["cost", &name, &PRICE.join("/"), "standalone"];
        let of = |words: &[&str], unit| cell(evidence, words, unit, lang);
        grid.push(vec![
            format!("`{}`", row.variant),
            megabytes(row.transfer_bytes, lang),
            count(row.layers),
            of(&["node_cold@100mbit", &name, "node_total"], Unit::Seconds),
            of(&["warm", &name, "start_total"], Unit::Milliseconds),
            of(&cost, Unit::Dollars),
        ]);
    }
    grid
}

fn sizes(rows: &[&SizeRow], lang: Lang) -> Grid {
    let head = [
        ["variant", "변형"],
        ["transfer bytes", "전송 바이트"],
        ["of these the base", "그중 base image"],
        ["layers", "레이어"],
        ["unpacked bytes", "압축 해제 바이트"],
        ["layer file bytes", "레이어 파일 바이트"],
        ["files", "파일 수"],
    ];
    let mut grid = Grid::new(lang, 1, &head);
    for row in rows {
        grid.push(vec![
            format!("`{}`", row.variant),
            megabytes(row.transfer_bytes, lang),
            megabytes(row.base_transfer_bytes.filter(|bytes| *bytes > 0), lang),
            count(row.layers),
            megabytes(row.unpacked_bytes, lang),
            megabytes(row.layer_file_bytes, lang),
            count(row.files),
        ]);
    }
    grid
}

fn times(evidence: &Evidence, rows: &[&SizeRow], lang: Lang) -> Grid {
    let head = [
        ["variant", "변형"],
        ["new node, local registry", "새 노드, 로컬 레지스트리"],
        ["new node, 100 Mbit/s", "새 노드, 100 Mbit/s"],
        ["new version, 100 Mbit/s", "새 버전 배포, 100 Mbit/s"],
        ["warm start", "웜 스타트"],
    ];
    let mut grid = Grid::new(lang, 1, &head);
    for SizeRow { suite, variant, .. } in rows {
        let node = |profile, scenario| {
            let row = evidence.node(suite, variant, profile, scenario);
            time(row.map(|it| it.node_total.phase), Unit::Seconds, lang)
        };
        let warm = evidence.start(suite, variant, "warm");
        grid.push(vec![
            format!("`{variant}`"),
            node("unshaped", "node_cold"),
            node("100mbit", "node_cold"),
            node("100mbit", "redeploy"),
            time(
                warm.map(|it| it.start_total.phase),
                Unit::Milliseconds,
                lang,
            ),
        ]);
    }
    grid
}

/// Beside the figures that the first article printed.
fn article(evidence: &Evidence, rows: &[&SizeRow], lang: Lang) -> Grid {
    let head = [
        ["variant", "변형"],
        ["first article", "원래 글"],
        ["here, layer file bytes", "이번 측정, 레이어 파일 바이트"],
        ["here ÷ there", "이번 ÷ 원래 글"],
    ];
    let mut grid = Grid::new(lang, 1, &head);
    for row in rows {
        let variant = evidence.variant(&row.suite, &row.variant);
        let printed = variant.and_then(|it| it.article_bytes);
        let share = printed
            .zip(row.layer_file_bytes)
            .map(|(there, here)| Unit::Percent.write(1000.0 * here as f64 / there as f64, lang));
        grid.push(vec![
            format!("`{}`", row.variant),
            megabytes(printed, lang),
            megabytes(row.layer_file_bytes, lang),
            share.unwrap_or_else(|| ABSENT.to_owned()),
        ]);
    }
    grid
}

/// The months of one price, by the way that the pulls take.
fn cost(evidence: &Evidence, rows: &[&SizeRow], lang: Lang) -> Grid {
    let head = [
        ["variant", "변형"],
        ["stored", "저장"],
        ["transferred", "전송"],
    ];
    let paths: BTreeSet<_> = evidence
        .cost
        .iter()
        .map(|row| (row.price.as_str(), row.path.as_str()))
        .collect();
    let grid = Grid::new(lang, 1, &head);
    let mut grid = paths.iter().fold(grid, |grid, (price, path)| {
        grid.with_column(&format!("{price}, {path}"))
    });
    for SizeRow { suite, variant, .. } in rows {
        let name = format!("{suite}/{variant}");
        let priced = |(price, path): (&str, &str), column, unit| {
            let words = ["cost", &name, &format!("{price}/{path}"), column];
            cell(evidence, &words, unit, lang)
        };
        let first = paths.first().copied().unwrap_or_default();
        let mut line = vec![
            format!("`{variant}`"),
            priced(first, "stored", Unit::Gigabytes),
            priced(first, "transferred", Unit::Gigabytes),
        ];
        line.extend(
            paths
                .iter()
                .map(|&path| priced(path, "standalone", Unit::Dollars)),
        );
        grid.push(line);
    }
    grid
}

fn bases(evidence: &Evidence, lang: Lang) -> Grid {
    let head = [
        ["base", "base image"],
        ["where from", "출처"],
        ["here", "이번 측정"],
        ["published", "공개된 이미지"],
        ["difference", "차이"],
    ];
    let mut grid = Grid::new(lang, 2, &head);
    for row in &evidence.bases {
        let difference = row.transfer_difference_permille.map(|permille| {
            let sign = if permille < 0 { "−" } else { "+" };
            let share = Unit::Percent.write(permille.unsigned_abs() as f64, lang);
            format!("{sign}{share}")
        });
        grid.push(vec![
            format!("`{}`", row.base),
            source(&row.source, lang).to_owned(),
            megabytes(row.transfer_bytes, lang),
            megabytes(row.published_transfer_bytes, lang),
            difference.unwrap_or_else(|| ABSENT.to_owned()),
        ]);
    }
    grid
}

/// The word of the lock in the language of the table.
fn source(word: &str, lang: Lang) -> &str {
    match word {
        "rebuilt" => lang.of("rebuilt from Debian packages", "Debian 패키지로 재구성"),
        "archive" => lang.of("its own archive", "공식 아카이브"),
        "stand-in" => lang.of("a stand-in", "대역"),
        "upstream" => lang.of("its registry", "공식 레지스트리"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::evidence;

    fn shown(words: &str, lang: Lang) -> String {
        markdown(words, &evidence(), lang).unwrap()
    }

    #[test]
    fn every_table_is_made_in_both_languages() {
        insta::assert_snapshot!(shown("headline gin", Lang::En), @"
        | variant | transfer bytes | layers | new node, first 200, at 100 Mbit/s | warm start | dollars a month |
        | --- | ---: | ---: | ---: | ---: | ---: |
        | `scratch` | 6.2 MB | 1 | 0.71 s | 129 ms | $0.167 |
        | `alpine` | 9.7 MB | 3 | – | – | – |
        | `single-stage` | 447.1 MB | 12 | – | 126 ms | $6.73 |
        ");
        insta::assert_snapshot!(shown("sizes gin", Lang::Ko), @"
        | 변형 | 전송 바이트 | 그중 base image | 레이어 | 압축 해제 바이트 | 레이어 파일 바이트 | 파일 수 |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: |
        | `scratch` | 6.2 MB | – | 1 | 12.3 MB | 12.3 MB | 1 |
        | `alpine` | 9.7 MB | 3.5 MB | 3 | 19.3 MB | 19.3 MB | 3 |
        | `single-stage` | 447.1 MB | 301.8 MB | 12 | 894.2 MB | 894.2 MB | 12 |
        ");
        insta::assert_snapshot!(shown("times gin", Lang::En), @"
        | variant | new node, local registry | new node, 100 Mbit/s | new version, 100 Mbit/s | warm start |
        | --- | ---: | ---: | ---: | ---: |
        | `scratch` | 0.24 s (0.24–0.25) | 0.71 s (0.71–0.72) | – | 129 ms (126–133) |
        | `alpine` | – | – | – | – |
        | `single-stage` | 8.90 s (8.84–9.05) | – | – | 126 ms (120–136) |
        ");
        insta::assert_snapshot!(shown("article gin", Lang::Ko), @"
        | 변형 | 원래 글 | 이번 측정, 레이어 파일 바이트 | 이번 ÷ 원래 글 |
        | --- | ---: | ---: | ---: |
        | `scratch` | 10.8 MB | 12.3 MB | 114% |
        | `alpine` | – | 19.3 MB | – |
        | `single-stage` | 1,220 MB | 894.2 MB | 73% |
        ");
        insta::assert_snapshot!(shown("cost gin", Lang::En), @"
        | variant | stored | transferred | amazon-ecr, internet |
        | --- | ---: | ---: | ---: |
        | `scratch` | 0.12 GB | 1.85 GB | $0.167 |
        | `alpine` | – | – | – |
        | `single-stage` | 0.12 GB | 1.85 GB | $6.73 |
        ");
        insta::assert_snapshot!(shown("bases", Lang::Ko), @"
        | base image | 출처 | 이번 측정 | 공개된 이미지 | 차이 |
        | --- | --- | ---: | ---: | ---: |
        | `gcr.io/distroless/static-debian12` | Debian 패키지로 재구성 | 0.73 MB | 0.74 MB | −0.8% |
        ");
    }

    #[test]
    fn an_unknown_table_or_suite_is_named_with_the_nearest() {
        let wrong = |words| markdown(words, &evidence(), Lang::En).unwrap_err();
        assert_eq!(wrong("headlines").mend, "write `headline`");
        assert_eq!(wrong("sizes gim").mend, "write `gin`");
    }
}
