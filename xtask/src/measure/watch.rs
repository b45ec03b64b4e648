//! One start, watched from before its request until the first 200.
//!
//! The watch is armed before the start request is sent, and the probing begins
//! at the exec event itself: a fast service answers before the engine's start
//! response arrives.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
    thread::set_current_timer_slack,
};

use crate::clock::MonoNs;

use super::{
    exec_events::{EventsError, Exec, ExecEvents},
    pids::EngineNs,
    probe::{NotReady, ProbeSpec, Signs, Woken, cannot, enter_net_ns, until_ready},
};

/// A container that started and became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The container's first process, as this side numbers it.
    pub pid: u32,
    pub t_exec: MonoNs,
    pub t_listen: MonoNs,
    pub t_200: MonoNs,
    pub attempts: u32,
}

/// A start that was answered, as far as a subject sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// None where nobody sees the exec.
    pub t_exec: Option<MonoNs>,
    pub t_200: MonoNs,
    pub attempts: u32,
}

impl From<Started> for Answered {
    fn from(started: Started) -> Self {
        Self {
            t_exec: Some(started.t_exec),
            t_200: started.t_200,
            attempts: started.attempts,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    #[error(transparent)]
    Events(#[from] EventsError),
    #[error(
        "no container of this engine executed its entrypoint before the deadline, or it ended \
         before it could be looked at"
    )]
    NoExec,
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

impl StartFailure {
    /// The fixed word for this failure in a row's `error`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Events(EventsError::Dropped) => "events_dropped",
            Self::Events(_) => "no_events",
            Self::NoExec => "no_exec",
            Self::NotReady(not_ready) => not_ready.word(),
        }
    }
}

pub type Outcome = Result<Started, StartFailure>;

/// A watch under way on a thread of its own. Dropping it ends the thread.
#[derive(Debug)]
pub struct Watch {
    thread: JoinHandle<Outcome>,
    stop: OwnedFd,
}

impl Watch {
    /// Waits for the outcome, at most until the watch's deadline.
    pub fn join(self) -> Outcome {
        let Self { thread, stop } = self;
        let outcome = finish(thread);
        drop(stop);
        outcome
    }

    /// Ends the watch now, for a start request that failed.
    pub fn cancel(self) -> Outcome {
        let Self { thread, stop } = self;
        drop(stop);
        finish(thread)
    }
}

fn finish(thread: JoinHandle<Outcome>) -> Outcome {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Watches for the next container that `engine` starts. `events` must have been
/// subscribed before the start request; nothing else may start on that engine.
pub fn watch_start(
    events: ExecEvents,
    engine: EngineNs,
    probe: ProbeSpec,
    deadline: MonoNs,
) -> io::Result<Watch> {
    let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
    let thread = thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || watch(&events, engine, &probe, deadline, &stopped))?;
    Ok(Watch { thread, stop })
}

fn watch(
    events: &ExecEvents,
    engine: EngineNs,
    probe: &ProbeSpec,
    deadline: MonoNs,
    stopped: &OwnedFd,
) -> Outcome {
    // The default lets every sleep of the schedule end 50 µs late; without this
    // permission the probe is a little less sharp, no more.
    let _ = set_current_timer_slack(std::num::NonZeroU64::new(1));
    let signs = Signs {
        exit: None,
        stop: Some(stopped.as_fd()),
    };
    let Exec { pid, at: t_exec } = entrypoint(events, engine, signs, deadline)?;
    let process = open_process(pid)?;
    let signs = Signs {
        exit: Some(process.as_fd()),
        ..signs
    };
    enter_net_ns(pid).map_err(|error| match signs.wait(None, MonoNs::now()) {
        Ok(Woken::Exited) => NotReady::Exited,
        _ => cannot("enter the container's network namespace")(error),
    })?;
    let ready = until_ready(probe, signs, deadline)?;
    Ok(Started {
        pid,
        t_exec,
        t_listen: ready.t_listen,
        t_200: ready.t_200,
        attempts: ready.attempts,
    })
}

/// The first exec of a container's first process.
fn entrypoint(
    events: &ExecEvents,
    engine: EngineNs,
    signs: Signs<'_>,
    deadline: MonoNs,
) -> Result<Exec, StartFailure> {
    loop {
        while let Some(exec) = events.try_next()? {
            if engine.is_container_init(exec.pid) {
                return Ok(exec);
            }
        }
        match signs.wait(Some(events.as_fd()), deadline)? {
            Woken::Readable => {}
            Woken::TimedOut => return Err(StartFailure::NoExec),
            Woken::Exited | Woken::Stopped => return Err(NotReady::Stopped.into()),
        }
    }
}

/// A pidfd: readable once the process has ended.
///
/// # Errors
/// [`NotReady::Exited`] when it has ended already.
pub fn open_process(pid: u32) -> Result<OwnedFd, NotReady> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match pidfd_open(raw.ok_or(NotReady::Exited)?, PidfdFlags::empty()) {
        Ok(process) => Ok(process),
        Err(Errno::SRCH) => Err(NotReady::Exited),
        Err(errno) => Err(cannot("watch the container's process")(errno.into())),
    }
}

/// When the engine was asked for the container whose start was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    pub create_sent: MonoNs,
    pub create_answered: MonoNs,
    pub start_sent: MonoNs,
}

/// Where the time from the create request to the first 200 went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Create request to its response.
    pub create: Duration,
    /// Start request to the entrypoint's exec, where that is seen.
    pub engine: Option<Duration>,
    /// The entrypoint's exec to the first 200, where the exec is seen.
    pub app: Option<Duration>,
    /// Create request to the first 200.
    pub start_total: Duration,
}

impl Phases {
    /// `None` when the points are not in their order: they are then of
    /// different starts.
    pub fn of(requests: Requests, answered: &Answered) -> Option<Self> {
        let Answered { t_exec, t_200, .. } = *answered;
        requests.start_sent.since(requests.create_answered)?;
        t_200.since(requests.start_sent)?;
        let (engine, app) = match t_exec {
            Some(t_exec) => (
                Some(t_exec.since(requests.start_sent)?),
                Some(t_200.since(t_exec)?),
            ),
            None => (None, None),
        };
        Some(Self {
            create: requests.create_answered.since(requests.create_sent)?,
            engine,
            app,
            start_total: t_200.since(requests.create_sent)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> MonoNs {
        MonoNs(us * 1_000)
    }

    fn requests(start_sent_us: u64) -> Requests {
        Requests {
            create_sent: at(1_000),
            create_answered: at(1_100),
            start_sent: at(start_sent_us),
        }
    }

    fn answered(t_exec: Option<MonoNs>) -> Answered {
        Answered {
            t_exec,
            t_200: at(1_400),
            attempts: 2,
        }
    }

    #[test]
    fn phases_lie_between_the_points_that_name_them() {
        let us = Duration::from_micros;
        let phases = Phases::of(requests(1_150), &answered(Some(at(1_300)))).unwrap();
        assert_eq!((phases.engine, phases.app), (Some(us(150)), Some(us(100))));
        assert_eq!((phases.create, phases.start_total), (us(100), us(400)));
        let unseen = Phases::of(requests(1_150), &answered(None)).unwrap();
        assert_eq!((unseen.engine, unseen.app), (None, None));
        assert_eq!((unseen.create, unseen.start_total), (us(100), us(400)));
    }

    #[test]
    fn points_that_are_not_in_their_order_are_of_different_starts() {
        let execs = [Some(at(1_300)), None];
        let of = |start_sent_us, exec| Phases::of(requests(start_sent_us), &answered(exec));
        for exec in execs {
            assert_eq!(of(1_099, exec), None, "started before it was created");
            assert_eq!(of(1_401, exec), None, "answered before it was started");
        }
        assert_eq!(of(1_301, execs[0]), None, "there before it was started");
        assert_eq!(of(1_150, Some(at(1_401))), None, "answered before it ran");
    }
}
