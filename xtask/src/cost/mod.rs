//! `cargo xtask cost`: what the bytes cost, by published prices. `prices` reads
//! those, `model` turns sizes into money, and here it is saved and printed.

mod model;
pub mod prices;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{CellAlignment, Table as Grid};

pub use model::{Parts, WHOLE_SUITE};
pub use prices::{Prices, Usage};

use crate::{
    cli, human,
    project::Project,
    record::{
        cost::CostRow,
        exact::{LayerRow, SizeRow},
        paths,
        table::Table,
    },
    table::STYLE,
};

/// Prints what everything costs. Only the usage that prices.toml states is
/// saved: whoever asks for another one wants to know, not to publish.
///
/// # Errors
/// When there are no prices or no sizes: the command that makes them.
pub fn run(project: &Project, options: &cli::Cost) -> Result<ExitCode> {
    let prices = Prices::load(project)?.context(
        "there is no experiments/prices.toml; mend: take the committed file back (git checkout experiments/prices.toml)",
    )?;
    let results = project.results();
    let sizes = Table::load(&paths::sizes(&results))?;
    let layers = Table::load(&paths::layers(&results))?;
    let usage = usage(options, prices.usage);
    let costs = table(&results, &prices, usage, &sizes, &layers);
    ensure!(
        costs.rows().next().is_some(),
        "results/ has no sizes that could cost anything; mend: cargo xtask size"
    );
    for platform in platforms(&costs) {
        let rows: Vec<&CostRow> = costs
            .rows()
            .filter(|row| row.platform == platform)
            .collect();
        println!("{platform}\n{}\n", grid(&rows));
    }
    println!("{}", caption(&prices, usage));
    if usage == prices.usage && costs.save()? {
        println!("wrote results/cost.csv");
    }
    Ok(ExitCode::SUCCESS)
}

fn usage(options: &cli::Cost, stated: Usage) -> Usage {
    Usage {
        versions: options.versions.unwrap_or(stated.versions),
        pulls: options.pulls.unwrap_or(stated.pulls),
        nodes: options.nodes.unwrap_or(stated.nodes),
    }
}

/// `cost.csv` as it follows from the other exact files and the prices.
pub fn table(
    results: &Path,
    prices: &Prices,
    usage: Usage,
    sizes: &Table<SizeRow>,
    layers: &Table<LayerRow>,
) -> Table<CostRow> {
    let rows = model::rows(&prices.prices, usage, sizes, layers);
    Table::of(&paths::cost(results), rows)
}

fn platforms(costs: &Table<CostRow>) -> BTreeSet<&str> {
    costs.rows().map(|row| row.platform.as_str()).collect()
}

fn grid(rows: &[&CostRow]) -> Grid {
    let ways: BTreeSet<(&str, &str)> = rows.iter().map(|row| way(row)).collect();
    let mut lines: BTreeMap<_, Vec<&CostRow>> = BTreeMap::new();
    for row in rows {
        let is_suite = row.variant == WHOLE_SUITE;
        // The variants first, then all of them together.
        let line = (&*row.suite, is_suite, &*row.variant);
        lines.entry(line).or_default().push(row);
    }
    let mut grid = Grid::new();
    let head = ["variant", "stored MB", "adding MB", "pulled MB"].map(str::to_owned);
    let columns = ways.iter().map(|(price, path)| format!("{price}\n{path}"));
    grid.load_style(STYLE)
        .set_header(head.into_iter().chain(columns));
    for ((suite, _, variant), of_line) in lines {
        // Bytes are the same whatever they cost.
        let bytes = of_line[0];
        let cells = [
            format!("{suite}/{variant}"),
            megabytes(bytes.stored_bytes),
            megabytes(bytes.marginal_stored_bytes),
            megabytes(bytes.transferred_bytes),
        ];
        let costs = ways.iter().map(|it| {
            let row = of_line.iter().find(|row| way(row) == *it);
            row.map(|row| cost(row)).unwrap_or_default()
        });
        grid.add_row(cells.into_iter().chain(costs));
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

fn way(row: &CostRow) -> (&str, &str) {
    (&row.price, &row.path)
}

/// `0.161 / 0.159`: alone, and beside the rest of its suite.
fn cost(row: &CostRow) -> String {
    let dollars = |microusd: Option<u64>| microusd.map(human::dollars);
    let costs = [
        row.standalone_microusd_per_month,
        row.marginal_microusd_per_month,
    ];
    let texts: Vec<String> = costs.into_iter().filter_map(dollars).collect();
    texts.join(" / ")
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map(human::megabytes).unwrap_or_default()
}

/// Under the tables: what their columns are, and where the prices come from.
fn caption(prices: &Prices, usage: Usage) -> String {
    let Usage {
        versions,
        pulls,
        nodes,
    } = usage;
    let mut text = format!(
        "US dollars a month: in a repository of its own / what it adds to one that holds the rest of its suite\n\
         {versions} versions pushed in the month and kept, {nodes} nodes that pull each, {pulls} other pulls; \
         the model: docs/METHODOLOGY.md, \"Cost\"\n"
    );
    for price in &prices.prices {
        text += &format!("{}: {}, {}\n", price.name, price.date, price.source);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(variant: &str, path: &str, standalone: u64, marginal: Option<u64>) -> CostRow {
        CostRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: "linux/amd64".to_owned(),
            price: "a".to_owned(),
            path: path.to_owned(),
            stored_bytes: Some(123_400_000),
            marginal_stored_bytes: marginal.map(|_| 100_000),
            transferred_bytes: Some(5_000_000_000),
            standalone_microusd_per_month: Some(standalone),
            marginal_microusd_per_month: marginal,
            ..CostRow::default()
        }
    }

    #[test]
    fn each_variant_has_a_line_and_the_suite_the_last_one() {
        let rows = [
            row(WHOLE_SUITE, "near", 1_234_567, None),
            row(WHOLE_SUITE, "far", 5_000_000, None),
            row("alpine", "near", 12_340, Some(10)),
            row("alpine", "far", 462_340, Some(450_010)),
        ];
        let rows: Vec<&CostRow> = rows.iter().collect();
        insta::assert_snapshot!(grid(&rows), @"
          variant      stored MB   adding MB   pulled MB               a                a  
                                                                     far             near  
        ───────────────────────────────────────────────────────────────────────────────────
          gin/alpine       123.4         0.1     5,000.0   0.462 / 0.450   0.012 / <0.001  
          gin/*            123.4                 5,000.0           5.000            1.235
        ");
    }

    #[test]
    fn the_caption_says_where_the_prices_come_from() {
        let usage = Usage {
            versions: 3,
            pulls: 2,
            nodes: 5,
        };
        let price = prices::Price {
            name: "a".to_owned(),
            date: "2026-11".to_owned(),
            source: "https://example.com/".to_owned(),
            gb_bytes: 1 << 30,
            storage_microusd_per_gb_month: 100_000,
            paths: Vec::new(),
        };
        let prices = Prices {
            usage,
            prices: vec![price],
        };
        insta::assert_snapshot!(caption(&prices, usage), @r#"
        US dollars a month: in a repository of its own / what it adds to one that holds the rest of its suite
        3 versions pushed in the month and kept, 5 nodes that pull each, 2 other pulls; the model: docs/METHODOLOGY.md, "Cost"
        a: 2026-11, https://example.com/
        "#);
    }
}
