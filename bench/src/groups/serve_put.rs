//! One large content from curl to the gateway, which has to prove its SHA-256.

use super::serve_get::Held;
use crate::curl;
use crate::gateway::{Gateway, Kind, expect, free_port};
use crate::lab::Lab;
use crate::relay::thread_cpu;
use crate::rows::{Case, Sample, Table, interleave};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;

/// How curl sends the body.
#[derive(Clone, Copy)]
enum Framing {
    Length,
    Chunked,
}

/// Rows of ours, of a loop that does only what must be done, and of git-annex.
pub fn http(lab: &Lab) -> io::Result<Vec<Table>> {
    let source = Held::create(lab, "repo-put-source")?;
    let ours = crate::annex::Repo::plain(lab, "repo-put-ours")?;
    let theirs = crate::annex::Repo::plain(lab, "repo-put-theirs")?;
    let title = format!("PUT of {} MiB from curl, SHA-256 proven; CPU is the server's", lab.size >> 20);
    let table = Table::new("serve-put/http", title, lab.size, "receive, hash, write");
    let case = |subject: &str, kind: Kind, framing: Framing| {
        let (source, repo) = (&source, if kind == Kind::GitAnnex { &theirs } else { &ours });
        let mut gateway = None;
        Case::new(subject, move |_| {
            if gateway.is_none() {
                gateway = Some(Gateway::start(lab, kind, repo.dir(), &repo.uuid()?)?);
            }
            let gateway = gateway.as_ref().expect("just started");
            source.ready(lab)?;
            let before = gateway.cpu()?;
            let wall = put(lab, &source.object, &gateway.url("put", &source.key), framing)?;
            let cpu = gateway.cpu()? - before;
            gateway.remove(&source.key)?;
            Ok(vec![Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() }])
        })
    };
    let single = |_| {
        source.ready(lab)?;
        let port = free_port()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let target = lab.at("received");
        let digest = source.key.rsplit("--").next().unwrap_or_default().to_string();
        let server = std::thread::spawn({
            let target = target.clone();
            move || receive(&listener, &target, &digest)
        });
        let wall = put(lab, &source.object, &format!("http://127.0.0.1:{port}/"), Framing::Length)?;
        let cpu = server.join().expect("the receiver returns its errors")?;
        fs::remove_file(target)?;
        Ok(vec![Sample { wall, cpu, ..Sample::default() }])
    };
    let cases = vec![
        case("ours", Kind::Ours, Framing::Length),
        Case::new("receive, hash, write", single),
        case("ours, chunked", Kind::Ours, Framing::Chunked),
        case("git-annex p2phttp", Kind::GitAnnex, Framing::Length),
    ];
    let tables = interleave(vec![table], cases, lab.args.runs());
    for repo in [source.repo, ours, theirs] {
        repo.delete()?;
    }
    Ok(tables)
}

/// Seconds until the content of `source` was stored, sent with its length. Errors: it was not.
pub fn stored(lab: &Lab, source: &Path, url: &str) -> io::Result<f64> {
    put(lab, source, url, Framing::Length)
}

/// Seconds until the content was stored. Errors: it was not.
fn put(lab: &Lab, source: &Path, url: &str, framing: Framing) -> io::Result<f64> {
    let length = format!("X-git-annex-data-length: {}", fs::metadata(source)?.len());
    let source = source.to_string_lossy();
    // git-annex does not wait for 100 Continue.
    let mut args = vec!["-X", "POST", "-H", "Expect:", "-H", &length, "-T", &source];
    if matches!(framing, Framing::Chunked) {
        args.extend(["-H", "Transfer-Encoding: chunked"]);
    }
    args.push(url);
    let answer = lab.at("answer");
    let timing = curl::timed(lab, &args, &answer)?;
    expect(&fs::read(answer)?, r#""stored":true"#)?;
    Ok(timing.total)
}

/// The rival: one thread that receives, hashes and writes, and nothing else. The result is its CPU seconds.
fn receive(listener: &TcpListener, target: &Path, digest: &str) -> io::Result<f64> {
    let (mut stream, _) = listener.accept()?;
    let begin = thread_cpu();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
    let mut left = length.ok_or_else(|| io::Error::other("curl gave no length"))?;
    let mut file = File::create(target)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    while left > 0 {
        let n = stream.read(&mut block)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hash.update(&block[..n]);
        file.write_all(&block[..n])?;
        left = left.saturating_sub(n as u64);
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let body = if found == digest { r#"{"stored":true}"# } else { r#"{"stored":false}"# };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    Ok(thread_cpu() - begin)
}
