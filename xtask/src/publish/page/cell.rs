//! What stands in one place of the page: a number as people read it, with what
//! it sorts by; a text in both languages.

use serde::{Deserialize, Serialize};

use crate::{human, record::timings::Phase};

/// Not measured, or not known.
pub const NONE: &str = "–";

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub en: String,
    pub ko: String,
}

/// A number in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What it sorts by; none without a number.
    value: Option<u64>,
    pub text: String,
    /// The interval of a median; empty where there is none.
    interval: String,
}

impl Cell {
    fn new(value: Option<u64>, text: impl Fn(u64) -> String) -> Self {
        Self {
            value,
            text: value.map_or_else(|| NONE.to_owned(), text),
            interval: String::new(),
        }
    }

    /// As `9.7 MB`; what is smaller than 0.1 MB, in kB or bytes.
    pub fn bytes(bytes: Option<u64>) -> Self {
        Self::new(bytes, human::exact_bytes)
    }

    pub fn count(count: Option<u64>) -> Self {
        Self::new(count, |count| human::grouped(count.into()))
    }

    /// US dollars, out of millionths.
    pub fn dollars(microusd: Option<u64>) -> Self {
        Self::new(microusd, |microusd| {
            format!("${}", human::dollars(microusd))
        })
    }

    pub fn time(phase: &Phase) -> Self {
        Self {
            interval: phase
                .low_us
                .zip(phase.high_us)
                .map_or_else(String::new, |(low, high)| range(low, high)),
            ..Self::us(phase.median_us)
        }
    }

    /// Microseconds.
    pub fn us(us: Option<u64>) -> Self {
        Self::new(us, human::time)
    }

    pub fn is_empty(&self) -> bool {
        self.value.is_none()
    }
}

/// As `185–198 ms`: the unit once where both ends have the same.
pub fn range(low_us: u64, high_us: u64) -> String {
    let (low, high) = (human::time(low_us), human::time(high_us));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
        _ => format!("{low}–{high}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_keep_their_digits() {
        let texts = [0, 999, 1_000, 86_567, 99_999, 100_000, 446_564_231]
            .map(|bytes| Cell::bytes(Some(bytes)).text);
        assert_eq!(
            texts,
            [
                "0 B", "999 B", "1.0 kB", "86.5 kB", "99.9 kB", "0.1 MB", "446.6 MB"
            ]
        );
        assert_eq!(Cell::dollars(Some(12_340)).text, "$0.012");
        assert_eq!(Cell::count(Some(12_340)).text, "12,340");
    }

    #[test]
    fn what_was_not_measured_is_no_zero() {
        let cell = Cell::bytes(None);
        assert!(cell.is_empty() && cell.text == NONE);
        assert_eq!(Cell::time(&Phase::default()).interval, "");
    }

    #[test]
    fn a_range_says_its_unit_once() {
        assert_eq!(range(185_000, 198_000), "185–198 ms");
        assert_eq!(range(985_000, 1_198_000), "985 ms–1.20 s");
    }
}
