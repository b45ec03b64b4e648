//! What the network between registry and subject costs at least: the same blobs
//! by plain GETs at the engine's concurrency, thrown away as they come.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use httparse::{EMPTY_HEADER, Status};

use crate::{clock::MonoNs, proxy::cold::Blob};

/// Large enough that system calls do not matter, small enough for the cache.
const BUFFER_BYTES: usize = 256 << 10;

/// A registry that sends nothing for so long never will.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

const MAX_HEADERS: usize = 64;

/// `at_once` connections fetch one blob after the other.
///
/// Nanoseconds from the first request written to the last byte of the last
/// blob. The connections are open and have been used before, as those between
/// proxy and registry are.
///
/// # Errors
/// Names the blob that was not served whole.
pub fn raw_get(
    source: SocketAddr,
    repository: &str,
    blobs: &[Blob],
    at_once: usize,
) -> Result<u64> {
    // In the manifest's order, as the engine asks for them, each of them once.
    let mut seen = BTreeSet::new();
    let mut distinct: Vec<&Blob> = blobs.iter().collect();
    distinct.retain(|blob| seen.insert(&blob.digest));
    let connections = (0..at_once.clamp(1, distinct.len()))
        .map(|_| connect(source, repository, distinct[0]))
        .collect::<Result<Vec<_>>>()?;
    let next = AtomicUsize::new(0);
    let start = MonoNs::now();
    let ends = thread::scope(|scope| {
        let spawned: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (next, distinct) = (&next, &distinct);
                scope.spawn(move || {
                    let mut buffer = vec![0; BUFFER_BYTES];
                    while let Some(blob) = distinct.get(next.fetch_add(1, Ordering::Relaxed)) {
                        get(&mut connection, repository, blob, &mut buffer)
                            .with_context(|| format!("GET of {} from {source}", blob.digest))?;
                    }
                    Ok(MonoNs::now())
                })
            })
            .collect();
        let ends = spawned.into_iter().map(|thread| {
            let end: Result<MonoNs> = thread.join().map_err(|_| anyhow!("a GET panicked"))?;
            end
        });
        ends.collect::<Result<Vec<_>>>()
    })?;
    let end = ends.into_iter().max().context("an image has layers")?;
    Ok(end.0 - start.0)
}

fn connect(source: SocketAddr, repository: &str, blob: &Blob) -> Result<TcpStream> {
    let mut connection =
        TcpStream::connect(source).with_context(|| format!("cannot reach {source}"))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(SILENCE_TIMEOUT))?;
    // A server accepts after the client's `connect` has returned; an answer
    // proves that it has.
    ask(&mut connection, "HEAD", repository, blob)?;
    read_head(&mut connection, blob, &mut vec![0; BUFFER_BYTES])?;
    Ok(connection)
}

fn ask(connection: &mut TcpStream, method: &str, repository: &str, blob: &Blob) -> Result<()> {
    let request = format!(
        "{method} /v2/{repository}/blobs/{} HTTP/1.1\r\nHost: {}\r\n\r\n",
        blob.digest,
        connection.peer_addr()?
    );
    Ok(connection.write_all(request.as_bytes())?)
}

fn get(connection: &mut TcpStream, repository: &str, blob: &Blob, buffer: &mut [u8]) -> Result<()> {
    ask(connection, "GET", repository, blob)?;
    let came = read_head(connection, blob, buffer)?;
    let left = blob.size.checked_sub(came as u64);
    let mut left = left.context("more came than the blob has")?;
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left)?);
        let bytes = connection.read(&mut buffer[..room])?;
        ensure!(bytes > 0, "the connection ended {left} bytes too early");
        left -= bytes as u64;
    }
    Ok(())
}

/// Reads until the head is whole: how many bytes of the body have come with it.
fn read_head(connection: &mut TcpStream, blob: &Blob, buffer: &mut [u8]) -> Result<usize> {
    let mut received = 0;
    loop {
        let bytes = connection.read(&mut buffer[received..])?;
        ensure!(bytes > 0, "the connection ended within the head");
        received += bytes;
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let Status::Complete(head_bytes) = head.parse(&buffer[..received])? else {
            continue;
        };
        ensure!(head.code == Some(200), "the status is {:?}", head.code);
        let length = head
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .map(|header| String::from_utf8_lossy(header.value).into_owned());
        ensure!(
            length == Some(blob.size.to_string()),
            "{length:?} bytes are announced, the manifest says {}",
            blob.size
        );
        return Ok(received - head_bytes);
    }
}
