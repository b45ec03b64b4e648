//! What a row is: fields in a fixed order, some of which are its key.
//!
//! The struct is the only description of its file. The columns, their order,
//! reading, writing and the dictionary in `results/README.md` all come from
//! its fields and their doc comments.

use std::fmt::Debug;

use super::cell::Cell;

/// One line of a CSV file.
pub trait Row: Clone + Debug + PartialEq {
    /// What tells two rows of a file apart, and the order they stand in.
    type Key: Ord + Clone + Debug;

    const ABOUT: &'static str;
    const KEY: &'static [&'static str];
    const FIELDS: &'static [FieldInfo];

    fn key(&self) -> Self::Key;

    fn cells(&self) -> Vec<String>;

    /// # Errors
    /// Names the first cell that does not hold what it should.
    fn parse(cells: &mut Cells<'_>) -> Result<Self, Unexpected>;
}

/// A field's name and what its doc comment says.
pub struct FieldInfo {
    pub name: &'static str,
    pub meaning: &'static str,
    /// What a cell of it holds.
    pub form: &'static str,
    /// What is appended to the name to get the names of its columns.
    pub suffixes: &'static [&'static str],
}

impl FieldInfo {
    pub fn columns(&self) -> impl Iterator<Item = String> {
        self.suffixes
            .iter()
            .map(|suffix| format!("{}{suffix}", self.name))
    }
}

/// The column names of a row's file, in their order.
pub fn columns<R: Row>() -> Vec<String> {
    R::FIELDS.iter().flat_map(FieldInfo::columns).collect()
}

/// The columns that count something, and the places they stand at: whole
/// numbers that are no part of the key.
pub fn numbers<R: Row>() -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut place = 0;
    for field in R::FIELDS {
        let is_number = field.form == <u64 as Cell>::FORM && field.suffixes == [""];
        if is_number && !R::KEY.contains(&field.name) {
            found.push((place, field.name));
        }
        place += field.suffixes.len();
    }
    found
}

/// A value that fills one or several neighbouring cells.
pub trait Field: Sized {
    const FORM: &'static str;
    const SUFFIXES: &'static [&'static str];

    fn write(&self, cells: &mut Vec<String>);

    fn read(cells: &mut Cells<'_>) -> Result<Self, Unexpected>;
}

impl<T: Cell> Field for T {
    const FORM: &'static str = T::FORM;
    const SUFFIXES: &'static [&'static str] = &[""];

    fn write(&self, cells: &mut Vec<String>) {
        cells.push(self.text());
    }

    fn read(cells: &mut Cells<'_>) -> Result<Self, Unexpected> {
        cells.take()
    }
}

/// The cells of one line, taken from left to right.
pub struct Cells<'a> {
    record: &'a csv::StringRecord,
    next: usize,
}

/// A cell that does not hold what its column should.
#[derive(Debug, PartialEq, Eq)]
pub struct Unexpected {
    /// Counted from 0.
    pub column: usize,
    pub expected: &'static str,
}

impl<'a> Cells<'a> {
    pub fn of(record: &'a csv::StringRecord) -> Self {
        Self { record, next: 0 }
    }

    pub fn take<T: Cell>(&mut self) -> Result<T, Unexpected> {
        let column = self.next;
        self.next += 1;
        self.record
            .get(column)
            .and_then(T::parse)
            .ok_or(Unexpected {
                column,
                expected: T::FORM,
            })
    }
}

/// Declares the row of a file: its key, then its columns in the order they
/// stand in, each with its meaning.
macro_rules! row {
    (
        $(#[doc = $about:literal])+
        $name:ident, key ($($key:ident: $key_type:ty),+)
        { $($(#[doc = $meaning:literal])+ $field:ident: $type:ty,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $meaning])+ pub $field: $type,)+ }

        impl $crate::record::row::Row for $name {
            type Key = ($($key_type,)+);

            const ABOUT: &'static str = concat!($($about),+);
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            const FIELDS: &'static [$crate::record::row::FieldInfo] = &[$(
                $crate::record::row::FieldInfo {
                    name: stringify!($field),
                    meaning: concat!($($meaning),+),
                    form: <$type as $crate::record::row::Field>::FORM,
                    suffixes: <$type as $crate::record::row::Field>::SUFFIXES,
                },
            )+];

            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }

            fn cells(&self) -> Vec<String> {
                let mut cells = Vec::new();
                $($crate::record::row::Field::write(&self.$field, &mut cells);)+
                cells
            }

            fn parse(
                cells: &mut $crate::record::row::Cells<'_>,
            ) -> Result<Self, $crate::record::row::Unexpected> {
                // A struct expression evaluates its fields as they are written.
                Ok(Self { $($field: $crate::record::row::Field::read(cells)?,)+ })
            }
        }
    };
}
pub(super) use row;

/// A row about a variant on a platform.
pub trait OfVariant {
    fn suite(&self) -> &str;
    fn variant(&self) -> &str;
    fn platform(&self) -> &str;
}

macro_rules! of_variant {
    ($($name:ident),+) => {$(
        impl $crate::record::row::OfVariant for $name {
            fn suite(&self) -> &str { &self.suite }
            fn variant(&self) -> &str { &self.variant }
            fn platform(&self) -> &str { &self.platform }
        }
    )+};
}
pub(super) use of_variant;
