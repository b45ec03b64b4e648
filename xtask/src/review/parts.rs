//! What images are made of, what they stand on and what they can do: the layers,
//! bases and answers that moved, as detail to the images. Pure.

use serde::Serialize;

use super::{
    changes::{Name, Number, pairs},
    states::State,
};
use crate::{
    bases,
    record::{
        capabilities::CapabilityRow,
        exact::{BaseRow, LayerRow, SizeRow},
    },
};

/// BuildKit's own size of a layer holds wall-clock times: it moves by a few
/// bytes with every build, and with nothing that a reviewer could judge.
const JITTERING: &str = "buildkit_transfer_bytes";

/// A layer of an image that both sides have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerMove {
    #[serde(flatten)]
    pub name: Name,
    /// Counted from 1 at the bottom.
    pub layer: u64,
    pub created_by: String,
    pub numbers: Vec<Number>,
}

/// A base whose row moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseMove {
    pub base: String,
    pub platform: String,
    /// Empty where the side has no such base.
    pub source_before: String,
    pub source_after: String,
    pub numbers: Vec<Number>,
}

/// An answer of an image that is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapabilityMove {
    #[serde(flatten)]
    pub name: Name,
    pub capability: String,
    /// The answer or the error, with the detail.
    pub before: String,
    pub after: String,
}

pub fn layers(base: &State, head: &State) -> Vec<LayerMove> {
    pairs(&base.layers, &head.layers)
        .filter_map(|(old, new)| {
            let row = new.or(old)?;
            let mut numbers = Number::between(old, new);
            numbers.retain(|number| number.column != JITTERING);
            let tell = !numbers.is_empty() && has_layers(base, row) && has_layers(head, row);
            tell.then(|| LayerMove {
                name: Name::of(row),
                layer: row.layer,
                created_by: row.created_by.clone(),
                numbers,
            })
        })
        .collect()
}

/// Whether the side has built the image, and says of what layers.
fn has_layers(state: &State, row: &LayerRow) -> bool {
    let key = (row.suite.clone(), row.variant.clone(), row.platform.clone());
    let is_built = |size: &SizeRow| size.error.is_none();
    state.sizes.get(&key).is_some_and(is_built)
        && state
            .layers
            .rows()
            .any(|other| Name::of(other) == Name::of(row))
}

pub fn bases(base: &State, head: &State) -> Vec<BaseMove> {
    let on = |state: &State, row: &BaseRow| {
        let mut rows = state.bases.rows();
        rows.any(|other| other.platform == row.platform)
    };
    let source = |row: Option<&BaseRow>| row.map(|row| row.source.clone()).unwrap_or_default();
    pairs(&base.bases, &head.bases)
        .filter_map(|(old, new)| {
            let row = new.or(old)?;
            let found = BaseMove {
                base: row.base.clone(),
                platform: row.platform.clone(),
                source_before: source(old),
                source_after: source(new),
                numbers: Number::between(old, new),
            };
            let moved = !found.numbers.is_empty() || found.source_before != found.source_after;
            (moved && on(base, row) && on(head, row)).then_some(found)
        })
        .collect()
}

/// Of images that both sides have asked.
pub fn capabilities(base: &State, head: &State) -> Vec<CapabilityMove> {
    pairs(&base.capabilities, &head.capabilities)
        .filter_map(|(old, new)| {
            let (old, new) = old.zip(new)?;
            let found = CapabilityMove {
                name: Name::of(new),
                capability: new.capability.clone(),
                before: answer(old),
                after: answer(new),
            };
            (found.before != found.after).then_some(found)
        })
        .collect()
}

fn answer(row: &CapabilityRow) -> String {
    let word = row.answer.map(|answer| answer.word());
    let error = || row.error.map(|error| error.word());
    let word = word.or_else(error).unwrap_or_default();
    if row.detail.is_empty() {
        word.to_owned()
    } else {
        format!("{word} ({})", row.detail)
    }
}

/// What moved in `bases.lock`, in the words of `bases update`.
pub fn lock(base: &State, head: &State) -> Vec<String> {
    match (&base.lock, &head.lock) {
        (Some(old), Some(new)) => bases::diff(old, new),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::cell::{Answer, ErrorWord},
        review::{
            changes::Changes,
            testing::{lock, size, state, text_of},
        },
    };

    #[test]
    fn layers_of_what_both_have_built_are_compared_without_buildkits_jitter() {
        let layer = |variant: &str, layer: u64, bytes: u64, jitter: u64| LayerRow {
            suite: "gin".to_owned(),
            variant: variant.to_owned(),
            platform: size("a", 0).platform,
            layer,
            transfer_bytes: Some(bytes),
            buildkit_transfer_bytes: Some(jitter),
            created_by: "COPY".to_owned(),
            ..LayerRow::default()
        };
        let side = |name: &str, rows: Vec<LayerRow>, sizes: Vec<SizeRow>| {
            let files = [
                ("results/sizes.csv", text_of(sizes)),
                ("results/layers.csv", text_of(rows)),
            ];
            state(name, &files)
        };
        let base = side(
            "old",
            vec![
                layer("a", 1, 5, 5),
                layer("a", 2, 7, 7),
                layer("gone", 1, 1, 1),
            ],
            vec![size("a", 12), size("gone", 1)],
        );
        let head = side(
            "new",
            vec![
                layer("a", 1, 5, 6),
                layer("a", 2, 8, 8),
                layer("a", 3, 1, 1),
            ],
            vec![size("a", 14)],
        );
        let layers = Changes::between(&base, &head).layers;
        let found: Vec<_> = layers
            .iter()
            .map(|it| (it.layer, it.numbers[0].before))
            .collect();
        assert_eq!(found, [(2, Some(7)), (3, None)]);
        assert_eq!(layers[0].numbers.len(), 1);
    }

    #[test]
    fn answers_are_compared_where_both_sides_have_asked() {
        let row = |capability: &str, answer, detail: &str| CapabilityRow {
            suite: "gin".to_owned(),
            variant: "a".to_owned(),
            capability: capability.to_owned(),
            answer,
            detail: detail.to_owned(),
            error: answer.is_none().then_some(ErrorWord::Exited),
            ..CapabilityRow::default()
        };
        let side =
            |rows: Vec<CapabilityRow>| state("x", &[("results/capabilities.csv", text_of(rows))]);
        let base = side(vec![
            row("ca_roots", Some(Answer::Yes), "140"),
            row("dns", Some(Answer::Yes), ""),
            row("shell", Some(Answer::No), ""),
        ]);
        let head = side(vec![
            row("ca_roots", Some(Answer::Yes), "141"),
            row("dns", None, ""),
            row("shell", Some(Answer::No), ""),
            row("sigterm", Some(Answer::No), ""),
        ]);
        let moved = capabilities(&base, &head);
        let moved: Vec<_> = moved.iter().map(|it| (&*it.before, &*it.after)).collect();
        assert_eq!(moved, [("yes (140)", "yes (141)"), ("yes", "exited")]);
    }

    #[test]
    fn bases_move_by_their_rows_and_by_the_lock() {
        let base = |source: &str, bytes: u64| BaseRow {
            base: "debian:bookworm-slim".to_owned(),
            platform: size("a", 0).platform,
            source: source.to_owned(),
            transfer_bytes: Some(bytes),
            ..BaseRow::default()
        };
        let side = |row: BaseRow, version: &str| {
            let files = [
                ("results/bases.csv", text_of([row])),
                (
                    "experiments/bases.lock",
                    lock("debian:bookworm-slim", &[version]),
                ),
            ];
            state("x", &files)
        };
        let changes = Changes::between(
            &side(base("rebuilt", 5), "libc6 1"),
            &side(base("rebuilt", 6), "libc6 2"),
        );
        assert_eq!(changes.bases[0].numbers[0].after, Some(6));
        assert_eq!(
            changes.lock,
            ["debian:bookworm-slim linux/amd64: libc6 1 -> 2"]
        );
        let changes = Changes::between(
            &side(base("rebuilt", 5), "libc6 1"),
            &side(base("upstream", 5), "libc6 1"),
        );
        assert_eq!(changes.bases[0].source_after, "upstream");
        // Results alone say nothing of a lock.
        let alone = state("x", &[("results/bases.csv", text_of([base("rebuilt", 5)]))]);
        let changes = Changes::between(&alone, &side(base("rebuilt", 5), "libc6 1"));
        assert!(changes.is_empty());
    }
}
