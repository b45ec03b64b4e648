//! A diff, whole: what each form of it is written from, and the sentences that
//! all forms share.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use super::{
    Quote,
    budget::{Judgement, Rule, judge},
    cause::{Cause, Kind},
    changes::{
        Changes, FIRST_COLUMN, Failed, Image, Name, NotRun, Number, Side, Turned, pairs,
        strange_columns,
    },
    states::State,
    timings::{Known, Timings},
};
use crate::human;

/// Everything that is to be said of two sides.
#[derive(Debug, Serialize)]
pub struct Report {
    /// As the command line named them.
    pub base: String,
    pub head: String,
    /// How many images both sides have.
    pub images: usize,
    pub columns_not_compared: Vec<String>,
    #[serde(flatten)]
    pub changes: Changes,
    pub timings: Timings,
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Where there is one, it need not stand beside each variant.
    #[serde(skip)]
    several_platforms: bool,
}

impl Report {
    /// # Errors
    /// When a suite.toml of head is wrong.
    pub fn of(base: &State, head: &State, rules: &[Rule]) -> Result<Self> {
        let rows = base.sizes.rows().chain(head.sizes.rows());
        let platforms: BTreeSet<&str> = rows.map(|row| row.platform.as_str()).collect();
        let in_both = pairs(&base.sizes, &head.sizes).filter(|(old, new)| old.and(*new).is_some());
        Ok(Self {
            base: base.name.clone(),
            head: head.name.clone(),
            images: in_both.count(),
            columns_not_compared: strange_columns(base, head),
            changes: Changes::between(base, head),
            timings: Timings::between(base, head),
            judgement: judge(base, head, rules)?,
            several_platforms: platforms.len() > 1,
        })
    }

    /// Whether the two sides say the same. A limit may be passed all the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.timings.is_empty() && self.columns_not_compared.is_empty()
    }

    /// A variant, as it is named in the report.
    pub fn title(&self, name: &Name) -> String {
        let title = format!("{}/{}", name.suite, name.variant);
        if self.several_platforms {
            format!("{title} {}", name.platform)
        } else {
            title
        }
    }

    /// The answer in a sentence or two.
    pub fn headline(&self, quote: Quote) -> String {
        if self.is_empty() {
            let (base, head) = (quote(&self.base), quote(&self.head));
            return format!("Nothing moved between {base} and {head}.");
        }
        let changes = &self.changes;
        let counts = [
            (changes.failed.len(), "failed"),
            (changes.mended.len(), "built again"),
            (changes.added.len(), "added"),
            (changes.removed.len(), "removed"),
            (
                changes.same_numbers.len(),
                "with other ids and the same numbers",
            ),
            (self.judgement.tripped.len(), "past a limit"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if counts.is_empty() {
            return self.most(quote);
        }
        format!("{} {}.", self.most(quote), counts.join(", "))
    }

    /// How many images moved, and which of them most.
    fn most(&self, quote: Quote) -> String {
        let Some(first) = self.changes.moved.first() else {
            return "No image moved in size.".to_owned();
        };
        let moved = self.changes.moved.len();
        let of = format!("{moved} of {} moved", human::count(self.images, "image"));
        let transfer = first.number(FIRST_COLUMN);
        let Some((before, after)) = transfer.and_then(|number| number.before.zip(number.after))
        else {
            return format!("{of}, none of them in its transfer bytes.");
        };
        let more = if after > before { "more" } else { "less" };
        let mut share = human::percent(before, after);
        if !share.is_empty() {
            share = format!(" ({share})");
        }
        let causes: Vec<String> = first
            .causes
            .iter()
            .map(|cause| cause.short(quote))
            .collect();
        format!(
            "{of}, most of all {}: {} transfer bytes {more}{share}, by {}.",
            quote(&self.title(&first.name)),
            human::grouped(before.abs_diff(after).into()),
            causes.join(" and ")
        )
    }

    /// What needs a reviewer's eye and no table, one line each.
    pub fn facts(&self, quote: Quote) -> Vec<String> {
        let (changes, judgement) = (&self.changes, &self.judgement);
        let title = |name: &Name| quote(&self.title(name));
        let image = |what: &str, image: &Image| {
            let title = title(&image.name);
            match image.transfer_bytes {
                Some(bytes) => format!("{what}: {title}, {}", transfer_bytes(bytes)),
                None => format!("{what}: {title}"),
            }
        };
        let tripped = judgement.tripped.iter();
        let mut lines: Vec<String> = tripped
            .map(|trip| format!("past a limit: {} {}", title(&trip.name), trip.text(quote)))
            .collect();
        lines.extend(
            changes
                .failed
                .iter()
                .map(|failed| failure(&title(&failed.name), failed, quote)),
        );
        lines.extend(changes.mended.iter().map(|it| image("built again", it)));
        lines.extend(changes.added.iter().map(|it| image("added", it)));
        lines.extend(changes.removed.iter().map(|it| image("removed", it)));
        lines.extend(changes.turned.iter().map(|it| turned(&title(&it.name), it)));
        lines.extend(changes.capabilities.iter().map(|it| {
            let (before, after) = (quote(&it.before), quote(&it.after));
            format!(
                "{} of {}: {before} -> {after}",
                it.capability,
                title(&it.name)
            )
        }));
        lines.extend(changes.not_run.iter().map(|it| self.not_run(it, quote)));
        lines.extend(judgement.budgets_not_checked.iter().map(|variant| {
            let command = quote(&format!("cargo xtask size {variant}"));
            format!(
                "budget not checked: {} has no row; {command} makes it",
                quote(variant)
            )
        }));
        lines.extend(self.columns_not_compared.iter().map(|column| {
            format!(
                "not compared: {}, a column that not both sides have",
                quote(column)
            )
        }));
        lines
    }

    fn not_run(&self, it: &NotRun, quote: Quote) -> String {
        let (here, there) = match it.side {
            Side::Base => (&self.base, &self.head),
            Side::Head => (&self.head, &self.base),
        };
        format!(
            "not run in {}: {}, for which {} has {}",
            quote(here),
            quote(&it.platform),
            quote(there),
            human::count(it.images, "image")
        )
    }

    /// What has to be known of the times before any is read.
    pub fn timing_notes(&self, quote: Quote) -> Vec<String> {
        let timings = &self.timings;
        let only = |names: &[String], side: &str| -> Vec<String> {
            let name = |name: &String| format!("{}: only in {}", quote(name), quote(side));
            names.iter().map(name).collect()
        };
        let mut notes = only(&timings.only_in_base, &self.base);
        notes.extend(only(&timings.only_in_head, &self.head));
        if timings.stale_rows > 0 {
            let rows = human::count(timings.stale_rows, "row");
            let head = quote(&self.head);
            notes.push(format!(
                "{rows} of {head} stale: inputs moved, and measuring was put off"
            ));
        }
        notes
    }

    /// Images with the same numbers and other ids, by what moved.
    pub fn same_numbers(&self, quote: Quote) -> Vec<String> {
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for same in &self.changes.same_numbers {
            let moved = match same.causes.as_slice() {
                [
                    Cause {
                        kind: Kind::Unknown,
                        ..
                    },
                ] => columns(&same.columns, quote),
                causes => texts(causes, quote),
            };
            let title = quote(&self.title(&same.name));
            match lines.iter_mut().find(|(known, _)| *known == moved) {
                Some((_, titles)) => titles.push(title),
                None => lines.push((moved, vec![title])),
            }
        }
        let line = |(moved, titles): (String, Vec<String>)| {
            format!("the same numbers: {} ({moved})", titles.join(", "))
        };
        lines.into_iter().map(line).collect()
    }
}

fn columns(names: &[String], quote: Quote) -> String {
    let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
    names.join(", ")
}

fn texts(causes: &[Cause], quote: Quote) -> String {
    let texts: Vec<String> = causes.iter().map(|cause| cause.text(quote)).collect();
    texts.join("; ")
}

fn transfer_bytes(bytes: u64) -> String {
    format!("{} transfer bytes", human::grouped(bytes.into()))
}

fn failure(title: &str, failed: &Failed, quote: Quote) -> String {
    let mut parts = vec![format!("failed: {title}, {}", failed.error)];
    if let Some(bytes) = failed.before_transfer_bytes {
        parts.push(format!("{} before", transfer_bytes(bytes)));
    }
    if !failed.causes.is_empty() {
        parts.push(format!("moved: {}", texts(&failed.causes, quote)));
    }
    parts.join("; ")
}

fn turned(title: &str, turned: &Turned) -> String {
    let how = if turned.reproducible {
        "repeats now"
    } else {
        "does not repeat any more: two builds of the same inputs differ"
    };
    format!("{title} {how}")
}

/// Column, before, after, change, per cent.
pub fn cells(number: &Number) -> [String; 5] {
    let grouped = |number: Option<u64>| number.map(|it| human::grouped(it.into()));
    let both = number.before.zip(number.after);
    let change = both.map(|(before, after)| human::change(before, after));
    let share = both.map(|(before, after)| human::percent(before, after));
    [
        Some(number.column.to_owned()),
        grouped(number.before),
        grouped(number.after),
        change,
        share,
    ]
    .map(Option::unwrap_or_default)
}

/// A median with its interval.
pub fn time(known: Option<&Known>) -> String {
    let Some(known) = known else {
        return String::new();
    };
    let median = human::time(known.median_us);
    match known.low_us.zip(known.high_us) {
        Some((low, high)) => format!("{median} [{}, {}]", human::time(low), human::time(high)),
        None => median,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::exact::SizeRow,
        review::{
            plain::as_it_is,
            testing::{busy, id, size, sized},
        },
    };

    fn report(
        old: impl IntoIterator<Item = SizeRow>,
        new: impl IntoIterator<Item = SizeRow>,
    ) -> Report {
        Report::of(&sized("main", old), &sized("HEAD", new), &[]).unwrap()
    }

    #[test]
    fn the_headline_answers_what_moved_most_and_why() {
        let headline = |old, new| report([old], [new]).headline(as_it_is);
        assert_eq!(
            headline(size("a", 5), size("a", 5)),
            "Nothing moved between main and HEAD."
        );
        let two_causes = SizeRow {
            dockerfile_id: id("2"),
            context_id: id("2"),
            ..size("a", 4_000)
        };
        assert_eq!(
            headline(size("a", 3_000), two_causes.clone()),
            "1 of 1 image moved, most of all gin/a: 1,000 transfer bytes more (+33.33 %), by \
             Dockerfile and context."
        );
        assert_eq!(
            headline(size("a", 4_000), two_causes),
            "No image moved in size. 1 with other ids and the same numbers."
        );
        let files = SizeRow {
            files: Some(2),
            ..size("a", 5)
        };
        assert_eq!(
            headline(size("a", 5), files),
            "1 of 1 image moved, none of them in its transfer bytes."
        );
    }

    #[test]
    fn every_fact_has_its_line() {
        insta::assert_snapshot!(busy().facts(as_it_is).join("\n"), @"
        past a limit: gin/a linux/amd64 transfer_bytes 1,000 -> 1,100 (+100, +10.00 %) is above its budget of 1,050
        past a limit: gin/a linux/amd64 transfer_bytes 1,000 -> 1,100 (+100, +10.00 %) fails on transfer_bytes>+5%
        failed: gin/broke linux/amd64, build_failed; 6 transfer bytes before; moved: Dockerfile
        built again: gin/mended linux/amd64, 8 transfer bytes
        added: gin/new linux/amd64, 7 transfer bytes
        removed: gin/gone linux/amd64, 5 transfer bytes
        gin/turned linux/amd64 does not repeat any more: two builds of the same inputs differ
        shell of gin/a linux/amd64: no -> yes (/bin/sh is dash)
        not run in HEAD: linux/arm64, for which main has 1 image
        budget not checked: gin/unbuilt has no row; cargo xtask size gin/unbuilt makes it
        not compared: files, a column that not both sides have
        not compared: inodes, a column that not both sides have
        ");
    }

    #[test]
    fn the_same_numbers_are_grouped_by_what_moved() {
        let builder = |variant: &str| SizeRow {
            builder: "docker 27".to_owned(),
            ..size(variant, 5)
        };
        let inputs = SizeRow {
            inputs: id("2"),
            ..size("c", 5)
        };
        let report = report(
            [size("a", 5), size("b", 5), size("c", 5)],
            [builder("a"), builder("b"), inputs],
        );
        assert_eq!(
            report.same_numbers(as_it_is),
            [
                "the same numbers: gin/a, gin/b (builder docker 26 -> docker 27)",
                "the same numbers: gin/c (inputs)",
            ]
        );
    }

    #[test]
    fn a_number_that_one_side_lacks_has_no_change() {
        let number = Number {
            column: "files",
            before: None,
            after: Some(1_234),
        };
        assert_eq!(cells(&number), ["files", "", "1,234", "", ""]);
    }
}
