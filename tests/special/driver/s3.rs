//! A server that begins multipart uploads, aborts them, and never answers a part: a transfer that stays half way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The server, for as long as the test runs.
pub struct Stuck {
    /// Its port, on loopback.
    pub port: u16,
    /// What it was asked for: method and path with query.
    pub requests: Receiver<String>,
}

impl Stuck {
    /// Listens.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (tx, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tx = tx.clone();
                std::thread::spawn(move || serve(stream, &tx));
            }
        });
        Self { port, requests }
    }

    /// Waits until a request comes whose line holds `what`.
    pub fn until(&self, what: &str) {
        let limit = Duration::from_secs(60);
        while let Ok(request) = self.requests.recv_timeout(limit) {
            if request.contains(what) {
                return;
            }
        }
        panic!("no request for {what} came");
    }
}

fn serve(stream: TcpStream, requests: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_ascii_lowercase());
        }
        let request = head.first().cloned().unwrap_or_default();
        if requests.send(request.clone()).is_err() || request.starts_with("put") {
            // Stays open and says nothing, until the other side has enough.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
            return;
        }
        let len = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let _ = std::io::copy(&mut reader.by_ref().take(len), &mut std::io::sink());
        let upload = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>the-upload</UploadId>\
                      </InitiateMultipartUploadResult>";
        let gone = "<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>";
        let (status, body) = match request.split(' ').next() {
            Some("post") => ("200 OK", upload),
            Some("delete") => ("204 No Content", ""),
            _ => ("404 Not Found", gone),
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
