//! The smaller commands.

use anyhow::{Result, ensure};
use xtask::engine::Lock;

use crate::{sandbox::Sandbox, tiny};

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
