//! Ctrl-C: everything of ours ends at once, because the lab cannot outlive this
//! process; what is left to do is to say what was kept.

use std::{io::Write as _, sync::Mutex};

use anyhow::Result;

/// The shell's convention for a program that a SIGINT ended.
pub const EXIT_CODE: i32 = 130;

static KEPT: Mutex<String> = Mutex::new(String::new());

/// Handles SIGINT, SIGTERM and SIGHUP from now on.
pub fn install() -> Result<()> {
    ctrlc::set_handler(leave)?;
    Ok(())
}

/// Replaces the sentence that an interrupted run ends with.
pub fn keeps(what: impl Into<String>) {
    *KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = what.into();
}

/// Ends this process, and by that the lab, with the last line a person reads.
pub fn leave() {
    let kept = KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let kept = if kept.is_empty() {
        "nothing had been written yet"
    } else {
        kept.as_str()
    };
    let _ = writeln!(
        std::io::stderr(),
        "\nstopped; {kept}; the same command goes on from here"
    );
    std::process::exit(EXIT_CODE)
}
