//! What does the choice of base image cost a small HTTP service, in bytes,
//! seconds and dollars?
//!
//! The modules stand in the order the data flows. A suite names variants, one
//! Dockerfile each (`suite`, `dockerfile`); their `FROM` lines stand on bases
//! (`bases`); the builder engine turns them into OCI layouts (`engine`,
//! `build`, `normalise`), whose bytes are counted without any engine (`image`);
//! the layouts are pushed to a local registry behind a recording proxy
//! (`registry`, `proxy`), from which the subject engine pulls and starts them
//! while the clock runs (`measure`, `stats`), and are asked what they can do
//! (`capability`); the rows land in `results/`
//! (`record`), with what the bytes cost (`cost`); what moved in them is told to
//! a reviewer (`review`); what lies in an image, to whoever asks (`explain`); and
//! `run` is the story as `cargo xtask run-all` tells it.

pub mod bases;
pub mod build;
pub mod capability;
pub mod clean;
pub mod cli;
pub mod clock;
pub mod cost;
pub mod digest;
pub mod dockerfile;
pub mod doctor;
pub mod elevate;
pub mod engine;
pub mod explain;
pub mod files;
pub mod human;
pub mod image;
pub mod interrupt;
pub mod manifest;
pub mod measure;
pub mod merge;
pub mod normalise;
pub mod problem;
pub mod progress;
pub mod project;
pub mod proxy;
pub mod publish;
pub mod ratios;
pub mod record;
pub mod registry;
pub mod review;
pub mod run;
mod schema;
pub mod shell;
pub mod static_program;
pub mod stats;
pub mod suite;
pub mod table;
pub mod tls;
