//! The witness: a static program that the engine runs in a container of the
//! image, in the place of its service, with the image's own files, environment
//! and user. Its sources are in `inside`.

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Finding, exit_code, in_container};
use crate::{
    clock::MonoNs,
    digest::Digest,
    engine::{Client, Guest, LabEngine, Scratch, Setting},
    files,
    measure::visit::Invalid,
    project::Project,
    record::{
        cell::{Answer, Capability, Cell as _},
        exact::one_line,
    },
    static_program,
};

const SOURCES: [(&str, &str); 7] = [
    ("main.rs", include_str!("inside/main.rs")),
    ("mod.rs", include_str!("inside/mod.rs")),
    ("certificates.rs", include_str!("inside/certificates.rs")),
    ("names.rs", include_str!("inside/names.rs")),
    ("programs.rs", include_str!("inside/programs.rs")),
    ("users.rs", include_str!("inside/users.rs")),
    ("zone.rs", include_str!("inside/zone.rs")),
];

/// The identity of what the witness asks: another source may ask otherwise.
pub fn questions_id() -> Digest {
    id_of(&SOURCES)
}

/// Without the compiler: it moves the program's bytes and no answer.
fn id_of(sources: &[(&str, &str)]) -> Digest {
    let files = sources.iter();
    let files: String = files
        .map(|(name, text)| format!("{name} {}\n", Digest::of(text)))
        .collect();
    Digest::of(files)
}

const PROGRAM: &str = "witness";
/// Where a container sees it: no image has that name, and nothing is covered.
const PLACE: &str = "/.base-image-cost-witness";

/// The name that the witness looks up in the hosts file.
const IN_HOSTS: (&str, Ipv4Addr) = ("in-hosts.test", Ipv4Addr::new(192, 0, 2, 1));

/// It starts a dozen small programs; two lookups may wait for a server in vain.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The program, where an engine can bring it into containers.
pub struct Witness {
    scratch: Scratch,
}

impl Witness {
    /// Compiles it and puts it beside the engine's images.
    ///
    /// # Errors
    /// When rustc is missing or cannot link statically: its own words.
    pub fn call(project: &Project, subject: &LabEngine) -> Result<Self> {
        let program = static_program::compile(&project.lab().join(PROGRAM), &SOURCES)?;
        let scratch = subject.scratch(PROGRAM)?;
        let path = scratch.outside().join(PROGRAM);
        files::write_atomic(&path, program)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
        Ok(Self { scratch })
    }

    /// What it finds in the image.
    ///
    /// # Errors
    /// When it cannot be run there, or does not come to its end.
    pub fn findings(&self, client: &Client, image: &str) -> Result<Vec<Finding>, Invalid> {
        in_container(client, image, &self.setting(), |container| {
            said(client, container)
                .and_then(|said| said.lines().map(finding).collect())
                .map_err(Invalid::because("probe_failed"))
        })
    }

    fn setting(&self) -> Setting {
        Setting {
            guest: Some(Guest {
                file: self.scratch.inside().join(PROGRAM),
                at: PLACE.to_owned(),
                dns: Ipv4Addr::LOCALHOST,
                host: (IN_HOSTS.0.to_owned(), IN_HOSTS.1),
            }),
            ..Setting::default()
        }
    }
}

fn said(client: &Client, container: &str) -> Result<String> {
    client.start(container)?;
    let code = exit_code(client, container, MonoNs::now() + TIMEOUT)?;
    let seconds = TIMEOUT.as_secs();
    let code = code.with_context(|| format!("the witness is not done after {seconds} s"))?;
    ensure!(code == 0, "the witness ended with exit code {code}");
    client.output(container)
}

/// A line: capability, answer and detail. Parts of the detail come out of the
/// image, so they are cut to what a cell may hold.
fn finding(line: &str) -> Result<Finding> {
    let parts: Vec<&str> = line.splitn(3, '\t').collect();
    let [capability, answer, detail] = parts.as_slice() else {
        anyhow::bail!("the witness said `{line}`");
    };
    let unknown = || format!("the witness said `{line}`");
    let printable = detail.replace(char::is_control, " ");
    Ok(Finding {
        capability: Capability::parse(capability).with_context(unknown)?,
        answer: Answer::parse(answer).with_context(unknown)?,
        detail: one_line(&printable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::inside;

    #[test]
    fn a_line_is_a_finding() {
        let of = |line| finding(line).unwrap();
        let yes = of("shell\tyes\t/bin/sh is dash");
        assert_eq!(
            yes,
            Finding::yes_if(true, Capability::Shell, "/bin/sh is dash")
        );
        let no = of("package_manager\tno\t");
        assert_eq!(no, Finding::yes_if(false, Capability::PackageManager, ""));
        // An image may write whatever it likes into its files.
        let odd = of(&format!("dns\tunknown\ta\t\u{1b}[1m{}", "b".repeat(500)));
        assert!(odd.detail.starts_with("a [1mbbb") && odd.detail.chars().count() == 80);
        for line in ["", "shell\tyes", "shell\tmaybe\t", "soul\tyes\t"] {
            assert!(finding(line).is_err(), "{line}");
        }
    }

    #[test]
    fn it_asks_what_there_are_words_for() {
        for (capability, _) in inside::QUESTIONS {
            assert!(Capability::parse(capability).is_some(), "{capability}");
        }
        assert_eq!(inside::names::IN_HOSTS, IN_HOSTS);
    }

    #[test]
    fn another_source_is_another_question() {
        let mut sources = SOURCES;
        assert_eq!(id_of(&sources), questions_id());
        for at in 0..SOURCES.len() {
            sources[at].1 = "fn main() {}";
            assert_ne!(id_of(&sources), questions_id(), "{}", sources[at].0);
            sources = SOURCES;
        }
    }

    #[test]
    fn every_source_is_compiled_with_it() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/capability/inside");
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut named = SOURCES.map(|(name, _)| name);
        named.sort_unstable();
        assert_eq!(found, named);
    }
}
