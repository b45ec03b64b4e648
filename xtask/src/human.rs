//! Numbers as people read them, on a terminal or in what is published;
//! the CSV files hold whole bytes and microseconds.

use std::time::Duration;

/// Megabytes of 10^6 bytes with one decimal, as Docker and the article count.
pub fn megabytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) + 50_000) / 100_000;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// As `9.7 MB`; what is smaller than 0.1 MB, in kB or bytes.
pub fn exact_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..100_000 => format!("{}.{} kB", bytes / 1_000, bytes / 100 % 10),
        _ => format!("{} MB", megabytes(bytes)),
    }
}

/// Bytes with the unit that keeps the number short.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

/// US dollars with three decimals; what is not nothing is never printed as such.
pub fn dollars(microusd: u64) -> String {
    match (u128::from(microusd) + 500) / 1_000 {
        0 if microusd > 0 => "<0.001".to_owned(),
        mills => format!("{}.{:03}", grouped(mills / 1_000), mills % 1_000),
    }
}

/// A measured time in milliseconds, or in seconds from one second on.
pub fn time(us: u64) -> String {
    match us {
        0..10_000 => {
            let hundredths = (us + 5) / 10;
            format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
        }
        10_000..1_000_000 => format!("{} ms", (us + 500) / 1_000),
        _ => {
            let hundredths = us.saturating_add(5_000) / 10_000;
            format!("{}.{:02} s", hundredths / 100, hundredths % 100)
        }
    }
}

/// A time to wait, as exact as anybody plans by.
pub fn wait(time: Duration) -> String {
    match time.as_secs() {
        0..10 => "a few seconds".to_owned(),
        seconds @ 10..90 => format!("{} s", seconds.div_ceil(10) * 10),
        seconds @ 90..5_400 => format!("{} min", (seconds + 30) / 60),
        seconds => {
            let minutes = (seconds + 30) / 60;
            format!("{} h {:02} min", minutes / 60, minutes % 60)
        }
    }
}

/// Minutes and seconds since the start.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `1 build`, `2 builds`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number as u128))
}

/// What came to `before` or was taken away, with its sign.
pub fn change(before: u64, after: u64) -> String {
    let sign = if after < before { '-' } else { '+' };
    format!("{sign}{}", grouped(before.abs_diff(after).into()))
}

/// The same as a share of `before`, with two decimals, halves away from zero.
/// A change is never printed as none, and there is no share of nothing.
pub fn percent(before: u64, after: u64) -> String {
    if before == 0 {
        return String::new();
    }
    let sign = if after < before { '-' } else { '+' };
    let (change, whole) = (u128::from(before.abs_diff(after)), u128::from(before));
    let hundredths = (2 * 10_000 * change + whole) / (2 * whole);
    if hundredths == 0 && change > 0 {
        return format!("{sign}<0.01 %");
    }
    format!(
        "{sign}{}.{:02} %",
        grouped(hundredths / 100),
        hundredths % 100
    )
}

/// Text of strangers for a terminal: what would move the cursor, change colours or
/// turn the direction of reading is written as an escape; newlines stay.
pub fn printable(text: &str) -> String {
    let acts = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        (c.is_control() && c != '\n') || turns
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Digits in groups of three.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_in_the_article() {
        assert_eq!(megabytes(10_800_000), "10.8");
        assert_eq!(megabytes(1_220_000_000), "1,220.0");
        assert_eq!(megabytes(49_999), "0.0");
        assert_eq!(megabytes(50_000), "0.1");
        assert_eq!(megabytes(999_950_000), "1,000.0");
        assert_eq!(
            (bytes(1), bytes(412_000_001)),
            ("1 kB".into(), "413 MB".into())
        );
        assert_eq!(bytes(6_349_999_999), "6.3 GB");
        assert_eq!(grouped(u128::from(u64::MAX)), "18,446,744,073,709,551,615");
    }

    #[test]
    fn what_acts_on_a_terminal_is_only_shown() {
        assert_eq!(printable("ü\n─ a"), "ü\n─ a");
        assert_eq!(
            printable("\u{1b}[2J\r\u{9b}m\u{202e}"),
            "\\u{1b}[2J\\u{d}\\u{9b}m\\u{202e}"
        );
    }

    #[test]
    fn dollars_are_rounded_and_never_to_nothing() {
        let texts = [0, 1, 499, 500, 1_234_567, 6_929_999_500].map(dollars);
        assert_eq!(
            texts,
            ["0.000", "<0.001", "<0.001", "0.001", "1.235", "6,930.000"]
        );
        assert_eq!(dollars(u64::MAX), "18,446,744,073,709.552");
    }

    #[test]
    fn times_keep_the_digits_that_are_known() {
        let texts = [1_234, 9_999, 290_400, 999_499, 12_837_000, 1_000_000].map(time);
        assert_eq!(
            texts,
            [
                "1.23 ms", "10.00 ms", "290 ms", "999 ms", "12.84 s", "1.00 s"
            ]
        );
        assert_eq!(time(u64::MAX).split_once('.').unwrap().0.len(), 14);
    }

    #[test]
    fn changes_have_a_sign_and_are_never_rounded_to_none() {
        assert_eq!(
            (change(7, 1_031), change(1_031, 7)),
            ("+1,024".into(), "-1,024".into())
        );
        let shares = [
            (1_000, 1_050),
            (1_000, 950),
            (200, 100_000),
            (20_000, 20_001),
        ];
        assert_eq!(
            shares.map(|(before, after)| percent(before, after)),
            ["+5.00 %", "-5.00 %", "+49,900.00 %", "+0.01 %"] // 0.005: half away from zero
        );
        assert_eq!(percent(34_328_232, 34_328_227), "-<0.01 %");
        assert_eq!(percent(0, 5), "");
        assert_eq!(
            percent(1, u64::MAX).len(),
            "+1,844,674,407,370,955,161,400.00 %".len()
        );
    }

    #[test]
    fn waits_are_rounded_as_people_say_them() {
        let texts = [3, 61, 89, 90, 25 * 60, 5_400, 7_260].map(|s| wait(Duration::from_secs(s)));
        assert_eq!(
            texts,
            [
                "a few seconds",
                "70 s",
                "90 s",
                "2 min",
                "25 min",
                "1 h 30 min",
                "2 h 01 min"
            ]
        );
        assert_eq!(elapsed(Duration::from_secs(3_725)), "62:05");
        assert_eq!(
            (count(1, "build"), count(2, "build")),
            ("1 build".into(), "2 builds".into())
        );
    }
}
