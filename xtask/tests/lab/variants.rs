//! What one variant more, or one that fails, means for the others.

use anyhow::{Context, Result, ensure};
use xtask::record::cell::ErrorWord;

use crate::{chain, tiny};

pub fn a_new_variant_moves_no_other() -> Result<()> {
    let sandbox = tiny::sandbox("variants")?;
    tiny::add(&sandbox, "at-once", &tiny::dockerfile(""))?;
    sandbox.run(&["size"])?.expect(0)?;
    let before = (
        sandbox.read("results/sizes.csv")?,
        sandbox.read("results/layers.csv")?,
    );

    tiny::add(&sandbox, "later", &tiny::dockerfile("listen_after_ms=1"))?;
    sandbox.run(&["size"])?.expect(0)?;
    let after = (
        sandbox.read("results/sizes.csv")?,
        sandbox.read("results/layers.csv")?,
    );
    for (before, after) in [(&before.0, &after.0), (&before.1, &after.1)] {
        // Sorted by name, the new row comes last.
        let new = after
            .strip_prefix(before.as_str())
            .with_context(|| format!("older rows moved:\n{before}\nbecame\n{after}"))?;
        ensure!(new.starts_with("tiny,later,"), "the new rows are\n{new}");
    }
    ensure!(sandbox.sizes()?.rows().count() == 2, "{}", after.0);

    let before = chain::state(&sandbox)?;
    let suite = "experiments/tiny/suite.toml";
    let reworded = sandbox.read(suite)?.replace("A test needs it.", "Because.");
    sandbox.write(suite, reworded)?;
    let run = sandbox.run(&["size"])?.expect(0)?;
    ensure!(run.stdout.contains("nothing was written"), "{}", run.said());
    let moved = chain::differences(&before, &chain::state(&sandbox)?);
    ensure!(moved == [sandbox.path(suite)], "it moved {moved:?}");
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
