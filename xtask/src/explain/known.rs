//! What results/ knows of an image: the base it stands on, and what the same
//! application weighs on others.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    report::{Alternative, Alternatives},
    timings::Timings,
};
use crate::{
    digest::Digest,
    image::Layout,
    project::Project,
    record::{
        cell::Origin,
        exact::{LayerRow, SizeRow},
        paths,
        table::Table,
    },
};

/// The committed sizes of all variants.
pub struct Known {
    sizes: Table<SizeRow>,
    layers: Table<LayerRow>,
}

/// The base of an image, and how many of its layers came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub name: String,
    pub layers: usize,
}

impl Known {
    /// # Errors
    /// When a file is broken.
    pub fn load(project: &Project) -> Result<Self> {
        let results = project.results();
        Ok(Self {
            sizes: Table::load(&paths::sizes(&results))?,
            layers: Table::load(&paths::layers(&results))?,
        })
    }

    pub fn size(&self, suite: &str, variant: &str, platform: &str) -> Option<&SizeRow> {
        let key = (suite.to_owned(), variant.to_owned(), platform.to_owned());
        self.sizes.get(&key)
    }

    /// The base whose layers the image begins with; of several that stand on
    /// each other, the uppermost. Unpacked layers are compared, so that it is
    /// found however they are packed.
    pub fn base(&self, layout: &Layout) -> Option<Base> {
        let own: Vec<&Digest> = layout.layers().iter().map(|it| &it.diff_id).collect();
        let mut chains: BTreeMap<_, Vec<&Digest>> = BTreeMap::new();
        for row in self
            .layers
            .rows()
            .filter(|row| row.origin == Some(Origin::Base))
        {
            let image = (row.suite.clone(), row.variant.clone(), row.platform.clone());
            chains.entry(image).or_default().extend(&row.diff_id);
        }
        let below = chains
            .into_iter()
            .filter(|(_, chain)| own.starts_with(chain));
        let (image, chain) = below.max_by_key(|(_, chain)| chain.len())?;
        Some(Base {
            name: self.sizes.get(&image)?.base.clone(),
            layers: chain.len(),
        })
    }

    /// The variants of the suite beside each other. `None` where the variant's
    /// own row has no sizes.
    pub fn alternatives(&self, own: &SizeRow, timings: Option<&Timings>) -> Option<Alternatives> {
        let (transfer, unpacked) = (own.transfer_bytes?, own.unpacked_bytes?);
        let of_suite = |row: &&SizeRow| row.suite == own.suite && row.platform == own.platform;
        let mut variants: Vec<Alternative> = self
            .sizes
            .rows()
            .filter(of_suite)
            .filter_map(|row| {
                let bytes = (row.transfer_bytes?, row.unpacked_bytes?);
                let apps = (row.app_sha256.as_ref(), own.app_sha256.as_ref());
                Some(Alternative {
                    variant: row.variant.clone(),
                    base: row.base.clone(),
                    transfer_bytes: bytes.0,
                    unpacked_bytes: bytes.1,
                    transfer_difference_bytes: difference(transfer, bytes.0),
                    unpacked_difference_bytes: difference(unpacked, bytes.1),
                    same_application: apps.0.zip(apps.1).map(|(one, other)| one == other),
                    times: timings.map_or_else(Vec::new, |it| it.of_variant(&row.variant)),
                })
            })
            .collect();
        variants.sort_by_key(|it| (it.transfer_bytes, it.variant.clone()));
        Some(Alternatives {
            suite: own.suite.clone(),
            variants,
        })
    }
}

/// Sizes are far from what 63 bits hold; a file that says otherwise says nothing.
fn difference(from: u64, to: u64) -> i64 {
    i64::try_from(i128::from(to) - i128::from(from)).unwrap_or_default()
}
