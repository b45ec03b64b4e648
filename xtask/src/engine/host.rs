//! The Docker engine that is already there: it builds and its images are
//! counted. It belongs to somebody, so nothing of it is ever emptied or removed
//! that does not carry our label.

use std::process::Command;

use anyhow::{Result, bail};

use super::Client;
use crate::shell;

/// The first engine whose BuildKit takes OCI layouts as named contexts.
const OLDEST_MAJOR: u32 = 23;

pub struct HostEngine {
    client: Client,
}

impl HostEngine {
    /// Talks to the engine that `DOCKER_HOST` or the default socket leads to.
    ///
    /// # Errors
    /// When there is none, it is too old, or it cannot write OCI layouts: what
    /// to do about it.
    pub fn connect() -> Result<Self> {
        let client = Client::connect_to_host()?;
        let versions = client.versions()?;
        let major = versions
            .docker
            .split('.')
            .next()
            .and_then(|text| text.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST_MAJOR) {
            bail!(
                "Docker {} is too old, {OLDEST_MAJOR} is needed; mend: update it, or use --engine lab",
                versions.docker
            );
        }
        if !versions.store.starts_with("containerd") {
            bail!(
                "this engine keeps its images in {}, which cannot give out OCI layouts; mend: switch its containerd \
                 image store on ({{\"features\": {{\"containerd-snapshotter\": true}}}} in daemon.json), or use --engine lab",
                versions.store
            );
        }
        if shell::read(shell::command("docker").args(["buildx", "version"])).is_err() {
            bail!(
                "the docker command has no buildx; mend: install the package docker-buildx, or use --engine lab"
            );
        }
        Ok(Self { client })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The caller's own `docker` command line, which ends when we do: no
    /// namespace holds it.
    pub fn docker(&self) -> Command {
        if !cfg!(target_os = "linux") {
            return shell::command("docker");
        }
        let mut command = shell::command("setpriv");
        command.args(["--pdeathsig", "KILL", "docker"]);
        command
    }
}
