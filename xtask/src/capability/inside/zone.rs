//! Whether a time zone can be loaded: its TZif file (RFC 9636) where C libraries
//! and Go look for it, and what it says.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::Answer;

const FOLDERS: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/zoneinfo",
    "/etc/zoneinfo",
];
/// Folders that come before these: Go obeys the one, C libraries the other. Go's
/// may be a ZIP archive, too.
const VARIABLES: [&str; 2] = ["ZONEINFO", "TZDIR"];
const ZONE: &str = "Asia/Seoul";
/// UTC+9 since 1988.
const OFFSET_S: i32 = 9 * 3600;

const HEADER_BYTES: usize = 44;
/// Offset, summer time or not, and the place of the abbreviation.
const TYPE_BYTES: usize = 6;

pub fn seoul() -> Answer {
    let named = VARIABLES.iter().filter_map(env::var_os);
    let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    told(named.chain(FOLDERS.map(PathBuf::from)))
}

fn told(mut places: impl Iterator<Item = PathBuf>) -> Answer {
    let found = places.find_map(|place| Some((read(&place)?, place)));
    let Some((file, place)) = found else {
        return Answer::no(format!("no {ZONE} where time zones lie"));
    };
    let is_right = last_offset_s(&file) == Some(OFFSET_S);
    let is = if is_right { "is" } else { "is not" };
    Answer::yes_if(
        is_right,
        format!("{ZONE} {is} UTC+9 in {}", place.display()),
    )
}

/// The zone's file out of a folder or an archive.
fn read(place: &Path) -> Option<Vec<u8>> {
    let in_folder = fs::read(place.join(ZONE)).ok();
    in_folder.or_else(|| stored(&fs::read(place).ok()?, ZONE))
}

/// A file of a ZIP archive (APPNOTE.TXT, 4.3.7) that is stored as it is, which is
/// all that Go reads.
fn stored(mut archive: &[u8], wanted: &str) -> Option<Vec<u8>> {
    loop {
        let rest = archive.strip_prefix(b"PK\x03\x04")?;
        let short = |at: usize| Some(u16::from_le_bytes(rest.get(at..at + 2)?.try_into().ok()?));
        let bytes = u32::from_le_bytes(rest.get(14..18)?.try_into().ok()?) as usize;
        let name_end = 26 + usize::from(short(22)?);
        let file_at = name_end + usize::from(short(24)?);
        let file = rest.get(file_at..file_at.checked_add(bytes)?)?;
        if rest.get(26..name_end)? == wanted.as_bytes() {
            return (short(4)? == 0).then(|| file.to_vec());
        }
        archive = rest.get(file_at + bytes..)?;
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

    fn entry(name: &str, method: u8, file: &[u8]) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend([10, 0, 0, 0, method, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        bytes.extend((file.len() as u32).to_le_bytes());
        bytes.extend((file.len() as u32).to_le_bytes());
        bytes.extend([name.len() as u8, 0, 3, 0]);
        bytes.extend(name.bytes().chain(*b"xyz"));
        bytes.extend(file);
        bytes
    }

    #[test]
    fn an_archive_gives_the_file_that_it_stores() {
        let other = entry("Asia/Tokyo", 0, b"Tokyo");
        let archive = [
            other.clone(),
            entry(ZONE, 0, b"Seoul"),
            b"PK\x01\x02".to_vec(),
        ]
        .concat();
        assert_eq!(stored(&archive, ZONE).as_deref(), Some(&b"Seoul"[..]));
        let end = archive.len() - 4;
        for bytes in 0..end {
            assert_eq!(stored(&archive[..bytes], ZONE), None, "{bytes}");
        }
        assert_eq!(stored(&other, ZONE), None);
        assert_eq!(stored(&entry(ZONE, 8, b"packed"), ZONE), None);
    }

    #[test]
    fn the_first_place_with_the_zone_counts() {
        let root = env::temp_dir().join(format!("zones-{}", std::process::id()));
        let [none, wrong, archive] = ["none", "wrong", "zip"].map(|name| root.join(name));
        fs::create_dir_all(wrong.join("Asia")).unwrap();
        fs::write(wrong.join(ZONE), block(0, 4, &[7])).unwrap();
        fs::write(&archive, entry(ZONE, 0, &block(0, 4, &[OFFSET_S]))).unwrap();
        let of = |places: &[&PathBuf]| {
            let said = told(places.iter().map(|place| (*place).clone())).to_string();
            said.replace(&*root.to_string_lossy(), "")
        };
        let said = [
            of(&[&none]),
            of(&[&none, &archive, &wrong]),
            of(&[&wrong, &archive]),
        ];
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            said,
            [
                "no\tno Asia/Seoul where time zones lie",
                "yes\tAsia/Seoul is UTC+9 in /zip",
                "no\tAsia/Seoul is not UTC+9 in /wrong",
            ]
        );
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
