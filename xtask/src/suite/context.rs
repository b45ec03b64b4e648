//! A build context: the files that a build may copy, and their identity.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::ignore::{Ignore, Inherited};
use crate::{
    digest::{Digest, Hasher},
    files::{create_dir_all, give_to_owner_of_parent},
};

/// The files of a folder, less what an ignore file takes away.
///
/// It holds what git would record: names, contents, the executable bit and
/// links. Times, the other permission bits and empty folders differ from one
/// checkout to the next (by umask, for one), so they are in neither the
/// identity nor in a copy made by [`copy_to`](Self::copy_to), which is
/// what a build should be given: then one identity means one set of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    root: PathBuf,
    /// By path from the root, `/` between names; sorted, whatever order the
    /// file system lists.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { executable: bool },
    Link { target: PathBuf },
}

impl Context {
    /// Everything below `root` that `ignore` leaves.
    pub fn read(root: &Path, ignore: &Ignore) -> Result<Self> {
        let mut context = Self {
            root: root.to_owned(),
            entries: BTreeMap::new(),
        };
        context.walk(root, "", ignore, &Inherited::default())?;
        Ok(context)
    }

    /// The paths of all files and links, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Equal for equal names, contents, executable bits and links.
    pub fn id(&self) -> Result<Digest> {
        let mut hasher = Hasher::new();
        for (path, entry) in &self.entries {
            let (kind, content) = match entry {
                Entry::Link { target } => ("link", target.display().to_string()),
                Entry::File { executable } => {
                    let kind = if *executable { "program" } else { "file" };
                    (kind, self.content_digest(path)?.to_string())
                }
            };
            // NUL is in no path, so no two lists of entries read the same.
            hasher.update(format!("{kind}\0{path}\0{content}\0").as_bytes());
        }
        Ok(hasher.finish())
    }

    /// Copies the files to `folder`, which must be empty or absent, with modes
    /// 755 and 644.
    pub fn copy_to(&self, folder: &Path) -> Result<()> {
        create_dir_all(folder)?;
        for (path, entry) in &self.entries {
            let to = folder.join(path);
            create_dir_all(to.parent().context("an entry lies in a folder")?)?;
            let copied = match entry {
                Entry::Link { target } => symlink(target, &to),
                Entry::File { executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::copy(self.root.join(path), &to)
                        .and_then(|_| fs::set_permissions(&to, fs::Permissions::from_mode(mode)))
                }
            };
            copied.with_context(|| format!("cannot copy {path} to {}", folder.display()))?;
            give_to_owner_of_parent(&to)?;
        }
        Ok(())
    }

    fn content_digest(&self, path: &str) -> Result<Digest> {
        let path = self.root.join(path);
        fs::File::open(&path)
            .and_then(Digest::of_reader)
            .map(|(digest, _)| digest)
            .with_context(|| format!("cannot read {}", path.display()))
    }

    fn walk(
        &mut self,
        folder: &Path,
        prefix: &str,
        ignore: &Ignore,
        inherited: &Inherited,
    ) -> Result<()> {
        let unreadable = || format!("cannot read {}", folder.display());
        for item in fs::read_dir(folder).with_context(unreadable)? {
            let item = item.with_context(unreadable)?;
            let Some(name) = item.file_name().to_str().map(str::to_owned) else {
                bail!("{} has a name that is not UTF-8", item.path().display());
            };
            let path = format!("{prefix}{name}");
            let (ignored, inherited) = ignore.ignores(&path, inherited);
            let kind = item.file_type().with_context(unreadable)?;
            if kind.is_dir() {
                if !ignored || ignore.has_exceptions() {
                    self.walk(&item.path(), &format!("{path}/"), ignore, &inherited)?;
                }
            } else if !ignored {
                self.entries.insert(path, entry(&item.path(), kind)?);
            }
        }
        Ok(())
    }
}

fn entry(path: &Path, kind: fs::FileType) -> Result<Entry> {
    let unreadable = || format!("cannot read {}", path.display());
    if kind.is_symlink() {
        let target = fs::read_link(path).with_context(unreadable)?;
        return Ok(Entry::Link { target });
    }
    if !kind.is_file() {
        bail!("{} is neither a file, a folder nor a link", path.display());
    }
    let mode = fs::metadata(path)
        .with_context(unreadable)?
        .permissions()
        .mode();
    Ok(Entry::File {
        executable: mode & 0o100 != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    fn write(root: &Path, path: &str, text: &str) -> PathBuf {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn id(root: &Path) -> Digest {
        Context::read(root, &Ignore::default())
            .unwrap()
            .id()
            .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_identity_ignores_times_order_and_umask(
            files in prop::collection::btree_map("[a-c]{1,2}/[a-c]{1,3}", "[x-z]{0,8}", 1..8),
            seed in any::<u64>(),
        ) {
            let one = tempfile::tempdir().unwrap();
            let two = tempfile::tempdir().unwrap();
            for (path, text) in &files {
                write(one.path(), path, text);
            }
            for (index, (path, text)) in files.iter().rev().enumerate() {
                let path = write(two.path(), path, text);
                let mode = if seed >> index & 1 == 0 { 0o600 } else { 0o664 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seed % 2_000_000_000);
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            }
            fs::create_dir_all(two.path().join("empty")).unwrap();
            prop_assert_eq!(id(one.path()), id(two.path()));
        }
    }

    #[test]
    fn the_identity_knows_names_contents_programs_and_links() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut seen = vec![id(root)];
        let mut changed = |what: &str| {
            let now = id(root);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        let file = write(root, "a", "1");
        changed("a new file");
        fs::write(&file, "2").unwrap();
        changed("a new content");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        changed("the executable bit");
        fs::rename(&file, root.join("b")).unwrap();
        changed("a new name");
        symlink("b", root.join("c")).unwrap();
        changed("a link");
        fs::remove_file(root.join("c")).unwrap();
        symlink("d", root.join("c")).unwrap();
        changed("a link's target");
    }

    #[test]
    fn what_is_ignored_is_not_read_unless_it_may_come_back() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for path in [
            ".cargo/config.toml",
            ".cargo/x",
            "src/a/b.rs",
            "target/x",
            "README",
        ] {
            write(root, path, "");
        }
        let ignore = Ignore::parse("*\n!src\n!.cargo/config.toml\n").unwrap();
        let context = Context::read(root, &ignore).unwrap();
        let paths: Vec<_> = context.paths().collect();
        assert_eq!(paths, [".cargo/config.toml", "src/a/b.rs"]);

        // A socket would be an error; below an ignored folder nobody sees it.
        let _socket = std::os::unix::net::UnixListener::bind(root.join("target/s")).unwrap();
        assert!(Context::read(root, &Ignore::parse("target").unwrap()).is_ok());
        let error = Context::read(root, &Ignore::default()).unwrap_err();
        assert!(error.to_string().contains("neither a file"), "{error}");
    }

    #[test]
    fn a_copy_has_the_same_identity_and_plain_modes() {
        let root = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        let program = write(root.path(), "bin/run", "#!");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let file = write(root.path(), "a", "");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("bin/run", root.path().join("link")).unwrap();
        let context = Context::read(root.path(), &Ignore::default()).unwrap();
        context.copy_to(copy.path()).unwrap();
        assert_eq!(id(root.path()), id(copy.path()));
        let mode = |path: &str| {
            fs::metadata(copy.path().join(path))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!((mode("bin/run") & 0o777, mode("a") & 0o777), (0o755, 0o644));
    }
}
