//! Whether a time zone can be loaded: its TZif file (RFC 9636) where C libraries
//! and Go look for it, and what it says.

use std::{fs, path::Path};

use super::Answer;

const FOLDERS: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/zoneinfo",
    "/etc/zoneinfo",
];
const ZONE: &str = "Asia/Seoul";
/// UTC+9 since 1988.
const OFFSET_S: i32 = 9 * 3600;

const HEADER_BYTES: usize = 44;
/// Offset, summer time or not, and the place of the abbreviation.
const TYPE_BYTES: usize = 6;

pub fn seoul() -> Answer {
    let read = |folder: &&str| fs::read(Path::new(folder).join(ZONE)).ok();
    let found = FOLDERS
        .iter()
        .find_map(|folder| Some((folder, read(folder)?)));
    match found {
        None => Answer::no(format!("no {ZONE} where time zones lie")),
        Some((folder, file)) if last_offset_s(&file) == Some(OFFSET_S) => {
            Answer::yes(format!("{ZONE} is UTC+9 in {folder}"))
        }
        Some((folder, _)) => Answer::no(format!("{ZONE} is not UTC+9 in {folder}")),
    }
}

/// What holds since the clocks were changed last.
fn last_offset_s(file: &[u8]) -> Option<i32> {
    let block = Block::read(file, 4)?;
    if *file.get(4)? < b'2' {
        return Some(block.last_offset_s);
    }
    // From version 2 on, a block with times of 64 bits follows the old one.
    let block = Block::read(file.get(block.bytes..)?, 8)?;
    Some(block.last_offset_s)
}

struct Block {
    bytes: usize,
    last_offset_s: i32,
}

impl Block {
    fn read(block: &[u8], time_bytes: usize) -> Option<Self> {
        block.strip_prefix(b"TZif")?;
        let number = |at: usize| -> Option<[u8; 4]> { block.get(at..at + 4)?.try_into().ok() };
        let count = |place: usize| Some(u32::from_be_bytes(number(20 + 4 * place)?) as usize);
        let (ut_marks, standard_marks, leaps) = (count(0)?, count(1)?, count(2)?);
        let (changes, types, name_bytes) = (count(3)?, count(4)?, count(5)?);
        let types_at = HEADER_BYTES + changes * (time_bytes + 1);
        // After the times stands the type that each of them begins.
        let last = match changes {
            0 => 0,
            _ => usize::from(*block.get(types_at - 1)?),
        };
        Some(Self {
            bytes: types_at
                + types * TYPE_BYTES
                + name_bytes
                + leaps * (time_bytes + 4)
                + standard_marks
                + ut_marks,
            last_offset_s: i32::from_be_bytes(number(types_at + last * TYPE_BYTES)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block whose clocks change to each of the `offsets_s` in turn.
    fn block(version: u8, time_bytes: usize, offsets_s: &[i32]) -> Vec<u8> {
        let count = |number: usize| (number as u32).to_be_bytes();
        let kinds = offsets_s.len();
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        for number in [1, 1, 2, kinds - 1, kinds, 4] {
            bytes.extend(count(number));
        }
        bytes.extend(vec![0; (kinds - 1) * time_bytes]);
        bytes.extend((1..kinds).map(|kind| kind as u8));
        for offset in offsets_s {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(vec![0; 4 + 2 * (time_bytes + 4) + 2]);
        bytes
    }

    #[test]
    fn the_last_change_is_what_holds() {
        let old = block(0, 4, &[30_472, 36_000, OFFSET_S]);
        assert_eq!(last_offset_s(&old), Some(OFFSET_S));
        // Without a change there is one type from the beginning.
        assert_eq!(last_offset_s(&block(0, 4, &[7])), Some(7));
        // What the old block says does not count where there is a new one.
        let both = [block(b'2', 4, &[0]), block(b'2', 8, &[0, OFFSET_S])].concat();
        assert_eq!(last_offset_s(&both), Some(OFFSET_S));
    }

    #[test]
    fn what_is_cut_off_or_something_else_has_no_offset() {
        let both = [block(b'2', 4, &[0]), block(b'2', 8, &[0, OFFSET_S])].concat();
        let types_end = both.len() - (4 + 2 * 12 + 2) - 2;
        for bytes in 0..types_end {
            assert_eq!(last_offset_s(&both[..bytes]), None, "{bytes}");
        }
        assert_eq!(last_offset_s(b"TZlf, or whatever"), None);
        let mut huge = block(0, 4, &[0]);
        huge[32..36].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(last_offset_s(&huge), None);
    }
}
