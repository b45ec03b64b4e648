//! Whether a committed exact row stays.
//!
//! A row's identity is its inputs, never what came out: while they stay, its
//! text stays, and an unchanged project gives an empty `git diff`. What comes
//! out of a build is held against it all the same. Where a build repeats, a
//! different number from the same inputs is a finding, not an update.

use super::{
    capabilities::CapabilityRow,
    cell::{ErrorWord, Id, Origin},
    exact::{BaseRow, FileRow, ImageRows, LayerRow, SizeRow},
    row::{OfVariant, Row, columns},
    table::Table,
};

/// A row whose numbers follow from its inputs.
pub trait Exact: Row {
    /// What the row's numbers follow from; `None` where that is not known.
    fn inputs(&self) -> Option<&Id>;

    fn error(&self) -> Option<ErrorWord>;

    /// Whether building again must give the same numbers.
    fn repeats(&self) -> bool;

    /// Whether there is nothing left to do for these inputs.
    fn is_current(&self, inputs: &Id) -> bool {
        self.error().is_none() && self.inputs() == Some(inputs)
    }
}

impl Exact for SizeRow {
    fn inputs(&self) -> Option<&Id> {
        self.inputs.as_ref()
    }

    fn error(&self) -> Option<ErrorWord> {
        self.error
    }

    fn repeats(&self) -> bool {
        self.reproducible != Some(false)
    }
}

impl Exact for CapabilityRow {
    fn inputs(&self) -> Option<&Id> {
        self.inputs.as_ref()
    }

    fn error(&self) -> Option<ErrorWord> {
        self.error
    }

    fn repeats(&self) -> bool {
        true
    }
}

impl Exact for BaseRow {
    fn inputs(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    fn error(&self) -> Option<ErrorWord> {
        None
    }

    fn repeats(&self) -> bool {
        true
    }
}

/// A committed number that did not come out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    pub column: String,
    pub committed: String,
    pub measured: String,
}

/// What became of a row that was offered to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no such row.
    Added,
    /// Its inputs had moved, or it had failed, or it lacked cells.
    Replaced,
    /// It said the same already, or need not repeat.
    Kept,
    /// The committed row stays, and did not come out again.
    Drifted(Vec<Drift>),
    /// The committed row stays: its inputs are the same, and now they failed.
    KeptDespite(ErrorWord),
}

impl Outcome {
    /// Whether the table now holds the offered row.
    pub fn took_new(&self) -> bool {
        matches!(self, Self::Added | Self::Replaced)
    }
}

/// Offers `new` to the table and says what became of it.
pub fn offer<R: Exact>(table: &mut Table<R>, new: R) -> Outcome {
    let Some(old) = table.get(&new.key()) else {
        table.upsert(new);
        return Outcome::Added;
    };
    match decide(old, &new) {
        Decision::Keep(outcome) => outcome,
        Decision::Take(row) => {
            table.upsert(row);
            Outcome::Replaced
        }
    }
}

/// A row that comes and goes with the row of its image.
pub trait OfImage: Row + OfVariant {
    /// The inputs of the image.
    fn inputs(&self) -> Option<&Id>;
}

impl OfImage for LayerRow {
    fn inputs(&self) -> Option<&Id> {
        self.inputs.as_ref()
    }
}

impl OfImage for FileRow {
    fn inputs(&self) -> Option<&Id> {
        self.inputs.as_ref()
    }
}

/// Offers an image's row, and its layers and files with it: all files of
/// `results/` speak of the same build.
pub fn offer_image(
    sizes: &mut Table<SizeRow>,
    layers: &mut Table<LayerRow>,
    files: &mut Table<FileRow>,
    mut image: ImageRows,
) -> Outcome {
    if image.size.reproducible == Some(false) {
        forget_digests(&mut image);
    }
    let outcome = offer(sizes, image.size.clone());
    follow(layers, &image.size, &outcome, image.layers);
    follow(files, &image.size, &outcome, image.files);
    outcome
}

/// Whether the table knows the image as it is built of these inputs.
pub fn has_rows_of<R: OfImage>(table: &Table<R>, image: &SizeRow) -> bool {
    let inputs = image.inputs.as_ref();
    table
        .rows()
        .any(|row| is_of(row, image) && row.inputs() == inputs)
}

/// Whether the row is about the image, of whatever inputs.
pub fn is_of(row: &impl OfVariant, image: &SizeRow) -> bool {
    (row.suite(), row.variant(), row.platform())
        == (image.suite(), image.variant(), image.platform())
}

/// Puts the image's rows in, where its own row is new or they had been lost.
fn follow<R: OfImage>(table: &mut Table<R>, image: &SizeRow, outcome: &Outcome, rows: Vec<R>) {
    let were_lost = image.error.is_none() && !has_rows_of(table, image);
    if outcome.took_new() || were_lost {
        table.retain(|row| !is_of(row, image));
        rows.into_iter().for_each(|row| table.upsert(row));
    }
}

/// A digest that does not come out again is no fact about the inputs. Layers of
/// the base keep theirs: nobody built them.
fn forget_digests(image: &mut ImageRows) {
    image.size.digest = None;
    for layer in &mut image.layers {
        if layer.origin != Some(Origin::Base) {
            (layer.digest, layer.diff_id) = (None, None);
        }
    }
}

enum Decision<R> {
    Keep(Outcome),
    Take(R),
}

fn decide<R: Exact>(old: &R, new: &R) -> Decision<R> {
    let same_inputs = new.inputs().is_some() && old.inputs() == new.inputs();
    if old == new {
        Decision::Keep(Outcome::Kept)
    } else if !same_inputs || old.error().is_some() {
        Decision::Take(new.clone())
    } else if let Some(word) = new.error() {
        Decision::Keep(Outcome::KeptDespite(word))
    } else if !old.repeats() {
        Decision::Keep(Outcome::Kept)
    } else {
        compare(old, new)
    }
}

/// The cells in which the rows contradict each other. One that is empty in either
/// was not measured there, and contradicts nothing.
pub fn drifts<R: Row>(committed: &R, measured: &R) -> Vec<Drift> {
    let cells = committed.cells().into_iter().zip(measured.cells());
    columns::<R>()
        .into_iter()
        .zip(cells)
        .filter(|(_, (committed, measured))| {
            !committed.is_empty() && !measured.is_empty() && committed != measured
        })
        .map(|(column, (committed, measured))| Drift {
            column,
            committed,
            measured,
        })
        .collect()
}

/// Both rows are of the same inputs and without error.
fn compare<R: Exact>(old: &R, new: &R) -> Decision<R> {
    let drifts = drifts(old, new);
    if !drifts.is_empty() {
        return Decision::Keep(Outcome::Drifted(drifts));
    }
    let (committed, measured) = (old.cells(), new.cells());
    let lacking = committed
        .iter()
        .zip(&measured)
        .any(|(committed, measured)| committed.is_empty() && !measured.is_empty());
    if !lacking {
        return Decision::Keep(Outcome::Kept);
    }
    Decision::Take(filled(&committed, &measured))
}

/// The committed cells, and the measured ones where those are empty.
fn filled<R: Row>(committed: &[String], measured: &[String]) -> R {
    let cells = committed
        .iter()
        .zip(measured)
        .map(|(old, new)| if old.is_empty() { new } else { old });
    let record: csv::StringRecord = cells.collect();
    R::parse(&mut super::row::Cells::of(&record)).expect("every cell was written by such a row")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::digest::Digest;

    fn id(of: &str) -> Option<Id> {
        Some(Id::from(&Digest::of(of)))
    }

    fn size(inputs: &str, transfer: u64) -> SizeRow {
        SizeRow {
            suite: "gin".to_owned(),
            variant: "alpine".to_owned(),
            platform: "linux/amd64".to_owned(),
            transfer_bytes: Some(transfer),
            reproducible: Some(true),
            inputs: id(inputs),
            digest: Some(Digest::of(transfer.to_string())),
            ..SizeRow::default()
        }
    }

    fn layer(number: u64, inputs: &str) -> LayerRow {
        let SizeRow {
            suite,
            variant,
            platform,
            inputs,
            ..
        } = size(inputs, 1);
        LayerRow {
            suite,
            variant,
            platform,
            layer: number,
            inputs,
            ..LayerRow::default()
        }
    }

    fn file(rank: u64, inputs: &str) -> FileRow {
        let layer = layer(1, inputs);
        FileRow {
            suite: layer.suite,
            variant: layer.variant,
            platform: layer.platform,
            rank,
            layer: layer.layer,
            inputs: layer.inputs,
            ..FileRow::default()
        }
    }

    /// The files that speak of an image.
    struct Results {
        sizes: Table<SizeRow>,
        layers: Table<LayerRow>,
        files: Table<FileRow>,
    }

    impl Results {
        fn new() -> Self {
            Self {
                sizes: sizes([]),
                layers: Table::empty(Path::new("layers.csv")),
                files: Table::empty(Path::new("files.csv")),
            }
        }

        fn offer(&mut self, image: ImageRows) {
            offer_image(&mut self.sizes, &mut self.layers, &mut self.files, image);
        }

        /// How many layers and files there are.
        fn counts(&self) -> (usize, usize) {
            (self.layers.rows().count(), self.files.rows().count())
        }
    }

    fn sizes(rows: impl IntoIterator<Item = SizeRow>) -> Table<SizeRow> {
        Table::of(Path::new("sizes.csv"), rows)
    }

    /// Offers `new` to a table that holds `old`; the outcome, and the bytes
    /// transferred that the table then states.
    fn offered(old: SizeRow, new: SizeRow) -> (Outcome, Option<u64>) {
        let mut table = sizes([old]);
        let outcome = offer(&mut table, new);
        let transfer = table.rows().next().unwrap().transfer_bytes;
        (outcome, transfer)
    }

    #[test]
    fn moved_inputs_replace_the_row_and_the_same_keep_it() {
        let mut table = sizes([]);
        assert_eq!(offer(&mut table, size("a", 1)), Outcome::Added);
        assert_eq!(
            offered(size("a", 1), size("a", 1)),
            (Outcome::Kept, Some(1))
        );
        assert_eq!(
            offered(size("a", 1), size("b", 2)),
            (Outcome::Replaced, Some(2))
        );
    }

    #[test]
    fn unknown_inputs_are_never_the_same() {
        let unknown = |transfer| SizeRow {
            inputs: None,
            ..size("a", transfer)
        };
        assert_eq!(
            offered(unknown(1), unknown(2)),
            (Outcome::Replaced, Some(2))
        );
    }

    #[test]
    fn another_number_from_the_same_inputs_is_a_finding() {
        let (outcome, transfer) = offered(size("a", 1), size("a", 2));
        let Outcome::Drifted(drifts) = outcome else {
            panic!("{outcome:?}");
        };
        let columns: Vec<&str> = drifts.iter().map(|drift| drift.column.as_str()).collect();
        assert_eq!(columns, ["transfer_bytes", "digest"]);
        assert_eq!((&*drifts[0].committed, &*drifts[0].measured), ("1", "2"));
        assert_eq!(transfer, Some(1), "the committed row stays");
    }

    #[test]
    fn a_build_that_does_not_repeat_keeps_its_text() {
        let changing = |transfer| SizeRow {
            reproducible: Some(false),
            digest: None,
            ..size("a", transfer)
        };
        assert_eq!(offered(changing(1), changing(2)), (Outcome::Kept, Some(1)));
        // One lucky build proves nothing.
        assert_eq!(offered(changing(1), size("a", 2)), (Outcome::Kept, Some(1)));
        // But a build that was said to repeat and no longer does is news.
        let (outcome, _) = offered(size("a", 1), changing(1));
        assert!(matches!(outcome, Outcome::Drifted(drifts) if drifts[0].column == "reproducible"));
    }

    #[test]
    fn a_failure_never_erases_numbers_of_the_same_inputs() {
        let failed = |inputs: &str| SizeRow {
            error: Some(ErrorWord::BuildFailed),
            transfer_bytes: None,
            reproducible: None,
            digest: None,
            ..size(inputs, 0)
        };
        assert_eq!(
            offered(size("a", 1), failed("a")),
            (Outcome::KeptDespite(ErrorWord::BuildFailed), Some(1))
        );
        assert_eq!(
            offered(size("a", 1), failed("b")),
            (Outcome::Replaced, None)
        );
        assert_eq!(
            offered(failed("a"), size("a", 1)),
            (Outcome::Replaced, Some(1))
        );
        assert!(!failed("a").is_current(&id("a").unwrap()), "tried again");
        assert!(size("a", 1).is_current(&id("a").unwrap()));
        assert!(!size("a", 1).is_current(&id("b").unwrap()));
    }

    #[test]
    fn cells_that_were_empty_are_filled_and_others_stay() {
        let thin = SizeRow {
            reproducible: None,
            files: Some(7),
            ..size("a", 1)
        };
        let mut table = sizes([thin]);
        assert_eq!(offer(&mut table, size("a", 1)), Outcome::Replaced);
        let row = table.rows().next().unwrap();
        assert_eq!((row.reproducible, row.files), (Some(true), Some(7)));
    }

    #[test]
    fn digests_that_do_not_repeat_are_not_recorded() {
        let mut results = Results::new();
        let changing = SizeRow {
            reproducible: Some(false),
            ..size("a", 1)
        };
        let of = |number, origin| LayerRow {
            origin: Some(origin),
            digest: Some(Digest::of("layer")),
            diff_id: Some(Digest::of("tar")),
            ..layer(number, "a")
        };
        results.offer(ImageRows {
            size: changing,
            layers: vec![of(1, Origin::Base), of(2, Origin::App)],
            files: Vec::new(),
        });
        assert_eq!(results.sizes.rows().next().unwrap().digest, None);
        let layers = results.layers.rows();
        let known: Vec<bool> = layers.map(|row| row.diff_id.is_some()).collect();
        assert_eq!(known, [true, false]);
    }

    /// The rows of an image with so many layers and one file more than that.
    fn image(inputs: &str, transfer: u64, layers: u64) -> ImageRows {
        ImageRows {
            size: size(inputs, transfer),
            layers: (1..=layers).map(|number| layer(number, inputs)).collect(),
            files: (1..=layers + 1).map(|rank| file(rank, inputs)).collect(),
        }
    }

    #[test]
    fn layers_and_files_move_with_their_image_and_only_then() {
        let mut results = Results::new();
        results.offer(image("a", 1, 2));
        assert_eq!(results.counts(), (2, 3));
        // Kept: the committed rows stay, whatever the new build gave.
        results.offer(image("a", 1, 1));
        assert_eq!(results.counts(), (2, 3));
        // Lost from a file: they come back although the image is kept.
        results.layers.retain(|_| false);
        results.offer(image("a", 1, 2));
        assert_eq!(results.counts(), (2, 3));
        results.files.retain(|_| false);
        assert!(!has_rows_of(&results.files, &size("a", 1)));
        results.offer(image("a", 1, 2));
        assert_eq!(results.counts(), (2, 3));
        // Replaced: nothing of the old image is left over.
        results.offer(image("b", 2, 1));
        assert_eq!(results.counts(), (1, 2));
        assert_eq!(results.layers.rows().next().unwrap().inputs, id("b"));
        assert_eq!(results.files.rows().next().unwrap().inputs, id("b"));
    }

    #[test]
    fn what_failed_leaves_rows_of_the_same_inputs_and_of_no_others() {
        let mut results = Results::new();
        results.offer(image("a", 1, 2));
        let failed = |inputs| ImageRows {
            size: SizeRow {
                error: Some(ErrorWord::BuildFailed),
                transfer_bytes: None,
                digest: None,
                ..size(inputs, 1)
            },
            ..ImageRows::default()
        };
        results.offer(failed("a"));
        assert_eq!(results.counts(), (2, 3));
        results.offer(failed("b"));
        assert_eq!(results.counts(), (0, 0));
    }
}
