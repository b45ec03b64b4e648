//! `cargo xtask doctor`: is this machine ready? One sentence for each thing that
//! is missing, with the command that mends it; "ready" only after a container
//! has really run.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    bases::toolchain,
    cli::LabOptions,
    elevate,
    engine::{Client, DataRoot, HostEngine, Lab, LabEngine, Lock, Role, Store, rootfs},
    project::Project,
    shell,
};

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

fn host() -> Result<ExitCode> {
    let versions = HostEngine::connect()?.client().versions()?;
    println!(
        "ready to build and count (timings need the lab): Docker {}, store {}",
        versions.docker, versions.store
    );
    Ok(ExitCode::SUCCESS)
}

/// Everything that can be told without starting an engine.
pub fn missing(project: &Project) -> Vec<Missing> {
    [
        linux(),
        programs(),
        root_or_sudo(),
        mmdebstrap(project),
        rust(),
        overlay(),
        cgroups(),
        optimised(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Prints what is missing, or "ready" after the lab has run a container.
///
/// # Errors
/// When something is missing or the container does not run.
pub fn run(project: &Project, options: &LabOptions) -> Result<ExitCode> {
    if options.is_host() {
        return host();
    }
    let missing = missing(project);
    for Missing { what, mend } in &missing {
        println!("missing: {what}\n  mend: {mend}");
    }
    if !missing.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    if !elevate::is_root() {
        return elevate::rerun_through_sudo();
    }
    let lock = Lock::take(project, !options.no_wait, |holder| {
        eprintln!("waiting for {holder}")
    })?;
    crate::clean::sweep(project)?;
    let lab = Lab::open(project, lock)?;
    let data_root = DataRoot::choose(options.data_root.as_deref(), &project.lab().join("data"), 0)?;
    let file_system = data_root.file_system()?;
    let engine = lab.engine(Role::Subject, Store::Containerd, data_root)?;
    run_a_container(&engine).context("the lab engine starts, but cannot run a container")?;
    let versions = engine.client().versions()?;
    println!(
        "ready: Docker {}, containerd {}, runc {}, store {}, data root on {file_system}",
        versions.docker, versions.containerd, versions.runc, versions.store
    );
    Ok(ExitCode::SUCCESS)
}

fn linux() -> Option<Missing> {
    (!cfg!(target_os = "linux")).then(|| {
        Missing::new(
            "the lab engine needs Linux namespaces",
            "use --engine host, or run the lab in Docker Desktop's VM as the README says",
        )
    })
}

fn programs() -> Option<Missing> {
    let absent: Vec<_> = ["unshare", "nsenter"]
        .into_iter()
        .filter(|name| shell::find(name).is_none())
        .collect();
    (!absent.is_empty()).then(|| {
        Missing::new(
            format!("no {} in PATH", absent.join(" and ")),
            "apt-get install util-linux",
        )
    })
}

fn root_or_sudo() -> Option<Missing> {
    (!elevate::is_root() && shell::find("sudo").is_none()).then(|| {
        Missing::new(
            "the lab engine needs root, and there is no sudo",
            "run the command as root, or install sudo",
        )
    })
}

fn mmdebstrap(project: &Project) -> Option<Missing> {
    let there = rootfs::has_mmdebstrap() || rootfs::archive(&project.lab()).is_file();
    (!there).then(|| {
        Missing::new(
            "no mmdebstrap to make the lab's Debian root with (run-all installs it where there is apt-get)",
            format!("sudo {}", rootfs::INSTALL),
        )
    })
}

fn rust() -> Option<Missing> {
    toolchain::identity().is_err().then(|| {
        Missing::new(
            "no rustc in PATH, which the Rust base is made of",
            "rustup toolchain install stable --profile minimal",
        )
    })
}

fn overlay() -> Option<Missing> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    (!known.contains("\toverlay") && !Path::new("/sys/module/overlay").is_dir()).then(|| {
        Missing::new(
            "the kernel has no overlay file system loaded",
            "modprobe overlay",
        )
    })
}

fn cgroups() -> Option<Missing> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    (!mounts.lines().any(|line| {
        line.split(' ')
            .nth(2)
            .is_some_and(|kind| kind.starts_with("cgroup"))
    }))
    .then(|| {
        Missing::new(
            "no cgroup hierarchy is mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        )
    })
}

/// Whether this build is fit to measure with: the proxy and the probe sit in
/// the timed path.
pub fn is_optimised() -> bool {
    !matches!(env!("XTASK_OPT_LEVEL"), "0" | "1")
}

fn optimised() -> Option<Missing> {
    (!is_optimised()).then(|| {
        Missing::new(
            "this xtask was built without optimisation, so its timings would be its own",
            "set opt-level = 2 for [profile.dev] again, as the workspace's Cargo.toml has it",
        )
    })
}

/// Imports `true` with the two libraries it needs and runs it.
fn run_a_container(engine: &LabEngine) -> Result<()> {
    let script = "tar -c -h -C / usr/bin/true $(ldd /usr/bin/true | grep -o '/[^ ]*' | cut -c2-) \
                  | docker import --change 'CMD [\"/usr/bin/true\"]' - doctor:true";
    shell::read(engine.command("sh").args(["-c", script]))?;
    let client: &Client = engine.client();
    let (container, _) = client.create("doctor:true")?;
    client.start(&container)?;
    let started = std::time::Instant::now();
    while started.elapsed().as_secs() < 10 {
        if let Some(code) = client.exit_code(&container)? {
            anyhow::ensure!(code == 0, "its exit code is {code}");
            return client.remove_container(&container);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    anyhow::bail!("it does not end")
}
