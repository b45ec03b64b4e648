//! Running an image otherwise than it says.

use std::{net::Ipv4Addr, path::PathBuf};

use bollard::models::{ContainerCreateBody, HostConfigLogConfig};

/// What is changed; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Another user, as `--user` takes it.
    pub user: Option<String>,
    /// A root file system that nobody can write.
    pub read_only_root: bool,
    /// A program of ours in the place of the image's own.
    pub guest: Option<Guest>,
}

/// A program that the engine brings into a container. It has the image's files,
/// environment and user, and what it prints is kept.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Where it lies, as the engine sees it.
    pub file: PathBuf,
    /// Where it appears in the container.
    pub at: String,
    /// The name server that its container is given.
    pub dns: Ipv4Addr,
    /// A name for the container's hosts file, with its address.
    pub host: (String, Ipv4Addr),
}

impl Setting {
    pub(super) fn apply(&self, body: &mut ContainerCreateBody) {
        if self.user.is_some() {
            body.user.clone_from(&self.user);
        }
        if let Some(host) = &mut body.host_config
            && self.read_only_root
        {
            host.readonly_rootfs = Some(true);
        }
        if let Some(guest) = &self.guest {
            guest.enter(body);
        }
    }
}

impl Guest {
    fn enter(&self, body: &mut ContainerCreateBody) {
        let Self {
            file,
            at,
            dns,
            host,
        } = self;
        body.entrypoint = Some(vec![at.clone()]);
        if let Some(config) = &mut body.host_config {
            config.binds = Some(vec![format!("{}:{at}:ro", file.display())]);
            config.dns = Some(vec![dns.to_string()]);
            config.extra_hosts = Some(vec![format!("{}:{}", host.0, host.1)]);
            config.log_config = Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: None,
            });
        }
    }
}
