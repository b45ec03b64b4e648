//! What moved between the exact files of two sides. Pure: the same rows give
//! the same findings.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeSet,
};

use serde::Serialize;

use super::{
    cause::{Cause, Locks, causes},
    parts::{BaseMove, CapabilityMove, LayerMove, bases, capabilities, layers, lock},
    states::State,
};
use crate::record::{
    cell::ErrorWord,
    exact::SizeRow,
    row::{OfVariant, Row, columns, numbers},
    table::Table,
};

/// The column that moved rows are ordered by.
pub const FIRST_COLUMN: &str = "transfer_bytes";

/// Columns that are no cause and no id, or are told in another way.
const TOLD_ELSEWHERE: [&str; 2] = ["reproducible", "error"];

/// One variant on one platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name {
    pub suite: String,
    pub variant: String,
    pub platform: String,
}

/// A number that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Number {
    pub column: &'static str,
    /// Empty where it was not known, as `after`.
    pub before: Option<u64>,
    pub after: Option<u64>,
}

/// An image whose numbers moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    #[serde(flatten)]
    pub name: Name,
    /// In the order of the columns.
    pub numbers: Vec<Number>,
    pub causes: Vec<Cause>,
}

/// An image that weighs what it weighed, made of something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SameNumbers {
    #[serde(flatten)]
    pub name: Name,
    /// The columns that moved.
    pub columns: Vec<String>,
    pub causes: Vec<Cause>,
}

/// An image that one side does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    #[serde(flatten)]
    pub name: Name,
    /// Empty where it could not be built.
    pub transfer_bytes: Option<u64>,
    pub unpacked_bytes: Option<u64>,
}

/// An image that has come to have no numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    #[serde(flatten)]
    pub name: Name,
    #[serde(serialize_with = "as_word")]
    pub error: ErrorWord,
    /// Empty for one that was never built.
    pub before_transfer_bytes: Option<u64>,
    /// None for one that was never built.
    pub causes: Vec<Cause>,
}

/// An image whose builds have begun, or ceased, to repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turned {
    #[serde(flatten)]
    pub name: Name,
    pub reproducible: bool,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Base,
    Head,
}

/// A platform that only the other side was run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRun {
    pub platform: String,
    /// The side that lacks it.
    pub side: Side,
    /// How many the other side has.
    pub images: usize,
}

/// Everything exact that is not the same on both sides.
#[derive(Debug, Default, Serialize)]
pub struct Changes {
    /// The largest share of transfer bytes first.
    pub moved: Vec<Moved>,
    pub same_numbers: Vec<SameNumbers>,
    pub added: Vec<Image>,
    pub removed: Vec<Image>,
    pub failed: Vec<Failed>,
    /// Images that had failed and do not any more.
    pub mended: Vec<Image>,
    pub turned: Vec<Turned>,
    pub not_run: Vec<NotRun>,
    pub capabilities: Vec<CapabilityMove>,
    pub layers: Vec<LayerMove>,
    pub bases: Vec<BaseMove>,
    /// What moved in `bases.lock`, in the words of `bases update`.
    pub lock: Vec<String>,
}

impl Changes {
    pub fn between(base: &State, head: &State) -> Self {
        let mut changes = Self {
            not_run: not_run(base, head),
            capabilities: capabilities(base, head),
            layers: layers(base, head),
            bases: bases(base, head),
            lock: lock(base, head),
            ..Self::default()
        };
        let (of_base, of_head) = (platforms(base), platforms(head));
        let context = Context {
            locks: Locks {
                before: base.lock.as_ref(),
                after: head.lock.as_ref(),
            },
            strange: strange_columns(base, head),
        };
        for (old, new) in pairs(&base.sizes, &head.sizes) {
            match (old, new) {
                (Some(old), Some(new)) => changes.compare(old, new, &context),
                (None, Some(new)) if of_base.contains(new.platform.as_str()) => changes.add(new),
                (Some(old), None) if of_head.contains(old.platform.as_str()) => {
                    changes.removed.push(Image::of(old));
                }
                // A platform that one side was not run on says nothing of its
                // variants.
                _ => {}
            }
        }
        // Rows of the same weight stay in the order of their names.
        changes.moved.sort_by_key(|moved| Reverse(moved.weight()));
        changes
    }

    pub fn is_empty(&self) -> bool {
        self.moved.is_empty()
            && self.same_numbers.is_empty()
            && self.added.is_empty()
            && self.removed.is_empty()
            && self.failed.is_empty()
            && self.mended.is_empty()
            && self.turned.is_empty()
            && self.not_run.is_empty()
            && self.capabilities.is_empty()
            && self.layers.is_empty()
            && self.bases.is_empty()
            && self.lock.is_empty()
    }

    fn add(&mut self, new: &SizeRow) {
        self.added.push(Image::of(new));
        if let Some(error) = new.error {
            self.failed.push(Failed {
                name: Name::of(new),
                error,
                before_transfer_bytes: None,
                causes: Vec::new(),
            });
        }
    }

    fn compare(&mut self, old: &SizeRow, new: &SizeRow, context: &Context<'_>) {
        let name = Name::of(new);
        let causes = || causes(old, new, context.locks);
        match (old.error, new.error) {
            // What fails as it failed has not moved.
            (before, Some(error)) if before == Some(error) && old.inputs == new.inputs => return,
            (_, Some(error)) => {
                return self.failed.push(Failed {
                    name,
                    error,
                    before_transfer_bytes: old.transfer_bytes,
                    causes: causes(),
                });
            }
            (Some(_), None) => return self.mended.push(Image::of(new)),
            (None, None) => {}
        }
        if let (Some(before), Some(reproducible)) = (old.reproducible, new.reproducible)
            && before != reproducible
        {
            self.turned.push(Turned {
                name: name.clone(),
                reproducible,
            });
        }
        let mut numbers = Number::between(Some(old), Some(new));
        numbers.retain(|number| context.compares(number.column));
        let mut columns = other_columns(old, new);
        columns.retain(|column| context.compares(column));
        if !numbers.is_empty() {
            self.moved.push(Moved {
                name,
                numbers,
                causes: causes(),
            });
        } else if !columns.is_empty() {
            self.same_numbers.push(SameNumbers {
                name,
                columns,
                causes: causes(),
            });
        }
    }
}

/// What all rows are compared in the light of.
struct Context<'a> {
    locks: Locks<'a>,
    strange: Vec<String>,
}

impl Context<'_> {
    fn compares(&self, column: &str) -> bool {
        !self.strange.iter().any(|strange| strange == column)
    }
}

/// The columns of `sizes.csv` that one of the sides does not have.
pub fn strange_columns(base: &State, head: &State) -> Vec<String> {
    let both = base.strange_columns.iter().chain(&head.strange_columns);
    both.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The rows of two files, by their keys.
pub fn pairs<'a, R: Row>(
    old: &'a Table<R>,
    new: &'a Table<R>,
) -> impl Iterator<Item = (Option<&'a R>, Option<&'a R>)> {
    let keys: BTreeSet<R::Key> = old.rows().chain(new.rows()).map(R::key).collect();
    keys.into_iter()
        .map(move |key| (old.get(&key), new.get(&key)))
}

/// What a number column of the row says.
pub fn number<R: Row>(row: &R, column: &str) -> Option<u64> {
    let (place, _) = numbers::<R>().into_iter().find(|it| it.1 == column)?;
    row.cells()[place].parse().ok()
}

fn platforms(state: &State) -> BTreeSet<&str> {
    let rows = state.sizes.rows();
    rows.map(|row| row.platform.as_str()).collect()
}

fn not_run(base: &State, head: &State) -> Vec<NotRun> {
    let lacks = |side: Side, of: &State, other: &State| -> Vec<NotRun> {
        let here = platforms(of);
        let elsewhere = platforms(other).into_iter();
        elsewhere
            .filter(|platform| !here.contains(platform))
            .map(|platform| NotRun {
                platform: platform.to_owned(),
                side,
                images: other
                    .sizes
                    .rows()
                    .filter(|row| row.platform == platform)
                    .count(),
            })
            .collect()
    };
    [lacks(Side::Base, base, head), lacks(Side::Head, head, base)].concat()
}

/// The columns beside the numbers in which two rows of one key differ.
fn other_columns(old: &SizeRow, new: &SizeRow) -> Vec<String> {
    let counted: Vec<&str> = numbers::<SizeRow>().into_iter().map(|it| it.1).collect();
    columns::<SizeRow>()
        .into_iter()
        .zip(old.cells().into_iter().zip(new.cells()))
        .filter(|(column, (old, new))| {
            let column = column.as_str();
            old != new && !counted.contains(&column) && !TOLD_ELSEWHERE.contains(&column)
        })
        .map(|(column, _)| column)
        .collect()
}

impl Name {
    pub fn of(row: &impl OfVariant) -> Self {
        Self {
            suite: row.suite().to_owned(),
            variant: row.variant().to_owned(),
            platform: row.platform().to_owned(),
        }
    }
}

impl Image {
    fn of(row: &SizeRow) -> Self {
        Self {
            name: Name::of(row),
            transfer_bytes: row.transfer_bytes,
            unpacked_bytes: row.unpacked_bytes,
        }
    }
}

impl Number {
    /// The numbers in which two rows differ, in the order of their columns.
    pub fn between<R: Row>(old: Option<&R>, new: Option<&R>) -> Vec<Self> {
        let (old, new) = (old.map(R::cells), new.map(R::cells));
        let value = |cells: &Option<Vec<String>>, place: usize| -> Option<u64> {
            cells.as_ref()?[place].parse().ok()
        };
        numbers::<R>()
            .into_iter()
            .map(|(place, column)| Self {
                column,
                before: value(&old, place),
                after: value(&new, place),
            })
            .filter(|number| number.before != number.after)
            .collect()
    }
}

impl Moved {
    pub fn number(&self, column: &str) -> Option<&Number> {
        self.numbers.iter().find(|number| number.column == column)
    }

    /// How far the row comes to the front.
    fn weight(&self) -> (Share, Share) {
        let first = self.number(FIRST_COLUMN).map_or(Share::NONE, Share::of);
        let any = self.numbers.iter().map(Share::of).max();
        (first, any.unwrap_or(Share::NONE))
    }
}

/// A change as a share of what was there before: of nothing, it is larger than
/// any other.
#[derive(Clone, Copy, Debug)]
struct Share {
    change: u64,
    whole: u64,
}

impl Share {
    const NONE: Self = Self {
        change: 0,
        whole: 1,
    };

    fn of(number: &Number) -> Self {
        let (before, after) = (number.before.unwrap_or(0), number.after.unwrap_or(0));
        match (before, after) {
            (0, 0) => Self::NONE,
            _ => Self {
                change: before.abs_diff(after),
                whole: before,
            },
        }
    }
}

impl Ord for Share {
    /// Multiplied out instead of divided: exact, and nothing can be divided by
    /// 0, because of no share are both parts 0.
    fn cmp(&self, other: &Self) -> Ordering {
        let times = |change: u64, whole: u64| u128::from(change) * u128::from(whole);
        times(self.change, other.whole).cmp(&times(other.change, self.whole))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}

fn as_word<S: serde::Serializer>(error: &ErrorWord, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(error.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::testing::{ARM64, failed, id, size, sized};

    fn between(
        old: impl IntoIterator<Item = SizeRow>,
        new: impl IntoIterator<Item = SizeRow>,
    ) -> Changes {
        Changes::between(&sized("old", old), &sized("new", new))
    }

    fn variants<T>(list: &[T], name: impl Fn(&T) -> &Name) -> Vec<String> {
        list.iter().map(|it| name(it).variant.clone()).collect()
    }

    #[test]
    fn the_same_rows_have_not_moved() {
        let rows = || [size("a", 5), failed("b")];
        assert!(between(rows(), rows()).is_empty());
    }

    #[test]
    fn the_largest_share_of_transfer_bytes_comes_first() {
        let wasted = SizeRow {
            wasted_bytes: Some(9),
            ..size("wasted", 100)
        };
        let changes = between(
            [
                size("small", 10),
                size("large", 1_000),
                size("shrunk", 10),
                size("wasted", 100),
            ],
            [
                size("small", 11),
                size("large", 1_050),
                size("shrunk", 1),
                wasted,
            ],
        );
        assert_eq!(
            variants(&changes.moved, |moved| &moved.name),
            ["shrunk", "small", "large", "wasted"]
        );
        let small = &changes.moved[1].numbers;
        let expected = |column, before, after| Number {
            column,
            before: Some(before),
            after: Some(after),
        };
        assert_eq!(
            *small,
            [
                expected("transfer_bytes", 10, 11),
                expected("unpacked_bytes", 20, 22)
            ]
        );
        assert_eq!(
            changes.moved[3].numbers[0].before, None,
            "not measured is never 0"
        );
    }

    #[test]
    fn added_removed_failed_and_mended_are_told_apart() {
        let changes = between(
            [
                size("gone", 5),
                size("broke", 6),
                failed("mended"),
                failed("still"),
            ],
            [
                size("new", 7),
                failed("broke"),
                size("mended", 8),
                failed("still"),
                failed("born-broken"),
            ],
        );
        assert_eq!(variants(&changes.removed, |it| &it.name), ["gone"]);
        assert_eq!(
            variants(&changes.added, |it| &it.name),
            ["born-broken", "new"]
        );
        assert_eq!(
            variants(&changes.failed, |it| &it.name),
            ["born-broken", "broke"]
        );
        assert_eq!(changes.failed[1].before_transfer_bytes, Some(6));
        assert_eq!(variants(&changes.mended, |it| &it.name), ["mended"]);
        assert!(changes.moved.is_empty() && changes.same_numbers.is_empty());
    }

    #[test]
    fn a_platform_that_one_side_lacks_was_not_run_and_not_removed() {
        let arm = |variant: &str| SizeRow {
            platform: ARM64.to_owned(),
            ..size(variant, 5)
        };
        let changes = between([size("a", 5), arm("a"), arm("b")], [size("a", 5)]);
        assert!(changes.removed.is_empty());
        let expected = |side| NotRun {
            platform: ARM64.to_owned(),
            side,
            images: 2,
        };
        assert_eq!(changes.not_run, [expected(Side::Head)]);
        let changes = between([size("a", 5)], [size("a", 5), arm("a"), arm("b")]);
        assert!(changes.added.is_empty());
        assert_eq!(changes.not_run, [expected(Side::Base)]);
        // On a platform that both were run on, it is gone.
        let changes = between([size("a", 5), arm("a"), arm("b")], [size("a", 5), arm("a")]);
        assert_eq!(variants(&changes.removed, |it| &it.name), ["b"]);
    }

    #[test]
    fn other_inputs_with_the_same_numbers_are_a_list_of_their_own() {
        let new = SizeRow {
            dockerfile_id: id("2"),
            inputs: id("2"),
            ..size("a", 5)
        };
        let changes = between([size("a", 5)], [new]);
        assert!(changes.moved.is_empty());
        let same = &changes.same_numbers[0];
        assert_eq!(same.columns, ["dockerfile_id", "inputs"]);
        assert_eq!(same.causes.len(), 1);
    }

    #[test]
    fn builds_that_cease_to_repeat_are_said() {
        let no = SizeRow {
            reproducible: Some(false),
            digest: None,
            ..size("a", 5)
        };
        let turned = between([size("a", 5)], [no]).turned;
        assert_eq!(turned.len(), 1);
        assert!(!turned[0].reproducible);
    }

    #[test]
    fn shares_are_ordered_exactly_and_from_nothing_is_most() {
        let share = |before, after| {
            Share::of(&Number {
                column: "files",
                before,
                after,
            })
        };
        let ascending = [
            share(None, Some(0)),
            share(Some(u64::MAX), Some(u64::MAX - 1)),
            share(Some(3), Some(4)),
            share(Some(1), Some(u64::MAX)),
            share(Some(0), Some(1)),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
        assert_eq!(share(None, Some(7)), share(Some(0), Some(1)));
    }

    #[test]
    fn a_column_that_one_side_lacks_is_not_compared() {
        let mut head = sized("new", [size("a", 5)]);
        let base = sized(
            "old",
            [SizeRow {
                files: None,
                ..size("a", 5)
            }],
        );
        assert_eq!(Changes::between(&base, &head).moved.len(), 1);
        head.strange_columns = vec!["files".to_owned()];
        assert!(Changes::between(&base, &head).is_empty());
    }
}
