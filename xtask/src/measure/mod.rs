//! What is timed, and how often: the pulls and starts of METHODOLOGY.md.

pub mod protocol;
