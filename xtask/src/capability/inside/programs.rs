//! Programs of the image, tried by running them.

use std::{fs, path::Path, process::Command};

use super::Answer;

const SHELL: &str = "/bin/sh";

/// What installs packages on the distributions there are.
const PACKAGE_MANAGERS: [&str; 9] = [
    "apt-get", "dpkg", "apk", "dnf", "microdnf", "yum", "rpm", "zypper", "pacman",
];

/// Where a login shell looks; the image's own `PATH` may name fewer folders.
const FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

pub fn shell() -> Answer {
    match printed(SHELL, &["-c", "echo $((40 + 2))"]) {
        Some(text) if text == "42\n" => Answer::yes(shell_name()),
        Some(_) => Answer::no(format!("{SHELL} does not calculate")),
        None => Answer::no(format!("{SHELL} does not run")),
    }
}

/// The file behind the name, as `dash` or `busybox`.
fn shell_name() -> String {
    let file = fs::canonicalize(SHELL).ok();
    let name = file.as_deref().and_then(|path| path.file_name());
    let name = name.map_or(SHELL.into(), |name| name.to_string_lossy());
    format!("{SHELL} is {name}")
}

pub fn package_manager() -> Answer {
    let runs = |name: &&str| printed(name, &["--version"]).is_some();
    let running: Vec<&str> = PACKAGE_MANAGERS.into_iter().filter(|it| runs(it)).collect();
    match running.as_slice() {
        [] => Answer::no(""),
        names => Answer::yes(names.join(", ")),
    }
}

/// What a program printed that ended well.
fn printed(program: &str, words: &[&str]) -> Option<String> {
    let said = said(program, words)?;
    said.ended_well.then_some(said.text)
}

/// How a program ended, and what it printed.
pub struct Said {
    ended_well: bool,
    pub text: String,
}

/// None where it can be started neither from `PATH` nor from the usual folders.
pub fn said(program: &str, words: &[&str]) -> Option<Said> {
    let by_name = run(Path::new(program), words);
    by_name.or_else(|| said_from(&FOLDERS, program, words))
}

fn said_from(folders: &[&str], program: &str, words: &[&str]) -> Option<Said> {
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(program));
    paths.find_map(|path| run(&path, words))
}

fn run(program: &Path, words: &[&str]) -> Option<Said> {
    let output = Command::new(program).args(words).output().ok()?;
    Some(Said {
        ended_well: output.status.success(),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_counts_that_runs_and_ends_well() {
        assert_eq!(printed(SHELL, &["-c", "echo a"]), Some("a\n".to_owned()));
        assert_eq!(printed(SHELL, &["-c", "echo a; exit 1"]), None);
        assert_eq!(printed("no-such-program", &[]), None);
    }

    #[test]
    fn the_usual_folders_are_tried_one_by_one() {
        let said = said_from(&["/no/such/folder", "/bin"], "sh", &["-c", "echo a"]);
        assert_eq!(said.map(|said| said.text), Some("a\n".to_owned()));
        assert!(said_from(&["/no/such/folder"], "sh", &[]).is_none());
        assert!(said_from(&FOLDERS, "sh", &["-c", ""]).is_some());
    }

    #[test]
    fn the_shell_of_this_machine_calculates() {
        let said = shell().to_string();
        assert!(said.starts_with("yes\t/bin/sh is "), "{said}");
    }
}
