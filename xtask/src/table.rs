//! The table at the end of a run: what every variant costs, on one screen.

use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Row, Table as Grid, TableStyle};

use crate::{
    human,
    measure::protocol::FULL_BLOCKS_MIN,
    record::{
        exact::SizeRow,
        session::Timing,
        table::Table,
        timings::{NodeRow, StartRow},
    },
};

const HEADER: [&str; 8] = [
    "variant",
    "files MB",
    "article MB",
    "transfer MB",
    "pull",
    "start",
    "app",
    "",
];

/// A rule under the header and nothing else: the numbers are the table.
pub const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));

/// Under the table: what its columns are, in the words of the methodology.
const CAPTION: &str = "\
files: layer file bytes, what `docker images` prints on an overlay2 engine; \
beside it the article's figure
pull: cold, request to end; start: create to first 200, warm; app: exec to first 200 \
(medians)";

/// Which of the recorded rows the table shows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub platform: &'a str,
    pub profile: &'a str,
    pub data_root_fs: &'a str,
}

/// One variant of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub layer_file_bytes: Option<u64>,
    pub article_bytes: Option<u64>,
    pub transfer_bytes: Option<u64>,
    pub pull_us: Option<u64>,
    pub start_us: Option<u64>,
    pub app_us: Option<u64>,
    /// Error words, and what else qualifies the numbers.
    pub remarks: Vec<String>,
}

/// The variants of a platform, smallest first; those without a size at the end.
pub fn lines(
    view: View<'_>,
    sizes: &Table<SizeRow>,
    node: &Table<NodeRow>,
    start: &Table<StartRow>,
    article_bytes: impl Fn(&str, &str) -> Option<u64>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = sizes
        .rows()
        .filter(|size| size.platform == view.platform)
        .map(|size| {
            let pulled = find(node, view, size, "node_cold");
            let started = find(start, view, size, "warm");
            Line {
                name: format!("{}/{}", size.suite, size.variant),
                layer_file_bytes: size.layer_file_bytes,
                article_bytes: article_bytes(&size.suite, &size.variant),
                transfer_bytes: size.transfer_bytes,
                pull_us: pulled.and_then(|row| row.pull.phase.median_us),
                start_us: started.and_then(|row| row.start_total.phase.median_us),
                app_us: started.and_then(|row| row.app.phase.median_us),
                remarks: remarks(size, pulled, started),
            }
        })
        .collect();
    lines.sort_by_key(|line| (line.layer_file_bytes.unwrap_or(u64::MAX), line.name.clone()));
    lines
}

fn find<'a, T: Timing>(
    table: &'a Table<T>,
    view: View<'_>,
    size: &SizeRow,
    scenario: &str,
) -> Option<&'a T> {
    table.rows().find(|row| {
        (row.suite(), row.variant(), row.platform()) == (&size.suite, &size.variant, &size.platform)
            && (row.profile(), row.data_root_fs()) == (view.profile, view.data_root_fs)
            && row.scenario() == scenario
    })
}

fn remarks(size: &SizeRow, node: Option<&NodeRow>, start: Option<&StartRow>) -> Vec<String> {
    let mut remarks: Vec<String> = size.error.iter().map(ToString::to_string).collect();
    remarks.extend(node.map(timing_remarks).unwrap_or_default());
    remarks.extend(start.map(timing_remarks).unwrap_or_default());
    // A session's remarks hold for its pull and its start: they are said once.
    remarks.sort();
    remarks.dedup();
    remarks
}

/// What qualifies a row's times, in few words.
pub fn timing_remarks<T: Timing>(row: &T) -> Vec<String> {
    let mut remarks: Vec<String> = row.error().iter().map(ToString::to_string).collect();
    if row.stale() {
        remarks.push("stale".to_owned());
    }
    if row.noisy() {
        remarks.push("noisy".to_owned());
    }
    if row.error().is_none() && row.n() < u64::from(FULL_BLOCKS_MIN) {
        remarks.push(format!("quick, n={}", row.n()));
    }
    remarks
}

/// A table as it is printed, without escape sequences.
pub struct Printed<'a>(pub &'a [Line]);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        grid.load_style(STYLE)
            .set_header(HEADER)
            .add_rows(self.0.iter().map(row));
        for column in grid.column_iter_mut().skip(1).take(HEADER.len() - 2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for line in grid.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "\n{CAPTION}")
    }
}

fn row(line: &Line) -> Row {
    let size = |bytes: Option<u64>| bytes.map(human::megabytes).unwrap_or_default();
    let time = |us: Option<u64>| us.map(human::time).unwrap_or_default();
    Row::from([
        line.name.clone(),
        size(line.layer_file_bytes),
        size(line.article_bytes),
        size(line.transfer_bytes),
        time(line.pull_us),
        time(line.start_us),
        time(line.app_us),
        line.remarks.join(", "),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::{
        cell::{ErrorWord, Mark},
        timings::{Phase, Spread},
    };

    const VIEW: View<'_> = View {
        platform: "linux/amd64",
        profile: "unshaped",
        data_root_fs: "tmpfs",
    };

    fn size(variant: &str, files: u64, transfer: u64) -> SizeRow {
        SizeRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: "linux/amd64".to_owned(),
            layer_file_bytes: Some(files),
            transfer_bytes: Some(transfer),
            ..SizeRow::default()
        }
    }

    fn spread(median_us: u64) -> Spread {
        Spread {
            phase: Phase {
                median_us: Some(median_us),
                ..Phase::default()
            },
            ..Spread::default()
        }
    }

    fn node(variant: &str, profile: &str, pull_us: u64) -> NodeRow {
        NodeRow {
            n: Some(15),
            pull: spread(pull_us),
            ..crate::record::testing::node_cold(variant, profile)
        }
    }

    fn start(variant: &str, n: u64, start_us: u64, app_us: u64) -> StartRow {
        StartRow {
            n: Some(n),
            start_total: spread(start_us),
            app: spread(app_us),
            ..crate::record::testing::warm(variant)
        }
    }

    fn table<R: crate::record::row::Row>(rows: impl IntoIterator<Item = R>) -> Table<R> {
        let mut table = Table::empty(Path::new("x.csv"));
        rows.into_iter().for_each(|row| table.upsert(row));
        table
    }

    #[test]
    fn all_variants_stand_in_it_smallest_first() {
        let failed = SizeRow {
            layer_file_bytes: None,
            transfer_bytes: None,
            error: Some(ErrorWord::BuildFailed),
            ..size("broken", 0, 0)
        };
        let elsewhere = SizeRow {
            platform: "linux/arm64".to_owned(),
            ..size("elsewhere", 1, 1)
        };
        let sizes = table([
            size("single-stage", 1_194_700_000, 446_600_000),
            size("scratch", 11_200_000, 6_200_000),
            size("debian-slim", 85_700_000, 35_300_000),
            failed,
            elsewhere,
        ]);
        let stale = NodeRow {
            stale: Mark(true),
            noisy: Mark(true),
            ..node("debian-slim", "unshaped", 1_162_000)
        };
        let not_cold = NodeRow {
            n: None,
            pull: Spread::default(),
            error: Some(ErrorWord::NotCold),
            ..node("scratch", "unshaped", 0)
        };
        let node = table([
            node("single-stage", "unshaped", 12_837_400),
            node("single-stage", "100mbit", 40_000_000),
            stale,
            not_cold,
        ]);
        let start = table([
            start("single-stage", 15, 158_200, 1_930),
            start("debian-slim", 15, 155_000, 1_900),
            start("scratch", 5, 149_600, 980),
        ]);
        let article = |_: &str, variant: &str| match variant {
            "single-stage" => Some(1_220_000_000),
            "scratch" => Some(10_800_000),
            _ => None,
        };
        let lines = lines(VIEW, &sizes, &node, &start, article);
        insta::assert_snapshot!(Printed(&lines), @"
          variant            files MB   article MB   transfer MB      pull    start       app
        ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
          gin/scratch            11.2         10.8           6.2             150 ms   0.98 ms   not_cold, quick, n=5
          gin/debian-slim        85.7                       35.3    1.16 s   155 ms   1.90 ms   noisy, stale
          gin/single-stage    1,194.7      1,220.0         446.6   12.84 s   158 ms   1.93 ms
          gin/broken                                                                            build_failed

        files: layer file bytes, what `docker images` prints on an overlay2 engine; beside it the article's figure
        pull: cold, request to end; start: create to first 200, warm; app: exec to first 200 (medians)
        ");
    }
}
