//! A normal user with sudo: what the run writes is theirs.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use xtask::{engine::rootfs, shell};

use crate::{
    sandbox::{Finished, copy, give},
    tiny,
};

pub const NAME: &str = "everything_belongs_to_the_user_who_called_through_sudo";

/// Nobody else is called that.
const USER: &str = "base-image-cost-test";
const SUDOERS: &str = "/etc/sudoers.d/base-image-cost-test";

pub fn everything_belongs_to_the_user_who_called() -> Result<()> {
    if shell::find("sudo").is_none() {
        // Only under CI does the test get here.
        run("apt-get", &["update"])?;
        run(
            "apt-get",
            &["install", "--yes", "--no-install-recommends", "sudo"],
        )?;
    }
    let user = User::new()?;
    let sandbox = tiny::sandbox("user")?;
    tiny::add(&sandbox, "variant", &tiny::dockerfile(""))?;
    let home = user.home.path();
    let project = home.join("project");
    copy(sandbox.root(), &project)?;
    let archive = rootfs::archive(&sandbox.path("target/lab"));
    if archive.is_file() {
        fs::create_dir_all(project.join("target/lab"))?;
        fs::copy(archive, rootfs::archive(&project.join("target/lab")))?;
    }
    // The checkout may lie where the user cannot go.
    let program = home.join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program)?;
    give(home, user.uid, user.gid);

    let output = Command::new("runuser")
        .args(["--user", USER, "--"])
        .arg(&program)
        .args(["run-all", "--quick", "--sizes-only", "--project"])
        .arg(&project)
        .current_dir(home)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()?;
    let finished = Finished::from(output).expect(0)?;
    ensure!(
        finished.stderr.contains("through sudo"),
        "it does not say so:\n{}",
        finished.said()
    );
    let sizes = fs::read_to_string(project.join("results/sizes.csv"))?;
    ensure!(sizes.lines().count() == 2, "{sizes}");
    let strangers = not_owned_by(user.uid, home)?;
    ensure!(strangers.is_empty(), "not the user's: {strangers:?}");
    Ok(())
}

fn not_owned_by(uid: u32, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(path) = next.pop() {
        let meta = fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                next.push(entry?.path());
            }
        }
        if meta.uid() != uid {
            found.push(path);
        }
    }
    Ok(found)
}

/// A user who may use sudo without a password; gone when dropped.
struct User {
    uid: u32,
    gid: u32,
    home: tempfile::TempDir,
}

impl User {
    fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix(USER).tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        // A run that was killed may have left one.
        let _ = run("userdel", &["--force", USER]);
        let path = home.path().to_str().context("a path in UTF-8")?;
        run("useradd", &["--no-create-home", "--home-dir", path, USER])?;
        let mut user = Self {
            uid: 0,
            gid: 0,
            home,
        };
        user.uid = number("--user")?;
        user.gid = number("--group")?;
        fs::write(SUDOERS, format!("{USER} ALL=(ALL) NOPASSWD: ALL\n"))?;
        fs::set_permissions(SUDOERS, fs::Permissions::from_mode(0o440))?;
        Ok(user)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(SUDOERS);
        let _ = run("userdel", &["--force", USER]);
    }
}

fn number(which: &str) -> Result<u32> {
    let output = Command::new("id").args([which, USER]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {said}");
    Ok(())
}
