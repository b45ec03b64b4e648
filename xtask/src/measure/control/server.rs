//! The control container's whole program: it answers, and does nothing else.
//! `control` compiles it with the toolchain that runs xtask.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncontrol";

fn main() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        answer(stream);
    }
}

/// Whatever goes wrong with one connection ends that one alone.
fn answer(mut stream: std::net::TcpStream) {
    let mut request = [0; 1024];
    let mut read = 0;
    while !request[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[read..]) {
            Ok(bytes) if bytes > 0 => read += bytes,
            _ => return,
        }
    }
    let _ = stream.write_all(ANSWER);
}
