//! A number as it stands in a sentence, with its unit: `6.2 MB`, `0.58초`.
//!
//! The unit is part of what is spliced in, and each Korean one ends in a vowel
//! (메가바이트, 초, 배, 퍼센트, 달러), so that the particle behind a number stays
//! right whatever the number becomes.

use crate::{human::grouped, publish::Lang};

/// What the whole number of a cell counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Bytes,
    BytesPerSecond,
    Microseconds,
    MicroUsd,
    Permille,
    Count,
}

impl Quantity {
    /// By the unit that a column's name ends with.
    pub fn of(column: &str) -> Self {
        let ends = |end: &str| column.ends_with(end);
        match () {
            () if ends("bytes_per_s") => Self::BytesPerSecond,
            () if ends("_bytes") => Self::Bytes,
            () if ends("_us") => Self::Microseconds,
            () if column.contains("_microusd") => Self::MicroUsd,
            () if ends("_permille") => Self::Permille,
            () => Self::Count,
        }
    }
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Kilobytes,
    Megabytes,
    Gigabytes,
    Megabits,
    Milliseconds,
    Seconds,
    Dollars,
    Percent,
    Times,
    Number,
}

impl Unit {
    pub const ALL: [(&'static str, Self); 10] = [
        ("kB", Self::Kilobytes),
        ("MB", Self::Megabytes),
        ("GB", Self::Gigabytes),
        ("Mbit/s", Self::Megabits),
        ("ms", Self::Milliseconds),
        ("s", Self::Seconds),
        ("usd", Self::Dollars),
        ("%", Self::Percent),
        ("times", Self::Times),
        ("count", Self::Number),
    ];

    pub fn named(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, unit)| *unit)
    }

    /// Whether a cell of `quantity` can be written so.
    pub fn fits(self, quantity: Quantity) -> bool {
        match quantity {
            Quantity::Bytes => {
                matches!(self, Self::Kilobytes | Self::Megabytes | Self::Gigabytes)
            }
            Quantity::BytesPerSecond => self == Self::Megabits,
            Quantity::Microseconds => matches!(self, Self::Milliseconds | Self::Seconds),
            Quantity::MicroUsd => self == Self::Dollars,
            Quantity::Permille => matches!(self, Self::Percent | Self::Times),
            Quantity::Count => self == Self::Number,
        }
    }

    /// How many of what a cell counts make one of these.
    fn size(self) -> f64 {
        match self {
            Self::Number => 1.0,
            Self::Percent => 10.0,
            Self::Kilobytes | Self::Milliseconds | Self::Times => 1e3,
            Self::Megabits => 125e3,
            Self::Megabytes | Self::Seconds | Self::Dollars => 1e6,
            Self::Gigabytes => 1e9,
        }
    }

    /// Digits that are known and worth reading.
    fn decimals(self, value: f64) -> usize {
        match self {
            Self::Number | Self::Kilobytes => 0,
            Self::Milliseconds | Self::Times | Self::Percent => usize::from(value < 9.95),
            Self::Seconds if value < 9.995 => 2,
            Self::Megabytes if value < 0.995 => 2,
            Self::Seconds | Self::Megabytes | Self::Megabits => 1,
            Self::Gigabytes => 2,
            Self::Dollars => 2 + usize::from(value < 0.995),
        }
    }

    /// `value` counts what the cells do: bytes, µs, ‰ …
    pub fn write(self, value: f64, lang: Lang) -> String {
        self.with_sign(&self.digits(value), lang)
    }

    /// Both ends of an interval.
    pub fn write_range(self, low: f64, high: f64, lang: Lang) -> String {
        let ends = format!("{}–{}", self.digits(low), self.digits(high));
        self.with_sign(&ends, lang)
    }

    /// Digits in groups of three, and a point.
    pub fn digits(self, value: f64) -> String {
        let value = value / self.size();
        let text = format!("{value:.*}", self.decimals(value));
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
        match fraction {
            // The first article's 108 MB; between neighbours that are no more
            // exact than that, a nought would say nothing.
            "" => whole,
            "0" if self == Self::Megabytes && value >= 100.0 => whole,
            _ => format!("{whole}.{fraction}"),
        }
    }

    fn with_sign(self, digits: &str, lang: Lang) -> String {
        let korean = lang == Lang::Ko;
        match self {
            Self::Number => digits.to_owned(),
            Self::Seconds if korean => format!("{digits}초"),
            Self::Times if korean => format!("{digits}배"),
            Self::Dollars if korean => format!("{digits}달러"),
            Self::Percent if korean => format!("{digits}%"),
            Self::Dollars => format!("${digits}"),
            Self::Times => format!("{digits} times"),
            _ => format!("{digits} {}", self.name()),
        }
    }

    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, unit)| *unit == self);
        found.map_or("", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_their_unit_in_the_language_of_the_sentence() {
        let both =
            |unit: Unit, value: f64| [Lang::En, Lang::Ko].map(|lang| unit.write(value, lang));
        assert_eq!(both(Unit::Megabytes, 6_172_901.0), ["6.2 MB", "6.2 MB"]);
        assert_eq!(both(Unit::Megabytes, 748_152.0)[0], "0.75 MB");
        assert_eq!(both(Unit::Megabytes, 108_000_000.0)[0], "108 MB");
        assert_eq!(both(Unit::Megabytes, 447_114_539.0)[0], "447.1 MB");
        assert_eq!(both(Unit::Gigabytes, 1_198_244_731.0)[0], "1.20 GB");
        assert_eq!(both(Unit::Seconds, 583_545.0), ["0.58 s", "0.58초"]);
        assert_eq!(both(Unit::Seconds, 39_959_444.0)[0], "40.0 s");
        assert_eq!(both(Unit::Milliseconds, 8_632.0)[0], "8.6 ms");
        assert_eq!(both(Unit::Milliseconds, 113_306.0)[0], "113 ms");
        assert_eq!(both(Unit::Times, 77_400.0), ["77 times", "77배"]);
        assert_eq!(both(Unit::Times, 3_610.0)[1], "3.6배");
        assert_eq!(both(Unit::Percent, 43.0), ["4.3 %", "4.3%"]);
        assert_eq!(both(Unit::Dollars, 6_734_914.0), ["$6.73", "6.73달러"]);
        assert_eq!(both(Unit::Dollars, 11_498.0)[0], "$0.011");
        assert_eq!(both(Unit::Megabits, 12_500_858.0)[0], "100.0 Mbit/s");
        assert_eq!(both(Unit::Number, 32_728.0)[0], "32,728");
        assert_eq!(
            Unit::Milliseconds.write_range(109_359.0, 116_767.0, Lang::En),
            "109–117 ms"
        );
    }

    #[test]
    fn the_end_of_a_columns_name_is_its_quantity() {
        let of = Quantity::of;
        assert_eq!(of("transfer_bytes"), Quantity::Bytes);
        assert_eq!(of("delivered_bytes_per_s"), Quantity::BytesPerSecond);
        assert_eq!(of("pull_median_us"), Quantity::Microseconds);
        assert_eq!(of("standalone_microusd_per_month"), Quantity::MicroUsd);
        assert_eq!(of("ratio_permille"), Quantity::Permille);
        assert_eq!(of("layers"), Quantity::Count);
    }
}
