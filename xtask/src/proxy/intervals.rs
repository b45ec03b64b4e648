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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_and_neighbours_merge_and_gaps_stay() {
        assert_eq!(union(vec![5..9, 0..3, 3..4, 6..7, 2..2]), [0..4, 5..9]);
        assert_eq!(covered(vec![5..9, 0..3, 3..4, 6..7]), 8);
        assert_eq!(covered(vec![]), 0);
    }
}
