//! The largest of many, without keeping the many.

use std::{cmp::Reverse, collections::BTreeMap};

/// Keeps the `limit` heaviest, those of the same weight in the order of their
/// paths, those of the same path in the order in which they came.
pub struct Top<T> {
    limit: usize,
    found: BTreeMap<(Reverse<u64>, Vec<u8>, usize), T>,
    offered: usize,
}

impl<T> Top<T> {
    pub fn of(limit: usize) -> Self {
        Self {
            limit,
            found: BTreeMap::new(),
            offered: 0,
        }
    }

    /// `make` is only called for what is among the heaviest so far.
    pub fn offer(&mut self, weight: u64, path: &[u8], make: impl FnOnce() -> T) {
        self.offered += 1;
        let full = self.found.len() >= self.limit;
        let last = self.found.last_key_value().map(|(key, _)| key);
        let ahead = last.is_some_and(|(heavy, name, _)| (Reverse(weight), path) < (*heavy, name));
        if full && !ahead {
            return;
        }
        if full {
            self.found.pop_last();
        }
        let key = (Reverse(weight), path.to_vec(), self.offered);
        self.found.insert(key, make());
    }

    /// The heaviest first.
    pub fn into_vec(self) -> Vec<T> {
        self.found.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_are_kept_whatever_the_order() {
        let mut top = Top::of(3);
        for (weight, name) in [(1, "a"), (5, "z"), (3, "c"), (5, "b"), (0, "n"), (3, "d")] {
            top.offer(weight, name.as_bytes(), || name);
        }
        assert_eq!(top.into_vec(), ["b", "z", "c"]);
        let mut same = Top::of(2);
        for version in 1..=3 {
            same.offer(7, b"app", || version);
        }
        assert_eq!(same.into_vec(), [1, 2], "versions of one path");
        let mut none = Top::of(0);
        none.offer(9, b"x", || unreachable!("nothing is kept"));
        assert!(none.into_vec().is_empty());
    }
}
