//! The one door to Docker. `lab` makes an engine out of Debian packages on a
//! machine that has none; `host` uses the one that is there. Nothing outside
//! this module knows bollard.

mod client;
mod daemon;
mod data_root;
mod host;
pub mod init;
mod lab;
mod lock;
pub mod namespace;
pub mod rootfs;
mod scratch;
mod setting;

pub use client::{CannotExecute, Client};
pub use daemon::Daemon;
pub use data_root::{DataRoot, MORE_ROOM, Room, file_system_of, prefix as data_root_prefix};
pub use host::HostEngine;
pub use lab::{Lab, LabEngine, LabRegistry, REGISTRY_STORAGE, Role, Store, host_ca_bundle};
pub use lock::Lock;
pub use scratch::Scratch;
pub use setting::{Guest, Setting};

use crate::clock::MonoNs;

/// What we create on somebody's engine carries this label, and only what
/// carries it is ever removed.
pub const LABEL: &str = "base-image-cost";

/// From a request written to its response received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: MonoNs,
    pub end: MonoNs,
}

/// What measured: part of the environment of every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub docker: String,
    pub api: String,
    pub containerd: String,
    pub runc: String,
    /// The image store: `overlay2`, or `containerd/` and its snapshotter.
    pub store: String,
    pub cgroup: String,
}
