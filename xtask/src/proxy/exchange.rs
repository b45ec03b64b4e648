//! One request and its answer, as they passed.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_RANGE, HeaderValue},
};
use rustix::time::{ClockId, clock_gettime};

use crate::digest::Digest;

/// Nanoseconds of CLOCK_MONOTONIC: the one clock of every time in a sample.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What a request asks a registry for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/v2/`: is there a registry?
    Ping,
    Manifest {
        repository: String,
        /// A tag or a digest.
        reference: String,
    },
    Blob {
        repository: String,
        digest: Digest,
    },
    Other,
}

impl Kind {
    /// Reads the kind off a request's path.
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or(path);
        let Some(rest) = path.strip_prefix("/v2") else {
            return Self::Other;
        };
        if matches!(rest, "" | "/") {
            return Self::Ping;
        }
        let rest = rest.trim_start_matches('/');
        if let Some((repository, reference)) = rest.rsplit_once("/manifests/") {
            return Self::Manifest {
                repository: repository.into(),
                reference: reference.into(),
            };
        }
        let blob = rest.rsplit_once("/blobs/");
        match blob.and_then(|(repository, name)| Some((repository, name.parse().ok()?))) {
            Some((repository, digest)) => Self::Blob {
                repository: repository.into(),
                digest,
            },
            None => Self::Other,
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The whole answer was handed to the connection.
    Complete,
    /// The client closed its connection first.
    ClientLeft,
    /// The registry, or a fault, broke off the answer.
    Broken(String),
}

/// One request and its answer. Times are CLOCK_MONOTONIC nanoseconds; a byte
/// counts as sent when it is handed to the connection, at most one buffer of
/// the proxy and the kernel's socket buffer ahead of the client's read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub method: Method,
    /// Path and query, as asked.
    pub path: String,
    pub kind: Kind,
    /// None where the client left before there was an answer.
    pub status: Option<u16>,
    /// The part of the object that the answer holds, for a 206.
    pub range: Option<Range<u64>>,
    pub started_ns: u64,
    /// None where no body byte was sent.
    pub first_byte_ns: Option<u64>,
    pub last_byte_ns: Option<u64>,
    /// Bytes of body sent, without headers and chunk framing.
    pub body_bytes: u64,
    pub end: End,
}

impl Exchange {
    /// The blob whose bytes this exchange sent.
    pub fn served_blob(&self) -> Option<&Digest> {
        let served = matches!(self.status, Some(200 | 206)) && self.method == Method::GET;
        match &self.kind {
            Kind::Blob { digest, .. } if served => Some(digest),
            _ => None,
        }
    }

    /// The bytes of the object that were sent.
    pub fn served_range(&self) -> Range<u64> {
        let start = self.range.as_ref().map_or(0, |range| range.start);
        start..start + self.body_bytes
    }
}

/// The exchanges since the log was last taken.
#[derive(Default)]
pub struct Log(Mutex<Vec<Exchange>>);

impl Log {
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// An exchange that is under way; it reaches the log when it ends, whichever
/// way it does.
pub struct Recording {
    log: Arc<Log>,
    exchange: Option<Exchange>,
}

impl Recording {
    pub fn start(log: &Arc<Log>, method: &Method, path: &str) -> Self {
        Self {
            log: Arc::clone(log),
            exchange: Some(Exchange {
                method: method.clone(),
                path: path.into(),
                kind: Kind::of(path),
                status: None,
                range: None,
                started_ns: now_ns(),
                first_byte_ns: None,
                last_byte_ns: None,
                body_bytes: 0,
                end: End::ClientLeft,
            }),
        }
    }

    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(exchange) = &mut self.exchange {
            exchange.status = Some(status.as_u16());
            exchange.range = headers.get(CONTENT_RANGE).and_then(content_range);
        }
    }

    pub fn sent(&mut self, bytes: u64) {
        if let Some(exchange) = &mut self.exchange {
            let now = now_ns();
            exchange.first_byte_ns.get_or_insert(now);
            exchange.last_byte_ns = Some(now);
            exchange.body_bytes += bytes;
        }
    }

    /// Writes the exchange down; what happens to it later changes nothing.
    pub fn end(&mut self, end: End) {
        if let Some(exchange) = self.exchange.take() {
            let mut log = self.log.0.lock().unwrap();
            log.push(Exchange { end, ..exchange });
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(End::ClientLeft);
    }
}

/// `bytes 10-19/100` → 10..20.
fn content_range(value: &HeaderValue) -> Option<Range<u64>> {
    let text = value.to_str().ok()?.strip_prefix("bytes ")?;
    let (first, last) = text.split('/').next()?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_what_is_asked_for() {
        let digest = Digest::of("x");
        let (repository, path) = ("gin/alpine".to_owned(), "/v2/gin/alpine");
        assert_eq!(Kind::of("/v2/"), Kind::Ping);
        assert_eq!(
            Kind::of(&format!("{path}/manifests/latest?ns=x")),
            Kind::Manifest {
                repository: repository.clone(),
                reference: "latest".into()
            }
        );
        assert_eq!(
            Kind::of(&format!("{path}/blobs/{digest}")),
            Kind::Blob { repository, digest }
        );
        for other in ["/", "/v3", "/v2/a/tags/list", "/v2/a/blobs/uploads/1"] {
            assert_eq!(Kind::of(other), Kind::Other, "{other}");
        }
    }

    #[test]
    fn content_ranges_are_half_open() {
        let parse = |text| content_range(&HeaderValue::from_static(text));
        assert_eq!(parse("bytes 10-19/100"), Some(10..20));
        assert_eq!(parse("bytes 0-0/*"), Some(0..1));
        assert_eq!(parse("bytes */100"), None);
    }
}
