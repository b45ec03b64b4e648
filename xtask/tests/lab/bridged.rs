//! An engine as most people have it: a bridge, published ports, and the
//! user-land proxy that forwards them; in a network of the test's own.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xtask::{
    engine::{Client, LABEL, Lab, LabRegistry, Lock, REGISTRY_STORAGE, namespace::Namespace},
    image::Layout,
    measure::probe::enter_net_ns,
    proxy::{Options, Proxy, cold::Blob},
    registry::{self, Registry},
    shell,
};

use crate::sandbox::Sandbox;

/// As an ordinary Docker has it, but for the firewall: a bridge, and published
/// ports that a process forwards.
const DOCKERD: &str = r#"echo '{"features": {"containerd-snapshotter": true}}' > /run/daemon.json
exec dockerd --config-file=/run/daemon.json --data-root=/tmp/docker --host=unix:///run/docker.sock \
    --iptables=false --ip6tables=false --log-level=error"#;
const DOCKERD_TIMEOUT: Duration = Duration::from_secs(60);

/// A network namespace; what is done inside reaches nothing of the host's.
pub struct Network(Child);

impl Network {
    fn new() -> Result<Self> {
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c"])
            .arg("ip link set lo up && echo ready && exec cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut network = Self(holder);
        let stdout = network.0.stdout.as_mut().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "no network namespace can be made here");
        Ok(network)
    }

    /// Runs `work` on a thread in this network; what it starts is in it, too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let work = || {
            enter_net_ns(self.0.id())?;
            work()
        };
        thread::scope(|scope| {
            let joined = scope.spawn(work).join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ordinary engine in a network of its own.
pub struct Bridged {
    pub client: Client,
    pub namespace: Namespace,
    // After the engine that lives in them.
    lab: Lab,
    pub network: Network,
}

impl Bridged {
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        let project = sandbox.project()?;
        let network = Network::new()?;
        let lab = Lab::open(&project, Lock::take(&project, false, |_| ())?)?;
        sandbox.write("dockerd.sh", DOCKERD)?;
        let (script, log) = (
            sandbox.path("dockerd.sh"),
            project.logs().join("bridged.log"),
        );
        let namespace = network.inside(|| lab.script("bridged", &script, &[], &log))?;
        let socket = namespace.path("/run/docker.sock");
        let deadline = Instant::now() + DOCKERD_TIMEOUT;
        while UnixStream::connect(&socket).is_err() {
            ensure!(Instant::now() < deadline, "dockerd:\n{}", shell::tail(&log));
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            client: Client::connect(&socket)?,
            namespace,
            lab,
            network,
        })
    }

    /// Runs a shell script of the engine's owner.
    pub fn sh(&self, script: &str) -> Result<String> {
        let path = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];
        shell::read(self.namespace.command("sh", &path).args(["-c", script]))
    }
}

/// Registry and proxy in the engine's network.
pub struct Serving {
    pub proxy: Proxy,
    registry: Registry,
    _served: LabRegistry,
}

impl Serving {
    pub fn start(engine: &Bridged) -> Result<Self> {
        engine.network.inside(|| {
            let address = registry::free_address()?;
            let config = registry::config_yaml(REGISTRY_STORAGE.as_ref(), address)?;
            Ok(Self {
                _served: engine.lab.registry(&config, address)?,
                registry: Registry::at(address)?,
                proxy: Proxy::start(address, Options::default())?,
            })
        })
    }
}

/// An image of the tiny suite in the registry.
pub struct Image {
    pub reference: String,
    pub blobs: Vec<Blob>,
}

impl Serving {
    /// Pushes a built variant of the tiny suite.
    pub fn push(&self, sandbox: &Sandbox, engine: &Bridged, variant: &str) -> Result<Image> {
        let folder = sandbox.project()?.image("tiny", variant);
        let layout = Layout::open(&folder)?;
        let repository = format!("{LABEL}/tiny/{variant}");
        let push = || self.registry.push(&folder, &repository, "test");
        engine.network.inside(push)?;
        let (address, digest) = (self.proxy.address(), layout.digest());
        Ok(Image {
            reference: format!("{address}/{repository}@{digest}"),
            blobs: registry::blobs_of(layout.manifest_bytes())?,
        })
    }
}
