//! Timing: what is measured in which order (`protocol`, `session`), one visit to
//! one variant (`visit`), the engine it is done to (`subject`), and how a start
//! is seen: the kernel's exec events, the container's process, the readiness
//! probe.

pub mod exec_events;
pub mod pids;
pub mod portable;
pub mod probe;
pub mod protocol;
pub mod response;
pub mod session;
pub mod subject;
pub mod visit;
pub mod watch;

#[cfg(test)]
mod session_tests;
