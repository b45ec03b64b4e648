//! Small programs of ours that run in containers: one static file each, compiled
//! by the toolchain that runs xtask, so that no image has to bring anything.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{files, shell};

/// Compiles the first of `sources`, each a file's name and its text, in a folder
/// of its own below `folder`: the program's bytes.
///
/// # Errors
/// When rustc is missing or cannot link statically: its own words.
pub fn compile(folder: &Path, sources: &[(&str, &str)]) -> Result<Vec<u8>> {
    files::create_dir_all(folder)?;
    let scratch = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempdir_in(folder)?;
    for (name, text) in sources {
        files::write_atomic(&scratch.path().join(name), text)?;
    }
    let (main, _) = sources.first().context("a program has a source")?;
    let (main, program) = (scratch.path().join(main), scratch.path().join("program"));
    let sh = shell::shell()?;
    let options = [
        "--edition=2024",
        "-Copt-level=2",
        "-Cpanic=abort",
        "-Cstrip=symbols",
        "-Ctarget-feature=+crt-static",
    ];
    cmd!(sh, "rustc {options...} -o {program} {main}")
        .quiet()
        .run()
        .with_context(|| format!("cannot compile {}", main.display()))?;
    fs::read(&program).with_context(|| format!("cannot read {}", program.display()))
}
