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

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::thread::set_current_timer_slack;

use super::{
    probe::{NotReady, ProbeSpec, Ready, Signs, until_ready},
    subject::READY_TIMEOUT,
};
use crate::engine::{Client, Span};

/// What the column `probe` says of a time that was taken this way.
pub const PUBLISHED_PORT: &str = "published_port";

/// Below the range from which Linux and macOS take the ports of connections:
/// one of the probe's own could otherwise have the port that is to be published.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Somebody's engine under measurement. What was pulled from our registry is
/// ours, and so are the containers with our label; nothing else is removed.
pub struct HostSubject<'a> {
    client: &'a Client,
    registry: SocketAddr,
    port: u16,
}

impl<'a> HostSubject<'a> {
    /// `registry` is the address, that of the recording proxy, from which this
    /// subject pulls.
    ///
    /// # Errors
    /// When no port is free on 127.0.0.1.
    pub fn new(client: &'a Client, registry: SocketAddr) -> Result<Self> {
        let port = PORTS
            .into_iter()
            .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
            .with_context(|| format!("no port of {PORTS:?} is free on 127.0.0.1"))?;
        Ok(Self {
            client,
            registry,
            port,
        })
    }

    /// The port on 127.0.0.1 that stands for the service's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Removes our containers and what they were made of. A blob that another
    /// image holds as well stays, and the next pull is then not cold: only the
    /// proxy's log tells.
    pub fn empty(&self) -> Result<()> {
        self.client.remove_our_containers()?;
        self.client
            .references(&format!("{}/", self.registry))?
            .iter()
            .try_for_each(|reference| self.client.remove_reference(reference))
    }

    /// Pulls an image: request written → response EOF.
    pub fn pull(&self, reference: &str) -> Result<Span> {
        self.client.pull(reference)
    }

    /// Creates a container with the service's `port` published on 127.0.0.1:
    /// its id, and the request's span.
    pub fn create(&self, reference: &str, port: u16) -> Result<(String, Span)> {
        self.client.create_published(reference, port, self.port)
    }

    /// Starts a container and asks for its first complete right answer: the
    /// request's span, and the outcome.
    ///
    /// Method: METHODOLOGY.md, "The portable probe".
    ///
    /// # Errors
    /// What the engine says when it cannot start the container. A service that
    /// does not get ready is an outcome.
    pub fn start(
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

    /// Ends and removes a container.
    pub fn remove(&self, container: &str) -> Result<()> {
        self.client.remove_container(container)
    }
}

/// What can be told of a start from outside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Create request to its response.
    pub create: Duration,
    /// Start request to the first 200: `engine` and `app` in one.
    pub started: Duration,
    /// Create request to the first 200.
    pub start_total: Duration,
}

impl Phases {
    /// `None` when the points are not in their order: they are then of
    /// different starts.
    pub fn of(create: Span, start: Span, ready: &Ready) -> Option<Self> {
        start.start.since(create.end)?;
        Some(Self {
            create: create.end.since(create.start)?,
            started: ready.t_200.since(start.start)?,
            start_total: ready.t_200.since(create.start)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::MonoNs;

    fn span(start_us: u64, end_us: u64) -> Span {
        let at = |us| MonoNs(us * 1_000);
        Span {
            start: at(start_us),
            end: at(end_us),
        }
    }

    #[test]
    fn phases_lie_between_the_points_that_name_them() {
        let ready = Ready {
            t_listen: MonoNs(1_350_000),
            t_200: MonoNs(1_400_000),
            attempts: 2,
        };
        let phases = Phases::of(span(1_000, 1_100), span(1_150, 1_300), &ready).unwrap();
        let us = Duration::from_micros;
        assert_eq!((phases.create, phases.started), (us(100), us(250)));
        assert_eq!(phases.start_total, us(400));
        // The points of two starts.
        assert_eq!(
            Phases::of(span(1_000, 1_151), span(1_150, 1_300), &ready),
            None
        );
        assert_eq!(
            Phases::of(span(1_000, 1_100), span(1_401, 1_500), &ready),
            None
        );
    }
}
