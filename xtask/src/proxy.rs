//! The recording reverse proxy between the subject engine and the registry.
//!
//! It is how we know what a pull really fetched, and when: every request is
//! written down with the time of its first and last body byte. It can also
//! limit the rate, and break things on purpose for the tests. It runs on a
//! thread of its own, so that it never holds up the thread that measures, and
//! hands body buffers on as they came: no copy, no waiting for a whole body.

mod body;
pub mod cold;
pub mod exchange;
pub mod fault;
mod forward;
mod intervals;
pub mod phases;
pub mod rate;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::oneshot,
};

use self::{exchange::Log, fault::Faults, forward::Forwarder, rate::Shaper};
pub use self::{
    exchange::{End, Exchange, Kind, now_ns},
    fault::{Fault, Rule},
    rate::Rate,
};

/// How long the listener rests when the system refuses it a connection (too
/// many open files): trying again at once would only burn the measured CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What a proxy does besides recording.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The limit over all connections; none streams as fast as it can.
    pub rate: Option<Rate>,
    /// Deliberate failures, for tests.
    pub faults: Vec<Rule>,
}

/// A running proxy. Dropping it closes every connection and ends its thread.
pub struct Proxy {
    address: SocketAddr,
    log: Arc<Log>,
    shaper: Arc<Shaper>,
    faults: Arc<Faults>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 in front of `upstream`.
    pub fn start(upstream: SocketAddr, options: Options) -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("cannot open a port on 127.0.0.1 for the recording proxy")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let shaper = Arc::new(Shaper::new(options.rate));
        let faults = Arc::new(Faults::new(options.faults));
        let forwarder = Arc::new(Forwarder::new(
            upstream,
            Arc::clone(&log),
            Arc::clone(&shaper),
            Arc::clone(&faults),
        ));
        // One thread: it moves more than a gigabyte a second, far more than an
        // engine unpacks, and handing work between two made small blobs slower.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || serve_until(&runtime, listener, forwarder, stopped))?;
        Ok(Self {
            address,
            log,
            shaper,
            faults,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where the subject finds the registry.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes every exchange recorded so far: call it before a sample to forget
    /// what came before, and after it to have that sample's exchanges. An
    /// exchange is recorded before its last byte leaves, so that a client who
    /// has seen the end of a body finds it here.
    pub fn take_log(&self) -> Vec<Exchange> {
        self.log.take()
    }

    /// Changes the rate for the bodies that start from now on.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.shaper.set(rate);
    }

    /// Replaces the deliberate failures.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.faults.set(rules);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by that thread; there is nothing
            // left to save from it here.
            let _ = thread.join();
        }
    }
}

/// Serves until `stopped` resolves; dropping the runtime then ends every
/// connection.
fn serve_until(
    runtime: &Runtime,
    listener: std::net::TcpListener,
    forwarder: Arc<Forwarder>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, forwarder) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: std::net::TcpListener, forwarder: Arc<Forwarder>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the recording proxy cannot listen"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&forwarder)));
            }
            Err(error) => {
                tracing::warn!(%error, "the recording proxy could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, forwarder: Arc<Forwarder>) {
    // Nagle's algorithm would hold small answers back for a round trip.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let forwarder = Arc::clone(&forwarder);
        async move { Ok::<_, std::convert::Infallible>(forwarder.answer(request).await) }
    });
    // A connection ends in an error whenever its client leaves early or a
    // fault cuts a body; the log of exchanges already says so.
    if let Err(error) = http1::Builder::new()
        .max_buf_size(forward::BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "a connection to the recording proxy ended early");
    }
}
