//! HTTP spoken by hand, so that a test decides about every byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt;

/// Longest wait for any byte.
const LIMIT: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    stream: BufReader<Socket>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The code, such as 404.
    pub status: u16,
    /// Names in lower case, in the order of the answer.
    pub headers: Vec<(String, String)>,
    /// As the client has it once the framing is gone.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to `HOST:PORT`, or to a socket's path.
    #[track_caller]
    pub fn connect(address: &str) -> Client {
        Client::try_connect(address).expect("it listens")
    }

    /// The same to a server that may be gone.
    pub fn try_connect(address: &str) -> io::Result<Client> {
        let socket = if address.starts_with('/') {
            let stream = UnixStream::connect(address)?;
            stream.set_read_timeout(Some(LIMIT)).and_then(|()| stream.set_write_timeout(Some(LIMIT)))?;
            Socket::Unix(stream)
        } else {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(LIMIT)).and_then(|()| stream.set_write_timeout(Some(LIMIT)))?;
            stream.set_nodelay(true)?;
            Socket::Tcp(stream)
        };
        Ok(Client { stream: BufReader::new(socket) })
    }

    /// The same connection once more, for another thread to send on.
    pub fn again(&self) -> Client {
        let socket = match self.stream.get_ref() {
            Socket::Tcp(stream) => Socket::Tcp(stream.try_clone().expect("a descriptor")),
            Socket::Unix(stream) => Socket::Unix(stream.try_clone().expect("a descriptor")),
        };
        Client { stream: BufReader::new(socket) }
    }

    /// Sends bytes. Panics where the server does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server reads");
    }

    /// Sends bytes to a server that may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request without a body and reads the answer.
    #[track_caller]
    pub fn ask(&mut self, head: &str) -> Answer {
        self.send(head);
        self.answer(head.starts_with("HEAD "))
    }

    /// `POST path` with `body`, which may be empty.
    #[track_caller]
    pub fn post(&mut self, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.send(post_head(path, headers, body.len() as u64));
        self.send(body);
        self.answer(false)
    }

    /// Reads an answer. Panics where there is none.
    #[track_caller]
    pub fn answer(&mut self, to_head: bool) -> Answer {
        self.try_answer(to_head).expect("an answer").expect("an answer before the end")
    }

    /// Reads an answer; none where the server closed before its first byte.
    pub fn try_answer(&mut self, to_head: bool) -> io::Result<Option<Answer>> {
        let Some(mut answer) = self.head()? else { return Ok(None) };
        let has = |name: &str, value: &str| answer.header(name).is_some_and(|it| it.eq_ignore_ascii_case(value));
        if to_head || answer.status == 304 || answer.status < 200 {
            return Ok(Some(answer));
        }
        if has("transfer-encoding", "chunked") {
            loop {
                let len = usize::from_str_radix(self.line()?.trim(), 16).map_err(io::Error::other)?;
                let mut chunk = vec![0; len + 2];
                self.stream.read_exact(&mut chunk)?;
                answer.body.extend_from_slice(&chunk[..len]);
                if len == 0 {
                    return Ok(Some(answer));
                }
            }
        }
        match answer.header("content-length").map(str::parse::<usize>) {
            Some(len) => {
                answer.body = vec![0; len.map_err(io::Error::other)?];
                self.stream.read_exact(&mut answer.body)?;
            }
            None => {
                self.stream.read_to_end(&mut answer.body)?;
            }
        }
        Ok(Some(answer))
    }

    /// Reads the head of an answer; none where the server closed before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Answer>> {
        let line = match self.line() {
            Ok(line) if line.is_empty() => return Ok(None),
            other => other?,
        };
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut answer = Answer { status, ..Answer::default() };
        loop {
            let line = self.line()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => answer.headers.push((name.to_lowercase(), value.to_string())),
                None => return Ok(Some(answer)),
            }
        }
    }

    /// The next `len` bytes.
    #[track_caller]
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).expect("that many bytes");
        bytes
    }

    /// Whatever comes until the server closes. An error counts as the end: a reset is one.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buf = [0; 64 << 10];
        while let Ok(n @ 1..) = self.stream.read(&mut buf) {
            bytes.extend_from_slice(&buf[..n]);
        }
        bytes
    }

    /// Sends nothing more.
    pub fn finish(&mut self) {
        let _ = match self.stream.get_mut() {
            Socket::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
    }

    /// Ends the connection as a crashed computer does: with RST.
    pub fn vanish(self) {
        if let Socket::Tcp(stream) = self.stream.get_ref() {
            sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket");
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

impl Answer {
    /// The value of the header `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The body, lossily as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The head of a POST of `len` bytes.
pub fn post_head(path: &str, headers: &[&str], len: u64) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n");
    headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    head + "\r\n"
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buf),
            Socket::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(buf),
            Socket::Unix(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
