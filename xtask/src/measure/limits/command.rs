//! What a container of an image starts: program, environment, folder, user.

use std::path::Path;

use anyhow::{Context, Result};
use oci_spec::image::ImageConfiguration;

use crate::image::{Layout, Walk};

/// What Docker sets where the image says nothing.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCommand {
    /// Entrypoint and command.
    pub words: Vec<String>,
    /// As `NAME=value`.
    pub environment: Vec<String>,
    pub folder: String,
    pub uid: u32,
    pub gid: u32,
}

impl ImageCommand {
    /// # Errors
    /// When the image has no command, or names a user that it does not have.
    pub fn of(layout: &Layout, walk: &Walk) -> Result<Self> {
        let read = |path: &str| text_file(layout, walk, path);
        Self::parse(layout.config(), read)
    }

    /// `read` gives a text file of the image, an empty one where there is none.
    fn parse(config: &ImageConfiguration, read: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let config = config
            .config()
            .as_ref()
            .context("the image has no config")?;
        let lists = [config.entrypoint(), config.cmd()];
        let words: Vec<String> = lists.into_iter().flatten().flatten().cloned().collect();
        words.first().context("the image has no command")?;
        let mut environment = config.env().clone().unwrap_or_default();
        environment.retain(|it| it.contains('='));
        if !environment.iter().any(|it| it.starts_with("PATH=")) {
            environment.push(DEFAULT_PATH.to_owned());
        }
        let user = config.user().clone().unwrap_or_default();
        let ids = ids(&user, read);
        let (uid, gid) = ids.with_context(|| format!("cannot find the image's user `{user}`"))?;
        let folder = config.working_dir().clone().filter(|it| !it.is_empty());
        Ok(Self {
            words,
            environment,
            folder: folder.unwrap_or_else(|| "/".to_owned()),
            uid,
            gid,
        })
    }
}

/// How `unshare` is told to start an image's command, apart from the namespaces:
/// as the child of the one that unshared, in the root file system `rootfs`.
pub fn unshare(namespaces: &[&str], rootfs: &Path, command: &ImageCommand) -> Vec<String> {
    let mut words = vec!["/usr/bin/unshare".to_owned()];
    words.extend(namespaces.iter().map(|&flag| flag.to_owned()));
    words.extend([
        "--fork".to_owned(),
        format!("--root={}", rootfs.display()),
        format!("--wd={}", command.folder),
        format!("--setgid={}", command.gid),
        format!("--setuid={}", command.uid),
        "--".to_owned(),
    ]);
    words.extend(command.words.iter().cloned());
    words
}

/// User and group of `USER[:GROUP]`, each a name or a number; without a group
/// the user's own, or root's for a number that is nobody.
fn ids(user: &str, read: impl Fn(&str) -> Result<String>) -> Result<(u32, u32)> {
    if user.is_empty() {
        return Ok((0, 0));
    }
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let users = read("etc/passwd")?;
    let (uid, own_gid) = match (find(&users, user), user.parse()) {
        (Some(line), _) => (number(line, 2)?, number(line, 3)?),
        (None, uid) => (uid.context("no such name in its /etc/passwd")?, 0),
    };
    let Some(group) = group else {
        return Ok((uid, own_gid));
    };
    let groups = read("etc/group")?;
    let gid = match (find(&groups, group), group.parse()) {
        (Some(line), _) => number(line, 2)?,
        (None, gid) => gid.context("no such name in its /etc/group")?,
    };
    Ok((uid, gid))
}

/// The line about a name or a number.
fn find<'a>(lines: &'a str, wanted: &str) -> Option<&'a str> {
    lines.lines().find(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(wanted) || fields.nth(1) == Some(wanted)
    })
}

fn number(line: &str, field: usize) -> Result<u32> {
    let text = line.split(':').nth(field).unwrap_or_default();
    text.parse()
        .with_context(|| format!("malformed line `{line}`"))
}

fn text_file(layout: &Layout, walk: &Walk, path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    if let Some((_, place)) = walk.lookup(path.as_bytes())? {
        walk.copy_file(layout, place, &mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(run: serde_json::Value) -> Result<ImageCommand> {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []},
            "config": run,
        });
        let read = |path: &str| {
            Ok(match path {
                "etc/passwd" => "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/:/bin/false\n",
                "etc/group" => "root:x:0:\nstaff:x:50:\n",
                _ => "",
            }
            .to_owned())
        };
        ImageCommand::parse(&serde_json::from_value(config)?, read)
    }

    fn ids_of(user: &str) -> Option<(u32, u32)> {
        let command = parse(json!({"Cmd": ["/app"], "User": user})).ok()?;
        Some((command.uid, command.gid))
    }

    #[test]
    fn entrypoint_and_command_are_one_line() {
        let run = json!({"Entrypoint": ["/a"], "Cmd": ["b"], "WorkingDir": "/w", "Env": ["X=1"]});
        let command = parse(run).unwrap();
        assert_eq!(command.words, ["/a", "b"]);
        assert_eq!(command.environment, ["X=1", DEFAULT_PATH]);
        assert_eq!(command.folder, "/w");
    }

    #[test]
    fn what_the_image_says_stays_and_the_rest_is_dockers_default() {
        let command = parse(json!({"Cmd": ["a"], "Env": ["PATH=/bin"]})).unwrap();
        assert_eq!(command.environment, ["PATH=/bin"]);
        assert_eq!((command.folder.as_str(), command.uid), ("/", 0));
        assert!(parse(json!({"Env": []})).is_err(), "nothing to start");
    }

    #[test]
    fn users_are_names_or_numbers() {
        assert_eq!(ids_of("web"), Some((1000, 1001)));
        assert_eq!(ids_of("1000"), Some((1000, 1001)));
        assert_eq!(ids_of("7"), Some((7, 0)));
        assert_eq!(ids_of("web:staff"), Some((1000, 50)));
        assert_eq!(ids_of("7:9"), Some((7, 9)));
        assert_eq!(ids_of("nobody"), None);
        assert_eq!(ids_of("web:nobody"), None);
    }
}
