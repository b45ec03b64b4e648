//! The portable probe: readiness seen through a published port.
//!
//! A method of its own, with its own label, for engines whose containers'
//! network namespaces cannot be entered. It asks by the same schedule and
//! counts the same complete answer as the probe inside the namespace, but by
//! way of whatever forwards the port. It does not see the exec: `engine` and
//! `app` stay empty, and only the time of both together is known.
//!
//! It begins to ask when the start request is answered and not before. The
//! forwarder accepts connections long before the container has a network, and
//! one that it passes on too early makes the kernel ask in vain who has the
//! container's address; the next time it asks is a second later.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use rustix::thread::set_current_timer_slack;

use super::{
    probe::{NotReady, ProbeSpec, Ready, Signs, until_ready},
    subject::{READY_TIMEOUT, Subject, settle_this_machine},
    watch::{Answered, StartFailure},
};
use crate::{
    clock::MonoNs,
    engine::{Client, LABEL, Span},
};

/// Below the range from which Linux and macOS take the ports of connections:
/// one of the probe's own could otherwise have the port that is to be published.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Somebody's engine under measurement. What was pulled from our registry is
/// ours, and so are the containers with our label; nothing else is removed.
pub struct HostSubject<'a> {
    client: &'a Client,
    port: u16,
}

impl<'a> HostSubject<'a> {
    /// # Errors
    /// When no port is free on 127.0.0.1.
    pub fn new(client: &'a Client) -> Result<Self> {
        let port = PORTS
            .into_iter()
            .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
            .with_context(|| format!("no port of {PORTS:?} is free on 127.0.0.1"))?;
        Ok(Self { client, port })
    }

    /// The port on 127.0.0.1 that stands for the service's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts a container and asks for its first complete right answer: the
    /// request's span, and the outcome.
    ///
    /// Method: METHODOLOGY.md, "The portable probe".
    ///
    /// # Errors
    /// What the engine says when it cannot start the container. A service that
    /// does not get ready is an outcome.
    pub fn start_and_ask(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(Span, Result<Ready, NotReady>)> {
        let spec = ProbeSpec {
            port: self.port,
            ..probe.clone()
        };
        // As for the probe in the namespace: a little less sharp without it.
        let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
        let span = self.client.start(container)?;
        let deadline = span.start + READY_TIMEOUT;
        let outcome = match until_ready(&spec, Signs::default(), deadline) {
            // From out here only the engine knows that the process has ended.
            Err(_) if self.client.exit_code(container)?.is_some() => Err(NotReady::Exited),
            outcome => outcome,
        };
        Ok((span, outcome))
    }
}

impl Subject for HostSubject<'_> {
    /// Removes our containers and what they were made of. A blob that another
    /// image or the build cache holds as well stays, and the next pull is then
    /// not cold: only the proxy's log tells.
    fn empty(&self) -> Result<()> {
        self.client.remove_our_containers()?;
        let references = self.client.references()?;
        let mut ours = references.iter().filter(|it| is_ours(it));
        ours.try_for_each(|reference| self.client.remove_reference(reference))
    }

    fn forget(&self, reference: &str) -> Result<()> {
        self.client.remove_reference(reference)
    }

    fn settle(&self) -> Result<()> {
        settle_this_machine()
    }

    fn drop_caches(&self) -> Result<()> {
        bail!("the page cache of a machine with somebody's engine is not ours to drop")
    }

    fn sync_data_root(&self) -> Result<MonoNs> {
        bail!("the data root of somebody's engine is not ours to open")
    }

    fn pull(&self, reference: &str) -> Result<Span> {
        self.client.pull(reference)
    }

    fn create(&self, reference: &str, port: u16) -> Result<(String, Span)> {
        self.client.create_published(reference, port, self.port)
    }

    fn start(
        &self,
        container: &str,
        probe: &ProbeSpec,
    ) -> Result<(MonoNs, Result<Answered, StartFailure>)> {
        let (span, outcome) = self.start_and_ask(container, probe)?;
        let answered = outcome.map(Answered::from).map_err(StartFailure::from);
        Ok((span.start, answered))
    }

    fn remove(&self, container: &str) -> Result<()> {
        self.client.remove_container(container)
    }
}

impl From<Ready> for Answered {
    fn from(ready: Ready) -> Self {
        Self {
            t_exec: None,
            t_200: ready.t_200,
            attempts: ready.attempts,
        }
    }
}

/// Whether a reference names what a run has pulled, this one or another that
/// could not tidy up: an image cannot be given a label without changing it, so
/// the repositories of our registry carry it in their name.
fn is_ours(reference: &str) -> bool {
    let ours = |repository: &str| repository.split('/').next() == Some(LABEL);
    reference
        .strip_prefix("127.0.0.1:")
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(_port, repository)| ours(repository))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_from_our_repositories_is_ours() {
        for ours in [
            "127.0.0.1:41234/base-image-cost/gin/scratch@sha256:0123",
            "127.0.0.1:5000/base-image-cost/bases/debian:measured",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for theirs in [
            "127.0.0.1:41234/gin/scratch@sha256:0123",
            "127.0.0.1:41234/base-image-costs/gin",
            "127.0.0.1:41234/x/base-image-cost/gin",
            "example.test:5000/base-image-cost/gin",
            "base-image-cost/gin:latest",
            "base-image-cost",
        ] {
            assert!(!is_ours(theirs), "{theirs}");
        }
    }

    #[test]
    fn through_a_port_nobody_sees_the_exec() {
        let ready = Ready {
            t_listen: MonoNs(1),
            t_200: MonoNs(2),
            attempts: 3,
        };
        let expected = Answered {
            t_exec: None,
            t_200: MonoNs(2),
            attempts: 3,
        };
        assert_eq!(Answered::from(ready), expected);
    }
}
