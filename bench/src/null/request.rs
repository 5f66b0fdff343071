//! Requests as they arrive on a connection, and what becomes of their bodies.

use super::temper::Temper;
use super::wire::Wire;
use rustls::ServerConfig;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

// A gateway keeps connections that it does not use for a while.
const SILENCE: Duration = Duration::from_secs(600);
const HEAD_MAX: usize = 64 << 10;
const STEP: usize = 1 << 20;

/// Bodies up to this length are kept: markers and lists of parts. What is longer is only counted.
const KEPT: u64 = 64 << 10;

/// The head of a request.
pub struct Request {
    /// GET, PUT, ...
    pub method: String,
    /// Bucket and key, as they were sent.
    pub path: String,
    /// Without the question mark.
    query: String,
    /// First and last byte asked for; the last may be open.
    pub range: Option<(u64, Option<u64>)>,
    length: u64,
    waits: bool,
}

/// A body that has been received.
pub enum Received {
    /// All of it.
    Kept(Vec<u8>),
    /// How long it was.
    Counted(u64),
}

/// One client.
pub struct Connection {
    stream: Wire,
    ahead: Vec<u8>,
    // Never written to, and so no memory.
    nowhere: Vec<u8>,
}

impl Request {
    /// The value of a parameter of the query; empty where it has none.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn parse(head: &str) -> io::Result<Self> {
        let odd = |what: &str| io::Error::other(format!("null store: {what}: {head}"));
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(odd("no request")) };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.trim_end_matches('/');
        let mut request = Self {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            range: None,
            length: 0,
            waits: false,
        };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => request.length = value.parse().map_err(|_| odd("an odd length"))?,
                "expect" => request.waits = true,
                "transfer-encoding" => return Err(odd("a body without a length")),
                "range" => {
                    let (from, to) =
                        value.strip_prefix("bytes=").and_then(|r| r.split_once('-')).ok_or(odd("an odd range"))?;
                    let from = from.parse().map_err(|_| odd("an odd range"))?;
                    request.range = Some((from, to.parse().ok()));
                }
                _ => {}
            }
        }
        Ok(request)
    }
}

impl Connection {
    /// Takes a client, who speaks TLS where there is a configuration of it.
    pub fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Self { stream: Wire::new(stream, tls)?, ahead: Vec::new(), nowhere: vec![0; STEP] })
    }

    /// For the answer.
    pub fn stream(&mut self) -> &mut Wire {
        &mut self.stream
    }

    /// The next request; None when the client is done. Errors: it is no HTTP, or the connection fails.
    pub fn next(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
                return Request::parse(&String::from_utf8_lossy(&head[..end])).map(Some);
            }
            if self.ahead.len() > HEAD_MAX {
                return Err(io::Error::other("null store: a head without an end"));
            }
            let mut bytes = [0; 8 << 10];
            let n = self.stream.read(&mut bytes)?;
            if n == 0 {
                return Ok(None);
            }
            self.ahead.extend_from_slice(&bytes[..n]);
        }
    }

    /// Receives the body of `request`; None when the client goes before its end.
    pub fn body(&mut self, request: &Request, temper: &Temper) -> io::Result<Option<Received>> {
        let length = request.length;
        if request.waits {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.ahead.len());
        let mut kept: Vec<u8> = self.ahead.drain(..here).collect();
        if length <= KEPT {
            kept.resize(usize::try_from(length).expect("a short body"), 0);
            return Ok(self.stream.read_exact(&mut kept[here..]).is_ok().then_some(Received::Kept(kept)));
        }
        let mut left = length - here as u64;
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(STEP).min(temper.step(STEP));
            temper.pass(length - left, take as u64)?;
            let n = self.stream.swallow(&mut self.nowhere[..take])?;
            if n == 0 {
                return Ok(None);
            }
            left -= n as u64;
        }
        Ok(Some(Received::Counted(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_path_parameters_range_and_length() {
        let head = "PUT /b/a/k/?partNumber=3&uploadId=x HTTP/1.1\r\nRANGE: bytes=5-\r\ncontent-length: 7";
        let request = Request::parse(head).expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/b/a/k"));
        assert_eq!((request.parameter("partNumber"), request.parameter("uploads")), (Some("3"), None));
        assert_eq!((request.range, request.length), (Some((5, None)), 7));
        assert!(Request::parse("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked").is_err());
    }
}
