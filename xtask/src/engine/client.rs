//! Docker's API through bollard, with every failure naming its object.
//!
//! The calls block: each runs on a single-threaded runtime of the client's own,
//! so that no other task can get between a request and its time stamp.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, PortBinding},
    query_parameters::{
        CreateContainerOptions, CreateImageOptionsBuilder, InspectContainerOptions,
        KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
        LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
        StartContainerOptions,
    },
};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use super::{LABEL, Setting, Span, Versions};
use crate::clock::MonoNs;

/// The longest that a single API call may take; pulls of the largest image at
/// 100 Mbit/s need about a minute.
const CALL_TIMEOUT: Duration = Duration::from_secs(600);

/// A start that the engine refused for the container's own sake: its program is
/// not there, or cannot be executed.
#[derive(Debug, thiserror::Error)]
#[error("cannot start container {container}: {said}")]
pub struct CannotExecute {
    pub container: String,
    pub said: String,
}

pub struct Client {
    docker: Docker,
    runtime: Runtime,
}

impl Client {
    /// Talks to the engine that listens at `socket`.
    pub fn connect(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let address = socket.to_str().context("a socket's path must be text")?;
        let _guard = runtime.enter();
        let docker =
            Docker::connect_with_unix(address, CALL_TIMEOUT.as_secs(), API_DEFAULT_VERSION)
                .with_context(|| format!("no engine listens at {}", socket.display()))?;
        drop(_guard);
        Ok(Self { docker, runtime })
    }

    /// The versions of the engine and its parts.
    pub fn versions(&self) -> Result<Versions> {
        let (version, info) = self
            .runtime
            .block_on(async { tokio::try_join!(self.docker.version(), self.docker.info()) })
            .context("the engine does not answer")?;
        let component = |name: &str| {
            let all = version.components.iter().flatten();
            all.filter(|part| part.name == name)
                .map(|part| part.version.clone())
                .next()
                .unwrap_or_default()
        };
        Ok(Versions {
            docker: version.version.clone().unwrap_or_default(),
            api: version.api_version.clone().unwrap_or_default(),
            containerd: component("containerd"),
            runc: component("runc"),
            store: store(&info),
            cgroup: info
                .cgroup_version
                .map(|version| version.to_string())
                .unwrap_or_default(),
        })
    }

    /// Where the engine keeps its images, as it sees its own files.
    pub fn data_root(&self) -> Result<PathBuf> {
        let info = self.runtime.block_on(self.docker.info());
        let folder = info.context("the engine does not answer")?.docker_root_dir;
        folder
            .map(PathBuf::from)
            .context("the engine does not say where it keeps its images")
    }

    /// Pulls `reference`: request written → response EOF.
    ///
    /// # Errors
    /// What the engine says, with the reference. Never a time.
    pub fn pull(&self, reference: &str) -> Result<Span> {
        let options = CreateImageOptionsBuilder::new()
            .from_image(reference)
            .build();
        self.runtime.block_on(async {
            let start = MonoNs::now();
            let mut events = self.docker.create_image(Some(options), None, None);
            while let Some(event) = events.next().await {
                event.with_context(|| format!("cannot pull {reference}"))?;
            }
            Ok(Span {
                start,
                end: MonoNs::now(),
            })
        })
    }

    /// Creates a container of `image` that has nobody to talk to: no network
    /// but its own loopback, no log, no health check, so that what is timed
    /// later is the start and nothing else.
    pub fn create(&self, image: &str) -> Result<(String, Span)> {
        self.create_with(image, &Setting::default())
    }

    /// The same, run otherwise than the image says.
    pub fn create_with(&self, image: &str, setting: &Setting) -> Result<(String, Span)> {
        let mut body = quiet(image);
        if let Some(host) = &mut body.host_config {
            host.network_mode = Some("none".to_owned());
        }
        setting.apply(&mut body);
        self.create_as(image, body)
    }

    /// Creates a container of `image` in the engine's default network, whose
    /// TCP port `inside` is published as `outside` on 127.0.0.1 and on no other
    /// address; otherwise as quiet as [`create`](Self::create) makes it.
    pub fn create_published(
        &self,
        image: &str,
        inside: u16,
        outside: u16,
    ) -> Result<(String, Span)> {
        let mut body = quiet(image);
        let port = format!("{inside}/tcp");
        let binding = PortBinding {
            host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
            host_port: Some(outside.to_string()),
        };
        if let Some(host) = &mut body.host_config {
            host.port_bindings = Some([(port.clone(), Some(vec![binding]))].into());
        }
        body.exposed_ports = Some(vec![port]);
        self.create_as(image, body)
    }

    fn create_as(&self, image: &str, body: ContainerCreateBody) -> Result<(String, Span)> {
        self.runtime.block_on(async {
            let start = MonoNs::now();
            let made = self
                .docker
                .create_container(None::<CreateContainerOptions>, body)
                .await;
            let end = MonoNs::now();
            let made = made.with_context(|| format!("cannot create a container of {image}"))?;
            Ok((made.id, Span { start, end }))
        })
    }

    /// Starts a container: request written → response.
    pub fn start(&self, container: &str) -> Result<Span> {
        self.runtime.block_on(async {
            let start = MonoNs::now();
            let done = self
                .docker
                .start_container(container, None::<StartContainerOptions>)
                .await;
            let end = MonoNs::now();
            done.map_err(|error| not_started(container, error))?;
            Ok(Span { start, end })
        })
    }

    /// Sends a signal to a container's first process.
    pub fn signal(&self, container: &str, signal: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        self.runtime
            .block_on(self.docker.kill_container(container, Some(options)))
            .with_context(|| format!("cannot send {signal} to container {container}"))
    }

    /// What a container has printed to its standard output. Only a
    /// [`Guest`](super::Guest) has a log.
    pub fn output(&self, container: &str) -> Result<String> {
        let options = LogsOptionsBuilder::new().stdout(true).build();
        self.runtime.block_on(async {
            let mut parts = std::pin::pin!(self.docker.logs(container, Some(options)));
            let mut said = Vec::new();
            while let Some(part) = parts.next().await {
                let part =
                    part.with_context(|| format!("cannot read what container {container} said"))?;
                said.extend(part.into_bytes());
            }
            Ok(String::from_utf8_lossy(&said).into_owned())
        })
    }

    /// How a container ended: `None` while it runs.
    pub fn exit_code(&self, container: &str) -> Result<Option<i64>> {
        let found = self
            .runtime
            .block_on(
                self.docker
                    .inspect_container(container, None::<InspectContainerOptions>),
            )
            .with_context(|| format!("cannot inspect container {container}"))?;
        let state = found.state.context("the engine reports no state")?;
        Ok(if state.running == Some(true) {
            None
        } else {
            state.exit_code
        })
    }

    /// Ends and removes a container.
    pub fn remove_container(&self, container: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        self.runtime
            .block_on(self.docker.remove_container(container, Some(options)))
            .with_context(|| format!("cannot remove container {container}"))
    }

    /// Ends and removes every container that carries our label.
    pub fn remove_our_containers(&self) -> Result<()> {
        let filter = [("label".to_owned(), vec![LABEL.to_owned()])].into();
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filter)
            .build();
        let found = self
            .runtime
            .block_on(self.docker.list_containers(Some(options)))
            .context("cannot list the containers")?;
        found
            .iter()
            .filter_map(|container| container.id.as_deref())
            .try_for_each(|id| self.remove_container(id))
    }

    /// The references of all images in the engine's store.
    pub fn images(&self) -> Result<Vec<String>> {
        let options = ListImagesOptionsBuilder::new().all(true).build();
        let found = self
            .runtime
            .block_on(self.docker.list_images(Some(options)))
            .context("cannot list the images")?;
        Ok(found.into_iter().map(|image| image.id).collect())
    }

    /// The references in the engine's store, by tag and by digest.
    pub fn references(&self) -> Result<BTreeSet<String>> {
        let options = ListImagesOptionsBuilder::new().all(true).build();
        let found = self
            .runtime
            .block_on(self.docker.list_images(Some(options)))
            .context("cannot list the images")?;
        let references = found
            .into_iter()
            .flat_map(|image| [image.repo_tags, image.repo_digests].concat());
        Ok(references.collect())
    }

    /// Removes one reference; the image stays while anything else refers to it.
    pub fn remove_reference(&self, reference: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::new().build();
        self.runtime
            .block_on(self.docker.remove_image(reference, Some(options), None))
            .map(drop)
            .with_context(|| format!("cannot remove the reference {reference}"))
    }

    /// Removes one image, whatever refers to it.
    pub fn remove_image(&self, image: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        self.runtime
            .block_on(self.docker.remove_image(image, Some(options), None))
            .map(drop)
            .with_context(|| format!("cannot remove image {image}"))
    }

    /// The size that `docker images` shows, in bytes: which one that is depends
    /// on the engine's store, so it is a witness in tests and never a result.
    pub fn shown_size(&self, image: &str) -> Result<u64> {
        let found = self
            .runtime
            .block_on(self.docker.inspect_image(image))
            .with_context(|| format!("cannot inspect image {image}"))?;
        match found.size.and_then(|size| u64::try_from(size).ok()) {
            Some(size) => Ok(size),
            None => bail!("the engine reports no size for {image}"),
        }
    }
}

/// A container that carries our label and does nothing beside its service.
fn quiet(image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        labels: Some([(LABEL.to_owned(), String::new())].into()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Docker answers 400 to the start of a container whose program it cannot execute;
/// 404 is a container that is gone, and from 500 on it is the engine's own fault.
fn not_started(container: &str, error: bollard::errors::Error) -> anyhow::Error {
    use bollard::errors::Error::DockerResponseServerError;
    match error {
        DockerResponseServerError {
            status_code: 400,
            message,
        } => CannotExecute {
            container: container.to_owned(),
            said: message,
        }
        .into(),
        error => anyhow::Error::new(error).context(format!("cannot start container {container}")),
    }
}

fn store(info: &bollard::models::SystemInfo) -> String {
    let driver = info.driver.clone().unwrap_or_default();
    let status = info.driver_status.iter().flatten().flatten();
    let containerd = status
        .into_iter()
        .any(|word| word.contains("io.containerd.snapshotter"));
    if containerd {
        format!("containerd/{driver}")
    } else {
        driver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_program_is_told_from_a_fault_of_the_engine() {
        let answered = |status_code| {
            let message = "permission denied".to_owned();
            let error = bollard::errors::Error::DockerResponseServerError {
                status_code,
                message,
            };
            not_started("a", error)
        };
        assert!(answered(400).is::<CannotExecute>());
        for other in [404, 409, 500, 503] {
            assert!(!answered(other).is::<CannotExecute>(), "{other}");
        }
        for any in [400, 500] {
            let text = format!("{:#}", answered(any));
            assert!(text.starts_with("cannot start container a: "), "{text}");
        }
    }
}
