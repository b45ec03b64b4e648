//! The diff for a terminal: everything, and nothing folded.

use comfy_table::{CellAlignment, Table as Grid};

use super::{
    changes::Number,
    report::{Report, cells, time},
};
use crate::table::STYLE;

/// The columns of numbers, which stand to the right.
const NUMBERS: [&str; 5] = ["column", "before", "after", "change", "per cent"];

pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n", report.headline(as_it_is));
    text += &items(report.facts(as_it_is));
    if !report.is_empty() {
        text += &items(report.same_numbers(as_it_is));
        text += &moved(report);
        text += &layers(report);
        text += &bases(report);
        text += &timings(report);
    }
    text
}

fn items(lines: impl IntoIterator<Item = String>) -> String {
    lines
        .into_iter()
        .map(|line| format!("  {line}\n"))
        .collect()
}

/// What a terminal needs to be told apart: nothing.
pub fn as_it_is(text: &str) -> String {
    text.to_owned()
}

fn moved(report: &Report) -> String {
    let rows = report.changes.moved.iter().flat_map(|moved| {
        let causes: Vec<String> = moved
            .causes
            .iter()
            .map(|cause| cause.text(as_it_is))
            .collect();
        lines(report.title(&moved.name), &moved.numbers, causes.join("; "))
    });
    grid("variant", "cause", rows)
}

fn layers(report: &Report) -> String {
    let rows = report.changes.layers.iter().flat_map(|layer| {
        let title = format!("{} {}", report.title(&layer.name), layer.layer);
        lines(title, &layer.numbers, layer.created_by.clone())
    });
    grid("layer", "made by", rows)
}

fn bases(report: &Report) -> String {
    let rows = report.changes.bases.iter().flat_map(|base| {
        let source = if base.source_before == base.source_after {
            base.source_after.clone()
        } else {
            format!("{} -> {}", base.source_before, base.source_after)
        };
        lines(
            format!("{} {}", base.base, base.platform),
            &base.numbers,
            source,
        )
    });
    grid("base", "source", rows) + &items(report.changes.lock.iter().cloned())
}

fn timings(report: &Report) -> String {
    let timings = &report.timings;
    let notes = items(report.timing_notes(as_it_is));
    if notes.is_empty() && timings.moved.is_empty() {
        return String::new();
    }
    let text = format!("\n{}\n{notes}", timings.note);
    if timings.moved.is_empty() {
        return text;
    }
    let mut grid = Grid::new();
    grid.load_style(STYLE);
    grid.set_header([
        "variant", "machine", "profile", "scenario", "time", "before", "after",
    ]);
    for it in &timings.moved {
        grid.add_row([
            report.title(&it.name),
            it.machine.clone(),
            it.profile.clone(),
            format!("{} {}", it.scenario, it.data_root_fs),
            it.time.to_owned(),
            time(it.before.as_ref()),
            time(it.after.as_ref()),
        ]);
    }
    text + &printed(&grid)
}

/// One line for each number; what holds for all of them stands in the first.
fn lines(title: String, numbers: &[Number], remark: String) -> Vec<[String; 7]> {
    if numbers.is_empty() {
        let empty = String::new;
        return vec![[title, empty(), empty(), empty(), empty(), empty(), remark]];
    }
    let (mut title, mut remark) = (Some(title), Some(remark));
    numbers
        .iter()
        .map(|number| {
            let [column, before, after, change, share] = cells(number);
            let (title, remark) = (title.take(), remark.take());
            [
                title.unwrap_or_default(),
                column,
                before,
                after,
                change,
                share,
                remark.unwrap_or_default(),
            ]
        })
        .collect()
}

/// A table of numbers; nothing without rows.
fn grid(first: &str, last: &str, rows: impl Iterator<Item = [String; 7]>) -> String {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut grid = Grid::new();
    let [column, before, after, change, share] = NUMBERS;
    grid.load_style(STYLE)
        .set_header([first, column, before, after, change, share, last])
        .add_rows(rows);
    // The name of the column stands to the left, its numbers to the right.
    for column in grid.column_iter_mut().skip(2).take(NUMBERS.len() - 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("\n{}", printed(&grid))
}

fn printed(grid: &Grid) -> String {
    grid.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::testing::{busy, size, sized};

    #[test]
    fn nothing_moved_is_one_line() {
        let side = |name: &str| sized(name, [size("a", 5)]);
        let report = Report::of(&side("main"), &side("HEAD"), &[]).unwrap();
        assert_eq!(text(&report), "Nothing moved between main and HEAD.\n");
    }

    #[test]
    fn a_terminal_sees_everything() {
        let text = text(&busy());
        let unpacked = text.lines().find(|line| line.contains("unpacked_bytes"));
        assert!(unpacked.is_some_and(|line| line.contains("+200")), "{text}");
        for said in [
            "failed: gin/broke linux/amd64, build_failed",
            "base debian:bookworm-slim: libc6 1 -> 2; application binary",
            "COPY a|b",
            "debian:bookworm-slim linux/amd64: libc6 1 -> 2",
            "context and no verdict",
            "5.00 ms [4.00 ms, 6.00 ms]",
            "m-new: only in HEAD",
        ] {
            assert!(text.contains(said), "{said} is missing:\n{text}");
        }
    }

    #[test]
    fn a_name_stands_once_beside_its_numbers() {
        let number = |column| Number {
            column,
            before: Some(1),
            after: Some(2),
        };
        let lines = lines(
            "a".to_owned(),
            &[number("x"), number("y")],
            "why".to_owned(),
        );
        assert_eq!((lines[0][0].as_str(), lines[0][6].as_str()), ("a", "why"));
        assert_eq!((lines[1][0].as_str(), lines[1][1].as_str()), ("", "y"));
    }
}
