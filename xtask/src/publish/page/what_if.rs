//! What the controls of the page compute with: other links, nodes and pulls than
//! those that were measured and priced.
//!
//! The models are those of the charts: the time is [`LinkModel`]'s, the money
//! `cost`'s. The page's script computes both again, from these numbers; what
//! stands there before it runs is computed here, and a test in a browser holds
//! that both give the same.

use serde::Serialize;

use super::{cell::Cell, view};
use crate::{
    cost::{Parts, Prices, prices::USAGE_MAX},
    publish::{Evidence, LinkModel},
    record::cost::CostRow,
};

/// Where the slider can stand, in megabits per second: from a bad mobile link to
/// a data centre's, as in the chart.
const SPEEDS_MBIT: [u32; 19] = [
    10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
    10_000,
];
/// 100 Mbit/s, which was measured too.
const FIRST_SPEED: usize = 6;

/// The whole model, as the script reads it.
#[derive(Debug, Serialize)]
pub struct WhatIf {
    speeds_mbit: &'static [u32],
    /// Where the slider stands at first.
    speed: usize,
    usage_max: u64,
    versions: u64,
    pulls: u64,
    nodes: u64,
    ways: Vec<Way>,
    /// Of `ways`, the one that is shown at first.
    way: usize,
    variants: Vec<Inputs>,
}

/// A price on one path.
#[derive(Debug, Serialize)]
struct Way {
    price: String,
    path: String,
    gb_bytes: u64,
    storage_microusd_per_gb_month: u64,
    microusd_per_gb: u64,
}

/// What both models know of a variant.
#[derive(Debug, Serialize)]
struct Inputs {
    /// As `gin/scratch`.
    name: String,
    transfer_bytes: Option<u64>,
    /// Medians of the unshaped node cold start.
    download_us: Option<u64>,
    node_total_us: Option<u64>,
    kept_bytes: Option<u64>,
    renewed_bytes: Option<u64>,
}

/// One line of the table, before anything was moved.
#[derive(Debug, Serialize)]
pub struct Line {
    name: String,
    variant: String,
    time: Cell,
    transferred: Cell,
    cost: Cell,
}

impl WhatIf {
    pub fn new(evidence: &Evidence, prices: &Prices) -> Self {
        let ways = ways(prices);
        let names = evidence.suites.iter().flat_map(|suite| {
            let variants = view::variants(evidence, suite);
            variants
                .into_iter()
                .map(|it| (suite.name.as_str(), it.name.as_str()))
        });
        Self {
            speeds_mbit: &SPEEDS_MBIT,
            speed: FIRST_SPEED,
            usage_max: USAGE_MAX,
            versions: prices.usage.versions,
            pulls: prices.usage.pulls,
            nodes: prices.usage.nodes,
            way: dearest(&ways),
            ways,
            variants: names
                .map(|(suite, it)| inputs(evidence, suite, it))
                .collect(),
        }
    }

    /// The price and the path that are shown at first.
    pub fn way(&self) -> Option<(&str, &str)> {
        let way = self.ways.get(self.way)?;
        Some((&way.price, &way.path))
    }

    pub fn line(&self, evidence: &Evidence, suite: &str, variant: &str) -> Line {
        let row = self.cost(evidence, suite, variant);
        Line {
            name: format!("{suite}/{variant}"),
            variant: variant.to_owned(),
            time: Cell::us(node_total_us(evidence, suite, variant)),
            transferred: Cell::bytes(row.and_then(|row| row.transferred_bytes)),
            cost: Cell::dollars(row.and_then(|row| row.standalone_microusd_per_month)),
        }
    }

    /// The row of cost.csv for the way that is shown at first.
    pub fn cost<'a>(
        &self,
        evidence: &'a Evidence,
        suite: &str,
        variant: &str,
    ) -> Option<&'a CostRow> {
        let way = self.way()?;
        evidence.cost.iter().find(|row| {
            (row.suite.as_str(), row.variant.as_str()) == (suite, variant)
                && (row.price.as_str(), row.path.as_str()) == way
        })
    }
}

fn ways(prices: &Prices) -> Vec<Way> {
    let of_price = prices.prices.iter().flat_map(|price| {
        price.paths.iter().map(|path| Way {
            price: price.name.clone(),
            path: path.name.clone(),
            gb_bytes: price.gb_bytes,
            storage_microusd_per_gb_month: price.storage_microusd_per_gb_month,
            microusd_per_gb: path.microusd_per_gb,
        })
    });
    of_price.collect()
}

/// Of the first price, the path on which bytes cost most: on a free one nobody
/// sees what nodes and pulls do.
fn dearest(ways: &[Way]) -> usize {
    let of_first = ways.iter().take_while(|way| way.price == ways[0].price);
    let cost = |(_, way): &(usize, &Way)| way.microusd_per_gb;
    of_first.enumerate().max_by_key(cost).map_or(0, |it| it.0)
}

fn inputs(evidence: &Evidence, suite: &str, variant: &str) -> Inputs {
    let size = evidence.size(suite, variant);
    let node = evidence.node(suite, variant, "unshaped", "node_cold");
    let parts = size.and_then(|size| Parts::of(size, &evidence.layers));
    Inputs {
        name: format!("{suite}/{variant}"),
        transfer_bytes: size.and_then(|it| it.transfer_bytes),
        download_us: node.and_then(|it| it.download.median_us),
        node_total_us: node.and_then(|it| it.node_total.phase.median_us),
        kept_bytes: parts.map(|it| it.kept_bytes),
        renewed_bytes: parts.map(|it| it.renewed_bytes),
    }
}

fn node_total_us(evidence: &Evidence, suite: &str, variant: &str) -> Option<u64> {
    let size = evidence.size(suite, variant)?;
    let node = evidence.node(suite, variant, "unshaped", "node_cold")?;
    let model = LinkModel::of(size, node)?;
    Some(model.node_total_us(SPEEDS_MBIT[FIRST_SPEED].into()).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing;

    #[test]
    fn the_models_inputs_give_the_committed_rows() {
        let evidence = testing::fit_evidence();
        let prices = Prices::load(&testing::project()).unwrap().unwrap();
        let model = WhatIf::new(&evidence, &prices);
        assert_eq!(model.speeds_mbit[model.speed], 100);
        assert!(model.variants.len() > 10);
        for it in &model.variants {
            let (suite, variant) = it.name.split_once('/').unwrap();
            let row = model.cost(&evidence, suite, variant).unwrap();
            let (kept, renewed) = (it.kept_bytes.unwrap(), it.renewed_bytes.unwrap());
            let stored = kept + model.versions * renewed;
            assert_eq!(row.stored_bytes, Some(stored), "{}", it.name);
            let pulled = model.nodes * stored + model.pulls * (kept + renewed);
            assert_eq!(row.transferred_bytes, Some(pulled), "{}", it.name);
        }
    }

    #[test]
    fn at_first_the_dearest_path_of_the_first_price_is_shown() {
        let way = |price: &str, microusd_per_gb| Way {
            price: price.to_owned(),
            path: String::new(),
            gb_bytes: 1,
            storage_microusd_per_gb_month: 0,
            microusd_per_gb,
        };
        assert_eq!(
            dearest(&[way("a", 0), way("a", 9), way("a", 5), way("b", 99)]),
            1
        );
        assert_eq!(dearest(&[]), 0);
    }
}
