//! What a machine must have before an engine can start on it. The facts are
//! gathered apart from what is said about them, so that every sentence can be
//! tested on a machine that lacks nothing.

use std::{fmt, fs, path::Path};

use super::is_optimised;
use crate::{
    bases::toolchain,
    elevate,
    engine::{MORE_ROOM, Room, rootfs},
    project::Project,
    run::LARGEST_IMAGE_BYTES,
    shell,
};

/// What the lab starts on the host itself.
const PROGRAMS: &[&str] = &["unshare", "nsenter"];

/// Something that keeps this machine from measuring.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub mend: String,
}

impl Missing {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, mend } = self;
        write!(f, "{what}\n  mend: {mend}")
    }
}

/// Everything that can be told without starting an engine.
#[derive(Clone, Debug)]
pub struct Facts {
    pub linux: bool,
    pub absent_programs: Vec<&'static str>,
    pub root: bool,
    pub sudo: bool,
    /// mmdebstrap, or what it would make.
    pub debian_root: bool,
    pub rust: bool,
    pub overlay: bool,
    pub cgroups: bool,
    /// None where it cannot be told.
    pub room: Option<Room>,
    pub optimised: bool,
}

impl Facts {
    /// The facts of this machine, for engines whose images lie in `data_root`,
    /// if that is chosen.
    pub fn of(project: &Project, data_root: Option<&Path>) -> Self {
        let programs = PROGRAMS.iter().copied();
        let lab = project.lab();
        Self {
            linux: cfg!(target_os = "linux"),
            absent_programs: programs
                .filter(|name| shell::find(name).is_none())
                .collect(),
            root: elevate::is_root(),
            sudo: shell::find("sudo").is_some(),
            debian_root: rootfs::has_mmdebstrap() || rootfs::archive(&lab).is_file(),
            rust: toolchain::identity().is_ok(),
            overlay: has_overlay(),
            cgroups: has_cgroups(),
            room: Room::of(data_root, &lab.join("data")).ok(),
            optimised: is_optimised(),
        }
    }

    pub fn missing(&self) -> Vec<Missing> {
        let others = [
            self.missing_linux(),
            self.missing_root(),
            self.missing_debian_root(),
            self.missing_rust(),
            self.missing_overlay(),
            self.missing_cgroups(),
            self.missing_room(),
            self.missing_optimisation(),
        ];
        let programs = self.absent_programs.iter();
        programs
            .map(|program| self.missing_program(program))
            .chain(others.into_iter().flatten())
            .collect()
    }

    fn missing_linux(&self) -> Option<Missing> {
        (!self.linux).then(|| {
            Missing::new(
                "the lab engine needs Linux namespaces",
                "use --engine host, or run the lab in Docker Desktop's VM as the README says",
            )
        })
    }

    fn missing_program(&self, program: &str) -> Missing {
        Missing::new(
            format!("no {program} in PATH"),
            self.as_root("apt-get install util-linux"),
        )
    }

    fn missing_root(&self) -> Option<Missing> {
        (!self.root && !self.sudo).then(|| {
            Missing::new(
                "the lab engine needs root, and there is no sudo",
                "run the command as root, or install sudo",
            )
        })
    }

    fn missing_debian_root(&self) -> Option<Missing> {
        (!self.debian_root).then(|| {
            Missing::new(
                "no mmdebstrap to make the lab's Debian root with (run-all installs it where there is apt-get)",
                self.as_root(rootfs::INSTALL),
            )
        })
    }

    fn missing_rust(&self) -> Option<Missing> {
        (!self.rust).then(|| {
            Missing::new(
                "no rustc in PATH, which the Rust base is made of",
                "rustup toolchain install stable --profile minimal",
            )
        })
    }

    fn missing_overlay(&self) -> Option<Missing> {
        (!self.overlay).then(|| {
            Missing::new(
                "the kernel has no overlay file system loaded",
                self.as_root("modprobe overlay"),
            )
        })
    }

    fn missing_cgroups(&self) -> Option<Missing> {
        (!self.cgroups).then(|| {
            Missing::new(
                "no cgroup hierarchy is mounted",
                self.as_root("mount -t cgroup2 none /sys/fs/cgroup"),
            )
        })
    }

    fn missing_room(&self) -> Option<Missing> {
        let shortage = self.room.as_ref()?.shortage(LARGEST_IMAGE_BYTES)?;
        Some(Missing::new(shortage, MORE_ROOM))
    }

    fn missing_optimisation(&self) -> Option<Missing> {
        (!self.optimised).then(|| {
            Missing::new(
                "this xtask was built without optimisation, so its timings would be its own",
                "set opt-level = 2 for [profile.dev] again, as the workspace's Cargo.toml has it",
            )
        })
    }

    /// A command that only root may run, as this person has to type it.
    fn as_root(&self, command: &str) -> String {
        if self.root {
            command.to_owned()
        } else {
            format!("sudo {command}")
        }
    }
}

fn has_overlay() -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.contains("\toverlay") || Path::new("/sys/module/overlay").is_dir()
}

fn has_cgroups() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut kinds = mounts.lines().filter_map(|line| line.split(' ').nth(2));
    kinds.any(|kind| kind.starts_with("cgroup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one thing that a machine lacks which differs from a good one by
    /// `change`, and what mends it.
    fn only_missing(change: impl FnOnce(&mut Facts)) -> String {
        let mut facts = good();
        change(&mut facts);
        let missing = facts.missing();
        assert_eq!(missing.len(), 1, "{missing:?}");
        missing[0].to_string()
    }

    fn good() -> Facts {
        Facts {
            linux: true,
            absent_programs: vec![],
            root: true,
            sudo: true,
            debian_root: true,
            rust: true,
            overlay: true,
            cgroups: true,
            room: Some(Room {
                memory_bytes: Some(64 << 30),
                folder: "/data".into(),
                disk_bytes: 0,
            }),
            optimised: true,
        }
    }

    #[test]
    fn a_good_machine_lacks_nothing() {
        assert!(good().missing().is_empty());
        let by_sudo = Facts {
            root: false,
            ..good()
        };
        assert!(by_sudo.missing().is_empty());
        let untold = Facts {
            room: None,
            ..good()
        };
        assert!(untold.missing().is_empty());
    }

    #[test]
    fn another_system_than_linux() {
        insta::assert_snapshot!(only_missing(|facts| facts.linux = false), @"
        the lab engine needs Linux namespaces
          mend: use --engine host, or run the lab in Docker Desktop's VM as the README says
        ");
    }

    #[test]
    fn no_programs() {
        for program in PROGRAMS {
            let said = only_missing(|facts| facts.absent_programs = vec![program]);
            let told = format!("no {program} in PATH\n  mend: apt-get install util-linux");
            assert_eq!(said.trim_end(), told);
        }
        let mut none = good();
        none.absent_programs = PROGRAMS.to_vec();
        assert_eq!(none.missing().len(), PROGRAMS.len());
    }

    #[test]
    fn neither_root_nor_sudo() {
        let user = |facts: &mut Facts| (facts.root, facts.sudo) = (false, false);
        insta::assert_snapshot!(only_missing(user), @"
        the lab engine needs root, and there is no sudo
          mend: run the command as root, or install sudo
        ");
    }

    #[test]
    fn no_mmdebstrap() {
        insta::assert_snapshot!(only_missing(|facts| facts.debian_root = false), @"
        no mmdebstrap to make the lab's Debian root with (run-all installs it where there is apt-get)
          mend: apt-get install --yes --no-install-recommends mmdebstrap
        ");
    }

    #[test]
    fn no_rust() {
        insta::assert_snapshot!(only_missing(|facts| facts.rust = false), @"
        no rustc in PATH, which the Rust base is made of
          mend: rustup toolchain install stable --profile minimal
        ");
    }

    #[test]
    fn no_overlay() {
        insta::assert_snapshot!(only_missing(|facts| facts.overlay = false), @"
        the kernel has no overlay file system loaded
          mend: modprobe overlay
        ");
    }

    #[test]
    fn no_cgroups() {
        insta::assert_snapshot!(only_missing(|facts| facts.cgroups = false), @"
        no cgroup hierarchy is mounted
          mend: mount -t cgroup2 none /sys/fs/cgroup
        ");
    }

    #[test]
    fn no_room() {
        let full = |facts: &mut Facts| {
            facts.room = Some(Room {
                memory_bytes: Some(2 << 30),
                folder: "/data".into(),
                disk_bytes: 3 << 30,
            });
        };
        insta::assert_snapshot!(only_missing(full), @"
        no room for an engine's images: 2 GiB of memory are free and it takes 8, 3 GiB are free in /data and it takes 15
          mend: free some space, name another folder with --data-root, or use a machine with more memory
        ");
    }

    #[test]
    fn no_optimisation() {
        insta::assert_snapshot!(only_missing(|facts| facts.optimised = false), @"
        this xtask was built without optimisation, so its timings would be its own
          mend: set opt-level = 2 for [profile.dev] again, as the workspace's Cargo.toml has it
        ");
    }

    #[test]
    fn a_user_is_told_the_command_with_sudo() {
        let user_without_overlay = |facts: &mut Facts| {
            facts.root = false;
            facts.overlay = false;
        };
        let said = only_missing(user_without_overlay);
        assert!(said.ends_with("mend: sudo modprobe overlay"), "{said}");
    }
}
