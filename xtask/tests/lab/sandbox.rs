//! A project of a test's own, and the program run on it.
//!
//! What takes minutes to make and is no result, the engine's root file system
//! and the bases, is taken from the workspace where that has it, by hard link,
//! and stays in the sandbox for the next time.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, lchown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use xtask::{
    engine::rootfs,
    project::Project,
    record::{
        capabilities::CapabilityRow,
        exact::{BaseRow, FileRow, LayerRow, SizeRow},
        paths,
        table::Table,
        timings::{NodeRow, StartRow},
    },
};

/// The machine name of every timing that a test records. With a name of its own
/// the timings go to results/ under CI, too.
pub const MACHINE: &str = "test";

pub struct Sandbox {
    root: PathBuf,
}

/// How a run ended and what it said.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// An empty project in the folder `name`.
    pub fn new(name: &str) -> Result<Self> {
        let root = folder().join(name);
        for folder in [root.clone(), root.join("target/lab")] {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry?.path();
                if !is_kept(&path) {
                    remove(&path)?;
                }
            }
        }
        fs::create_dir_all(root.join("experiments"))?;
        let sandbox = Self { root };
        sandbox.adopt_engine()?;
        Ok(sandbox)
    }

    /// A copy of the workspace, with the bases that it has.
    pub fn of_workspace(name: &str) -> Result<Self> {
        let sandbox = Self::new(name)?;
        for part in ["experiments", "app"] {
            copy(&workspace().join(part), &sandbox.path(part))?;
        }
        for root in known() {
            sandbox.adopt_bases(&root.join("target/lab/bases"))?;
        }
        Ok(sandbox)
    }

    /// Takes the bases of another project that are newer than ours.
    fn adopt_bases(&self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let from = entry?.path();
            let name = from.file_name().context("an entry has a name")?;
            let to = self.path("target/lab/bases").join(name);
            if made_at(&from) > made_at(&to) {
                remove(&to)?;
                link(&from, &to)?;
            }
        }
        Ok(())
    }

    fn adopt_engine(&self) -> Result<()> {
        let ours = rootfs::archive(&self.path("target/lab"));
        let known = known().map(|root| rootfs::archive(&root.join("target/lab")));
        match known.iter().find(|archive| archive.is_file()) {
            Some(archive) if !ours.is_file() => link(archive, &ours),
            _ => Ok(()),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub fn project(&self) -> Result<Project> {
        Project::at(&self.root)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().context("a file needs a folder")?)?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The program, to be run on this project.
    pub fn xtask(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(words)
            .arg("--project")
            .arg(&self.root)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Result<Finished> {
        Ok(Finished::from(self.xtask(words).output()?))
    }

    /// `run-all --quick`, with more words. Tests are no quiet machine.
    pub fn run_quick(&self, words: &[&str]) -> Result<Finished> {
        let quick = ["run-all", "--quick", "--allow-noisy", "--machine", MACHINE];
        self.run(&[&quick[..], words].concat())
    }

    fn results(&self) -> PathBuf {
        self.path("results")
    }

    pub fn sizes(&self) -> Result<Table<SizeRow>> {
        Table::load(&paths::sizes(&self.results()))
    }

    pub fn layers(&self) -> Result<Table<LayerRow>> {
        Table::load(&paths::layers(&self.results()))
    }

    pub fn files(&self) -> Result<Table<FileRow>> {
        Table::load(&paths::files(&self.results()))
    }

    pub fn bases(&self) -> Result<Table<BaseRow>> {
        Table::load(&paths::bases(&self.results()))
    }

    pub fn capabilities(&self) -> Result<Table<CapabilityRow>> {
        Table::load(&paths::capabilities(&self.results()))
    }

    pub fn node(&self) -> Result<Table<NodeRow>> {
        Table::load(&paths::node(&paths::machine(&self.results(), MACHINE)))
    }

    pub fn start(&self) -> Result<Table<StartRow>> {
        Table::load(&paths::start(&paths::machine(&self.results(), MACHINE)))
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Finished {
    /// # Errors
    /// When the exit code is another one: everything the program said.
    pub fn expect(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == Some(code),
            "exit code {:?} instead of {code}\n{}",
            self.code,
            self.said()
        );
        Ok(self)
    }

    pub fn said(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr)
    }
}

/// The workspace that these tests belong to.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The projects that may have made already what a sandbox can take over.
fn known() -> [PathBuf; 2] {
    [workspace(), folder().join(crate::chain::NAME)]
}

/// Where the sandboxes lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab")
}

/// Every file below `folder`, as paths relative to it, sorted.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Gives what a test process under sudo has made to the user who called it.
pub fn give_to_the_caller() {
    let Ok(owner) = fs::metadata(env!("CARGO_TARGET_TMPDIR")) else {
        return;
    };
    if owner.uid() != 0 {
        give(&folder(), owner.uid(), owner.gid());
    }
}

/// Best effort: who cannot give files away owns them already.
pub fn give(path: &Path, uid: u32, gid: u32) {
    let _ = lchown(path, Some(uid), Some(gid));
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            give(&entry.path(), uid, gid);
        }
    }
}

/// Links a file or folder; copies it where it lies on another file system.
fn link(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            link(&entry.path(), &to.join(entry.file_name()))
        });
    }
    fs::create_dir_all(to.parent().context("a file needs a folder")?)?;
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Copies sources: what git leaves out is left out, too.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            if entry.file_name() == "target" {
                return Ok(());
            }
            copy(&entry.path(), &to.join(entry.file_name()))
        });
    }
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {}", from.display()))
}

/// What a sandbox has from the last time.
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["target", "bases", "toolchain"].contains(&&*name) || name.starts_with("engine-")
}

/// When a base was finished.
fn made_at(base: &Path) -> Option<SystemTime> {
    fs::metadata(base.join("base.json")).ok()?.modified().ok()
}

/// Removes whatever lies at `path`, if anything does.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}
