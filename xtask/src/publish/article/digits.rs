//! Numbers with a unit that somebody typed, where a marker should have put them.
//!
//! Versions, dates, ports and status codes have no unit, so they are none of
//! these; neither is what stands in code.

use std::{ops::Range, path::Path};

use super::marker::Marker;
use crate::problem::{Problem, line_of};

/// What follows a number that was measured or counted, longest first.
const UNITS: [&str; 42] = [
    "milliseconds",
    "megabytes",
    "minutes",
    "seconds",
    "dollars",
    "percent",
    "minute",
    "second",
    "layers",
    "layer",
    "hours",
    "bytes",
    "files",
    "times",
    "hour",
    "밀리초",
    "바이트",
    "퍼센트",
    "레이어",
    "시간",
    "달러",
    "USD",
    "KiB",
    "MiB",
    "GiB",
    "초",
    "분",
    "번",
    "배",
    "개",
    "원",
    "TB",
    "GB",
    "MB",
    "KB",
    "kB",
    "ms",
    "µs",
    "μs",
    "ns",
    "s",
    "%",
];

/// Numbers that no file of results/ holds.
const ALLOWED: [&str; 2] = [
    // How sure an interval is: a property of the method.
    "95 %", "95%",
];

/// Every typed number of `text` outside its markers.
pub fn typed(file: &Path, text: &str, markers: &[Marker<'_>]) -> Vec<Problem> {
    let prose = prose(text, markers);
    numbers(&prose)
        .filter(|place| !ALLOWED.contains(&&prose[place.clone()]))
        .map(|place| Problem {
            file: file.to_owned(),
            line: line_of(text, place.start),
            what: format!("`{}` is typed, so nothing keeps it right", &prose[place]),
            mend: "put a marker in its place: <!-- n: CELL UNIT --><!-- / -->".to_owned(),
        })
        .collect()
}

/// The text with spaces for all that is no prose, so that places stay.
fn prose(text: &str, markers: &[Marker<'_>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut blank = |place: Range<usize>| {
        for byte in &mut bytes[place] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    markers
        .iter()
        .for_each(|marker| blank(marker.whole.clone()));
    for (open, shut) in [("<!--", "-->"), ("```", "```"), ("`", "`"), ("](", ")")] {
        let mut at = 0;
        while let Some(place) = between(text, at, open, shut) {
            at = place.end;
            blank(place);
        }
    }
    // Only ASCII was written, over whole characters.
    String::from_utf8(bytes).unwrap_or_default()
}

fn between(text: &str, from: usize, open: &str, shut: &str) -> Option<Range<usize>> {
    let start = from + text[from..].find(open)?;
    let inner = start + open.len();
    let end = inner + text[inner..].find(shut)? + shut.len();
    Some(start..end)
}

/// Where numbers with a unit stand.
fn numbers(prose: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + prose[at..].find(|c: char| c.is_ascii_digit())?;
            let length = prose[start..].find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.');
            let end = length.map_or(prose.len(), |length| start + length);
            at = end;
            let number = prose[start..end].trim_end_matches([',', '.']);
            if let Some(place) = with_unit(prose, start..start + number.len()) {
                return Some(place);
            }
        }
    })
}

fn with_unit(prose: &str, digits: Range<usize>) -> Option<Range<usize>> {
    let before = &prose[..digits.start];
    if before.ends_with('$') {
        return Some(digits.start - 1..digits.end);
    }
    let start = begins(before)?;
    let rest = &prose[digits.end..];
    let gap = rest.len() - rest.trim_start_matches([' ', '\u{a0}']).len();
    let unit = UNITS.iter().find(|unit| {
        rest[gap..].strip_prefix(**unit).is_some_and(|after| {
            let is_word = unit.ends_with(|c: char| c.is_ascii_alphabetic());
            !(is_word && after.starts_with(|c: char| c.is_ascii_alphanumeric()))
        })
    })?;
    Some(start..digits.end + gap + unit.len())
}

/// Where a number begins whose digits follow `before`: with the sign, and with
/// the other end of a range. None for a part of a name or a version, as in
/// x86_64, v2, 3.20.3-r1, 2025-07-13.
fn begins(before: &str) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_/:@".contains(c);
    let Some(joined) = before.strip_suffix('-') else {
        return (!before.ends_with(is_name)).then_some(before.len());
    };
    let other_end = |c: char| c.is_ascii_digit() || ",.".contains(c);
    let start = joined.trim_end_matches(other_end).len();
    let is_part = joined[..start].ends_with(|c: char| is_name(c) || c == '-');
    (!is_part).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::marker;

    fn found(text: &str) -> Vec<String> {
        let markers = marker::find(Path::new("a.md"), text).unwrap();
        typed(Path::new("a.md"), text, &markers)
            .iter()
            .map(|it| format!("{}: {}", it.line, it.what.split('`').nth(1).unwrap()))
            .collect()
    }

    #[test]
    fn a_number_with_a_unit_is_found_wherever_it_was_typed() {
        let text = "It weighs 6.2 MB,\nor 1,198.2MB; 72 times\nas much. 0.58초가 걸리고 3.6배입니다.\n\
                    레이어 13개, $0.10, 4.3 % of 12 layers.";
        assert_eq!(
            found(text),
            [
                "1: 6.2 MB",
                "2: 1,198.2MB",
                "2: 72 times",
                "3: 0.58초",
                "3: 3.6배",
                "4: 13개",
                "4: $0.10",
                "4: 4.3 %",
                "4: 12 layers"
            ]
        );
    }

    #[test]
    fn a_range_and_a_sign_hide_no_number() {
        let text = "It takes 5-10 MB or 5–10 MB, -7.9 % of (-3 s), 12 KB in 2 minutes,\n\
                    5분 동안 3번, 2시간.";
        assert_eq!(
            found(text),
            [
                "1: 5-10 MB",
                "1: 10 MB",
                "1: -7.9 %",
                "1: -3 s",
                "1: 12 KB",
                "1: 2 minutes",
                "2: 5분",
                "2: 3번",
                "2: 2시간"
            ]
        );
        assert_eq!(
            found("musl-1.2-5 s, a-5 s and 3.20.3-r1, 2025-07-13 s, go1.23-5 %"),
            <[String; 0]>::default()
        );
    }

    #[test]
    fn versions_dates_ports_codes_and_code_are_left_alone() {
        let text = "Debian 12, Go 1.23 and Alpine 3.20.3 on port 8080 answer 200 since 2025-07-13.\n\
                    linux-x86_64-2c, `5 MB`, [a](b-5MB.svg), 100 Mbit/s, 95 % intervals.\n\
                    ```\n10 MB\n```\nIt is <!-- n: a b MB -->6.2 MB<!-- / -->. <!-- 7 MB -->\n\
                    200 so and 12 stages.";
        assert_eq!(found(text), <[String; 0]>::default());
    }
}
