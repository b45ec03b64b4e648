//! Timing: the clock, the kernel's exec events, and the readiness probe.

pub mod exec_events;
pub mod pids;
pub mod probe;
pub mod response;
pub mod watch;
