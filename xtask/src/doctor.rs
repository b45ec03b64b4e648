//! `cargo xtask doctor`: is this machine ready? One sentence for each thing that
//! is missing, with the command that mends it; "ready" only after a container
//! has really run.

mod facts;

use std::process::ExitCode;

use anyhow::{Context, Result};

pub use facts::{Facts, Missing};

use crate::{
    cli::LabOptions,
    elevate,
    engine::{Client, DataRoot, HostEngine, Lab, LabEngine, Lock, Role, Store},
    project::Project,
    registry::program::Program,
    run::LARGEST_IMAGE_BYTES,
    shell,
};

fn host() -> Result<ExitCode> {
    let versions = HostEngine::connect()?.client().versions()?;
    let registry = Program::find();
    let what = if registry.is_ok() {
        "build, count and time through a published port"
    } else {
        "build and count, not to time"
    };
    println!(
        "ready to {what}: Docker {}, store {}",
        versions.docker, versions.store
    );
    if let Err(error) = registry {
        println!("missing: {error:#}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is missing, or "ready" after the lab has run a container.
///
/// # Errors
/// When something is missing or the container does not run.
pub fn run(project: &Project, options: &LabOptions) -> Result<ExitCode> {
    if options.is_host() {
        return host();
    }
    let missing = Facts::of(project, options.data_root.as_deref()).missing();
    for missing in &missing {
        println!("missing: {missing}");
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
    let data_root = DataRoot::choose(
        options.data_root.as_deref(),
        &project.lab().join("data"),
        LARGEST_IMAGE_BYTES,
    )?;
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

/// Whether this build is fit to measure with: the proxy and the probe sit in
/// the timed path.
pub fn is_optimised() -> bool {
    !matches!(env!("XTASK_OPT_LEVEL"), "0" | "1")
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
