//! The files that are published: written, or held against what lies there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};

use crate::{
    files,
    human::count,
    problem::{Problem, shown},
    project::Project,
};

/// The longest part of a line that a difference shows.
const SHOWN_CHARS_MAX: usize = 160;

/// A file as the rows have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Absolute.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// What the file that lies there has wrong, where its maker can name it.
    pub stale: Vec<Problem>,
}

impl Output {
    pub fn new(path: PathBuf, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            path,
            bytes: bytes.into(),
            stale: Vec::new(),
        }
    }
}

/// Writes what differs, removes pictures that nobody draws any more, and says so.
pub fn write(project: &Project, charts: &Path, outputs: &[Output]) -> Result<()> {
    for path in leftovers(charts, outputs)? {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        println!("removed {}", shown(&path, project.root()).display());
    }
    let mut kept = 0;
    for output in outputs {
        if there(&output.path)?.as_ref() == Some(&output.bytes) {
            kept += 1;
            continue;
        }
        files::write_atomic(&output.path, &output.bytes)?;
        println!("wrote {}", shown(&output.path, project.root()).display());
    }
    if kept > 0 {
        println!("{kept} of {} files stay as they were", outputs.len());
    }
    Ok(())
}

/// Says of every file that is not what the rows say where it differs.
pub fn check(project: &Project, charts: &Path, outputs: &[Output]) -> Result<ExitCode> {
    let mut stale = 0;
    for output in outputs {
        let name = shown(&output.path, project.root());
        match there(&output.path)? {
            None => eprintln!("{}: missing", name.display()),
            Some(bytes) if bytes == output.bytes => continue,
            Some(_) if !output.stale.is_empty() => {
                output.stale.iter().for_each(|it| eprintln!("{it}"));
            }
            Some(bytes) => eprintln!("{}{}", name.display(), difference(&bytes, &output.bytes)),
        }
        stale += 1;
    }
    for path in leftovers(charts, outputs)? {
        eprintln!(
            "{}: nobody draws it any more",
            shown(&path, project.root()).display()
        );
        stale += 1;
    }
    if stale == 0 {
        println!("{} files are what results/ says", outputs.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "error: not what results/ says: {}\n  mend: cargo xtask publish",
        count(stale, "published file")
    );
    Ok(ExitCode::FAILURE)
}

/// Pictures in the folder of charts that are none of them, where those are published.
fn leftovers(charts: &Path, outputs: &[Output]) -> Result<Vec<PathBuf>> {
    let is_published = |path: &Path| outputs.iter().any(|it| it.path == path);
    let has_charts = outputs.iter().any(|it| it.path.parent() == Some(charts));
    if !has_charts || !charts.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = || format!("cannot read {}", charts.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(charts).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|it| it == "svg") && !is_published(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read
            .map(Some)
            .with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The first line in which two texts differ, in both versions from where they
/// part, so that the number is seen even in a long line.
fn difference(there: &[u8], wanted: &[u8]) -> String {
    let (Ok(there), Ok(wanted)) = (str::from_utf8(there), str::from_utf8(wanted)) else {
        return ": differs".to_owned();
    };
    let mut lines = there.lines();
    let mut number = 0;
    for line in wanted.lines() {
        number += 1;
        let old = lines.next();
        if old != Some(line) {
            let (old, new) = from_where_they_part(old.unwrap_or_default(), line);
            return format!(":{number}:\n  it says          {old}\n  results/ says    {new}");
        }
    }
    format!(":{}: more text than results/ says", number + 1)
}

/// Both lines without what they begin with alike, but for the words just before.
fn from_where_they_part(old: &str, new: &str) -> (String, String) {
    const BEFORE_CHARS: usize = 60;
    let alike = old.chars().zip(new.chars()).take_while(|(a, b)| a == b);
    let skipped = alike.count().saturating_sub(BEFORE_CHARS);
    let part = |line: &str| {
        let mut rest = line.trim_end().chars().skip(skipped);
        let text: String = rest.by_ref().take(SHOWN_CHARS_MAX).collect();
        let (before, after) = (
            if skipped > 0 { "…" } else { "" },
            if rest.next().is_some() { "…" } else { "" },
        );
        format!("{before}{}{after}", text.trim())
    };
    (part(old), part(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_line_and_shows_both_numbers() {
        let told = difference(
            b"a\n  <title>gin: 9.7 MB</title>\n",
            b"a\n  <title>gin: 9.8 MB</title>\n",
        );
        assert_eq!(
            told,
            ":2:\n  it says          <title>gin: 9.7 MB</title>\n  \
             results/ says    <title>gin: 9.8 MB</title>"
        );
        let long = format!("{}9.7 MB{}", "x".repeat(500), "y".repeat(500));
        let told = difference(long.as_bytes(), long.replace("9.7", "9.8").as_bytes());
        assert!(told.contains("9.7") && told.contains("9.8"), "{told}");
        assert!(told.chars().count() < 600, "{told}");
        assert_eq!(
            difference(b"a\nb\n", b"a\n"),
            ":2: more text than results/ says"
        );
        assert!(difference(b"a\n", b"a\nb\n").starts_with(":2:"));
        assert_eq!(difference(b"\xff", b"a"), ": differs");
    }
}
