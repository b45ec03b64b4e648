//! Whether this machine can run the lab, and what keeps it from that.

use std::process::{Command, Stdio};

use xtask::{
    doctor::{Facts, Missing},
    elevate,
    engine::rootfs,
    project::Project,
    shell,
};

use crate::{
    sandbox::{folder, workspace},
    user,
};

/// What keeps this machine from running tests.
pub struct Ability {
    lab: Option<String>,
    user: Option<String>,
}

impl Ability {
    pub fn of_this_machine() -> Self {
        let mut lab = match Project::at(&workspace()) {
            Ok(project) => missing(&project),
            Err(error) => vec![format!("{error:#}")],
        };
        if lab.is_empty() && !elevate::is_root() && !sudo_works() {
            lab.push("the lab engine needs root, and sudo asks for a password".to_owned());
        }
        let absent: Vec<_> = ["useradd", "userdel", "runuser"]
            .into_iter()
            .chain((!can_install()).then_some("sudo"))
            .filter(|program| shell::find(program).is_none())
            .collect();
        Self {
            lab: (!lab.is_empty()).then(|| lab.join("; ")),
            user: (!absent.is_empty()).then(|| format!("no {}", absent.join(", no "))),
        }
    }

    /// Whether the tests can run, but not as this user.
    pub fn needs_sudo(&self) -> bool {
        self.lab.is_none() && !elevate::is_root()
    }

    pub fn hindrance(&self, test: &str) -> Option<String> {
        let of_user = self.user.clone().filter(|_| test == user::NAME);
        self.lab.clone().or(of_user)
    }
}

/// What doctor misses. A CI machine is nobody's, so it gets what it lacks.
fn missing(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    if can_install() && !rootfs::has_mmdebstrap() {
        let log = folder().join("host-packages.log");
        let installed = rootfs::install_mmdebstrap(&log);
        found.extend(installed.err().map(|error| format!("{error:#}")));
    }
    let missing = Facts::of(project, None).missing().into_iter();
    found.extend(missing.map(|Missing { what, mend }| format!("{what} (mend: {mend})")));
    found
}

/// Under CI a test that does not run is a failure.
pub fn everything_must_run() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn can_install() -> bool {
    everything_must_run() && elevate::is_root() && shell::find("apt-get").is_some()
}

/// Whether sudo works without a password.
fn sudo_works() -> bool {
    Command::new("sudo")
        .args(["--non-interactive", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
