//! The diff as Markdown: a comment on a request.
//!
//! An image is one row of the table, its numbers below each other in the same
//! cells, so that they stand beside their cause. Whatever came from a file
//! stands in code spans, where nothing is a link, a mention or markup.

use super::{
    changes::{Moved, Number},
    parts::LayerMove,
    report::{Report, cells, time},
    timings::{Known, TimeMove},
};
use crate::human;

/// GitHub shows 65,536 characters of a comment; whoever posts this may want to
/// add a line.
const BYTES_MAX: usize = 60_000;

/// Kept for the line that says what was left out.
const LAST_LINE_BYTES: usize = 200;

/// Lines of one cell must not break, or they stand beside other lines.
const NO_BREAK_SPACE: &str = "\u{a0}";

const MOVED: &str = "| variant | column | before | after | change | per cent | cause |\n\
                     |---|---|--:|--:|--:|--:|---|\n";
const LAYERS: &str = "| variant | layer | column | before | after | change | per cent | made by |\n\
                      |---|--:|---|--:|--:|--:|--:|---|\n";
const BASES: &str = "| base | column | before | after | change | per cent | source |\n\
                     |---|---|--:|--:|--:|--:|---|\n";
const TIMINGS: &str = "| variant | profile | scenario | time | before | after | sessions | machine |\n\
                       |---|---|---|---|--:|--:|---|---|\n";

pub fn text(report: &Report) -> String {
    let mut page = Page::default();
    let (headline, facts) = (report.headline(code), items(report.facts(code)));
    if report.is_empty() {
        page.always(&format!("{headline}\n"));
        page.block("\n", &facts, "");
        return page.finish();
    }
    let (base, head) = (code(&report.base), code(&report.head));
    page.always(&format!("## From {base} to {head}\n\n**{headline}**\n"));
    page.block("\n", &facts, "");
    moved(&mut page, report);
    page.block("\n", &items(report.same_numbers(code)), "");
    layers(&mut page, report);
    bases(&mut page, report);
    timings(&mut page, report);
    page.finish()
}

fn moved(page: &mut Page, report: &Report) {
    let row = |moved: &Moved| {
        let causes: Vec<String> = moved.causes.iter().map(|cause| cause.text(code)).collect();
        let [column, before, after, change, share] = stacked(&moved.numbers);
        let title = code(&report.title(&moved.name));
        row([
            title,
            column,
            before,
            after,
            change,
            share,
            causes.join("<br>"),
        ])
    };
    let rows: Vec<String> = report.changes.moved.iter().map(row).collect();
    page.block(&format!("\n{MOVED}"), &rows, "");
}

fn layers(page: &mut Page, report: &Report) {
    let row = |layer: &LayerMove| {
        let [column, before, after, change, share] = stacked(&layer.numbers);
        let title = code(&report.title(&layer.name));
        let (number, made_by) = (layer.layer.to_string(), code(&layer.created_by));
        row([title, number, column, before, after, change, share, made_by])
    };
    let rows: Vec<String> = report.changes.layers.iter().map(row).collect();
    let title = format!("{} moved", human::count(rows.len(), "layer"));
    page.folded(&title, LAYERS, &rows);
}

fn bases(page: &mut Page, report: &Report) {
    let rows: Vec<String> = report
        .changes
        .bases
        .iter()
        .map(|base| {
            let [column, before, after, change, share] = stacked(&base.numbers);
            let title = code(&format!("{} {}", base.base, base.platform));
            let (old, new) = (code(&base.source_before), code(&base.source_after));
            let source = if old == new {
                new
            } else {
                format!("{old} -> {new}")
            };
            row([title, column, before, after, change, share, source])
        })
        .collect();
    let title = format!("{} moved", human::count(rows.len(), "base"));
    page.folded(&title, BASES, &rows);
    let lock = &report.changes.lock;
    let title = format!("{} in bases.lock", human::count(lock.len(), "move"));
    page.folded(&title, "", &items(lock.iter().map(|line| code(line))));
}

fn timings(page: &mut Page, report: &Report) {
    let (note, notes) = (report.timings.note, items(report.timing_notes(code)));
    let moved = report.timings.moved.iter();
    let rows: Vec<String> = moved.map(|it| timing(report, it)).collect();
    if rows.is_empty() {
        return page.folded("Times as context", &format!("{note}\n\n"), &notes);
    }
    let title = format!(
        "Times as context: {} moved",
        human::count(rows.len(), "median")
    );
    let intro = format!("{note}\n\n{}\n{TIMINGS}", notes.concat());
    page.folded(&title, &intro, &rows);
}

fn timing(report: &Report, it: &TimeMove) -> String {
    let (before, after) = (it.before.as_ref(), it.after.as_ref());
    let session = |known: Option<&Known>| {
        let session = known.map(|known| code(&known.session));
        session.unwrap_or_else(|| "none".to_owned())
    };
    row([
        code(&report.title(&it.name)),
        code(&it.profile),
        code(&format!("{} {}", it.scenario, it.data_root_fs)),
        code(it.time),
        time(before),
        time(after),
        format!("{} -> {}", session(before), session(after)),
        code(&it.machine),
    ])
}

/// Foreign text as code.
pub fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", text.replace('`', "'"))
}

/// The lines of a list.
fn items(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| format!("- {line}\n"))
        .collect()
}

fn row<const N: usize>(cells: [String; N]) -> String {
    // What divides cells has to be escaped in code as well.
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

/// Numbers below each other: column, before, after, change, per cent.
fn stacked(numbers: &[Number]) -> [String; 5] {
    let mut lines: [Vec<String>; 5] = Default::default();
    for number in numbers {
        let [column, before, after, change, share] = cells(number);
        let share = share.replace(' ', NO_BREAK_SPACE);
        let cells = [code(&column), before, after, change, share];
        for (lines, cell) in lines.iter_mut().zip(cells) {
            lines.push(cell);
        }
    }
    lines.map(|lines| lines.join("<br>"))
}

/// A text that grows up to a limit, the most important things first.
#[derive(Default)]
struct Page {
    text: String,
    left_out: usize,
}

impl Page {
    fn always(&mut self, text: &str) {
        self.text += text;
    }

    /// As many of `rows` as there is room for, between `before` and `after`;
    /// nothing at all without a row.
    fn block(&mut self, before: &str, rows: &[String], after: &str) {
        let limit = BYTES_MAX - LAST_LINE_BYTES;
        let room = limit.saturating_sub(self.text.len() + before.len() + after.len());
        let mut used = 0;
        let fits = |row: &&String| {
            used += row.len();
            used <= room
        };
        let shown = rows.iter().take_while(fits).count();
        self.left_out += rows.len() - shown;
        if shown > 0 {
            self.text += before;
            self.text += &rows[..shown].concat();
            self.text += after;
        }
    }

    /// The same behind a title that has to be opened.
    fn folded(&mut self, title: &str, before: &str, rows: &[String]) {
        let before = format!("\n<details><summary>{title}</summary>\n\n{before}");
        self.block(&before, rows, "\n</details>\n");
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let rows = human::count(self.left_out, "row");
            self.text += &format!(
                "\n{rows} left out, because a comment has no room for more; \
                 `cargo xtask diff --format table` shows all.\n"
            );
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::exact::SizeRow,
        review::testing::{busy, size, sized, state},
    };

    #[test]
    fn nothing_moved_is_one_line() {
        let side = |name: &str| sized(name, [size("a", 5)]);
        let report = Report::of(&side("main"), &side("HEAD"), &[]).unwrap();
        assert_eq!(text(&report), "Nothing moved between `main` and `HEAD`.\n");
    }

    #[test]
    fn a_busy_request_reads_from_the_top() {
        // The space that does not break looks like any other.
        let text = text(&busy()).replace(NO_BREAK_SPACE, "~");
        insta::assert_snapshot!(text, @"
        ## From `main` to `HEAD`

        **1 of 5 images moved, most of all `gin/a linux/amd64`: 100 transfer bytes more (+10.00 %), by base `debian:bookworm-slim` and application binary. 1 failed, 1 built again, 1 added, 1 removed, 2 with other ids and the same numbers, 2 past a limit.**

        - past a limit: `gin/a linux/amd64` `transfer_bytes` 1,000 -> 1,100 (+100, +10.00 %) is above its budget of 1,050
        - past a limit: `gin/a linux/amd64` `transfer_bytes` 1,000 -> 1,100 (+100, +10.00 %) fails on `transfer_bytes>+5%`
        - failed: `gin/broke linux/amd64`, build_failed; 6 transfer bytes before; moved: Dockerfile
        - built again: `gin/mended linux/amd64`, 8 transfer bytes
        - added: `gin/new linux/amd64`, 7 transfer bytes
        - removed: `gin/gone linux/amd64`, 5 transfer bytes
        - `gin/turned linux/amd64` does not repeat any more: two builds of the same inputs differ
        - shell of `gin/a linux/amd64`: `no` -> `yes (/bin/sh is dash)`
        - not run in `HEAD`: `linux/arm64`, for which `main` has 1 image
        - budget not checked: `gin/unbuilt` has no row; `cargo xtask size gin/unbuilt` makes it
        - not compared: `files`, a column that not both sides have
        - not compared: `inodes`, a column that not both sides have

        | variant | column | before | after | change | per cent | cause |
        |---|---|--:|--:|--:|--:|---|
        | `gin/a linux/amd64` | `transfer_bytes`<br>`unpacked_bytes` | 1,000<br>2,000 | 1,100<br>2,200 | +100<br>+200 | +10.00~%<br>+10.00~% | base `debian:bookworm-slim`: `libc6 1 -> 2`<br>application binary |

        - the same numbers: `gin/b linux/amd64` (Dockerfile)
        - the same numbers: `gin/turned linux/amd64` (`digest`)

        <details><summary>1 layer moved</summary>

        | variant | layer | column | before | after | change | per cent | made by |
        |---|--:|---|--:|--:|--:|--:|---|
        | `gin/a linux/amd64` | 1 | `transfer_bytes` | 1,000 | 1,100 | +100 | +10.00~% | `COPY a\\|b` |

        </details>

        <details><summary>1 base moved</summary>

        | base | column | before | after | change | per cent | source |
        |---|---|--:|--:|--:|--:|---|
        | `debian:bookworm-slim linux/amd64` | `transfer_bytes` | 900 | 1,000 | +100 | +11.11~% | `rebuilt` |

        </details>

        <details><summary>1 move in bases.lock</summary>

        - `debian:bookworm-slim linux/amd64: libc6 1 -> 2`

        </details>

        <details><summary>Times as context: 1 median moved</summary>

        Times of two sessions do not compare, so these are context and no verdict: `cargo xtask compare` measures both sides in one session. One stale cell has its suite, profile and machine measured again as a whole, so variants that did not move stand here too.

        - `m-old`: only in `main`
        - `m-new`: only in `HEAD`
        - 1 row of `HEAD` stale: inputs moved, and measuring was put off

        | variant | profile | scenario | time | before | after | sessions | machine |
        |---|---|---|---|--:|--:|---|---|
        | `gin/a linux/amd64` | `unshaped` | `node_cold tmpfs` | `pull` | 5.00 ms [4.00 ms, 6.00 ms] | 6.00 ms [5.00 ms, 7.00 ms] | `s1` -> `s2` | `m` |

        </details>
        ");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let rows =
            |bytes: u64| (0..2_000).map(move |i| size(&format!("variant-{i:04}"), bytes + i));
        let report = Report::of(
            &sized("main", rows(10_000)),
            &sized("HEAD", rows(20_000)),
            &[],
        );
        let text = text(&report.unwrap());
        assert!(
            text.len() <= BYTES_MAX && text.len() > BYTES_MAX - 1_000,
            "{}",
            text.len()
        );
        let shown = text
            .lines()
            .filter(|line| line.starts_with("| `gin/"))
            .count();
        let last = text.lines().last().unwrap();
        let left_out = human::count(2_000 - shown, "row");
        assert!(last.starts_with(&format!("{left_out} left out")), "{last}");
    }

    #[test]
    fn foreign_text_is_never_markup() {
        let hostile = "`</code> @everyone <img src=x> | [a](b)";
        let renamed = |bytes: u64| SizeRow {
            suite: hostile.to_owned(),
            ..size("a", bytes)
        };
        let report = Report::of(
            &sized("main", [renamed(5)]),
            &sized("HEAD", [renamed(6)]),
            &[],
        );
        let text = text(&report.unwrap());
        let row = text.lines().find(|line| line.starts_with("| `")).unwrap();
        assert!(
            row.starts_with("| `'</code> @everyone <img src=x> \\| [a](b)/a` | "),
            "{row}"
        );
    }

    #[test]
    fn limits_are_told_although_nothing_moved() {
        let manifest = "title = 'a'\ncontext = 's'\nbudget.layers = 0\nprobe.body = 'b'\n\
                        [[variant]]\nname = 'a'\nreason = 'r'\n";
        let sizes = crate::review::testing::text_of([size("a", 5)]);
        let side = state(
            "x",
            &[
                ("results/sizes.csv", sizes),
                ("experiments/gin/suite.toml", manifest.to_owned()),
            ],
        );
        let text = text(&Report::of(&side, &side, &[]).unwrap());
        assert_eq!(
            text,
            "Nothing moved between `x` and `x`.\n\n\
             - past a limit: `gin/a` `layers` 1 is above its budget of 0\n"
        );
    }
}
