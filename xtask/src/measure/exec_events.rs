//! The kernel's own account of when a process executed its program.
//!
//! A container's time to readiness starts when its entrypoint's `exec`
//! succeeds, and only the kernel knows when that was: the engine's start
//! response arrives milliseconds later. The process-event connector reports
//! every exec with its CLOCK_MONOTONIC time, taken inside the system call.
//!
//! The kernel answers only in the initial network, PID and user namespaces.
//!
//! Layouts: a datagram is a `nlmsghdr` (linux/netlink.h), then a `cn_msg`
//! (linux/connector.h), then a `proc_event` (linux/cn_proc.h), each in native
//! byte order. The fields are read at the offsets that those headers give.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, bind, netlink,
        netlink::SocketAddrNetlink, recvfrom, sendto, socket_with, sockopt,
    },
};

use crate::clock::MonoNs;

/// `CN_IDX_PROC` and `CN_VAL_PROC`: the connector's address of process events,
/// and also the multicast group they are sent to.
const CN_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_CN_MCAST_IGNORE: u32 = 2;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_EXEC: u32 = 2;
const NLMSG_DONE: u16 = 3;

const NLMSGHDR_BYTES: usize = 16;
const CN_MSG_BYTES: usize = 20;
const CN_DATA: usize = NLMSGHDR_BYTES + CN_MSG_BYTES;

/// A connector message is 76 bytes; the rest is room for a kernel that says more.
const DATAGRAM_BYTES: usize = 512;

/// The kernel charges about 800 bytes for each waiting event, so this holds
/// some ten thousand of them: more than an engine makes during one start.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// The kernel acknowledges within the system call that subscribes, so silence
/// for this long is an answer too.
const ACK_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    #[error("process events need root (CAP_NET_ADMIN): run the command through sudo")]
    NotPermitted,
    #[error(
        "process events are sent only in the initial network namespace: \
         run with the host's network (docker run --network host)"
    )]
    NotInitialNetwork,
    #[error(
        "the kernel does not answer a request for process events: either this is not the initial \
         PID or user namespace (docker run --pid host), or the kernel has no CONFIG_PROC_EVENTS"
    )]
    NoAnswer,
    #[error("this kernel has no process events (CONFIG_CONNECTOR, CONFIG_PROC_EVENTS)")]
    NotInKernel,
    /// An event may be among the lost, so the sample is void.
    #[error("the kernel dropped process events: too many processes start at once")]
    Dropped,
    #[error("cannot read process events: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for EventsError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::CONNREFUSED => Self::NotInitialNetwork,
            Errno::PROTONOSUPPORT => Self::NotInKernel,
            Errno::NOBUFS => Self::Dropped,
            other => Self::Io(other.into()),
        }
    }
}

/// A process executed a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The process (thread group), as the initial PID namespace numbers it.
    pub pid: u32,
    pub at: MonoNs,
}

/// A subscription: from [`subscribe`](Self::subscribe) on, the kernel keeps
/// every exec until it is read. It ends when dropped.
#[derive(Debug)]
pub struct ExecEvents {
    socket: OwnedFd,
}

impl ExecEvents {
    pub fn subscribe() -> Result<Self, EventsError> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::CONNECTOR),
        )?;
        // The forced size ignores net.core.rmem_max, which is often 208 KiB.
        sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES)?;
        bind(&socket, &SocketAddrNetlink::new(0, 1 << (CN_PROC - 1)))?;
        let events = Self { socket };
        // Other listeners' acknowledgements arrive here too; this tells ours.
        let token = MonoNs::now().0 as u32;
        events.send(token, &[PROC_CN_MCAST_LISTEN])?;
        events.await_ack(token)?;
        // Linux 6.6 and later filter in the kernel, without acknowledging that;
        // earlier ones ignore a request of this length. Either way every event
        // is looked at here too.
        events.send(token, &[PROC_CN_MCAST_LISTEN, PROC_EVENT_EXEC])?;
        Ok(events)
    }

    /// The next exec, waiting for it until `deadline`; `None` when there is none.
    pub fn next(&self, deadline: MonoNs) -> Result<Option<Exec>, EventsError> {
        loop {
            if let Some(exec) = self.try_next()? {
                return Ok(Some(exec));
            }
            if !self.readable_before(deadline)? {
                return Ok(None);
            }
        }
    }

    /// An exec that has been reported already.
    pub fn try_next(&self) -> Result<Option<Exec>, EventsError> {
        while let Some(message) = self.receive()? {
            if let Some(exec) = message.exec() {
                return Ok(Some(exec));
            }
        }
        Ok(None)
    }

    fn await_ack(&self, token: u32) -> Result<(), EventsError> {
        let deadline = MonoNs::now() + ACK_TIMEOUT;
        loop {
            while let Some(message) = self.receive()? {
                match message.ack(token) {
                    Some(0) => return Ok(()),
                    Some(errno) => return Err(Errno::from_raw_os_error(errno).into()),
                    None => {}
                }
            }
            if !self.readable_before(deadline)? {
                return Err(EventsError::NoAnswer);
            }
        }
    }

    fn readable_before(&self, deadline: MonoNs) -> Result<bool, EventsError> {
        let timeout = Timespec::try_from(deadline.remaining()).unwrap_or_default();
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next message of the kernel; `None` when none is waiting.
    fn receive(&self) -> Result<Option<Message>, EventsError> {
        let mut datagram = [0; DATAGRAM_BYTES];
        loop {
            match recvfrom(&self.socket, &mut datagram, RecvFlags::empty()) {
                Ok((bytes, _, from)) => {
                    if is_kernel(from)
                        && let Some(message) = Message::parse(&datagram[..bytes])
                    {
                        return Ok(Some(message));
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn send(&self, token: u32, words: &[u32]) -> Result<(), Errno> {
        let to_kernel = SocketAddrNetlink::new(0, 0);
        sendto(
            &self.socket,
            &request(token, words),
            SendFlags::empty(),
            &to_kernel,
        )
        .map(drop)
    }
}

impl AsFd for ExecEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for ExecEvents {
    fn drop(&mut self) {
        // Kernels before 6.6 count listeners and would go on making events for
        // one that merely closed its socket. Nothing is left to do on failure.
        let _ = self.send(0, &[PROC_CN_MCAST_IGNORE]);
    }
}

/// Any process may write to the socket; only the kernel sends from port 0.
fn is_kernel(from: Option<SocketAddrAny>) -> bool {
    from.and_then(|from| SocketAddrNetlink::try_from(from).ok())
        .is_some_and(|from| from.pid() == 0)
}

/// A request to the process connector: its operation, and for newer kernels the
/// set of events. The kernel answers with `token + 1` as `ack`.
fn request(token: u32, words: &[u32]) -> Vec<u8> {
    let data_bytes = words.len() * 4;
    let mut bytes = Vec::with_capacity(CN_DATA + data_bytes);
    let mut word = |value: u32| bytes.extend(value.to_ne_bytes());
    word((CN_DATA + data_bytes) as u32); // nlmsg_len
    word(pair(NLMSG_DONE, 0)); // nlmsg_type, nlmsg_flags
    word(0); // nlmsg_seq
    word(0); // nlmsg_pid: the kernel fills it in
    word(CN_PROC); // cb_id.idx
    word(CN_PROC); // cb_id.val
    word(0); // seq
    word(token); // ack
    word(pair(data_bytes as u16, 0)); // len, flags
    words.iter().copied().for_each(word);
    bytes
}

/// Two adjacent 16-bit fields as the 32-bit word that they fill.
fn pair(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// What a datagram says, as far as anything here asks for it.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    ack: u32,
    what: u32,
    at: MonoNs,
    /// The first two words of `event_data`: for an exec the thread and the
    /// process, for an acknowledgement the error.
    data: [u32; 2],
}

impl Message {
    /// `None` for anything that is not a whole process event.
    fn parse(datagram: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(field(datagram, at)?));
        if [word(NLMSGHDR_BYTES)?, word(NLMSGHDR_BYTES + 4)?] != [CN_PROC, CN_PROC] {
            return None;
        }
        Some(Self {
            ack: word(NLMSGHDR_BYTES + 12)?,
            what: word(CN_DATA)?,
            at: MonoNs(u64::from_ne_bytes(field(datagram, CN_DATA + 8)?)),
            data: [word(CN_DATA + 16)?, word(CN_DATA + 20)?],
        })
    }

    fn exec(&self) -> Option<Exec> {
        (self.what == PROC_EVENT_EXEC).then_some(Exec {
            pid: self.data[1],
            at: self.at,
        })
    }

    /// The error number of the answer to the request that carried `token`.
    fn ack(&self, token: u32) -> Option<i32> {
        (self.what == PROC_EVENT_NONE && self.ack == token.wrapping_add(1))
            .then_some(self.data[0] as i32)
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    use super::*;

    #[test]
    fn without_root_the_error_says_so() {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        // A thread can give up alone what its process may.
        let refused = thread::spawn(move || {
            set_capabilities(None, none).unwrap();
            ExecEvents::subscribe().map(drop)
        });
        let outcome = refused.join().unwrap();
        assert!(
            matches!(outcome, Err(EventsError::NotPermitted)),
            "{outcome:?}"
        );
    }

    /// An exec event as the kernel sends it: 76 bytes.
    fn exec_datagram() -> Vec<u8> {
        let mut bytes = request(0, &[PROC_EVENT_EXEC, 1]);
        bytes.extend(1_474_628_236_527_u64.to_ne_bytes());
        bytes.extend([10_u32, 9, 0, 0, 0, 0].map(u32::to_ne_bytes).concat());
        bytes
    }

    #[test]
    fn an_exec_is_read_field_by_field() {
        let bytes = exec_datagram();
        assert_eq!(bytes.len(), 76);
        let exec = Message::parse(&bytes).unwrap().exec().unwrap();
        assert_eq!(exec.pid, 9, "the process, not the thread");
        assert_eq!(exec.at, MonoNs(1_474_628_236_527));
    }

    #[test]
    fn a_shortened_or_foreign_datagram_is_no_message() {
        let bytes = exec_datagram();
        for cut in 0..CN_DATA + 24 {
            assert_eq!(Message::parse(&bytes[..cut]), None, "{cut} bytes");
        }
        let mut foreign = bytes;
        foreign[NLMSGHDR_BYTES] ^= 0xff;
        assert_eq!(Message::parse(&foreign), None);
    }

    #[test]
    fn an_ack_belongs_to_one_request() {
        let mut bytes = request(42, &[PROC_EVENT_NONE, 0, 0, 0, 1, 0]);
        assert_eq!(Message::parse(&bytes).unwrap().ack(41), Some(1), "EPERM");
        assert_eq!(Message::parse(&bytes).unwrap().ack(7), None);
        bytes[CN_DATA..CN_DATA + 4].copy_from_slice(&PROC_EVENT_EXEC.to_ne_bytes());
        assert_eq!(Message::parse(&bytes).unwrap().ack(41), None);
    }
}
