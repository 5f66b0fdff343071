//! A client of HTTP/1.1 that keeps its connection, for requests that curl would be too slow to start for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

// Longer than any answer takes; a server that hangs ends its row, not the bench.
const SILENCE: Duration = Duration::from_secs(120);

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `port` on loopback. Errors: nobody listens there.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// POSTs `body` with further `headers`, each with its line end; the body of the answer.
    ///
    /// Errors: any status but 200, or an answer that is no HTTP.
    pub fn post(&mut self, target: &str, headers: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        self.ask("POST", target, headers, body)
    }

    /// The same with another method than POST.
    pub fn ask(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let length = body.len();
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse().map_err(|_| odd(&line))?);
            }
        }
        let answer = match length {
            _ if method == "HEAD" => Vec::new(),
            Some(length) => self.bytes(length)?,
            None => self.chunks()?,
        };
        let expected = if method == "HEAD" { ["200", "404"] } else { ["200"; 2] };
        if !expected.iter().any(|code| status.split(' ').nth(1) == Some(code)) {
            return Err(io::Error::other(format!("{target}: {status}: {}", String::from_utf8_lossy(&answer))));
        }
        Ok(answer)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| odd(&line))?;
            all.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok(all);
            }
        }
    }

    fn bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        if len > 1 << 20 {
            return Err(io::Error::other(format!("an answer of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}

fn odd(line: &str) -> io::Error {
    io::Error::other(format!("an odd line in an answer: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn answers_with_a_length_and_in_chunks_are_read_on_one_connection() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let answers = [
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
            ];
            for answer in answers {
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\nxy") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("a request");
                    seen.push(byte[0]);
                }
                stream.write_all(answer.as_bytes()).expect("answer");
            }
        });
        let mut client = Client::connect(port).expect("connect");
        assert_eq!(client.post("/a", "", b"xy").expect("counted"), b"abc");
        assert_eq!(client.post("/a", "", b"xy").expect("chunked"), b"abc");
        let error = client.post("/a", "", b"xy").expect_err("404").to_string();
        assert!(error.contains("404") && error.contains("none"), "{error}");
        server.join().expect("the server saw three requests");
    }
}
