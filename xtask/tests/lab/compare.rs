//! Two revisions, built and measured side by side.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    sandbox::Sandbox,
    tiny::{self, BIG_BYTES},
};

/// A verdict on one digest under two names is wrong once in some fifty times;
/// twice in a row is a bug.
const TRIES: u32 = 2;

/// A file more is found in what has to be transferred and pulled, and nowhere
/// else; the same version twice is found nowhere.
pub fn it_finds_what_is_there_and_nothing_else() -> Result<()> {
    let sandbox = tiny::sandbox("compare")?;
    tiny::add(&sandbox, "plain", &tiny::dockerfile(""))?;
    commit(&sandbox)?;

    let run = sandbox.run(&["compare", "HEAD"])?.expect(0)?;
    ensure!(
        run.stdout.contains("the same to the byte"),
        "{}",
        run.said()
    );

    let twice = ["compare", "HEAD", "HEAD", "--all"];
    let unflagged = |json: &Value| flagged(json).is_empty();
    within_tries(&sandbox, &twice, 0, unflagged)?;

    tiny::add_big_file(&sandbox)?;
    tiny::set(&sandbox, "plain", &tiny::big_dockerfile())?;
    let only_the_pull = |json: &Value| flagged(json) == ["pull worse", "node_cold worse"];
    let strict = ["compare", "HEAD", "--fail-on-worse"];
    let json = within_tries(&sandbox, &strict, 1, only_the_pull)?;
    let weight = &json["weights"][0];
    let bytes = |side: &str| weight[side].as_u64().context("a weight is a number");
    let more = bytes("head_transfer_bytes")? - bytes("base_transfer_bytes")?;
    // Noise does not pack: the file, and what its headers take.
    ensure!(
        more.abs_diff(BIG_BYTES as u64) < 100_000,
        "it weighs {more} more"
    );

    let run = sandbox.run(&["compare", "no-such-branch"])?.expect(1)?;
    ensure!(
        run.stderr
            .contains("git knows no revision `no-such-branch`"),
        "{}",
        run.said()
    );
    Ok(())
}

fn commit(sandbox: &Sandbox) -> Result<()> {
    sandbox.write(".gitignore", "target\n")?;
    for words in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "--message", "A version"],
    ] {
        let status = Command::new("git")
            .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
            .args(["-c", "safe.directory=*"])
            .args(words)
            .current_dir(sandbox.root())
            .status()?;
        ensure!(status.success(), "git {words:?} failed");
    }
    Ok(())
}

/// Compares until `holds`, as JSON, whatever else the machine does meanwhile, and
/// leaves with `code` then.
fn within_tries(
    sandbox: &Sandbox,
    words: &[&str],
    code: i32,
    holds: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let mut json = Value::Null;
    for _ in 0..TRIES {
        let words = [words, &["--format", "json", "--allow-noisy"]].concat();
        let run = sandbox.run(&words)?;
        json = serde_json::from_str(&run.stdout).with_context(|| run.said())?;
        ensure!(
            json["findings"].as_array().map(Vec::len) == Some(4),
            "{json:#}"
        );
        if holds(&json) {
            run.expect(code)?;
            return Ok(json);
        }
    }
    anyhow::bail!("{TRIES} comparisons in a row say:\n{json:#}")
}

/// The times that are said to have moved, with the verdict.
fn flagged(json: &Value) -> Vec<String> {
    let findings = json["findings"].as_array().into_iter().flatten();
    findings
        .map(|it| (it["time"].as_str(), it["verdict"].as_str()))
        .filter_map(|(time, verdict)| time.zip(verdict))
        .filter(|(_, verdict)| matches!(*verdict, "worse" | "better"))
        .map(|(time, verdict)| format!("{time} {verdict}"))
        .collect()
}
