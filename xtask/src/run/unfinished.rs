//! A session that was broken off, and going on with it.
//!
//! Its samples lie in `target/lab/sessions` until it is over: under `results/`
//! rows that nobody has summarised would only confuse. Times compare within one
//! session, so it goes on only where nothing has changed that they depend on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{state::State, timings::cells};
use crate::{
    digest::Digest,
    engine::HostEngine,
    files,
    measure::{protocol::Depth, scenario::Probe},
    progress::Progress,
    record::{machine::Session, session::Unit, table::Table, timings::SampleRow},
};

/// What a session's times depend on, and its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    session: String,
    seed: u64,
    started_unix_s: u64,
    conditions: Conditions,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Conditions {
    /// A restarted machine is another one: its memory, its clock, its neighbours.
    boot_id: String,
    program: String,
    /// Where it is reached; the lab's engines are all alike.
    engine: String,
    depth: String,
    data_root_fs: String,
    /// `variant scenario inputs`, a line each.
    cells: Vec<String>,
}

impl Conditions {
    fn of(state: &State, unit: &Unit, depth: Depth) -> Result<Self> {
        let (node, start) = cells(state, unit);
        let cells = node.iter().chain(&start);
        let program = std::env::current_exe().context("cannot tell where this program lies")?;
        let (program, _) = Digest::of_reader(fs::File::open(program)?)?;
        Ok(Self {
            boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            program: program.short(),
            engine: match state.probe() {
                Probe::Namespace => "lab".to_owned(),
                Probe::PublishedPort => HostEngine::planned_endpoint(),
            },
            depth: format!("{depth:?}"),
            data_root_fs: unit.data_root_fs.clone(),
            cells: cells
                .map(|cell| format!("{} {} {}", cell.variant, cell.scenario, cell.inputs))
                .collect(),
        })
    }

    /// What keeps a session that began under these from going on under `now`.
    fn hindrance(&self, now: &Self) -> Option<&'static str> {
        if self.boot_id != now.boot_id {
            Some("the machine has restarted since")
        } else if self.program != now.program {
            Some("xtask itself has changed since")
        } else if self.engine != now.engine {
            Some("it was another engine")
        } else if self.depth != now.depth {
            Some("it was asked for another depth")
        } else if self.data_root_fs != now.data_root_fs {
            Some("the data root is on another file system now")
        } else if self.cells != now.cells {
            Some("the images have changed since")
        } else {
            None
        }
    }
}

/// The session of a unit, new or broken off, with its samples' file.
pub struct Unfinished {
    pub session: Session,
    /// What an earlier run has taken, in the order it was taken.
    pub kept: Vec<SampleRow>,
    /// As it is written on.
    pub samples: Table<SampleRow>,
    header: PathBuf,
}

impl Unfinished {
    /// The session that was broken off, if it may go on; else a new one.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn open(
        state: &State,
        unit: &Unit,
        depth: Depth,
        machine: &str,
        seed: Option<u64>,
        progress: &Progress,
    ) -> Result<Self> {
        let stem = state.project.lab().join("sessions").join(format!(
            "{}-{}-{}{}",
            unit.suite,
            unit.profile,
            unit.data_root_fs,
            state.probe().suffix()
        ));
        let (header, samples) = (stem.with_extension("json"), stem.with_extension("csv"));
        let now = Conditions::of(state, unit, depth)?;
        let name = format!("{} {}", unit.suite, unit.profile);
        if let Some(old) = read_header(&header) {
            match old.conditions.hindrance(&now) {
                None if seed.is_none_or(|seed| seed == old.seed) => {
                    let table = Table::<SampleRow>::load(&samples)?;
                    let kept: Vec<SampleRow> = table.rows().cloned().collect();
                    progress.note(format_args!(
                        "{name} goes on where it was stopped: {} samples of session {}",
                        kept.len(),
                        old.session
                    ));
                    return Ok(Self {
                        session: old.session(),
                        kept,
                        samples: table,
                        header,
                    });
                }
                None => progress.note(format_args!(
                    "{name} was stopped in a session of seed {}; with another one it begins anew",
                    old.seed
                )),
                Some(why) => progress.note(format_args!(
                    "{name} cannot go on where it was stopped, because {why}; it begins anew"
                )),
            }
        }
        let session = begin(machine, seed)?;
        let new = Header {
            session: session.id.clone(),
            seed: session.seed,
            started_unix_s: session.started.duration_since(UNIX_EPOCH)?.as_secs(),
            conditions: now,
        };
        remove(&samples)?;
        files::write_atomic(&header, serde_json::to_vec_pretty(&new)?)?;
        Ok(Self {
            session,
            kept: Vec::new(),
            samples: Table::empty(&samples),
            header,
        })
    }

    /// The samples are elsewhere now.
    pub fn forget(self) -> Result<()> {
        remove(self.samples.path())?;
        remove(&self.header)
    }

    /// Moves the samples of a session that is not to be recorded aside.
    pub fn put_aside(self) -> Result<PathBuf> {
        let name = format!("disturbed-{}.csv", self.session.id);
        let aside = self.samples.path().with_file_name(name);
        files::write_atomic(&aside, self.samples.text())?;
        self.forget()?;
        Ok(aside)
    }
}

impl Header {
    fn session(&self) -> Session {
        Session {
            id: self.session.clone(),
            seed: self.seed,
            started: UNIX_EPOCH + Duration::from_secs(self.started_unix_s),
        }
    }
}

/// A file that is no such header is as good as none: the session begins anew.
fn read_header(path: &Path) -> Option<Header> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// A session that starts now, of that seed or one from the clock.
pub fn begin(machine: &str, seed: Option<u64>) -> Result<Session> {
    let started = SystemTime::now();
    let now = started.duration_since(UNIX_EPOCH)?;
    Ok(Session::begin(
        machine,
        seed.unwrap_or(now.as_secs()),
        started,
    ))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        Conditions {
            boot_id: "b".to_owned(),
            program: "p".to_owned(),
            engine: "lab".to_owned(),
            depth: "Full".to_owned(),
            data_root_fs: "tmpfs".to_owned(),
            cells: vec!["scratch warm 0123".to_owned()],
        }
    }

    #[test]
    fn a_session_goes_on_only_where_nothing_has_changed() {
        let now = conditions();
        assert_eq!(now.hindrance(&conditions()), None);
        let changes: [fn(&mut Conditions); 6] = [
            |it| it.boot_id.push('2'),
            |it| it.program.push('2'),
            |it| it.engine = "unix:///run/docker.sock".to_owned(),
            |it| it.depth = "Quick".to_owned(),
            |it| it.data_root_fs = "ext4".to_owned(),
            |it| it.cells.clear(),
        ];
        let mut reasons: Vec<_> = changes
            .iter()
            .map(|change| {
                let mut old = conditions();
                change(&mut old);
                old.hindrance(&now).expect("it changed")
            })
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), changes.len(), "each says what it is");
    }
}
