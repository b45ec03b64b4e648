//! What a repository stores, what pulls transfer, and what both cost: pure.
//!
//! The model is a month in which `versions` versions of a service are pushed,
//! and all of them are kept. A registry stores a blob once per repository, by
//! its digest:
//!
//! - The layers of the base are the same in every version: stored once.
//! - What the Dockerfile makes (its layers, config, manifest) is new in every
//!   version: stored as many times as there are versions. Two variants of one
//!   version share a layer if it has the same digest in both. One without a
//!   digest comes from a build that does not repeat, and is nobody else's.
//! - Each of `nodes` nodes pulls every version and keeps the layers of the base,
//!   so in the month it fetches exactly what a repository with that variant
//!   alone stores. Each of `pulls` other pulls finds nothing there and fetches
//!   one whole image.
//!
//! Money is rounded to whole millionths of a dollar, a half upwards, each part
//! by itself; totals are sums of the rounded parts.

use std::collections::BTreeMap;

use super::prices::{Path, Price, Usage};
use crate::{
    digest::Digest,
    record::{
        cell::{Id, Origin},
        cost::CostRow,
        exact::{LayerRow, SizeRow},
        table::Table,
    },
};

/// In the place of a variant: all variants of the suite. No variant can be
/// called that.
pub const WHOLE_SUITE: &str = "*";

/// Enters `inputs`, so that a change of the model moves every row.
const MODEL: &str = "cost model 1";

/// One image, as a registry stores it.
struct Image<'a> {
    size: &'a SizeRow,
    blobs: Vec<Blob>,
}

struct Blob {
    name: Name,
    bytes: u64,
    /// New with every version.
    renewed: bool,
}

/// What makes two blobs the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Digest(Digest),
    /// Of no other image: a layer that does not repeat, by its place from 1; at
    /// place 0 manifest and config.
    Own {
        variant: String,
        place: u64,
    },
}

/// What a repository that holds one variant stores of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Once: the layers of the base.
    pub kept_bytes: u64,
    /// Once per version: what the Dockerfile makes.
    pub renewed_bytes: u64,
}

impl Parts {
    /// None without numbers, or where the layers at hand are of another build.
    pub fn of<'a>(size: &SizeRow, layers: impl IntoIterator<Item = &'a LayerRow>) -> Option<Self> {
        let image = Image::of(size, layers.into_iter())?;
        let kept = image.stored(0);
        Some(Self {
            kept_bytes: u64::try_from(kept).ok()?,
            renewed_bytes: u64::try_from(image.stored(1) - kept).ok()?,
        })
    }
}

/// The rows for every variant that has sizes and for every suite, on every
/// platform.
pub fn rows(
    prices: &[Price],
    usage: Usage,
    sizes: &Table<SizeRow>,
    layers: &Table<LayerRow>,
) -> Vec<CostRow> {
    let mut suites: BTreeMap<(&str, &str), Vec<Image<'_>>> = BTreeMap::new();
    for size in sizes.rows() {
        if let Some(image) = Image::of(size, layers.rows()) {
            let suite = (size.suite.as_str(), size.platform.as_str());
            suites.entry(suite).or_default().push(image);
        }
    }
    suites
        .values()
        .flat_map(|images| of_suite(images, prices, usage))
        .collect()
}

fn of_suite(images: &[Image<'_>], prices: &[Price], usage: Usage) -> Vec<CostRow> {
    let bytes: Vec<Bytes> = std::iter::once(Bytes::of_suite(images, usage))
        .chain((0..images.len()).map(|place| Bytes::of_image(images, place, usage)))
        .collect();
    let mut rows = Vec::new();
    for price in prices {
        for path in &price.paths {
            let inputs = inputs(images, price, path, usage);
            rows.extend(bytes.iter().map(|bytes| CostRow {
                suite: images[0].size.suite.clone(),
                platform: images[0].size.platform.clone(),
                inputs: Some(inputs.clone()),
                ..bytes.row(price, path, usage)
            }));
        }
    }
    rows
}

/// The identity of everything that the rows of a suite follow from.
fn inputs(images: &[Image<'_>], price: &Price, path: &Path, usage: Usage) -> Id {
    let mut text = format!(
        "{MODEL}\n{} {} storage {} per {} bytes\n{} transfer {}\nversions {} pulls {} nodes {}\n",
        price.name,
        price.date,
        price.storage_microusd_per_gb_month,
        price.gb_bytes,
        path.name,
        path.microusd_per_gb,
        usage.versions,
        usage.pulls,
        usage.nodes,
    );
    for Image { size, .. } in images {
        let made_of = size.inputs.as_ref().map(Id::as_str).unwrap_or_default();
        let bytes = size.transfer_bytes.unwrap_or_default();
        text += &format!("{} {made_of} {bytes}\n", size.variant);
    }
    Id::from(&Digest::of(text))
}

impl<'a> Image<'a> {
    /// None without numbers, or where the layers at hand are of another build.
    fn of<'b>(size: &'a SizeRow, layers: impl Iterator<Item = &'b LayerRow>) -> Option<Self> {
        let of_image = |layer: &&LayerRow| {
            (&layer.suite, &layer.variant, &layer.platform)
                == (&size.suite, &size.variant, &size.platform)
        };
        let layers: Vec<&LayerRow> = layers.filter(of_image).collect();
        let whole = size.layers == Some(layers.len() as u64)
            && layers.iter().all(|layer| layer.inputs == size.inputs);
        if size.error.is_some() || !whole {
            return None;
        }
        let own = |place| Name::Own {
            variant: size.variant.clone(),
            place,
        };
        let mut blobs = Vec::new();
        for layer in layers {
            let digest = layer.digest.clone().map(Name::Digest);
            blobs.push(Blob {
                name: digest.unwrap_or_else(|| own(layer.layer)),
                bytes: layer.transfer_bytes?,
                renewed: layer.origin != Some(Origin::Base),
            });
        }
        let in_layers = stored(blobs.iter(), 1);
        // What is no layer is manifest and config.
        let rest = u128::from(size.transfer_bytes?).saturating_sub(in_layers);
        blobs.push(Blob {
            name: own(0),
            bytes: u64::try_from(rest).ok()?,
            renewed: true,
        });
        Some(Self { size, blobs })
    }

    fn stored(&self, versions: u64) -> u128 {
        stored(self.blobs.iter(), versions)
    }

    fn transferred(&self, usage: Usage) -> u128 {
        let whole = self.stored(1);
        u128::from(usage.nodes) * self.stored(usage.versions) + u128::from(usage.pulls) * whole
    }
}

/// The bytes of these blobs in one repository.
fn stored<'b>(blobs: impl Iterator<Item = &'b Blob>, versions: u64) -> u128 {
    let mut distinct: BTreeMap<&Name, (u64, bool)> = BTreeMap::new();
    for blob in blobs {
        let (_, renewed) = distinct.entry(&blob.name).or_insert((blob.bytes, false));
        // The base layer of one image may be what another one's Dockerfile makes.
        *renewed |= blob.renewed;
    }
    distinct
        .values()
        .map(|(bytes, renewed)| {
            u128::from(*bytes) * if *renewed { u128::from(versions) } else { 1 }
        })
        .sum()
}

/// What one row is about, before there is a price.
struct Bytes {
    variant: String,
    stored: u128,
    marginal: Option<u128>,
    transferred: u128,
}

impl Bytes {
    /// All variants in one repository, each on nodes of its own.
    fn of_suite(images: &[Image<'_>], usage: Usage) -> Self {
        let blobs = images.iter().flat_map(|image| &image.blobs);
        Self {
            variant: WHOLE_SUITE.to_owned(),
            stored: stored(blobs, usage.versions),
            marginal: None,
            transferred: images.iter().map(|image| image.transferred(usage)).sum(),
        }
    }

    fn of_image(images: &[Image<'_>], place: usize, usage: Usage) -> Self {
        let image = &images[place];
        let all = images.iter().flat_map(|image| &image.blobs);
        let (before, after) = (&images[..place], &images[place + 1..]);
        let rest = before.iter().chain(after).flat_map(|image| &image.blobs);
        let versions = usage.versions;
        Self {
            variant: image.size.variant.clone(),
            stored: image.stored(versions),
            marginal: Some(stored(all, versions) - stored(rest, versions)),
            transferred: image.transferred(usage),
        }
    }

    /// The row without what it shares with the rest of its suite. Numbers that
    /// no cell can hold stay empty.
    fn row(&self, price: &Price, path: &Path, usage: Usage) -> CostRow {
        let storage = |bytes| money(bytes, price.storage_microusd_per_gb_month, price.gb_bytes);
        let (stored, marginal) = (storage(self.stored), self.marginal.map(storage));
        let transfer = money(self.transferred, path.microusd_per_gb, price.gb_bytes);
        let cell = |number: u128| u64::try_from(number).ok();
        CostRow {
            variant: self.variant.clone(),
            price: price.name.clone(),
            path: path.name.clone(),
            stored_bytes: cell(self.stored),
            marginal_stored_bytes: self.marginal.and_then(cell),
            transferred_bytes: cell(self.transferred),
            storage_microusd_per_month: cell(stored),
            marginal_storage_microusd_per_month: marginal.and_then(cell),
            transfer_microusd_per_month: cell(transfer),
            standalone_microusd_per_month: cell(stored.saturating_add(transfer)),
            marginal_microusd_per_month: marginal
                .and_then(|marginal| cell(marginal.saturating_add(transfer))),
            versions: usage.versions,
            pulls: usage.pulls,
            nodes: usage.nodes,
            prices_date: price.date.clone(),
            ..CostRow::default()
        }
    }
}

/// Millionths of a dollar, rounded to the nearest, a half upwards. What is cut
/// off at the top is more than any cell can hold.
fn money(bytes: u128, microusd_per_gb: u64, gb_bytes: u64) -> u128 {
    let product = bytes.saturating_mul(microusd_per_gb.into());
    let gb = u128::from(gb_bytes);
    product / gb + u128::from(product % gb * 2 >= gb)
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use proptest::prelude::*;

    use super::*;

    const USAGE: Usage = Usage {
        versions: 3,
        pulls: 2,
        nodes: 5,
    };

    /// A dollar for a thousand bytes a month, and two for as many pulled.
    fn price() -> Price {
        Price {
            name: "round".to_owned(),
            date: "2026-11".to_owned(),
            source: "a test".to_owned(),
            gb_bytes: 1_000,
            storage_microusd_per_gb_month: 1_000_000,
            paths: vec![Path {
                name: "internet".to_owned(),
                microusd_per_gb: 2_000_000,
            }],
        }
    }

    fn table<R: crate::record::row::Row>(rows: impl IntoIterator<Item = R>) -> Table<R> {
        Table::of(FilePath::new("x.csv"), rows)
    }

    fn id(of: &str) -> Option<Id> {
        Some(Id::from(&Digest::of(of)))
    }

    /// A layer by its digest's name; none for a layer that does not repeat.
    type Layer = (Option<&'static str>, u64, Origin);

    fn image(variant: &str, transfer_bytes: u64, layers: &[Layer]) -> (SizeRow, Vec<LayerRow>) {
        let size = SizeRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: "linux/amd64".to_owned(),
            transfer_bytes: Some(transfer_bytes),
            layers: Some(layers.len() as u64),
            inputs: id(variant),
            ..SizeRow::default()
        };
        let layers = (1..)
            .zip(layers)
            .map(|(layer, (digest, bytes, origin))| LayerRow {
                suite: size.suite.clone(),
                variant: size.variant.clone(),
                platform: size.platform.clone(),
                layer,
                transfer_bytes: Some(*bytes),
                origin: Some(*origin),
                digest: digest.map(Digest::of),
                inputs: size.inputs.clone(),
                ..LayerRow::default()
            });
        (size.clone(), layers.collect())
    }

    fn costs(images: Vec<(SizeRow, Vec<LayerRow>)>) -> Vec<CostRow> {
        let (sizes, layers): (Vec<_>, Vec<_>) = images.into_iter().unzip();
        rows(
            &[price()],
            USAGE,
            &table(sizes),
            &table(layers.into_iter().flatten()),
        )
    }

    fn of<'r>(rows: &'r [CostRow], variant: &str) -> &'r CostRow {
        rows.iter().find(|row| row.variant == variant).unwrap()
    }

    use Origin::{App, Base};

    /// Both stand on `base` (1,000 bytes) and ship the same program (100); 10
    /// and 20 bytes are manifest and config.
    fn two() -> Vec<(SizeRow, Vec<LayerRow>)> {
        let program = (Some("program"), 100, App);
        vec![
            image("one", 1_110, &[(Some("base"), 1_000, Base), program]),
            image(
                "two",
                1_620,
                &[
                    (Some("base"), 1_000, Base),
                    (Some("more"), 500, App),
                    program,
                ],
            ),
        ]
    }

    #[test]
    fn a_variant_alone_is_its_base_once_and_the_rest_per_version() {
        let rows = costs(two());
        let one = of(&rows, "one");
        assert_eq!(one.stored_bytes, Some(1_000 + 3 * 110));
        assert_eq!(one.transferred_bytes, Some(5 * 1_330 + 2 * 1_110));
        assert_eq!(one.storage_microusd_per_month, Some(1_330_000));
        assert_eq!(one.transfer_microusd_per_month, Some(2 * 8_870_000));
        assert_eq!(
            one.standalone_microusd_per_month,
            Some(1_330_000 + 17_740_000)
        );
        assert_eq!((one.versions, one.pulls, one.nodes), (3, 2, 5));
        assert_eq!(one.prices_date, "2026-11");
        let two = of(&rows, "two");
        assert_eq!(two.stored_bytes, Some(1_000 + 3 * 620));
        let (size, layers) = self::two().remove(0);
        let parts = Parts {
            kept_bytes: 1_000,
            renewed_bytes: 110,
        };
        assert_eq!(Parts::of(&size, &layers), Some(parts));
        assert_eq!(Parts::of(&size, &layers[1..]), None);
    }

    #[test]
    fn beside_its_suite_a_variant_costs_what_only_it_has() {
        let rows = costs(two());
        let one = of(&rows, "one");
        assert_eq!(one.marginal_stored_bytes, Some(3 * 10));
        assert_eq!(one.marginal_storage_microusd_per_month, Some(30_000));
        assert_eq!(one.marginal_microusd_per_month, Some(30_000 + 17_740_000));
        assert_eq!(of(&rows, "two").marginal_stored_bytes, Some(3 * 520));
    }

    #[test]
    fn the_suite_shares_base_and_program_and_pulls_each_variant() {
        let rows = costs(two());
        let suite = of(&rows, WHOLE_SUITE);
        assert_eq!(suite.stored_bytes, Some(1_000 + 3 * (100 + 500 + 10 + 20)));
        let pulled = |variant| of(&rows, variant).transferred_bytes.unwrap();
        assert_eq!(suite.transferred_bytes, Some(pulled("one") + pulled("two")));
        assert_eq!(suite.marginal_stored_bytes, None);
        assert_eq!(suite.marginal_microusd_per_month, None);
    }

    #[test]
    fn what_does_not_repeat_is_shared_with_nobody() {
        let built = |variant| {
            image(
                variant,
                1_110,
                &[(Some("base"), 1_000, Base), (None, 100, App)],
            )
        };
        let rows = costs(vec![built("one"), built("two")]);
        assert_eq!(
            of(&rows, WHOLE_SUITE).stored_bytes,
            Some(1_000 + 3 * 2 * 110)
        );
        assert_eq!(of(&rows, "one").marginal_stored_bytes, Some(3 * 110));
    }

    #[test]
    fn a_layer_that_stands_twice_in_an_image_is_stored_once() {
        let empty = (Some("empty"), 30, Base);
        let rows = costs(vec![image("one", 40, &[empty, empty])]);
        assert_eq!(of(&rows, "one").stored_bytes, Some(30 + 3 * 10));
    }

    #[test]
    fn what_has_no_numbers_or_layers_of_another_build_has_no_cost() {
        let (mut other, layers) = image("other", 100, &[(None, 90, App)]);
        other.inputs = id("moved");
        let failed = SizeRow {
            error: Some(crate::record::cell::ErrorWord::BuildFailed),
            ..image("failed", 0, &[]).0
        };
        assert!(costs(vec![(other, layers), (failed, Vec::new())]).is_empty());
    }

    #[test]
    fn platforms_share_nothing() {
        let mut images = two();
        let arm = |row: &mut String| *row = "linux/arm64".to_owned();
        arm(&mut images[1].0.platform);
        images[1]
            .1
            .iter_mut()
            .for_each(|layer| arm(&mut layer.platform));
        let rows = costs(images);
        let one = of(&rows, "one");
        assert_eq!(one.marginal_stored_bytes, one.stored_bytes);
        assert_eq!(
            rows.len(),
            4,
            "a row for each variant, and one for each suite"
        );
    }

    #[test]
    fn inputs_move_with_the_price_the_usage_and_the_suite_and_with_nothing_else() {
        let inputs = |price: Price, usage: Usage, images: Vec<(SizeRow, Vec<LayerRow>)>| {
            let (sizes, layers): (Vec<_>, Vec<_>) = images.into_iter().unzip();
            let rows = rows(
                &[price],
                usage,
                &table(sizes),
                &table(layers.into_iter().flatten()),
            );
            of(&rows, "one").inputs.clone()
        };
        let now = inputs(price(), USAGE, two());
        assert_eq!(inputs(price(), USAGE, two()), now);
        let dearer = Price {
            storage_microusd_per_gb_month: 2,
            ..price()
        };
        assert_ne!(inputs(dearer, USAGE, two()), now);
        let more = Usage { nodes: 6, ..USAGE };
        assert_ne!(inputs(price(), more, two()), now);
        assert_ne!(inputs(price(), USAGE, two()[..1].to_vec()), now);
    }

    #[test]
    fn money_is_rounded_to_the_nearest_and_never_overflows() {
        assert_eq!(money(1_073_741_824, 100_000, 1 << 30), 100_000);
        assert_eq!(money(1, 1, 2), 1); // 0.5
        assert_eq!(money(1, 1, 3), 0); // 0.33
        assert_eq!(money(0, 1, 3), 0);
        let huge = u128::from(u64::MAX);
        assert_eq!(money(huge, u64::MAX, 1), huge * huge);
        let (size, layers) = image("one", u64::MAX, &[(None, u64::MAX, App)]);
        let row = &costs(vec![(size, layers)])[0];
        assert_eq!(row.stored_bytes, None, "what no cell can hold is not known");
    }

    prop_compose! {
        /// Images of layers out of a small heap, so that they share some.
        fn images()(
            heap in prop::collection::vec(1_u64..1_000, 6),
            chosen in prop::collection::vec(prop::collection::vec((0_usize..6, any::<bool>()), 0..5), 1..5),
            documents in 1_u64..50,
        ) -> Vec<(SizeRow, Vec<LayerRow>)> {
            const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let image_of = |(number, chosen): (usize, &Vec<(usize, bool)>)| {
                let layers: Vec<Layer> = chosen
                    .iter()
                    .map(|(which, base)| (Some(NAMES[*which]), heap[*which], if *base { Base } else { App }))
                    .collect();
                let distinct: std::collections::BTreeSet<_> = chosen.iter().map(|it| it.0).collect();
                let bytes: u64 = distinct.into_iter().map(|which| heap[which]).sum();
                image(NAMES[number], bytes + documents, &layers)
            };
            chosen.iter().enumerate().map(image_of).collect()
        }
    }

    proptest! {
        #[test]
        fn marginal_parts_sum_to_no_more_than_the_suite_and_the_suite_to_no_more_than_all_alone(
            images in images()
        ) {
            let rows = costs(images);
            let suite = of(&rows, WHOLE_SUITE).stored_bytes.unwrap();
            let variants: Vec<_> = rows.iter().filter(|row| row.variant != WHOLE_SUITE).collect();
            let sum = |of: fn(&CostRow) -> Option<u64>| -> u64 {
                variants.iter().map(|row| of(row).unwrap()).sum()
            };
            prop_assert!(sum(|row| row.marginal_stored_bytes) <= suite);
            prop_assert!(suite <= sum(|row| row.stored_bytes));
            for row in &variants {
                prop_assert!(row.marginal_stored_bytes <= row.stored_bytes);
                prop_assert!(row.marginal_microusd_per_month <= row.standalone_microusd_per_month);
            }
        }
    }
}
