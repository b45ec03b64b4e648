//! What does the choice of base image cost a small HTTP service, in bytes,
//! seconds and dollars?
//!
//! The modules stand in the order the data flows. A suite names variants, one
//! Dockerfile each (`suite`, `dockerfile`); their `FROM` lines stand on bases
//! (`bases`); the builder engine turns them into OCI layouts (`engine`,
//! `build`, `normalise`), whose bytes are counted without any engine (`image`);
//! the layouts are pushed to a local registry behind a recording proxy
//! (`registry`, `proxy`), from which the subject engine pulls and starts them
//! while the clock runs (`measure`, `stats`); the rows land in `results/`
//! (`record`); and `run` is the story as `cargo xtask run-all` tells it.

pub mod digest;
pub mod files;
pub mod problem;
pub mod project;

pub mod normalise;

pub mod image;
