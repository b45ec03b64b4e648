//! A server whose every answer a test writes by hand, and a client that shows
//! every byte it gets.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use xtask::digest::Digest;

/// A request as the server read it; header names are in lower case.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// An answer as the server writes it.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
    /// Write only so much of the body, then close.
    pub cut_after: Option<usize>,
    /// Send the body as one chunk, without telling its length.
    pub chunked: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![],
            body: Arc::new(body.into()),
            cut_after: None,
            chunked: false,
        }
    }

    pub fn ok(body: &Arc<Vec<u8>>) -> Self {
        let body = Arc::clone(body);
        Self {
            body,
            ..Self::new(200, "")
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn write(&self, to: &mut impl Write, head_only: bool) -> std::io::Result<()> {
        write!(to, "HTTP/1.1 {} Scripted\r\n", self.status)?;
        if self.chunked {
            write!(to, "Transfer-Encoding: chunked\r\n")?;
        } else {
            write!(to, "Content-Length: {}\r\n", self.body.len())?;
        }
        for (name, value) in &self.headers {
            write!(to, "{name}: {value}\r\n")?;
        }
        write!(to, "\r\n")?;
        if head_only {
            return to.flush();
        }
        let body = &self.body[..self.cut_after.unwrap_or(self.body.len())];
        if self.chunked {
            write!(to, "{:x}\r\n", body.len())?;
            to.write_all(body)?;
            write!(to, "\r\n0\r\n\r\n")?;
        } else {
            to.write_all(body)?;
        }
        to.flush()
    }
}

/// Serves until dropped, one thread per connection.
pub struct Scripted {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(move |stream| converse(stream, &script))
    }

    /// A server that treats each connection as `serve` says.
    pub fn start_with(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, serve) = (Arc::clone(&stop), Arc::new(serve));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (serve, stream) = (Arc::clone(&serve), stream.unwrap());
                thread::spawn(move || serve(stream));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The listener only looks at the flag when somebody calls.
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers one connection's requests until it closes or an answer is cut.
pub fn converse(stream: impl Read + Write, script: &impl Fn(&Asked) -> Reply) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read_request(&mut stream) {
        let reply = script(&asked);
        let written = reply.write(stream.get_mut(), asked.method == "HEAD");
        if written.is_err() || reply.cut_after.is_some() {
            return;
        }
    }
}

fn read_request(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = read_headers(stream)?;
    let length = headers
        .get("content-length")
        .map_or(0, |l| l.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        headers,
        body,
    })
}

fn read_headers(stream: &mut impl BufRead) -> Option<HashMap<String, String>> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Some(headers);
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
}

/// What the client got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the body has the promised length.
    pub whole: bool,
}

/// A keep-alive connection.
pub struct Caller(BufReader<TcpStream>);

impl Caller {
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        Self(BufReader::with_capacity(256 * 1024, stream))
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.send(method, path, headers, body);
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line
            .split_whitespace()
            .nth(1)
            .expect(&line)
            .parse()
            .unwrap();
        let headers = read_headers(&mut self.0).unwrap();
        let length = match headers.get("content-length") {
            Some(length) if method != "HEAD" => length.parse().unwrap(),
            _ => 0,
        };
        let mut body = Vec::with_capacity(length as usize);
        let read = (&mut self.0).take(length).read_to_end(&mut body);
        let whole = read.is_ok() && body.len() as u64 == length;
        Answer {
            status,
            headers,
            body,
            whole,
        }
    }

    /// Asks, reads `bytes` of whatever comes, and hangs up.
    pub fn leave_after(mut self, path: &str, bytes: u64) {
        self.send("GET", path, &[], b"");
        std::io::copy(&mut (&mut self.0).take(bytes), &mut std::io::sink()).unwrap();
        self.0.get_ref().shutdown(Shutdown::Both).unwrap();
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        self.0.fill_buf().map_or(true, <[u8]>::is_empty)
    }

    fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: registry.test\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
    }
}

/// Bytes that do not repeat within a buffer, different for every seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub fn blob_path(digest: &Digest) -> String {
    format!("/v2/gin/test/blobs/{digest}")
}
