//! Loads a server with one small request over and over, from one thread on the last core.
//!
//! wrk waits for the body that a HEAD announces and does not have; so this does it for stores and gateways alike.

use crate::wrk::Load;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

// A server that hangs ends its row, not the bench.
const SILENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Sends `request` to `port` for `seconds` through `connections` connections, one request at a time on each.
///
/// Errors: an answer without `expected` in it, none at all, or a connection that ends.
pub fn run(port: u16, request: &[u8], expected: &[u8], connections: usize, seconds: u64) -> io::Result<Load> {
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            bind_to_last_core()?;
            drive(port, request, expected, connections, Duration::from_secs(seconds))
        });
        load.join().expect("the load returns its errors")
    })
}

struct Lane {
    stream: TcpStream,
    answer: Vec<u8>,
}

fn drive(port: u16, request: &[u8], expected: &[u8], connections: usize, time: Duration) -> io::Result<Load> {
    let head_only = request.starts_with(b"HEAD ");
    let lane = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.write_all(request)?;
        Ok(Lane { stream, answer: Vec::new() })
    };
    let begin = Instant::now();
    let mut lanes = (0..connections).map(lane).collect::<io::Result<Vec<Lane>>>()?;
    let mut requests = 0;
    let mut block = vec![0; 64 << 10];
    while begin.elapsed() < time {
        let ready: Vec<bool> = {
            let mut fds: Vec<_> = lanes.iter().map(|lane| PollFd::new(&lane.stream, PollFlags::IN)).collect();
            if poll(&mut fds, Some(&SILENCE))? == 0 {
                return Err(io::Error::other("no answer in a minute"));
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        for (lane, _) in lanes.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let n = lane.stream.read(&mut block)?;
            lane.answer.extend_from_slice(&block[..n]);
            if n == 0 {
                return Err(odd("the connection ended", &lane.answer));
            }
            if !complete(&lane.answer, head_only)? {
                continue;
            }
            if !lane.answer.windows(expected.len()).any(|w| w == expected) {
                return Err(odd("the answer is", &lane.answer));
            }
            requests += 1;
            lane.answer.clear();
            lane.stream.write_all(request)?;
        }
    }
    Ok(Load { requests, seconds: begin.elapsed().as_secs_f64() })
}

/// Whether all of an answer is there. Errors: it is longer than any that is asked for here, or says no length.
fn complete(answer: &[u8], head_only: bool) -> io::Result<bool> {
    if answer.len() > 64 << 10 {
        return Err(odd("too long an answer", answer));
    }
    let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(false) };
    if head_only {
        return Ok(true);
    }
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = &answer[end + 4..];
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => Ok(body.len() >= length),
        None if head.contains("transfer-encoding: chunked") => Ok(body.ends_with(b"0\r\n\r\n")),
        None => Err(odd("an answer without a length", answer)),
    }
}

fn odd(what: &str, answer: &[u8]) -> io::Error {
    io::Error::other(format!("{what}: {}", String::from_utf8_lossy(&answer[..answer.len().min(400)])))
}

fn bind_to_last_core() -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(std::thread::available_parallelism()?.get() - 1);
    Ok(sched_setaffinity(None, &cores)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn answers_end_where_their_framing_says() {
        for (answer, head_only, whole) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..], true, true),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false, false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", false, true),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", false, false),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false, true),
            (b"HTTP/1.1 200 OK\r\n", false, false),
        ] {
            assert_eq!(complete(answer, head_only).expect("framed"), whole, "{answer:?}");
        }
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n", false).is_err());
    }

    #[test]
    fn an_answer_that_says_something_else_ends_the_load() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").expect("answer");
            stream
        });
        let error = run(port, b"HEAD / HTTP/1.1\r\n\r\n", b" 200 ", 1, 5).expect_err("404").to_string();
        assert!(error.contains("404"), "{error}");
        drop(server.join().expect("served"));
    }
}
