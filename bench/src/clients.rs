//! Clients of the gateway by the dozen, each a thread that speaks HTTP over a socket of its own.

use crate::curl::Timing;
use crate::null::{Keys, Pattern};
use rustix::net::{RecvFlags, recv};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

// Sixty-four at once on two cores wait for each other.
const SILENCE: Duration = Duration::from_secs(120);

/// GETs `target` and throws `len` bytes of content away. Errors: fewer come, or another answer.
pub fn get(port: u16, target: &str, len: u64) -> io::Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(&get_head(target))?;
    let (head, ahead) = head(&mut stream)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("{target}: {head}")));
    }
    let mut left = len.saturating_sub(ahead.len() as u64);
    let mut nowhere = vec![0; 1 << 20];
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(nowhere.len()).min(nowhere.len());
        let (_, n) = recv(&stream, &mut nowhere[..take], RecvFlags::TRUNC)?;
        if n == 0 {
            return Err(io::Error::other(format!("{target}: {left} bytes are missing")));
        }
        left -= n as u64;
    }
    Ok(())
}

/// GETs `target`, which is to be `len` bytes of `pattern`; when its first byte and its last one came.
///
/// Errors: it is not that, or another answer.
pub fn get_checked(port: u16, target: &str, len: u64, pattern: &Pattern) -> io::Result<Timing> {
    let mut stream = connect(port)?;
    let begin = Instant::now();
    stream.write_all(&get_head(target))?;
    let (head, ahead) = head(&mut stream)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("{target}: {head}")));
    }
    let mut block = vec![0; 1 << 20];
    let (mut at, mut first_byte) = (0, begin.elapsed().as_secs_f64());
    let mut look = |bytes: &[u8]| {
        let is_right = pattern.has(at, bytes);
        at += bytes.len() as u64;
        if is_right { Ok(at) } else { Err(io::Error::other(format!("{target}: wrong bytes before byte {at}"))) }
    };
    let mut came = look(&ahead)?;
    while came < len {
        let n = stream.read(&mut block)?;
        if n == 0 {
            return Err(io::Error::other(format!("{target}: it ends at byte {came}")));
        }
        if came == 0 {
            first_byte = begin.elapsed().as_secs_f64();
        }
        came = look(&block[..n])?;
    }
    if came > len {
        return Err(io::Error::other(format!("{target}: {} bytes too many", came - len)));
    }
    Ok(Timing { first_byte, total: begin.elapsed().as_secs_f64() })
}

/// PUTs content `number` of `keys` to `target`. Errors: it is not stored.
pub fn put(port: u16, target: &str, pattern: &Pattern, keys: &Keys, number: usize) -> io::Result<()> {
    match try_put(port, target, pattern, keys, number)? {
        Stored::Yes => Ok(()),
        Stored::NoRoom => Err(io::Error::other(format!("{target}: there is no room"))),
    }
}

/// What a client is told of an upload that has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Yes,
    /// There is no room for it.
    NoRoom,
}

/// The same, which may be refused for want of room. Errors: any other answer.
pub fn try_put(port: u16, target: &str, pattern: &Pattern, keys: &Keys, number: usize) -> io::Result<Stored> {
    let mut stream = connect(port)?;
    stream.write_all(&put_head(target, keys.len()))?;
    // Who is refused may be so before the end.
    let sent = pattern.write_numbered(&mut stream, keys, number);
    let (head, body) = head(&mut stream)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if head.starts_with("HTTP/1.1 507") {
        return Ok(Stored::NoRoom);
    }
    sent?;
    if head.starts_with("HTTP/1.1 200") && body.contains(r#""stored":true"#) {
        return Ok(Stored::Yes);
    }
    Err(io::Error::other(format!("{target}: {head} {body}")))
}

/// What a client wants that will go before it has it.
#[derive(Clone, Copy)]
pub enum Wish<'a> {
    /// Content from this target.
    Get(&'a str),
    /// To leave content of this many bytes at this target.
    Put(&'a str, u64),
}

/// Goes away after `bytes` bytes of the request, or of the answer where the request is shorter.
///
/// Errors: nobody listens. That the server is the first to hang up is none.
pub fn vanish(port: u16, wish: Wish<'_>, pattern: &Pattern, bytes: u64) -> io::Result<()> {
    let mut stream = connect(port)?;
    let head = match wish {
        Wish::Get(target) => get_head(target),
        Wish::Put(target, len) => put_head(target, len),
    };
    let first = usize::try_from(bytes).unwrap_or(usize::MAX).min(head.len());
    let left = bytes - first as u64;
    // What fails from here on fails because the server has given up on us, which it may.
    let _ = match wish {
        _ if left == 0 => stream.write_all(&head[..first]),
        Wish::Get(_) => stream.write_all(&head).and_then(|()| skip(&mut stream, left)),
        Wish::Put(_, len) => stream.write_all(&head).and_then(|()| pattern.write(&mut stream, 0, left.min(len))),
    };
    Ok(())
}

fn skip(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut block = [0; 4096];
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(block.len()).min(block.len());
        match stream.read(&mut block[..take])? {
            0 => return stream.shutdown(Shutdown::Both),
            n => left -= n as u64,
        }
    }
    Ok(())
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn get_head(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn put_head(target: &str, len: u64) -> Vec<u8> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nX-git-annex-data-length: {len}\r\n");
    format!("{head}Content-Length: {len}\r\n\r\n").into_bytes()
}

/// The head of an answer, and what has come after it.
fn head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut block = [0; 4096];
    loop {
        if let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            let body = all.split_off(end + 4);
            let text = String::from_utf8_lossy(&all).into_owned();
            let length = text.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let short = length.filter(|length: &usize| *length <= block.len()).unwrap_or(0);
            let mut rest = vec![0; short.saturating_sub(body.len())];
            stream.read_exact(&mut rest)?;
            return Ok((text, [body, rest].concat()));
        }
        let n = stream.read(&mut block)?;
        if n == 0 || all.len() > 64 << 10 {
            return Err(io::Error::other(format!("no answer but {:?}", String::from_utf8_lossy(&all))));
        }
        all.extend_from_slice(&block[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null::NullStore;

    #[test]
    fn a_client_counts_what_it_throws_away() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 5_000_000);
        get(store.port, "/b/k", 5_000_000).expect("whole");
        assert!(get(store.port, "/b/none", 1).expect_err("absent").to_string().contains("404"));
    }

    #[test]
    fn wrong_bytes_are_seen() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 3_000_000);
        let pattern = Pattern::new();
        let timing = get_checked(store.port, "/b/k", 3_000_000, &pattern).expect("whole");
        assert!(timing.first_byte > 0.0 && timing.first_byte <= timing.total);
        store.kill();
        assert!(get_checked(store.port, "/b/k", 3_000_000, &pattern).is_err());
        assert!(!pattern.has(1, &[0; 64]));
    }

    #[test]
    fn a_vanished_put_leaves_nothing_and_a_vanished_get_is_no_error() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 5_000_000);
        let pattern = Pattern::new();
        for bytes in [0, 10, 100, 70_000, 1_000_000] {
            vanish(store.port, Wish::Get("/b/k"), &pattern, bytes).expect("connected");
            vanish(store.port, Wish::Put("/b/new", 5_000_000), &pattern, bytes).expect("connected");
        }
        assert_eq!(store.holds("/b/new"), None);
    }
}
