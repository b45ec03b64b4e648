//! Passing a request on to the registry and its answer back.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{
    body::Watched,
    exchange::{Log, Recording},
    fault::{Fault, Faults},
    rate::Shaper,
};

/// One read from the registry, and at most what waits for a connection.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// Headers that speak of one connection and never travel past it (RFC 9110,
/// 7.6.1). `Expect` is among them because we answer it ourselves.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub struct Forwarder {
    upstream: SocketAddr,
    client: Client<HttpConnector, Incoming>,
    log: Arc<Log>,
    shaper: Arc<Shaper>,
    faults: Arc<Faults>,
}

impl Forwarder {
    pub fn new(
        upstream: SocketAddr,
        log: Arc<Log>,
        shaper: Arc<Shaper>,
        faults: Arc<Faults>,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http1_read_buf_exact_size(BUFFER_BYTES)
            .build(connector);
        Self {
            upstream,
            client,
            log,
            shaper,
            faults,
        }
    }

    /// Always an answer: what fails on the way becomes a 502 that says why.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Watched> {
        let path = match request.uri().path_and_query() {
            Some(path) => path.to_string(),
            None => "/".to_owned(),
        };
        let mut recording = Recording::start(&self.log, request.method(), &path);
        let fault = self.faults.due(&path);
        let (parts, body) = match fault {
            Some(Fault::Answer(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                told(status, "answered by a fault")
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                self.ask(request, &path).await
            }
            _ => self.ask(request, &path).await,
        }
        .into_parts();
        recording.answered(parts.status, &parts.headers);
        let body = Watched::new(body, recording, self.shaper.pacer(), fault);
        Response::from_parts(parts, body)
    }

    async fn ask(
        &self,
        request: Request<Incoming>,
        path: &str,
    ) -> Response<Either<Incoming, Full<Bytes>>> {
        let host = request.headers().get(header::HOST).cloned();
        let answer = match self.redirected(request, path) {
            Ok(request) => self
                .client
                .request(request)
                .await
                .map_err(anyhow::Error::new),
            Err(error) => Err(error),
        };
        match answer {
            Ok(mut answer) => {
                drop_hop_by_hop(answer.headers_mut());
                if let Some(host) = host {
                    self.relocate(answer.headers_mut(), &host);
                }
                answer.map(Either::Left)
            }
            Err(error) => told(
                StatusCode::BAD_GATEWAY,
                &format!(
                    "no answer from the registry at {}: {error:#}",
                    self.upstream
                ),
            ),
        }
    }

    /// The same request, addressed to the registry as if it had been sent there.
    fn redirected(
        &self,
        mut request: Request<Incoming>,
        path: &str,
    ) -> anyhow::Result<Request<Incoming>> {
        *request.uri_mut() = format!("http://{}{path}", self.upstream).parse::<Uri>()?;
        let headers = request.headers_mut();
        drop_hop_by_hop(headers);
        headers.insert(header::HOST, self.upstream.to_string().parse()?);
        Ok(request)
    }

    /// A `Location` at the registry becomes one at the host that the client
    /// named, or its next request would pass us by.
    fn relocate(&self, headers: &mut HeaderMap, host: &HeaderValue) {
        let registry = format!("http://{}", self.upstream);
        let Some(location) = headers.get(header::LOCATION) else {
            return;
        };
        let moved = match (location.to_str(), host.to_str()) {
            (Ok(location), Ok(host)) => location
                .strip_prefix(&registry)
                .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
                .and_then(|rest| format!("http://{host}{rest}").parse().ok()),
            _ => None,
        };
        if let Some(moved) = moved {
            headers.insert(header::LOCATION, moved);
        }
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

/// An answer of our own.
fn told(status: StatusCode, text: &str) -> Response<Either<Incoming, Full<Bytes>>> {
    let mut answer = Response::new(Either::Right(Full::from(text.to_owned())));
    *answer.status_mut() = status;
    answer
}
