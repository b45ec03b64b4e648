//! Unions of intervals: of times, and of bytes.

use std::ops::Range;

/// The disjoint, sorted intervals that cover exactly what `parts` cover.
pub fn union(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.retain(|part| !part.is_empty());
    parts.sort_by_key(|part| part.start);
    let mut union: Vec<Range<u64>> = Vec::new();
    for part in parts {
        match union.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => union.push(part),
        }
    }
    union
}

/// How much `parts` cover together.
pub fn covered(parts: Vec<Range<u64>>) -> u64 {
    union(parts).iter().map(|part| part.end - part.start).sum()
}

/// How many of `parts` overlap where most of them do.
pub fn most_at_once(parts: &[Range<u64>]) -> u64 {
    let began_before = |at: u64| parts.iter().filter(|part| part.contains(&at)).count();
    let most = parts.iter().map(|part| began_before(part.start)).max();
    most.unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_and_neighbours_merge_and_gaps_stay() {
        assert_eq!(union(vec![5..9, 0..3, 3..4, 6..7, 2..2]), [0..4, 5..9]);
        assert_eq!(covered(vec![5..9, 0..3, 3..4, 6..7]), 8);
        assert_eq!(covered(vec![]), 0);
        assert_eq!(most_at_once(&[5..9, 0..3, 3..4, 6..7]), 2);
        assert_eq!(most_at_once(&[1..9, 2..8, 3..7, 9..12]), 3);
        assert_eq!(most_at_once(&[]), 0);
    }
}
