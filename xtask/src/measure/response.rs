//! When an HTTP response is complete, decided from the bytes read so far.

use httparse::{EMPTY_HEADER, Status, parse_chunk_size};

/// A service that answers "hello" sends a handful; so many mean a wrong port.
const MAX_HEADERS: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHttp(&'static str);

/// Whether the connection may still bring more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Open,
    Closed,
}

/// The response in `bytes`, as soon as its last body byte is among them; `None`
/// while it is not.
pub fn parse(bytes: &[u8], connection: Connection) -> Result<Option<Response>, NotHttp> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Status::Complete(head_bytes) = head.parse(bytes).map_err(|_| NotHttp("not HTTP/1"))? else {
        return Ok(None);
    };
    let status = head.code.ok_or(NotHttp("no status"))?;
    let rest = &bytes[head_bytes..];
    let body = match framing(status, head.headers)? {
        Framing::Length(length) => rest.get(..length).map(<[u8]>::to_vec),
        Framing::Chunked => unchunk(rest)?,
        Framing::UntilClosed => (connection == Connection::Closed).then(|| rest.to_vec()),
    };
    Ok(body.map(|body| Response { status, body }))
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// RFC 9112, section 6.3, for a response to GET.
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> Result<Framing, NotHttp> {
    let value = |name: &str| {
        let header = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(header.value.trim_ascii())
    };
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = value("transfer-encoding") {
        return if coding.eq_ignore_ascii_case(b"chunked") {
            Ok(Framing::Chunked)
        } else {
            Err(NotHttp("a transfer coding other than chunked"))
        };
    }
    let Some(length) = value("content-length") else {
        return Ok(Framing::UntilClosed);
    };
    let length = str::from_utf8(length)
        .ok()
        .and_then(|text| text.parse().ok());
    length
        .map(Framing::Length)
        .ok_or(NotHttp("Content-Length is no number"))
}

/// The body that the chunks carry; `None` before the last one is complete.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, NotHttp> {
    const BAD: NotHttp = NotHttp("malformed chunk");
    let mut body = Vec::new();
    loop {
        let Status::Complete((line, size)) = parse_chunk_size(rest).map_err(|_| BAD)? else {
            return Ok(None);
        };
        rest = &rest[line..];
        if size == 0 {
            return Ok(ends_trailers(rest).then_some(body));
        }
        let size = usize::try_from(size).map_err(|_| BAD)?;
        let Some((data, after)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        body.extend_from_slice(data);
        match after {
            [b'\r', b'\n', next @ ..] => rest = next,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(BAD),
        }
    }
}

/// The trailers, usually none, end with an empty line.
fn ends_trailers(rest: &[u8]) -> bool {
    rest.starts_with(b"\r\n") || rest.windows(4).any(|window| window == b"\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::{Connection::*, *};

    const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
    const TRAILERS: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n";
    const UNTIL_CLOSED: &str = "HTTP/1.0 200 OK\r\n\r\nhello";

    fn hello() -> Option<Response> {
        let (status, body) = (200, b"hello".to_vec());
        Some(Response { status, body })
    }

    #[test]
    fn a_framed_response_is_complete_with_its_last_byte_and_not_before() {
        for text in [LENGTH, CHUNKED, TRAILERS] {
            for cut in 0..text.len() {
                for connection in [Open, Closed] {
                    let part = parse(&text.as_bytes()[..cut], connection);
                    assert_eq!(part, Ok(None), "{cut} bytes of {text:?}");
                }
            }
            assert_eq!(parse(text.as_bytes(), Open), Ok(hello()));
        }
    }

    #[test]
    fn without_a_length_the_end_of_the_connection_ends_the_body() {
        assert_eq!(parse(UNTIL_CLOSED.as_bytes(), Open), Ok(None));
        assert_eq!(parse(UNTIL_CLOSED.as_bytes(), Closed), Ok(hello()));
    }

    #[test]
    fn some_statuses_have_no_body() {
        let status = 204;
        let body = Vec::new();
        let whole = Some(Response { status, body });
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n", Open), Ok(whole));
    }

    #[test]
    fn what_is_not_http_is_said_to_be_so() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(parse(text.as_bytes(), Open).is_err(), "{text:?}");
        }
    }
}
