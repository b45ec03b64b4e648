//! A git revision as a project of its own, under `target/lab/compare`: its files
//! without the results, and whatever is already in hand here that it may need.
//!
//! `git archive` and no `git worktree`: a worktree is registered in `.git`,
//! where a run that was killed would leave it, and where root has nothing to
//! write.

use std::{
    fs,
    io::{Seek as _, SeekFrom},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result, ensure};

use crate::{files, project::Project, shell};

/// What of `target/lab` another revision can go on with. Each part says itself
/// of what it was made, so what no longer fits is made anew.
const SHARED: [&str; 4] = ["bases", "images", "toolchain", "control"];

/// The commit that a revision stands for: 12 hex.
///
/// # Errors
/// When git knows no such revision.
pub fn commit(project: &Project, revision: &str) -> Result<String> {
    let commit = shell::commit(project.root(), revision).with_context(|| {
        format!(
            "git knows no revision `{revision}`; mend: `git log --oneline --all` lists them, `git fetch --unshallow` \
             brings what a shallow clone lacks"
        )
    })?;
    Ok(commit.chars().take(12).collect())
}

/// The project as it is at `commit`.
///
/// # Errors
/// When the revision holds no experiments, or there is no space for it.
pub fn checkout(project: &Project, commit: &str) -> Result<Project> {
    let folder = project.lab().join("compare").join(commit);
    if !folder.is_dir() {
        let unfinished = folder.with_extension("unfinished");
        files::remove_dir_all(&unfinished)?;
        unpack(project, commit, &unfinished)?;
        share(project, &unfinished)?;
        files::replace_dir(&unfinished, &folder)?;
    }
    Project::at(&folder)
}

fn unpack(project: &Project, commit: &str, folder: &Path) -> Result<()> {
    let mut tar = tempfile::tempfile().context("cannot make a temporary file")?;
    let arguments = ["archive", "--format=tar", commit, "--", ".", ":!results"];
    let mut archive = shell::git(project.root(), &arguments);
    archive
        .stdout(Stdio::from(tar.try_clone()?))
        .stderr(Stdio::piped());
    let output = shell::spawn(&mut archive)?.wait_with_output()?;
    ensure!(
        output.status.success(),
        "cannot take the files of {commit}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    tar.seek(SeekFrom::Start(0))?;
    files::unpack_tar(tar, folder)
}

fn share(project: &Project, folder: &Path) -> Result<()> {
    let (here, there) = (project.lab(), folder.join("target/lab"));
    files::create_dir_all(&there)?;
    for name in SHARED {
        if here.join(name).is_dir() {
            files::link_tree(&here.join(name), &there.join(name))?;
        }
    }
    for entry in fs::read_dir(&here)? {
        let name = entry?.file_name();
        let is_shared = name.to_string_lossy().ends_with(".tar.zst") || name == "builder";
        if is_shared {
            files::link_file(&here.join(&name), &there.join(&name))?;
        }
    }
    Ok(())
}
