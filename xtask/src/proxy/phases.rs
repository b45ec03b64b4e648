//! Where the time of a pull went, as far as the registry's side can tell.

use super::{
    exchange::Exchange,
    intervals::{covered, most_at_once},
};
use crate::digest::Digest;

/// The phases of one pull; `resolve_ns + download_ns + tail_ns` is its whole
/// time, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Pull request written → first layer asked for.
    pub resolve_ns: u64,
    /// First layer asked for → last layer byte sent.
    pub download_ns: u64,
    /// Last layer byte sent → end of the engine's answer.
    pub tail_ns: u64,
    /// The part of the download in which at least one layer was under way.
    pub transferring_ns: u64,
    /// The most layers that were under way at once.
    pub concurrent_downloads: u64,
}

/// Why a log does not divide a pull into phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPhases {
    #[error("no layer was downloaded")]
    NoLayer,
    /// The log is that of another sample, or the times of another clock.
    #[error("the layers were not served between the pull's start and its end")]
    OutsideThePull,
}

/// Divides the pull that took from `start_ns` to `end_ns`, both of
/// [`now_ns`](super::now_ns), by when its `layers` were served.
pub fn phases(
    start_ns: u64,
    end_ns: u64,
    layers: &[Digest],
    log: &[Exchange],
) -> Result<Phases, NoPhases> {
    let times: Vec<_> = log
        .iter()
        .filter(|exchange| exchange.served_blob().is_some_and(|d| layers.contains(d)))
        .filter_map(|exchange| Some(exchange.started_ns..exchange.last_byte_ns?))
        .collect();
    let first_ns = times.iter().map(|time| time.start).min();
    let last_ns = times.iter().map(|time| time.end).max();
    let (Some(first_ns), Some(last_ns)) = (first_ns, last_ns) else {
        return Err(NoPhases::NoLayer);
    };
    if first_ns < start_ns || last_ns > end_ns {
        return Err(NoPhases::OutsideThePull);
    }
    Ok(Phases {
        resolve_ns: first_ns - start_ns,
        download_ns: last_ns - first_ns,
        tail_ns: end_ns - last_ns,
        concurrent_downloads: most_at_once(&times),
        transferring_ns: covered(times),
    })
}

/// The rate at which the log's bodies were really delivered: their bytes over
/// the time in which at least one was being sent. None where that is no time.
pub fn delivered_bits_per_second(log: &[Exchange]) -> Option<u64> {
    let bytes: u64 = log.iter().map(|exchange| exchange.body_bytes).sum();
    let times = log
        .iter()
        .filter_map(|exchange| Some(exchange.first_byte_ns?..exchange.last_byte_ns?))
        .collect();
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    let rate = bits.checked_div(u128::from(covered(times)))?;
    u64::try_from(rate).ok()
}
