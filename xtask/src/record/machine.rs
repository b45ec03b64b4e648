//! The machine that measures: its name, and the facts that stand beside its
//! timings.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::timings::EnvironmentRow;
use crate::digest::Digest;

const GIB: u64 = 1 << 30;

/// What timings depend on and a program can find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub os: String,
    pub arch: String,
    pub cores: u64,
    pub cpu_model: String,
    pub memory_bytes: u64,
    pub kernel: String,
    pub cgroup_version: u64,
    /// The file system of the working folder. That of the data root stands in
    /// every row, so that sessions on tmpfs and on a disk share a folder.
    pub working_fs: String,
    /// Only ever hashed: it would name the machine to others.
    id: String,
}

impl Machine {
    /// Reads what the kernel says of this machine. What it does not say stays
    /// empty: `/proc` is Linux's.
    pub fn here(working_folder: &Path) -> Self {
        Self::read(Path::new("/"), working_folder)
    }

    fn read(root: &Path, working_folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let line = |path: &str| read(path).trim().to_owned();
        let controllers = root.join("sys/fs/cgroup/cgroup.controllers");
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            cpu_model: cpu_model(&read("proc/cpuinfo")),
            memory_bytes: memory_bytes(&read("proc/meminfo")),
            kernel: line("proc/sys/kernel/osrelease"),
            cgroup_version: if controllers.exists() { 2 } else { 1 },
            working_fs: file_system(&read("proc/self/mountinfo"), working_folder),
            id: line("etc/machine-id"),
        }
    }

    /// `<os>-<arch>-<n>c-<6 hex>`: says what kind of machine it is, differs
    /// between two of a kind, and gives no host's name away.
    ///
    /// Memory counts in whole GiB, because a kernel update moves its bytes.
    pub fn name(&self) -> String {
        let gib = (self.memory_bytes + GIB / 2) / GIB;
        let marks = [
            &self.id,
            &self.cpu_model,
            &gib.to_string(),
            &self.working_fs,
        ];
        let hash = Digest::of(marks.map(|mark| format!("{mark}\n")).concat());
        let Self {
            os, arch, cores, ..
        } = self;
        format!("{os}-{arch}-{cores}c-{}", &hash.hex()[..6])
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("os", self.os.clone()),
            ("arch", self.arch.clone()),
            ("cores", self.cores.to_string()),
            ("cpu_model", self.cpu_model.clone()),
            ("memory_bytes", self.memory_bytes.to_string()),
            ("kernel", self.kernel.clone()),
            ("cgroup_version", self.cgroup_version.to_string()),
            ("working_fs", self.working_fs.clone()),
        ]
    }
}

/// Which state of this program measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub commit: String,
    /// Whether files differed from that commit.
    pub dirty: bool,
}

/// One run of the measuring part on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    pub seed: u64,
    pub started: SystemTime,
}

impl Session {
    /// A session with an id of its own: the seed may be given again to repeat
    /// an order, and that is another session all the same.
    pub fn begin(machine: &str, seed: u64, started: SystemTime) -> Self {
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = Digest::of(format!("{machine}\n{seed}\n{}", since.as_nanos()));
        Self {
            id: id.hex()[..8].to_owned(),
            seed,
            started,
        }
    }

    /// Its rows of the environment file. `of_engines` are the facts that only
    /// they know: versions, store, snapshotter, decompressor, data root.
    pub fn environment(
        &self,
        machine: &Machine,
        tool: &Tool,
        of_engines: &[(&str, String)],
    ) -> Vec<EnvironmentRow> {
        let mut facts = machine.facts();
        facts.extend([
            ("tool_commit", tool.commit.clone()),
            ("tool_dirty", if tool.dirty { "yes" } else { "no" }.into()),
            ("seed", self.seed.to_string()),
            ("started_utc", utc(self.started)),
        ]);
        facts.extend(of_engines.iter().cloned());
        facts
            .into_iter()
            .map(|(fact, value)| EnvironmentRow {
                session: self.id.clone(),
                fact: fact.to_owned(),
                value: value.split_whitespace().collect::<Vec<_>>().join(" "),
            })
            .collect()
    }
}

/// The CPU as `/proc/cpuinfo` names it. Many Arm kernels give numbers only.
fn cpu_model(cpuinfo: &str) -> String {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    field("model name").unwrap_or_else(|| {
        let numbers = ["CPU implementer", "CPU part", "CPU variant"].map(field);
        numbers.into_iter().flatten().collect::<Vec<_>>().join(" ")
    })
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The type of the file system that holds `path`: of the mounts above it the
/// deepest, and of several on one folder the last.
fn file_system(mountinfo: &str, path: &Path) -> String {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        let depth = Path::new(&point).components().count();
        path.starts_with(&point)
            .then_some((depth, kind.split(' ').next()?))
    });
    mounts
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind.to_owned())
        .unwrap_or_default()
}

/// `2025-01-31T12:00:00Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01 (Howard Hinnant's
/// `civil_from_days`: years begin in March, so that leap days end them).
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn machine() -> Machine {
        Machine {
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cores: 2,
            cpu_model: "AMD EPYC".to_owned(),
            memory_bytes: 16 * GIB,
            kernel: "6.1.0".to_owned(),
            cgroup_version: 2,
            working_fs: "ext4".to_owned(),
            id: "c0ffee".to_owned(),
        }
    }

    #[test]
    fn the_name_says_the_kind_and_tells_twins_apart() {
        let name = machine().name();
        assert!(name.starts_with("linux-x86_64-2c-"), "{name}");
        assert_eq!(name.len(), "linux-x86_64-2c-".len() + 6);
        let other = |change: fn(&mut Machine)| {
            let mut machine = machine();
            change(&mut machine);
            machine.name()
        };
        assert_ne!(other(|m| m.id = "decaf".to_owned()), name);
        assert_ne!(other(|m| m.cpu_model.push('2')), name);
        assert_ne!(other(|m| m.memory_bytes *= 2), name);
        assert_ne!(other(|m| m.working_fs = "xfs".to_owned()), name);
        // An update of the kernel is the same machine.
        assert_eq!(other(|m| m.memory_bytes -= GIB / 4), name);
        assert_eq!(other(|m| m.kernel.push('1')), name);
    }

    #[test]
    fn facts_are_read_from_the_kernels_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD  EPYC\n");
        write("proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");
        write("proc/sys/kernel/osrelease", "6.1.0-9\n");
        write("sys/fs/cgroup/cgroup.controllers", "cpu\n");
        write("etc/machine-id", "abc\n");
        write(
            "proc/self/mountinfo",
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n",
        );
        let machine = Machine::read(root.path(), Path::new("/var/lib"));
        assert_eq!(machine.cpu_model, "AMD  EPYC");
        assert_eq!((machine.memory_bytes, machine.cgroup_version), (1 << 20, 2));
        assert_eq!(
            (machine.kernel.as_str(), machine.id.as_str()),
            ("6.1.0-9", "abc")
        );
        assert_eq!(machine.working_fs, "ext4");
    }

    #[test]
    fn this_machine_has_a_name_and_does_not_tell_its_hosts() {
        let here = Machine::here(Path::new("/"));
        assert!(here.cores > 0);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        assert_ne!(here.name(), host.trim());
        assert_eq!(here.name(), Machine::here(Path::new("/")).name());
    }

    #[test]
    fn an_arm_without_a_model_name_still_has_one() {
        let cpuinfo =
            "processor : 0\nCPU implementer : 0x41\nCPU variant : 0x3\nCPU part : 0xd0c\n";
        assert_eq!(cpu_model(cpuinfo), "0x41 0xd0c 0x3");
    }

    #[test]
    fn the_deepest_mount_holds_the_path_and_the_last_hides_others() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n\
                      2 1 0:5 / /srv/my\\040lab rw shared:1 - xfs b rw\n\
                      3 2 0:6 / /srv/my\\040lab rw - tmpfs c rw\n\
                      4 1 0:7 / /srv/my rw - btrfs d rw\n";
        assert_eq!(file_system(mounts, Path::new("/srv/my lab/root")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/srv/my/x")), "btrfs");
        assert_eq!(file_system(mounts, Path::new("/srv/mylab")), "ext4");
        assert_eq!(file_system("", Path::new("/")), "");
    }

    #[test]
    fn times_are_utc() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        // `date -u -d @N +%FT%TZ`
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_session_states_everything_once_and_in_one_line() {
        let started = UNIX_EPOCH + Duration::from_secs(951_782_400);
        let session = Session::begin("linux-x86_64-2c-abcdef", 7, started);
        let tool = Tool {
            commit: "0123abcd".to_owned(),
            dirty: true,
        };
        let rows = session.environment(&machine(), &tool, &[("engine", "26.1\n".to_owned())]);
        let text: String = rows
            .iter()
            .map(|row| format!("{}={}\n", row.fact, row.value))
            .collect();
        insta::assert_snapshot!(text, @"
        os=linux
        arch=x86_64
        cores=2
        cpu_model=AMD EPYC
        memory_bytes=17179869184
        kernel=6.1.0
        cgroup_version=2
        working_fs=ext4
        tool_commit=0123abcd
        tool_dirty=yes
        seed=7
        started_utc=2000-02-29T00:00:00Z
        engine=26.1
        ");
        assert!(rows.iter().all(|row| row.session == session.id));
        let later = Session::begin(
            "linux-x86_64-2c-abcdef",
            7,
            started + Duration::from_nanos(1),
        );
        assert_ne!(session.id, later.id, "the same seed, and another session");
    }
}
