//! Paths inside an image: bytes, relative to its root, without `.`, `..`, or
//! slashes at either end. The root itself is empty.

use anyhow::{Result, bail, ensure};

/// Linux refuses longer ones, so no image that runs has any; it also bounds
/// what a hostile layer can make us keep.
pub const MAX_PATH_BYTES: usize = 4096;

/// Every folder above an entry is looked up, so the depth bounds what an entry
/// costs. No image that we know of comes near it.
const MAX_DEPTH: usize = 256;

/// What Linux allows before it answers "too many levels of symbolic links".
const MAX_SYMLINKS: usize = 40;

/// Targets of four thousand bytes, each forty times, would otherwise take their
/// time for every entry.
const MAX_STEPS: usize = 4 * MAX_DEPTH;

/// A name beginning so deletes the rest of the name from the layers below.
pub const WHITEOUT: &[u8] = b".wh.";

/// Hides everything that the layers below have in its folder.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// The canonical form of a name found in a tar stream.
///
/// # Errors
/// For a name that climbs out of the root, holds a NUL, or is too long or deep.
pub fn clean(name: &[u8]) -> Result<Vec<u8>> {
    ensure!(
        name.len() <= MAX_PATH_BYTES,
        "a name of {} bytes is longer than the {MAX_PATH_BYTES} that Linux allows",
        name.len()
    );
    ensure!(!name.contains(&0), "the name holds a NUL byte");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => ensure!(parts.pop().is_some(), "the path climbs out of the image"),
            _ => parts.push(part),
        }
    }
    ensure!(
        parts.len() <= MAX_DEPTH,
        "a path of {} levels is deeper than the {MAX_DEPTH} allowed",
        parts.len()
    );
    Ok(parts.join(&b'/'))
}

/// The folder part and the last name of a clean path.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_owned();
    }
    [folder, name].join(&b'/')
}

/// The name that a whiteout deletes; `None` for every other name. The names
/// `.wh..wh.*` are markers (opaque, or leftovers of AUFS), not deletions.
pub fn whited_out(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(WHITEOUT)
        .filter(|rest| !rest.is_empty() && !rest.starts_with(WHITEOUT))
}

/// Whether the path is a marker rather than a file: it, or a folder above it,
/// has a whiteout's name.
pub fn is_marker(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .any(|part| part.starts_with(WHITEOUT))
}

/// Where `path` leads when every symlink on the way is followed as a process
/// whose root is the image would: `..` stays inside, an absolute target starts
/// at the root. Names that do not exist are kept as they are.
///
/// # Errors
/// For a loop of symlinks or a path that grows too long.
pub fn resolve<'a>(
    path: &[u8],
    symlink_target: impl Fn(&[u8]) -> Option<&'a [u8]>,
) -> Result<Vec<u8>> {
    let mut todo: Vec<Vec<u8>> = reversed_parts(path);
    let mut done: Vec<u8> = Vec::new();
    let (mut followed, mut steps) = (0, 0);
    while let Some(part) = todo.pop() {
        steps += 1;
        ensure!(steps <= MAX_STEPS, "symlinks make the path too deep");
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                done.truncate(split(&done).0.len());
                continue;
            }
            _ => {}
        }
        let here = join(&done, &part);
        let Some(target) = symlink_target(&here) else {
            ensure!(
                here.len() <= MAX_PATH_BYTES,
                "symlinks make the path too long"
            );
            done = here;
            continue;
        };
        followed += 1;
        if followed > MAX_SYMLINKS {
            bail!("too many levels of symbolic links");
        }
        if target.starts_with(b"/") {
            done.clear();
        }
        todo.extend(reversed_parts(target));
    }
    Ok(done)
}

fn reversed_parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .rev()
        .map(<[u8]>::to_owned)
        .collect()
}

/// For messages; names in an image need not be UTF-8.
pub fn shown(path: &[u8]) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

/// For people and rows: as [`shown`], from the root of the image.
pub fn absolute(path: &[u8]) -> String {
    format!("/{}", shown(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_may_not_climb_out() {
        assert_eq!(clean(b"./usr//bin/../lib/").unwrap(), b"usr/lib");
        assert_eq!(clean(b"/etc/passwd").unwrap(), b"etc/passwd");
        assert_eq!(clean(b"./").unwrap(), b"");
        let deep = b"a/".repeat(MAX_DEPTH + 1);
        let too_long = [b'x'; 5000];
        for bad in [
            &b".."[..],
            b"a/../../b",
            b"/../x",
            b"a\0b",
            &too_long,
            &deep,
        ] {
            assert!(clean(bad).is_err(), "{}", shown(bad));
        }
    }

    #[test]
    fn names_of_any_bytes_are_shown_on_one_line() {
        assert_eq!(absolute("한글 b".as_bytes()), "/한글 b");
        assert_eq!(absolute(b"a\n\xff,\"x\""), r#"/a\n\xff,\"x\""#);
    }

    #[test]
    fn symlinks_are_followed_inside_the_root_and_loops_end() {
        let links = |path: &[u8]| -> Option<&'static [u8]> {
            match path {
                b"lib" => Some(b"usr/lib"),
                b"usr/lib/up" => Some(b"../../../../etc"),
                b"abs" => Some(b"/lib/up"),
                b"loop" => Some(b"loop"),
                _ => None,
            }
        };
        assert_eq!(resolve(b"lib/x", links).unwrap(), b"usr/lib/x");
        assert_eq!(resolve(b"abs/hosts", links).unwrap(), b"etc/hosts");
        assert_eq!(resolve(b"none/x/../y", links).unwrap(), b"none/y");
        assert!(resolve(b"loop/x", links).is_err());
        let winding = b"a/../".repeat(700);
        let target = |path: &[u8]| (path == b"link").then_some(&winding[..]);
        assert!(resolve(b"link/x", target).is_err());
    }

    #[test]
    fn whiteouts_are_told_from_markers() {
        assert_eq!(whited_out(b".wh.x"), Some(&b"x"[..]));
        for other in [&b".wh."[..], OPAQUE, b".wh..wh.plnk", b"wh.x"] {
            assert_eq!(whited_out(other), None);
        }
        assert!(is_marker(b"a/.wh..wh.plnk/b"));
        assert!(!is_marker(b"a/b.wh.c"));
    }
}
