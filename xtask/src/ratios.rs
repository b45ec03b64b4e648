//! `cargo xtask limits`: how far each variant is from what the machine could do
//! at best, out of the committed rows.

use std::{collections::BTreeSet, fs, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use comfy_table::{CellAlignment, Table as Grid};

use crate::{
    project::Project,
    record::{
        cell::{ErrorWord, Limit},
        limits::LimitRow,
        machine::Machine,
        paths,
        table::Table,
    },
    table::STYLE,
};

/// In the order of a cold start; the first word says what is held against it.
const LIMITS: [Limit; 7] = [
    Limit::RawGet,
    Limit::InflateHash,
    Limit::Untar,
    Limit::NamespacesExec,
    Limit::RuncExec,
    Limit::RuncRun,
    Limit::BareExec,
];

/// # Errors
/// When the machine has no limits: those that do have some.
pub fn run(project: &Project, machine: Option<&str>) -> Result<ExitCode> {
    let here = || Machine::here(project.root()).name();
    let machine = machine.map_or_else(here, str::to_owned);
    let folder = paths::machine(&project.results(), &machine);
    let rows = Table::<LimitRow>::load(&paths::limits(&folder))?;
    if rows.rows().next().is_none() {
        bail!(
            "results/{machine} has no limits; mend: cargo xtask run-all, or --machine with one of: {}",
            measured(project)?.join(", ")
        );
    }
    println!("{}\n{CAPTION}", grid(&rows));
    Ok(ExitCode::SUCCESS)
}

const CAPTION: &str = "\
observed ÷ limit, medians of one session; what each limit is: docs/METHODOLOGY.md, \"Limits\"
! = below 1 beyond its interval: a bug of the measurement";

fn measured(project: &Project) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(project.results()).context("there is no results/ folder")? {
        let entry = entry?;
        if paths::limits(&entry.path()).is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn grid(rows: &Table<LimitRow>) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(STYLE);
    let columns = LIMITS.map(|limit| format!("{}\n÷ {limit}", limit.metric()));
    let head = ["variant".to_owned(), "profile".to_owned()];
    grid.set_header(head.into_iter().chain(columns));
    let lines: BTreeSet<_> = rows.rows().map(line).collect();
    for line in lines {
        let of_line: Vec<&LimitRow> = rows.rows().filter(|row| self::line(row) == line).collect();
        let (suite, variant, _, profile, file_system) = &line;
        let profile = match file_system.as_str() {
            "tmpfs" => profile.clone(),
            disk => format!("{profile}, {disk}"),
        };
        let head = [format!("{suite}/{variant}"), profile];
        grid.add_row(
            head.into_iter()
                .chain(LIMITS.map(|limit| ratio(&of_line, limit))),
        );
    }
    for column in 2..2 + LIMITS.len() {
        if let Some(column) = grid.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid
}

type Line = (String, String, String, String, String);

fn line(row: &LimitRow) -> Line {
    (
        row.suite.clone(),
        row.variant.clone(),
        row.platform.clone(),
        row.profile.clone(),
        row.data_root_fs.clone(),
    )
}

/// `3.9`; an error word where there is no number, nothing where none was taken.
fn ratio(of_line: &[&LimitRow], limit: Limit) -> String {
    let Some(row) = of_line.iter().find(|row| row.limit_by == Some(limit)) else {
        return String::new();
    };
    let Some(permille) = row.ratio_permille else {
        return row.error.map(|word| word.to_string()).unwrap_or_default();
    };
    let tenths = (permille + 50) / 100;
    let mark = if row.error == Some(ErrorWord::LimitViolated) {
        " !"
    } else {
        ""
    };
    format!("{}.{}{mark}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_for_each_session_and_a_mark_for_what_cannot_be() {
        let row = |variant: &str, limit, ratio_permille, error| LimitRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            profile: "unshaped".to_owned(),
            data_root_fs: "tmpfs".to_owned(),
            metric: Limit::metric(limit).to_owned(),
            limit_by: Some(limit),
            ratio_permille,
            error,
            ..LimitRow::default()
        };
        let mut rows = Table::empty(Path::new("limits.csv"));
        rows.upsert(row("alpine", Limit::RawGet, Some(2397), None));
        rows.upsert(row(
            "alpine",
            Limit::BareExec,
            Some(800),
            Some(ErrorWord::LimitViolated),
        ));
        rows.upsert(row(
            "scratch",
            Limit::Untar,
            None,
            Some(ErrorWord::ProbeFailed),
        ));
        insta::assert_snapshot!(grid(&rows), @"
          variant       profile     download             pull           pull              engine        engine   start_total           app  
                                   ÷ raw_get   ÷ inflate_hash        ÷ untar   ÷ namespaces_exec   ÷ runc_exec    ÷ runc_run   ÷ bare_exec  
        ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
          gin/alpine    unshaped         2.4                                                                                         0.8 !  
          gin/scratch   unshaped                                probe_failed
        ");
    }
}
