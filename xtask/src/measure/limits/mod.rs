//! What this machine could do at best, taken in the session whose times are
//! held against it.
//!
//! One file per limit: plain GETs of the same blobs (`raw_get`), hashing and
//! inflating the same layers (`inflate_hash`), writing their files to the same
//! file system (`untar`), the same program without an engine (`bare_exec`,
//! `namespaces_exec`) and under `runc` alone (`runc_run`). `rootfs` puts the
//! image's files where a program can be started in them, `command` says what
//! the image starts, and `gate` holds the start back until the clock runs.

pub mod bare_exec;
pub mod command;
pub mod gate;
pub mod inflate_hash;
pub mod namespaces_exec;
pub mod raw_get;
pub mod rootfs;
pub mod runc_run;
pub mod untar;

use std::net::SocketAddr;

use anyhow::Result;

use self::{command::ImageCommand, rootfs::Rootfs};
use super::{visit::Target, watch::StartFailure};
use crate::{
    engine::LabEngine,
    image::{self, Layout, Walk},
    proxy::cold::Blob,
    record::{
        cell::{Cell as _, ErrorWord, Limit},
        limits::LimitSamples,
    },
};

/// Takes every limit of one variant but the network's, `repetitions` times each.
///
/// The subject should be idle, and its data root needs room for the unpacked
/// image once and for its largest layer once more.
///
/// A limit that cannot be taken has no samples but an error, and the others are
/// taken all the same.
///
/// Method: METHODOLOGY.md, "Limits".
///
/// # Errors
/// When the image cannot be read or its files cannot be unpacked.
pub fn measure(
    subject: &LabEngine,
    target: &Target,
    layout: &Layout,
    repetitions: u32,
) -> Result<Vec<LimitSamples>> {
    // This reads every blob, so that the page cache holds them from now on.
    let walk = image::walk::walk(layout, |_| false)?;
    let mut taken = vec![
        repeat(Limit::InflateHash, repetitions, || {
            inflate_hash::inflate_hash(layout)
        }),
        repeat(Limit::Untar, repetitions, || {
            untar::untar(subject, layout, &walk)
        }),
    ];
    taken.extend(starts(subject, target, layout, &walk, repetitions)?);
    Ok(taken)
}

/// The limit of the network, with as many downloads `at_once` as the engine had.
///
/// `source` is the registry itself, or the recording proxy where the profile is
/// shaped: the network's rate is then part of the limit. The proxy's log is left
/// to the caller, who forgets it before a sample anyway.
pub fn network(
    source: SocketAddr,
    target: &Target,
    at_once: usize,
    repetitions: u32,
) -> LimitSamples {
    repeat(Limit::RawGet, repetitions, || {
        raw_get::raw_get(source, &repository(target), &layers(target), at_once)
    })
}

fn starts(
    subject: &LabEngine,
    target: &Target,
    layout: &Layout,
    walk: &Walk,
    repetitions: u32,
) -> Result<Vec<LimitSamples>> {
    let rootfs = Rootfs::unpack(subject, layout, walk)?;
    let command = ImageCommand::of(layout, walk)?;
    let bundle = runc_run::Bundle::write(subject, &rootfs, &command)?;
    let mut runs = Vec::new();
    let start_total = repeat(Limit::RuncRun, repetitions, || {
        let run = bundle.run(subject, &target.probe)?;
        runs.push(run);
        Ok(run.start_total_ns)
    });
    // What failed once has no numbers, and has said why already.
    let engine = match start_total.error {
        Some(_) => Vec::new(),
        None => runs.iter().map(|run| run.engine_ns).collect(),
    };
    let engine = LimitSamples {
        limit: Limit::RuncExec,
        ns: engine,
        why: None,
        ..start_total.clone()
    };
    Ok(vec![
        repeat(Limit::BareExec, repetitions, || {
            bare_exec::bare_exec(subject, &rootfs, &command, &target.probe)
        }),
        repeat(Limit::NamespacesExec, repetitions, || {
            namespaces_exec::namespaces_exec(subject, &rootfs, &command)
        }),
        engine,
        start_total,
    ])
}

/// Nanoseconds of each repetition, up to the first that fails: what failed once
/// is no limit of a machine.
fn repeat(limit: Limit, repetitions: u32, mut once: impl FnMut() -> Result<u64>) -> LimitSamples {
    match (0..repetitions).map(|_| once()).collect() {
        Ok(ns) => LimitSamples {
            limit,
            ns,
            error: None,
            why: None,
        },
        Err(error) => LimitSamples {
            limit,
            ns: Vec::new(),
            error: Some(word(&error)),
            why: Some(format!("{error:#}")),
        },
    }
}

/// The fixed word of a start that failed; anything else is our own failure.
fn word(error: &anyhow::Error) -> ErrorWord {
    error
        .downcast_ref::<StartFailure>()
        .and_then(|failure| ErrorWord::parse(failure.word()))
        .unwrap_or(ErrorWord::ProbeFailed)
}

/// Where the session has pushed the image.
fn repository(target: &Target) -> String {
    format!("{}/{}", target.suite, target.variant)
}

/// The layers alone: `download`, which this is held against, ends with their
/// last byte, and the config need not have come by then.
fn layers(target: &Target) -> Vec<Blob> {
    let is_layer = |blob: &&Blob| target.layers.contains(&blob.digest);
    target.blobs.iter().filter(is_layer).cloned().collect()
}
