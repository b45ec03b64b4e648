//! `--engine host` with timings: an ordinary engine of somebody's, with a bridge
//! and published ports, and the program in the same network.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use xtask::{
    engine::LABEL,
    image::Layout,
    measure::scenario::Probe,
    record::{
        cell::ErrorWord,
        paths,
        table::Table,
        timings::{EnvironmentRow, NodeRow, StartRow},
    },
};

use crate::{
    bridged::Bridged,
    chain::{differences, state},
    host::{FOREIGN, install, install_docker, led_to, show},
    portable::holds,
    sandbox::{Finished, MACHINE, Sandbox},
    tiny,
};

const VARIANT: &str = "variant";
const QUICK: &[&str] = &["run-all", "--quick", "--allow-noisy", "--machine", MACHINE];

/// Blocks of a quick session.
const QUICK_BLOCKS: u64 = 5;

struct Ordinary {
    engine: Bridged,
    bin: PathBuf,
    endpoint: String,
}

impl Ordinary {
    /// Starts it from another project, so that the one under test has its own
    /// lock; `sandbox` is visible to its command line at its own path.
    fn start(sandbox: &Sandbox) -> Result<Self> {
        let theirs = Sandbox::new("ordinary")?;
        let engine = Bridged::start(&theirs)?;
        let pid = engine.namespace.pid();
        show(pid, &theirs.project()?.lab().join("root"), sandbox.root())?;
        let bin = theirs.path("bin");
        let endpoint = format!(
            "unix://{}",
            engine.namespace.path("/run/docker.sock").display()
        );
        let env = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")];
        let docker = engine.namespace.command("docker", &env);
        install_docker(&bin, &docker, &endpoint)?;
        // In the Debian root, but in the caller's network and processes: as a
        // registry that is installed here.
        let inside = format!("nsenter --target {pid} --mount --root --wd=/ --");
        let registry = format!("exec {inside} /usr/bin/docker-registry \"$@\"");
        install(&bin, "docker-registry", &registry)?;
        Ok(Self {
            engine,
            bin,
            endpoint,
        })
    }

    /// The program, beside the engine.
    fn run(&self, sandbox: &Sandbox, words: &[&str]) -> Result<Finished> {
        let mut command = led_to(&self.endpoint, &self.bin, sandbox, words);
        let output = self.engine.network.inside(move || Ok(command.output()?))?;
        Ok(Finished::from(output))
    }

    /// The program, in a network whose 127.0.0.1 is not the engine's.
    fn run_elsewhere(&self, sandbox: &Sandbox, words: &[&str]) -> Result<Finished> {
        let mut command = led_to(&self.endpoint, &self.bin, sandbox, words);
        Ok(Finished::from(command.output()?))
    }
}

/// Its rows, in the folder of such timings.
fn rows(sandbox: &Sandbox) -> Result<(Vec<NodeRow>, Vec<StartRow>)> {
    let name = format!("{MACHINE}{}", Probe::PublishedPort.suffix());
    let folder = paths::machine(&sandbox.path("results"), &name);
    let node = Table::<NodeRow>::load(&paths::node(&folder))?;
    let start = Table::<StartRow>::load(&paths::start(&folder))?;
    Ok((
        node.rows().cloned().collect(),
        start.rows().cloned().collect(),
    ))
}

pub fn it_times_what_is_cold_and_keeps_what_is_theirs() -> Result<()> {
    let sandbox = tiny::sandbox("host-timed")?;
    tiny::add(&sandbox, VARIANT, &tiny::dockerfile("host=0.0.0.0"))?;
    let ordinary = Ordinary::start(&sandbox)?;
    ordinary.engine.sh(FOREIGN)?;
    let theirs = holds(&ordinary.engine)?;
    ordinary.run(&sandbox, &["size"])?.expect(0)?;

    let image = load_it_as_theirs(&sandbox, &ordinary)?;
    let run = ordinary.run(&sandbox, QUICK)?.expect(1)?;
    let (node, _) = rows(&sandbox)?;
    let cold = node.iter().find(|row| row.scenario == "node_cold");
    let cold = cold.context("a row")?;
    ensure!(
        cold.error == Some(ErrorWord::NotCold) && cold.n.is_none() && cold.invalid == Some(1),
        "{cold:?}\n{}",
        run.said()
    );
    ensure!(
        run.stderr.contains("docker builder prune"),
        "{}",
        run.said()
    );
    ordinary.engine.sh(&format!(
        "docker image inspect {image} && docker rmi --force {image}"
    ))?;

    let run = ordinary.run(&sandbox, QUICK)?.expect(0)?;
    ensure!(run.stderr.starts_with("This run will\n"), "{}", run.said());
    has_times_from_outside(&sandbox).with_context(|| run.said())?;
    let left = holds(&ordinary.engine)?;
    ensure!(left == theirs, "it had\n{theirs}\nand has\n{left}");

    let before = state(&sandbox)?;
    let again = ordinary.run(&sandbox, QUICK)?.expect(0)?;
    let moved = differences(&before, &state(&sandbox)?);
    ensure!(moved.is_empty(), "it wrote {moved:?}\n{}", again.said());
    Ok(())
}

/// Gives the engine's owner the built image under a name of theirs; its digest.
fn load_it_as_theirs(sandbox: &Sandbox, ordinary: &Ordinary) -> Result<String> {
    let folder = sandbox.project()?.image("tiny", VARIANT);
    let digest = Layout::open(&folder)?.digest().to_string();
    ordinary.engine.sh(&format!(
        "tar -c -C '{}' . | docker load && docker tag {digest} theirs:1",
        folder.display()
    ))?;
    Ok(digest)
}

fn has_times_from_outside(sandbox: &Sandbox) -> Result<()> {
    let (node, start) = rows(sandbox)?;
    let scenarios: Vec<&str> = node
        .iter()
        .map(|row| row.scenario.as_str())
        .chain(start.iter().map(|row| row.scenario.as_str()))
        .collect();
    ensure!(
        scenarios == ["node_cold", "redeploy", "warm"],
        "{scenarios:?}"
    );
    for row in &node {
        let tried = row.n.unwrap_or(0) + row.invalid.unwrap_or(0);
        ensure!(
            row.error.is_none() && tried >= QUICK_BLOCKS && row.data_root_fs == "tmpfs",
            "{row:?}"
        );
        let known = [row.pull.phase, row.node_total.phase, row.start_total];
        ensure!(
            known.iter().all(|phase| phase.median_us.is_some())
                && [row.engine, row.app]
                    .iter()
                    .all(|it| it.median_us.is_none()),
            "{row:?}"
        );
    }
    for row in &start {
        ensure!(
            row.probe == "published_port"
                && row.start_total.phase.median_us.is_some()
                && row.engine.median_us.is_none()
                && row.app.phase.median_us.is_none(),
            "{row:?}"
        );
    }
    ensure!(
        !sandbox.path(&format!("results/{MACHINE}")).exists(),
        "they stand where the lab's belong"
    );
    let name = format!("{MACHINE}{}", Probe::PublishedPort.suffix());
    let folder = paths::machine(&sandbox.path("results"), &name);
    let facts = Table::<EnvironmentRow>::load(&paths::environment(&folder))?;
    let fact = |name: &str| {
        let row = facts.rows().find(|row| row.fact == name);
        row.map(|row| row.value.clone())
    };
    for (name, value) in [("probe", "published_port"), ("noise_guard", "on")] {
        ensure!(
            fact(name).as_deref() == Some(value),
            "{name}: {:?}",
            fact(name)
        );
    }
    ensure!(!paths::limits(&folder).exists(), "limits without the lab");
    Ok(())
}

pub fn an_engine_that_does_not_reach_us_is_refused() -> Result<()> {
    let sandbox = tiny::sandbox("host-elsewhere")?;
    tiny::add(&sandbox, VARIANT, &tiny::dockerfile("host=0.0.0.0"))?;
    let ordinary = Ordinary::start(&sandbox)?;
    let run = ordinary.run_elsewhere(&sandbox, QUICK)?.expect(1)?;
    for word in ["does not reach the registry at 127.0.0.1:", "--engine lab"] {
        ensure!(run.stderr.contains(word), "{word}: {}", run.said());
    }
    ensure!(sandbox.sizes()?.rows().count() == 1, "the sizes are lost");
    let (node, start) = rows(&sandbox)?;
    ensure!(node.is_empty() && start.is_empty(), "{node:?} {start:?}");
    let left = holds(&ordinary.engine)?;
    ensure!(!left.contains(LABEL), "{left}");
    Ok(())
}
