//! What one variant more, or one that fails, means for the others.

use anyhow::{Context, Result, ensure};
use xtask::record::cell::ErrorWord;

use crate::{
    chain,
    sandbox::{Sandbox, remove},
    tiny,
};

pub fn a_new_variant_moves_no_other() -> Result<()> {
    let sandbox = tiny::sandbox("variants")?;
    tiny::add(&sandbox, "at-once", &tiny::dockerfile(""))?;
    sandbox.run(&["size"])?.expect(0)?;
    let before = exact(&sandbox)?;

    // A line that BuildKit itself would fetch an image for.
    let asking = "# syntax=docker/dockerfile:1\n".to_owned();
    let later = asking + &tiny::dockerfile("listen_after_ms=1");
    tiny::add(&sandbox, "later", &later)?;
    let run = sandbox.run(&["size"])?.expect(0)?;
    let note =
        "tiny/later: `# syntax=docker/dockerfile:1` is served by the engine's built-in frontend";
    ensure!(run.stderr.contains(note), "{}", run.said());
    let after = exact(&sandbox)?;
    for (before, after) in before.iter().zip(&after) {
        // Sorted by name, the new row comes last.
        let new = after
            .strip_prefix(before.as_str())
            .with_context(|| format!("older rows moved:\n{before}\nbecame\n{after}"))?;
        ensure!(new.starts_with("tiny,later,"), "the new rows are\n{new}");
    }
    ensure!(sandbox.sizes()?.rows().count() == 2, "{}", after[0]);

    let before = chain::state(&sandbox)?;
    let suite = "experiments/tiny/suite.toml";
    let reworded = sandbox.read(suite)?.replace("A test needs it.", "Because.");
    sandbox.write(suite, reworded)?;
    let run = sandbox.run(&["size"])?.expect(0)?;
    ensure!(run.stdout.contains("nothing was written"), "{}", run.said());
    let moved = chain::differences(&before, &chain::state(&sandbox)?);
    ensure!(moved == [sandbox.path(suite)], "it moved {moved:?}");
    the_workspaces_own_dependencies_move_nothing(&sandbox)?;
    what_is_lost_beside_the_sizes_comes_back(&sandbox)
}

fn what_is_lost_beside_the_sizes_comes_back(sandbox: &Sandbox) -> Result<()> {
    let before = exact(sandbox)?;
    for name in ["layers", "files"] {
        let file = format!("results/{name}.csv");
        remove(&sandbox.path(&file))?;
        let run = sandbox.run(&["size"])?.expect(0)?;
        ensure!(
            run.stdout.ends_with(&format!("wrote {file}\n")),
            "{}",
            run.said()
        );
    }
    // What BuildKit packed is remembered beside the image.
    let after = exact(sandbox)?;
    ensure!(before == after, "{before:#?}\nbecame\n{after:#?}");
    Ok(())
}

fn exact(sandbox: &Sandbox) -> Result<[String; 3]> {
    Ok([
        sandbox.read("results/sizes.csv")?,
        sandbox.read("results/layers.csv")?,
        sandbox.read("results/files.csv")?,
    ])
}

/// What does not repeat is said with the path, and has no digest.
pub fn a_build_that_writes_the_time_is_not_reproducible() -> Result<()> {
    let sandbox = tiny::sandbox("stamped")?;
    tiny::add(&sandbox, "plain", &tiny::dockerfile(""))?;
    tiny::add(&sandbox, "stamped", &tiny::stamped_dockerfile())?;
    sandbox.run(&["size"])?.expect(0)?;
    let sizes = sandbox.sizes()?;
    let of = |name: &str| {
        let row = sizes.rows().find(|row| row.variant == name);
        row.map(|row| (row.reproducible, row.digest.is_some()))
    };
    ensure!(
        of("plain") == Some((Some(true), true)) && of("stamped") == Some((Some(false), false)),
        "{}",
        sizes.text()
    );
    let log = sandbox.read("target/lab/logs/tiny-stamped.reproducible.log")?;
    ensure!(log.contains("/stamp: content"), "the log says\n{log}");
    Ok(())
}

/// Sources of other programs in the same checkout are no part of any image.
fn the_workspaces_own_dependencies_move_nothing(sandbox: &Sandbox) -> Result<()> {
    for (path, text) in [
        (
            "Cargo.lock",
            "[[package]]\nname = \"hyper\"\nversion = \"9.9.9\"\n",
        ),
        ("xtask/Cargo.toml", "[dependencies]\nhyper = \"9\"\n"),
    ] {
        sandbox.write(path, text)?;
    }
    let run = sandbox.run(&["size"])?.expect(0)?;
    ensure!(run.stdout.contains("nothing was written"), "{}", run.said());
    Ok(())
}

pub fn a_failing_variant_is_a_row() -> Result<()> {
    let sandbox = tiny::sandbox("failing")?;
    tiny::add(&sandbox, "good", &tiny::dockerfile(""))?;
    let broken = tiny::dockerfile("answer=exit").replace("CMD", "RUN");
    tiny::add(&sandbox, "broken", &broken)?;
    let run = sandbox.run(&["size"])?.expect(1)?;
    ensure!(
        run.stderr.contains("1 of 2 variants failed"),
        "{}",
        run.said()
    );
    let log = sandbox.read("target/lab/logs/tiny-broken.build.log")?;
    ensure!(log.contains("exit code: 3"), "the log says\n{log}");
    let sizes = sandbox.sizes()?;
    let row = |name: &str| {
        let mut rows = sizes.rows();
        rows.find(|row| row.variant == name)
            .with_context(|| format!("{name} has no row"))
    };
    let (good, broken) = (row("good")?, row("broken")?);
    ensure!(
        good.error.is_none() && good.transfer_bytes > Some(0),
        "{good:?}"
    );
    ensure!(
        broken.error == Some(ErrorWord::BuildFailed) && broken.transfer_bytes.is_none(),
        "{broken:?}"
    );
    Ok(())
}
