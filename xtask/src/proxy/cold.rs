//! The proof that a pull was cold: the registry served every byte of every
//! blob of the image, once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    exchange::{End, Exchange},
    intervals::covered,
};
use crate::digest::Digest;

/// A blob that a cold pull has to fetch: the config or a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
}

/// What a sample's log holds against one blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("{digest} was never asked for: the engine had it")]
    Missing { digest: Digest },
    #[error("{digest}: {served_bytes} of {size} bytes were served")]
    Short {
        digest: Digest,
        size: u64,
        served_bytes: u64,
    },
    /// A retry. The image arrived, but its time is that of a disturbed pull.
    #[error("{digest}: {sent_bytes} bytes were sent for {size}: parts went out twice")]
    Repeated {
        digest: Digest,
        size: u64,
        sent_bytes: u64,
    },
    #[error("{digest}: an answer broke off: {why}")]
    Broken { digest: Digest, why: String },
    #[error("{digest} is no part of the image: something else was pulled as well")]
    Foreign { digest: Digest },
}

/// Why a pull does not count as cold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cold pull: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct NotCold(pub Vec<Doubt>);

/// Holds a sample's log against the blobs that its image consists of. Ranges
/// may be served in any number and order; a blob that the manifest names twice
/// is fetched once.
pub fn prove_cold(expected: &[Blob], log: &[Exchange]) -> Result<(), NotCold> {
    let mut served: BTreeMap<&Digest, Vec<&Exchange>> = BTreeMap::new();
    for exchange in log {
        if let Some(digest) = exchange.served_blob() {
            served.entry(digest).or_default().push(exchange);
        }
    }
    let expected: BTreeSet<&Blob> = expected.iter().collect();
    let mut doubts = Vec::new();
    for blob in expected {
        let exchanges = served.remove(&blob.digest).unwrap_or_default();
        doubts.extend(doubt_about(blob, &exchanges));
    }
    doubts.extend(served.into_keys().map(|digest| Doubt::Foreign {
        digest: digest.clone(),
    }));
    if doubts.is_empty() {
        Ok(())
    } else {
        Err(NotCold(doubts))
    }
}

fn doubt_about(blob: &Blob, exchanges: &[&Exchange]) -> Option<Doubt> {
    let (digest, size) = (blob.digest.clone(), blob.size);
    if exchanges.is_empty() {
        return Some(Doubt::Missing { digest });
    }
    for exchange in exchanges {
        if let End::Broken(why) = &exchange.end {
            let why = why.clone();
            return Some(Doubt::Broken { digest, why });
        }
    }
    let served_bytes = covered(exchanges.iter().map(|e| e.served_range()).collect());
    let sent_bytes = exchanges.iter().map(|exchange| exchange.body_bytes).sum();
    if served_bytes < size {
        Some(Doubt::Short {
            digest,
            size,
            served_bytes,
        })
    } else if sent_bytes > size {
        Some(Doubt::Repeated {
            digest,
            size,
            sent_bytes,
        })
    } else {
        None
    }
}
