//! A service whose way to readiness the probe's tests choose.
//!
//! `test-server PORT [listen_after_ms=N] [unavailable_ms=N] [answer=KIND] [host=ADDRESS]`

use std::{
    collections::HashMap,
    env,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process, thread,
    time::{Duration, Instant},
};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
const UNAVAILABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwait";

fn main() {
    let mut args = env::args().skip(1);
    let port: u16 = args.next().expect("PORT").parse().expect("a port number");
    let options: HashMap<String, String> = args
        .filter_map(|arg| {
            arg.split_once('=')
                .map(|(key, value)| (key.into(), value.into()))
        })
        .collect();
    // A build step whose output is another one each time.
    if let Some(path) = options.get("write_time") {
        let now = std::time::SystemTime::now();
        std::fs::write(path, format!("{now:?}")).expect("the file can be written");
        return;
    }
    let answer = options.get("answer").map_or("hello", String::as_str);

    thread::sleep(millis(&options, "listen_after_ms"));
    match answer {
        "exit" => process::exit(3),
        "never_listen" => loop {
            thread::park();
        },
        _ => {}
    }
    let host = options
        .get("host")
        .map_or(Ipv4Addr::LOCALHOST, |it| it.parse().expect("an address"));
    let listener = TcpListener::bind((host, port)).expect("the port is free");
    let ready_at = Instant::now() + millis(&options, "unavailable_ms");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        if answer == "hang_up" {
            continue;
        }
        read_request(&mut stream);
        let kind = if Instant::now() < ready_at {
            "unavailable"
        } else {
            answer
        };
        // A probe that has seen enough closes first.
        let _ = respond(&mut stream, kind);
    }
}

fn millis(options: &HashMap<String, String>, key: &str) -> Duration {
    let value = options
        .get(key)
        .map_or(0, |text| text.parse().expect("milliseconds"));
    Duration::from_millis(value)
}

fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(bytes) if bytes > 0 => request.extend_from_slice(&buffer[..bytes]),
            _ => return,
        }
    }
}

fn respond(stream: &mut TcpStream, kind: &str) -> std::io::Result<()> {
    let half = &HELLO.as_bytes()[..HELLO.len() - 3];
    match kind {
        "hello" => stream.write_all(HELLO.as_bytes()),
        "unavailable" => stream.write_all(UNAVAILABLE.as_bytes()),
        "wrong_body" => stream.write_all(HELLO.replace("hello", "other").as_bytes()),
        "half" => stream.write_all(half),
        "half_then_exit" => {
            stream.write_all(half)?;
            process::exit(0)
        }
        "silence" => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        // One byte at a time, slower than any deadline of the tests.
        "slow" => HELLO.as_bytes().iter().try_for_each(|byte| {
            stream.write_all(&[*byte])?;
            thread::sleep(Duration::from_millis(50));
            Ok(())
        }),
        "chunked" => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n")?;
            thread::sleep(Duration::from_millis(10));
            stream.write_all(b"2\r\nlo\r\n0\r\n\r\n")
        }
        "until_closed" => stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello"),
        "huge" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")?;
            (0..200).try_for_each(|_| stream.write_all(&[b'x'; 1 << 16]))
        }
        "ssh" => stream.write_all(b"SSH-2.0-OpenSSH\r\n"),
        unknown => panic!("unknown answer {unknown}"),
    }
}
