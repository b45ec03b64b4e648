//! The smaller commands.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use xtask::engine::Lock;

use crate::{
    sandbox::{Finished, Sandbox},
    tiny,
};

pub fn doctor_says_ready() -> Result<()> {
    let run = Sandbox::new("doctor")?.run(&["doctor"])?.expect(0)?;
    ensure!(run.stdout.starts_with("ready: Docker "), "{}", run.said());
    Ok(())
}

pub fn a_held_lab_names_its_holder() -> Result<()> {
    let sandbox = tiny::sandbox("held")?;
    tiny::add(&sandbox, "variant", &tiny::dockerfile(""))?;
    let held = Lock::take(&sandbox.project()?, false, |_| ())?;
    let holder = format!("process {}", std::process::id());
    for words in [&["run-all", "--no-wait"][..], &["clean"]] {
        let run = sandbox.run(words)?.expect(1)?;
        ensure!(run.stderr.contains(&holder), "{words:?}: {}", run.said());
    }
    ensure!(
        sandbox.path("target/lab/lock").is_file(),
        "clean removed it"
    );
    drop(held);
    sandbox.run(&["clean"])?.expect(0)?;
    ensure!(!sandbox.path("target/lab").exists(), "clean left it");
    Ok(())
}

/// Mounts something at `$2`, runs the rest of its words, and leaves with 99 when
/// a file below the mount has gone.
const MOUNTED: &str = r#"at=$2
mount $1 "$at" && touch "$at/kept" || exit 98
shift 2
"$@"
code=$?
[ -e "$at/kept" ] || exit 99
exit $code"#;

/// Neither a file system of its own nor a folder of the same one, which has the
/// same device, is emptied; both are mounted for the run alone.
pub fn clean_never_crosses_a_mount() -> Result<()> {
    let sandbox = Sandbox::new("mounted")?;
    let theirs = sandbox.path("theirs");
    fs::create_dir_all(&theirs)?;
    let at = sandbox.path("target/lab/data/mounted");
    fs::create_dir_all(&at)?;
    let bind = format!("--bind {}", theirs.display());
    for what in ["-t tmpfs none", &*bind] {
        let clean = sandbox.xtask(&["clean"]);
        let mut mounted = Command::new("unshare");
        mounted
            .args(["--mount", "--propagation", "private", "sh", "-c", MOUNTED])
            .args(["sh", what])
            .arg(&at)
            .arg(clean.get_program())
            .args(clean.get_args())
            .stdin(Stdio::null());
        let run = Finished::from(mounted.output()?).expect(1)?;
        for words in [
            "/target/lab/data/mounted is a mount point",
            "mend: sudo umount /",
        ] {
            ensure!(run.stderr.contains(words), "{what}: {}", run.said());
        }
        ensure!(at.is_dir(), "{what}: something was removed");
    }
    ensure!(theirs.join("kept").is_file(), "the folder was emptied");
    Ok(())
}
