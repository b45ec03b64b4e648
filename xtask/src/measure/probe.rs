//! Is the service ready? Asked until it is, from its own network namespace.
//!
//! A connection alone proves nothing (a port forwarder accepts before the
//! service listens), so ready means one complete response with the expected
//! status and body. Asking from inside the namespace leaves every forwarder out.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::{AsFd as _, BorrowedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::sockopt,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::clock::MonoNs;

use super::response::{self, Connection, NotHttp, Response};

/// From one attempt to the next. A service that begins to listen between two of
/// them is found late by half of this on average; an attempt with its wake-up
/// costs some 50 µs of a core, so asking more often would disturb what is timed.
pub const ATTEMPT_INTERVAL: Duration = Duration::from_micros(250);
/// The same for a service that is slow to start, where it is within 0.5 % of
/// what is timed and the attempts go on for longer.
pub const SLOW_ATTEMPT_INTERVAL: Duration = Duration::from_millis(1);
const SLOW_AFTER: Duration = Duration::from_millis(100);

/// A "hello" is a few hundred bytes; whatever sends this much is something else.
const MAX_RESPONSE_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 16 << 10;

/// A service that leaves a request unanswered for so long hangs; one that does
/// so for less was about to answer when the deadline came.
const HUNG_AFTER: Duration = Duration::from_millis(50);

/// How much of an unexpected body an error quotes.
const QUOTED_CHARS: usize = 200;

/// What is asked, and the answer that counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSpec {
    pub port: u16,
    pub path: String,
    pub status: u16,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The first connection was accepted.
    pub t_listen: MonoNs,
    /// The last byte of the expected response was read.
    pub t_200: MonoNs,
    pub attempts: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("nothing listened on port {port} before the deadline")]
    NeverListened { port: u16 },
    #[error("connections were accepted, but all of them ended without an answer")]
    NeverAnswered,
    #[error("the answer was still status {status} at the deadline, with the body {body:?}")]
    NeverReady { status: u16, body: String },
    #[error("the response stopped after {bytes} bytes and was not complete at the deadline")]
    Hung { bytes: usize },
    #[error("the connection ended after {bytes} bytes, before the response was complete")]
    Truncated { bytes: usize },
    #[error("the response has the expected status, but the body {body:?}")]
    WrongBody { body: String },
    #[error("the response is larger than {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
    #[error("the response is not one that a GET over HTTP/1.1 allows: {0}")]
    NotHttp(#[from] NotHttp),
    #[error("the service's process ended before it was ready")]
    Exited,
    #[error("the probe was told to stop")]
    Stopped,
    #[error("the probe cannot {what}: {error}")]
    Io {
        what: &'static str,
        error: io::Error,
    },
}

impl NotReady {
    /// The fixed word for this failure in a row's `error`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NeverListened { .. } => "never_listened",
            Self::NeverAnswered => "never_answered",
            Self::NeverReady { .. } => "never_ready",
            Self::Hung { .. } => "hung",
            Self::Truncated { .. } => "truncated",
            Self::WrongBody { .. } => "wrong_body",
            Self::TooLarge => "too_large",
            Self::NotHttp(_) => "not_http",
            Self::Exited => "exited",
            Self::Stopped => "stopped",
            Self::Io { .. } => "probe_failed",
        }
    }
}

/// Moves the calling thread, and it alone, into the network namespace of `pid`.
/// Meant for a thread that ends afterwards: there is no way back.
pub fn enter_net_ns(pid: u32) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    Ok(move_into_link_name_space(
        namespace.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// What ends a probe early, apart from its deadline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signs<'a> {
    /// A pidfd: readable once the process has ended.
    pub exit: Option<BorrowedFd<'a>>,
    /// The read end of a pipe: readable once the other end is closed.
    pub stop: Option<BorrowedFd<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    Readable,
    Exited,
    Stopped,
    TimedOut,
}

impl Signs<'_> {
    /// Sleeps until `source` is readable, a sign appears or `until` has come.
    pub fn wait(&self, source: Option<BorrowedFd<'_>>, until: MonoNs) -> Result<Woken, NotReady> {
        let watched = [
            // In this order: what can be read may be the whole response of a
            // process that ended right after it.
            (source, Woken::Readable),
            (self.exit, Woken::Exited),
            (self.stop, Woken::Stopped),
        ];
        let watched = watched.iter().filter_map(|&(fd, woken)| Some((fd?, woken)));
        let (mut fds, meanings): (Vec<_>, Vec<_>) = watched
            .map(|(fd, woken)| (PollFd::from_borrowed_fd(fd, PollFlags::IN), woken))
            .unzip();
        loop {
            let timeout = Timespec::try_from(until.remaining()).unwrap_or_default();
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(cannot("wait")(errno.into())),
                Ok(_) => break,
            }
        }
        let first = fds.iter().position(|fd| !fd.revents().is_empty());
        Ok(first.map_or(Woken::TimedOut, |index| meanings[index]))
    }

    /// Like [`wait`](Self::wait), where a sign is the end of the probe.
    fn wait_or_end(&self, source: Option<BorrowedFd<'_>>, until: MonoNs) -> Result<bool, NotReady> {
        match self.wait(source, until)? {
            Woken::Readable => Ok(true),
            Woken::TimedOut => Ok(false),
            Woken::Exited => Err(NotReady::Exited),
            Woken::Stopped => Err(NotReady::Stopped),
        }
    }
}

/// Asks until the service is ready, on a schedule that starts now and does not
/// drift; everything, a hung response too, ends at `deadline`.
pub fn until_ready(
    spec: &ProbeSpec,
    signs: Signs<'_>,
    deadline: MonoNs,
) -> Result<Ready, NotReady> {
    let mut probe = Probe {
        spec,
        signs,
        deadline,
        t_listen: None,
        last: NotReady::NeverListened { port: spec.port },
    };
    let start = MonoNs::now();
    for attempts in 1.. {
        if let Some(ready) = probe.attempt(attempts)? {
            return Ok(ready);
        }
        let next = next_tick(start, MonoNs::now());
        probe.signs.wait_or_end(None, next.min(deadline))?;
        if next >= deadline {
            break;
        }
    }
    Err(probe.last)
}

/// The first point of the schedule after `now`. Both intervals divide the time
/// of the change, so the schedule is fixed by `start` alone.
fn next_tick(start: MonoNs, now: MonoNs) -> MonoNs {
    let passed = now.since(start).unwrap_or_default();
    let interval = match passed {
        fine if fine < SLOW_AFTER => ATTEMPT_INTERVAL,
        _ => SLOW_ATTEMPT_INTERVAL,
    };
    let interval = interval.as_nanos() as u64;
    let ticks = passed.as_nanos() as u64 / interval;
    MonoNs(start.0 + (ticks + 1) * interval)
}

struct Probe<'a> {
    spec: &'a ProbeSpec,
    signs: Signs<'a>,
    deadline: MonoNs,
    t_listen: Option<MonoNs>,
    /// What is wrong if the deadline comes before the next attempt.
    last: NotReady,
}

impl Probe<'_> {
    /// `None`: not yet, try again.
    fn attempt(&mut self, attempts: u32) -> Result<Option<Ready>, NotReady> {
        let Some(stream) = connect(self.spec.port, self.deadline) else {
            return Ok(None);
        };
        let connected = MonoNs::now();
        let t_listen = *self.t_listen.get_or_insert(connected);
        let asked = match self.ask(stream) {
            // Cut off by the deadline, this one tells less than those before it.
            Err(NotReady::Hung { .. })
                if self.knows_more() && MonoNs::now() < connected + HUNG_AFTER =>
            {
                return Ok(None);
            }
            asked => asked?,
        };
        let Some((t_200, response)) = asked else {
            self.last = NotReady::NeverAnswered;
            return Ok(None);
        };
        if response.status != self.spec.status {
            self.last = NotReady::NeverReady {
                status: response.status,
                body: quoted(&response.body),
            };
            return Ok(None);
        }
        if response.body != self.spec.body {
            let body = quoted(&response.body);
            return Err(NotReady::WrongBody { body });
        }
        Ok(Some(Ready {
            t_listen,
            t_200,
            attempts,
        }))
    }

    /// Whether an earlier attempt got as far as a connection.
    fn knows_more(&self) -> bool {
        !matches!(self.last, NotReady::NeverListened { .. })
    }

    /// The response and when its last byte was read; `None` when the connection
    /// ends without one byte of it.
    fn ask(&self, mut stream: TcpStream) -> Result<Option<(MonoNs, Response)>, NotReady> {
        if stream.write_all(self.spec.request().as_bytes()).is_err() {
            return Ok(None);
        }
        let mut received = Vec::new();
        let mut buffer = [0; READ_BYTES];
        loop {
            if !self
                .signs
                .wait_or_end(Some(stream.as_fd()), self.deadline)?
            {
                let bytes = received.len();
                return Err(NotReady::Hung { bytes });
            }
            // A reset ends the response just as an orderly close does.
            let bytes = stream.read(&mut buffer).unwrap_or(0);
            let read_at = MonoNs::now();
            received.extend_from_slice(&buffer[..bytes]);
            let connection = match bytes {
                0 => Connection::Closed,
                _ => Connection::Open,
            };
            if let Some(response) = response::parse(&received, connection)? {
                return Ok(Some((read_at, response)));
            }
            match received.len() {
                0 => return Ok(None),
                bytes if connection == Connection::Closed => {
                    return Err(NotReady::Truncated { bytes });
                }
                MAX_RESPONSE_BYTES.. => return Err(NotReady::TooLarge),
                _ => {}
            }
        }
    }
}

impl ProbeSpec {
    fn request(&self) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.path, self.port
        )
    }
}

/// A connection that something accepted; `None` for every kind of refusal.
fn connect(port: u16, deadline: MonoNs) -> Option<TcpStream> {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    // A zero time-out is an error to std. The wait is bounded because a full
    // accept queue swallows a connection without refusing it.
    let timeout = deadline.remaining().max(Duration::from_micros(1));
    let stream = TcpStream::connect_timeout(&address.into(), timeout).ok()?;
    if stream.local_addr().ok() == Some(address.into()) {
        // The kernel chose the probed port as our own and connected us to
        // ourselves. A reset keeps the port free for the service.
        let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        return None;
    }
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

fn quoted(body: &[u8]) -> String {
    String::from_utf8_lossy(body)
        .chars()
        .take(QUOTED_CHARS)
        .collect()
}

/// Names what failed, for `map_err`.
pub fn cannot(what: &'static str) -> impl FnOnce(io::Error) -> NotReady {
    move |error| NotReady::Io { what, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_absolute() {
        let tick = |now: u64| next_tick(MonoNs(7), MonoNs(7 + now)).0 - 7;
        assert_eq!(tick(0), 250_000);
        assert_eq!(tick(249_999), 250_000);
        assert_eq!(tick(250_000), 500_000);
        // An attempt that took long skips ticks instead of moving them.
        assert_eq!(tick(2_600_000), 2_750_000);
        assert_eq!(tick(99_999_999), 100_000_000);
        assert_eq!(tick(100_000_000), 101_000_000);
        assert_eq!(tick(107_300_000), 108_000_000);
    }
}
