//! The lab engine needs root. A normal user's command runs itself once more
//! through sudo, says so first, and ends it when it ends.

use std::{
    io::{self, Read as _},
    process::{ChildStdin, Command, ExitCode, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};

use crate::{interrupt, shell};

/// Marks the process that sudo runs: its standard input is the tether to the
/// one outside.
pub const TETHERED: &str = "--tethered";

/// What the inner process needs of the caller's environment, which sudo drops:
/// where their tools are, and what they asked for.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSL_CERT_FILE",
    "BASE_ARCHIVES",
    "CI",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "TERM",
    "COLUMNS",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "DOCKER_HOST",
    "RUST_BACKTRACE",
    "XTASK_LOG",
];

/// Held while the inner process may live.
fn tether() -> MutexGuard<'static, Option<ChildStdin>> {
    static TETHER: Mutex<Option<ChildStdin>> = Mutex::new(None);
    TETHER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process may make the lab itself.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs this very command through sudo and waits for it.
///
/// # Errors
/// When there is no sudo, with what to do instead.
pub fn rerun_through_sudo() -> Result<ExitCode> {
    if shell::find("sudo").is_none() {
        bail!(
            "the lab engine needs root and this machine has no sudo; run the same command as root"
        );
    }
    let program = std::env::current_exe().context("cannot find our own program file")?;
    eprintln!(
        "the lab engine needs root: running this command through sudo; what it writes stays yours"
    );
    let passed = PASSED_ON
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    // In our own process group, unlike every other child: sudo asks for the
    // password at the terminal, and only the foreground group may read there.
    let mut command = Command::new("sudo");
    command
        .args(["--", "/usr/bin/env"])
        .args(passed)
        .arg(program)
        .arg(TETHERED)
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::piped());
    let mut child = shell::spawn(&mut command)?;
    *tether() = child.stdin.take();
    // Without its tether the inner process leaves, and it has the last word.
    ctrlc::set_handler(|| drop(tether().take()))?;
    let status = child.wait()?;
    Ok(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// In the process that sudo runs: leaves when the one outside is gone, however
/// it went.
pub fn follow_the_tether() {
    std::thread::spawn(|| {
        let mut byte = [0; 1];
        while matches!(io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        interrupt::leave();
    });
}
