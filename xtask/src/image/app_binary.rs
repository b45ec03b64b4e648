//! The file that a container of the image would execute.
//!
//! Its digest is published per variant: the same application must be the same
//! bytes wherever libc allows it, or the base is not all that varies.

use anyhow::Result;
use oci_spec::image::ImageConfiguration;

use super::{
    Layout,
    entry::Kind,
    hashing::Hashing,
    paths,
    walk::{Place, Walk},
};
use crate::digest::Digest;

/// What runc searches when the image sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The application's file in the root filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppBinary {
    /// Absolute, symlinks followed.
    pub path: String,
    pub bytes: u64,
    pub sha256: Digest,
}

/// The last component of the command's first word, for [`find`] to have that
/// file's digest without reading its layer again.
pub fn command_name(config: &ImageConfiguration) -> Option<Vec<u8>> {
    let word = command_word(config)?;
    Some(paths::split(word.as_bytes()).1.to_owned())
}

/// Finds the file that entrypoint and command name, as a runtime does: relative
/// to the working directory if it has a slash, else the first executable file
/// in PATH; symlinks are followed inside the image. `None` when the image has
/// no command or does not hold it.
///
/// # Errors
/// When the file's layer cannot be read again.
pub fn find(layout: &Layout, walk: &Walk) -> Result<Option<AppBinary>> {
    let Some((path, place)) = locate(layout.config(), walk) else {
        return Ok(None);
    };
    Ok(Some(AppBinary {
        path: paths::absolute(&path),
        bytes: walk.entry(place).size_bytes,
        sha256: digest(layout, walk, place)?,
    }))
}

/// The path and place of the file that [`find`] describes.
pub fn locate(config: &ImageConfiguration, walk: &Walk) -> Option<(Vec<u8>, Place)> {
    let word = command_word(config)?;
    candidates(config, &word).iter().find_map(|candidate| {
        // A loop of symlinks is a file that is not there.
        let (path, place) = walk.lookup(candidate.as_bytes()).ok()??;
        let entry = walk.entry(place);
        let executable = entry.kind == Kind::File && entry.mode & 0o111 != 0;
        executable.then_some((path, place))
    })
}

fn digest(layout: &Layout, walk: &Walk, place: Place) -> Result<Digest> {
    if let Some(digest) = &walk.entry(place).content {
        return Ok(digest.clone());
    }
    // The command was a symlink to a file of another name.
    let mut sink = Hashing::new(std::io::sink());
    walk.copy_file(layout, place, &mut sink)?;
    Ok(sink.finish().1)
}

/// The first word of what the image starts. The shell form (`/bin/sh -c "app
/// --flag"`) means its first word, unless that is more than a plain command.
fn command_word(config: &ImageConfiguration) -> Option<String> {
    let config = config.config().as_ref()?;
    let lists = [config.entrypoint(), config.cmd()];
    let words: Vec<&String> = lists.into_iter().flatten().flatten().collect();
    let word = match words[..] {
        [shell, flag, script, ..] if is_shell(shell) && flag == "-c" => plain_command(script)?,
        [word, ..] => word,
        [] => return None,
    };
    Some(word.to_owned()).filter(|word| !word.is_empty())
}

fn is_shell(word: &str) -> bool {
    matches!(word, "/bin/sh" | "/bin/bash" | "sh" | "bash")
}

fn plain_command(script: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    let mut words = script.split_ascii_whitespace();
    let first = words.find(|&word| word != "exec")?;
    first.chars().all(is_plain).then_some(first)
}

fn candidates(config: &ImageConfiguration, word: &str) -> Vec<String> {
    let config = config.config().as_ref();
    let working_dir = config.and_then(|it| it.working_dir().as_deref());
    let in_working_dir = |path: &str| match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", working_dir.unwrap_or_default()),
    };
    if word.contains('/') {
        return vec![in_working_dir(word)];
    }
    let environment = config
        .and_then(|it| it.env().as_deref())
        .unwrap_or_default();
    let path = environment.iter().find_map(|it| it.strip_prefix("PATH="));
    let folders = path.unwrap_or(DEFAULT_PATH).split(':');
    folders
        .map(|folder| in_working_dir(&format!("{folder}/{word}")))
        .collect()
}
