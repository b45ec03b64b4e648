//! `cost.csv`: the money that follows from the exact sizes and the published
//! prices of `experiments/prices.toml`.

use super::{
    cell::Id,
    row::{of_variant, row},
};

row! {
    /// What keeping and pulling an image costs in a month, by prices and usage of `experiments/prices.toml`: one row per variant, price and path, and one for all variants of a suite together. A variant without sizes has none.
    CostRow, key (
        suite: String, variant: String, platform: String, price: String, path: String
    ) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite; `*` for all of them in one repository.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// What a registry asks, by its name in `prices.toml`.
        price: String,
        /// The way that the pulls take, by its name under that price.
        path: String,
        /// Compressed bytes in a repository that holds this variant alone: the layers of the base once; manifest, config and the Dockerfile's layers once per version.
        stored_bytes: Option<u64>,
        /// What the variant adds to a repository that holds the rest of its suite; empty for `*`.
        marginal_stored_bytes: Option<u64>,
        /// What the nodes' and all other pulls of a month transfer.
        transferred_bytes: Option<u64>,
        /// Storage of `stored_bytes`.
        storage_microusd_per_month: Option<u64>,
        /// Storage of `marginal_stored_bytes`.
        marginal_storage_microusd_per_month: Option<u64>,
        /// Transfer of `transferred_bytes` on this path.
        transfer_microusd_per_month: Option<u64>,
        /// Storage and transfer of a variant that has its repository for itself.
        standalone_microusd_per_month: Option<u64>,
        /// Storage and transfer that the variant adds to a repository that holds the rest of its suite; empty for `*`.
        marginal_microusd_per_month: Option<u64>,
        /// Versions of each variant that were pushed in the month and are kept.
        versions: u64,
        /// Pulls in the month by somebody who has nothing of the image.
        pulls: u64,
        /// Nodes that run the variant: each pulls every version and keeps the base's layers.
        nodes: u64,
        /// The day or month of the price, as `prices.toml` has it.
        prices_date: String,
        /// The identity of price, usage, and the sizes of the whole suite.
        inputs: Option<Id>,
    }
}

of_variant!(CostRow);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::columns;

    #[test]
    fn money_is_whole_and_its_unit_stands_last() {
        let columns = columns::<CostRow>();
        let money: Vec<_> = columns.iter().filter(|name| name.contains("usd")).collect();
        assert_eq!(money.len(), 5);
        assert!(
            money
                .iter()
                .all(|name| name.ends_with("_microusd_per_month"))
        );
    }
}
