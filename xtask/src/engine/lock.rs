//! The lock on `target/lab`: all working state lies there, and only one command
//! at a time may touch it.

use std::{
    fs,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::{files, project::Project};

/// Who may use `target/lab`: one process at a time.
pub struct Lock(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] fs::File,
);

impl Lock {
    /// Takes the lock, waiting for its holder unless told not to; `on_wait` is
    /// told who holds it.
    ///
    /// # Errors
    /// When it is held and `wait` is false: who holds it.
    pub fn take(project: &Project, wait: bool, on_wait: impl FnOnce(&str)) -> Result<Self> {
        let path = project.lab().join("lock");
        let mut on_wait = Some(on_wait);
        let file = loop {
            let file = open_lock(project, &path)?;
            if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                if !wait {
                    bail!(
                        "{} is in use by {}; try again when that has ended",
                        project.lab().display(),
                        holder.trim()
                    );
                }
                if let Some(tell) = on_wait.take() {
                    tell(holder.trim());
                }
                flock(file.as_fd(), FlockOperation::LockExclusive)?;
            }
            // `clean` may have removed the file while we waited for it: then
            // we hold what nobody else will ever look at.
            if fs::metadata(&path)
                .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()))
            {
                break file;
            }
        };
        let words: Vec<_> = std::env::args().skip(1).collect();
        fs::write(
            &path,
            format!(
                "process {}: cargo xtask {}\n",
                std::process::id(),
                words.join(" ")
            ),
        )?;
        Ok(Self(file))
    }
}

fn open_lock(project: &Project, path: &Path) -> Result<fs::File> {
    files::create_dir_all(&project.lab())?;
    let mut options = fs::OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    files::give_to_owner_of_parent(path)?;
    Ok(file)
}
