//! Where each file of `results/` lies.

use std::path::{Path, PathBuf};

pub fn sizes(results: &Path) -> PathBuf {
    results.join("sizes.csv")
}

pub fn layers(results: &Path) -> PathBuf {
    results.join("layers.csv")
}

pub fn files(results: &Path) -> PathBuf {
    results.join("files.csv")
}

pub fn bases(results: &Path) -> PathBuf {
    results.join("bases.csv")
}

pub fn capabilities(results: &Path) -> PathBuf {
    results.join("capabilities.csv")
}

pub fn cost(results: &Path) -> PathBuf {
    results.join("cost.csv")
}

/// The timings of one machine; the functions below take this folder.
pub fn machine(results: &Path, name: &str) -> PathBuf {
    results.join(name)
}

pub fn environment(machine: &Path) -> PathBuf {
    machine.join("environment.csv")
}

pub fn node(machine: &Path) -> PathBuf {
    machine.join("node.csv")
}

pub fn start(machine: &Path) -> PathBuf {
    machine.join("start.csv")
}

/// The folder of what `selftest` found on the machine.
pub fn selftest(machine: &Path) -> PathBuf {
    machine.join("selftest")
}

pub fn proofs(machine: &Path) -> PathBuf {
    selftest(machine).join("proofs.csv")
}

pub fn limits(machine: &Path) -> PathBuf {
    machine.join("limits.csv")
}

pub fn samples_folder(machine: &Path) -> PathBuf {
    machine.join("samples")
}

/// The samples of one session of a suite and profile.
pub fn samples(machine: &Path, suite: &str, profile: &str, session: &str) -> PathBuf {
    samples_folder(machine).join(format!("{suite}-{profile}-{session}.csv"))
}

/// The session that a samples file is named after; `None` for other files.
pub fn session_of_samples(path: &Path) -> Option<&str> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".csv")?;
    stem.rsplit_once('-').map(|(_, session)| session)
}
