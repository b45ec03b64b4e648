//! Timing: what is measured in which order (`protocol`, `session`), one visit to
//! one variant (`visit`), the engine it is done to (`subject`, and `portable`
//! for somebody's), and how a start is seen: the kernel's exec events, the
//! container's process, the readiness probe. `limits` takes what the machine
//! could do at best.

pub mod comparison;
pub mod control;
pub mod exec_events;
pub mod ledger;
pub mod limits;
pub mod noise;
pub mod pids;
pub mod portable;
pub mod probe;
pub mod protocol;
pub mod response;
pub mod sample;
pub mod scenario;
pub mod selftest;
pub mod session;
pub mod subject;
pub mod visit;
pub mod watch;

#[cfg(test)]
mod session_tests;
