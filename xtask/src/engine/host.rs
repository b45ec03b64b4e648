//! The Docker engine that is already there: it builds, its images are counted,
//! and it is timed from outside. It belongs to somebody, so nothing of it is
//! ever emptied or removed that does not carry our label.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, anyhow, bail};

use super::{Client, Daemon, Versions};
use crate::shell;

/// The first engine whose BuildKit takes OCI layouts as named contexts.
const OLDEST_MAJOR: u32 = 23;

const DEFAULT_ENDPOINT: &str = "unix:///var/run/docker.sock";

/// The file system of a data root that cannot be told from here.
const UNKNOWN: &str = "unknown";

pub struct HostEngine {
    client: Client,
    endpoint: String,
}

impl HostEngine {
    /// Talks to the engine that `DOCKER_HOST` leads to, else to the one of the
    /// docker command's current context.
    ///
    /// # Errors
    /// When there is none, it is too old, or it cannot write OCI layouts: what
    /// to do about it.
    pub fn connect() -> Result<Self> {
        let endpoint = Self::planned_endpoint();
        let (client, versions) = reach(&endpoint).map_err(|error| {
            anyhow!(
                "no Docker engine answers at {endpoint}: {error:#}; mend: start it, set DOCKER_HOST to the socket of \
                 another one (unix:///PATH), or use --engine lab, which needs none"
            )
        })?;
        check(&versions)?;
        let engine = Self { client, endpoint };
        engine.check_command()?;
        Ok(engine)
    }

    /// The endpoint that [`connect`](Self::connect) would use.
    pub fn planned_endpoint() -> String {
        if let Ok(named) = std::env::var("DOCKER_HOST")
            && !named.is_empty()
        {
            return named;
        }
        let mut inspect = shell::command("docker");
        inspect.args([
            "context",
            "inspect",
            "--format",
            "{{.Endpoints.docker.Host}}",
        ]);
        shell::read(&mut inspect).unwrap_or_else(|_| DEFAULT_ENDPOINT.to_owned())
    }

    /// The file system of that engine's data root; `unknown` where nobody
    /// answers, or its files cannot be seen from here.
    pub fn planned_file_system() -> String {
        let endpoint = Self::planned_endpoint();
        let found = socket_of(&endpoint).and_then(|socket| {
            let folder = Client::connect(socket)?.data_root()?;
            Daemon::behind(socket)?.file_system_of(&folder)
        });
        found.unwrap_or_else(|_| UNKNOWN.to_owned())
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its processes.
    ///
    /// # Errors
    /// When it cannot be told which they are.
    pub fn daemon(&self) -> Result<Daemon> {
        Daemon::behind(socket_of(&self.endpoint)?)
    }

    /// The caller's own `docker` command line, led to this very engine whatever
    /// context or builder is in use otherwise.
    pub fn docker(&self) -> Command {
        let mut command = shell::tied("docker");
        command
            .env("DOCKER_HOST", &self.endpoint)
            .env_remove("DOCKER_CONTEXT")
            .env("BUILDX_BUILDER", "default");
        command
    }

    fn check_command(&self) -> Result<()> {
        if shell::find("docker").is_none() {
            bail!(
                "no docker command in PATH; mend: install Docker's command line, or use --engine lab"
            );
        }
        if shell::read(self.docker().args(["buildx", "version"])).is_err() {
            bail!(
                "the docker command has no buildx; mend: install the package docker-buildx, or use --engine lab"
            );
        }
        Ok(())
    }
}

fn socket_of(endpoint: &str) -> Result<&Path> {
    let socket = endpoint.strip_prefix("unix://").map(Path::new);
    socket.context("only engines behind a unix:// socket can be used")
}

fn reach(endpoint: &str) -> Result<(Client, Versions)> {
    let client = Client::connect(socket_of(endpoint)?)?;
    let versions = client.versions()?;
    Ok((client, versions))
}

fn check(versions: &Versions) -> Result<()> {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(docker: &str, store: &str) -> Versions {
        Versions {
            docker: docker.to_owned(),
            api: String::new(),
            containerd: String::new(),
            runc: String::new(),
            store: store.to_owned(),
            cgroup: String::new(),
        }
    }

    #[test]
    fn an_engine_that_cannot_build_for_us_is_told_apart_with_what_mends_it() {
        let said = |docker, store| {
            let checked = check(&versions(docker, store));
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(said("23.0.1", "containerd/overlayfs"), Ok(()));
        assert_eq!(said("29.0.0-rc.1", "containerd/overlayfs"), Ok(()));
        for (docker, store, mend) in [
            ("20.10.24", "overlay2", "update it"),
            ("dev", "containerd/overlayfs", "update it"),
            ("26.1.5", "overlay2", "containerd-snapshotter"),
        ] {
            let text = said(docker, store).unwrap_err();
            assert!(text.contains("mend: ") && text.contains(mend), "{text}");
        }
    }

    #[test]
    fn an_engine_behind_the_network_is_refused_by_name() {
        let Err(error) = reach("tcp://127.0.0.1:2375") else {
            panic!("it was reached");
        };
        assert!(error.to_string().contains("unix://"), "{error:#}");
    }
}
