//! Why a base could not be had, and what a person can do about it.

use std::{error::Error, fmt, io};

use crate::digest::Digest;

/// What kind of failure it is. None of them is ever answered by quietly using
/// another source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// No connection, or one that broke.
    Unreachable(String),
    /// 401 or 403.
    Auth { status: u16 },
    /// The proxy in between refuses (407).
    Proxy(String),
    /// 429.
    RateLimited { retry_after: Option<String> },
    /// 5xx.
    Server { status: u16 },
    /// No secure connection: an unknown authority, a wrong name, no TLS at all.
    Tls(String),
    /// 404: the tag, manifest or blob is not there (any more).
    Gone,
    /// The bytes are not those that the digest names.
    DigestMismatch { actual: Digest },
    /// Fewer or more bytes than the manifest promises.
    SizeMismatch {
        expected_bytes: u64,
        received_bytes: u64,
    },
    /// The image does not exist for the platform.
    PlatformMissing {
        platform: String,
        offered: Vec<String>,
    },
    /// An answer that no registry should give.
    Unexpected(String),
    /// On this machine: a reference that does not parse, a full disk.
    Local(String),
}

/// A class of failure, and the object that it befell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The image, manifest, blob or token service, as a person would name it.
    pub object: String,
    pub class: Class,
}

impl Failure {
    pub fn new(object: &str, class: Class) -> Self {
        Self {
            object: object.into(),
            class,
        }
    }
}

impl Class {
    pub(super) fn local(error: anyhow::Error) -> Self {
        Self::Local(format!("{error:#}"))
    }

    /// What an answer that is no success means.
    pub(super) fn of_status(status: u16, retry_after: Option<String>) -> Self {
        match status {
            401 | 403 => Self::Auth { status },
            404 | 410 => Self::Gone,
            407 => Self::Proxy("it answered 407".into()),
            429 => Self::RateLimited { retry_after },
            500..=599 => Self::Server { status },
            _ => Self::Unexpected(format!("it answered {status}")),
        }
    }

    /// What a request that got no answer means.
    pub(super) fn of_error(error: &(dyn Error + 'static)) -> Self {
        let chain: Vec<_> = anyhow::Chain::new(error).collect();
        let text = chain
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        // The tunnel's own error type is private to the HTTP client.
        if text.contains("proxy authorization required") {
            Self::Proxy(text)
        } else if chain.iter().any(|error| is_tls(*error)) {
            Self::Tls(text)
        } else {
            Self::Unreachable(text)
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => {
                "check the network and HTTPS_PROXY, or lock a source that this machine reaches: cargo xtask bases update NAME --source rebuilt (or archive)"
            }
            Self::Auth { .. } => {
                "only public images can be mirrored: check the name, or lock another source: cargo xtask bases update NAME --source rebuilt (or archive)"
            }
            Self::Proxy(_) => "put the proxy's user and password into HTTPS_PROXY",
            Self::RateLimited { .. } => "wait, then run the command again",
            Self::Server { .. } => "the registry is in trouble: try again later",
            Self::Tls(_) => {
                "if a proxy re-signs TLS here, add its CA to the system's store or name it in SSL_CERT_FILE"
            }
            Self::Gone => {
                "check the reference; where a locked digest has gone, look the reference up again: cargo xtask bases update NAME --source upstream"
            }
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "something between here and the registry changes or cuts its answers: try again on another network"
            }
            Self::PlatformMissing { .. } => "choose a platform that the image offers",
            Self::Unexpected(_) => "check that the reference names a registry",
            Self::Local(_) => "mend that and run the command again",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
            Self::Auth { status } => write!(f, "the registry refuses access ({status})"),
            Self::Proxy(why) => write!(f, "the proxy refuses to pass the request on: {why}"),
            Self::RateLimited { retry_after: None } => f.write_str("too many requests (429)"),
            Self::RateLimited {
                retry_after: Some(after),
            } => write!(f, "too many requests (429), Retry-After: {after}"),
            Self::Server { status } => write!(f, "the registry fails ({status})"),
            Self::Tls(why) => write!(f, "no secure connection: {why}"),
            Self::Gone => f.write_str("it is not there (404)"),
            Self::DigestMismatch { actual } => write!(f, "what came has the digest {actual}"),
            Self::SizeMismatch {
                expected_bytes,
                received_bytes,
            } => write!(f, "{received_bytes} bytes came instead of {expected_bytes}"),
            Self::PlatformMissing { platform, offered } => {
                write!(f, "not for {platform}, only for {}", offered.join(", "))
            }
            Self::Unexpected(what) => write!(f, "not the answer of a registry: {what}"),
            Self::Local(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, class } = self;
        write!(f, "{object}: {class}\n  mend: {}", class.remedy())
    }
}

impl Error for Failure {}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An io::Error hides what it wraps from its chain of sources.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}
