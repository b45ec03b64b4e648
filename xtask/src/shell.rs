//! The one place that starts programs, so that each of them has its output
//! kept, its failure explained, and no way to outlive us unseen.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::files;

/// How many lines of a failed program's log an error repeats.
const LOG_TAIL_LINES: usize = 12;

/// A server that is not ready after this long never will be.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A command in a process group of its own: a Ctrl-C at the terminal reaches
/// xtask alone, which then decides how its children end.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// A command that ends when we do, however that goes: for programs that no
/// namespace holds. The kernel watches the thread that starts it, so that must
/// be one that lasts.
pub fn tied(program: impl AsRef<OsStr>) -> Command {
    if !cfg!(target_os = "linux") {
        return command(program);
    }
    let mut tied = command("setpriv");
    tied.args(["--pdeathsig", "KILL"]).arg(program);
    tied
}

/// Starts `command`.
///
/// # Errors
/// Names the program when it cannot be started, and the package when it is
/// missing.
pub fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .with_context(|| format!("cannot start `{program}`; is it installed and in PATH?"))
}

/// Runs `command` to its end with everything it prints appended to `log`.
///
/// # Errors
/// When it exits with a failure: the last lines of the log, and where it lies.
pub fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = files::append(log)?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = spawn(command)?.wait()?;
    explain(status, command, log)
}

/// Runs `command` and returns what it printed to standard output, trimmed.
pub fn read(command: &mut Command) -> Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawn(command)?.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits until a server that was started is `ready`, which takes a fraction of a
/// second, or seconds.
///
/// # Errors
/// When it has `ended`, or is not ready in a minute (it is then `silent`): the
/// end of its log.
pub fn wait_until(
    server: &str,
    silent: &str,
    log: &Path,
    mut ended: impl FnMut() -> Result<bool>,
    ready: impl Fn() -> bool,
) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while !ready() {
        let ended = ended()?;
        if ended || Instant::now() > deadline {
            let what = if ended { "ended" } else { silent };
            bail!(
                "{server} {what}:\n{}\nnote: full log in {}",
                tail(log),
                log.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// git in the checkout at `root`, without its optional locks: it only reads.
pub fn git(root: &Path, arguments: &[&str]) -> Command {
    let mut git = command("git");
    git.args(["--no-optional-locks", "-C"])
        .arg(root)
        // The checkout may belong to the user who called sudo.
        .args(["-c", "safe.directory=*"])
        .args(arguments);
    git
}

/// The commit that a revision stands for, whole; none where git knows none.
pub fn commit(root: &Path, revision: &str) -> Option<String> {
    let peeled = format!("{revision}^{{commit}}");
    let arguments = [
        "rev-parse",
        "--quiet",
        "--verify",
        "--end-of-options",
        &peeled,
    ];
    read(&mut git(root, &arguments)).ok()
}

/// A shell for short commands of the host's own tools, written with
/// `xshell::cmd!`.
pub fn shell() -> Result<xshell::Shell> {
    xshell::Shell::new().context("cannot see the current folder")
}

/// `Ok` for success, else an error that quotes the end of `log`.
pub fn explain(status: ExitStatus, command: &Command, log: &Path) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!(
        "`{}` failed ({status}):\n{}\nnote: full log in {}",
        shown(command),
        tail(log),
        log.display()
    )
}

/// The last lines of a log, for an error message.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// The caller's HTTP proxies, which downloads inside the lab need as well.
pub fn proxies() -> Vec<(String, String)> {
    let names = [
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// Where `program` lies in PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    // Debian keeps tools such as chroot in sbin, which a normal user's PATH
    // leaves out.
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A command as a person would read it: its words, separated by spaces.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_the_log_and_says_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let error =
            run_logged(command("sh").args(["-c", "echo why >&2; exit 3"]), &log).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("why") && text.contains("exit status: 3"),
            "{text}"
        );
        assert!(text.contains(log.to_str().unwrap()), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = read(&mut command("no-such-program")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program"));
    }
}
