//! A store that is far away: each connection gets a part of what can be had, and answers come late.

use super::serve_put::stored;
use crate::curl;
use crate::gateway::Kind;
use crate::lab::Lab;
use crate::line::{Distance, Line};
use crate::null::{NullStore, Pattern};
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What Amazon and its kin give.
const FAR: Distance =
    Distance { round_trip: Duration::from_millis(30), each: 60_000_000, all: 1_000_000_000, cut_every: 0 };

/// Rows of GET and PUT beside one connection.
pub fn far(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let mut tables = Vec::new();
    for (name, distance, words) in [
        ("far", FAR, "60 MB/s a connection, 1 GB/s in all, 30 ms away"),
        ("far-cut", Distance { cut_every: 10, ..FAR }, "the same, every tenth connection cut"),
    ] {
        let line = Line::start(store.port, distance)?;
        let proxied = Proxied::create(lab, Kind::Ours, line.port, name, &[])?;
        tables.push(get(lab, &store, &line, &proxied, name, words)?);
        tables.push(put(lab, &store, &line, &proxied, name, words)?);
        proxied.delete()?;
    }
    Ok(tables)
}

fn get(lab: &Lab, store: &NullStore, line: &Line, proxied: &Proxied<'_>, name: &str, words: &str) -> io::Result<Table> {
    let mib = lab.size >> 20;
    let key = Pattern::new().key(lab.size);
    let path = format!("/{BUCKET}/{}", proxied.object(&key));
    store.hold(&path, lab.size);
    let table = Table::new(format!("{name}/get"), format!("GET of {mib} MiB; {words}"), lab.size, "one connection");
    let gateway = proxied.serve(Kind::Ours)?;
    let url = format!("http://127.0.0.1:{}{path}", line.port);
    let one = |_| {
        let timing = curl::timed(lab, &[&url], Path::new("/dev/null"))?;
        Ok(vec![Sample { wall: timing.total, first_byte: Some(timing.first_byte), ..Sample::default() }])
    };
    let ours = |round| {
        lab.touch_memory()?;
        let cpu = gateway.cpu()?;
        let target = if round == 0 { lab.at("retrieved") } else { Path::new("/dev/null").into() };
        let timing = curl::timed(lab, &[&gateway.content_url(&key)], &target)?;
        let cpu = gateway.cpu()? - cpu;
        if round == 0 {
            if key_of(&target)? != key {
                return Err(io::Error::other("what arrived is not what the store has"));
            }
            fs::remove_file(target)?;
        }
        Ok(vec![Sample {
            wall: timing.total,
            cpu,
            first_byte: Some(timing.first_byte),
            rss: gateway.rss(),
            ..Sample::default()
        }])
    };
    let cases = vec![Case::new("one connection", one), Case::new("ours", ours)];
    Ok(interleave(vec![table], cases, lab.args.runs()).remove(0))
}

fn put(lab: &Lab, store: &NullStore, line: &Line, proxied: &Proxied<'_>, name: &str, words: &str) -> io::Result<Table> {
    let mib = lab.size >> 20;
    let source = lab.large()?;
    let key = key_of(&source)?;
    let title = format!("PUT of {mib} MiB, SHA-256 proven; {words}");
    let table = Table::new(format!("{name}/put"), title, lab.size, "one connection");
    let gateway = proxied.serve(Kind::Ours)?;
    let url = format!("http://127.0.0.1:{}/{BUCKET}/plain", line.port);
    let one = |_| {
        let source = lab.large()?;
        let words = ["-X", "PUT", "-H", "Expect:", "-T", &source.display().to_string(), &url];
        let timing = curl::timed(lab, &words, Path::new("/dev/null"))?;
        Ok(vec![Sample { wall: timing.total, ..Sample::default() }])
    };
    let ours = |_| {
        lab.large()?;
        lab.touch_memory()?;
        let cpu = gateway.cpu()?;
        let wall = stored(lab, &source, &gateway.url("put", &key))?;
        let cpu = gateway.cpu()? - cpu;
        match store.holds(&format!("/{BUCKET}/{}", proxied.object(&key))) {
            Some(len) if len == lab.size => {}
            other => return Err(io::Error::other(format!("the store has {other:?} bytes"))),
        }
        gateway.remove(&key)?;
        Ok(vec![Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() }])
    };
    let cases = vec![Case::new("one connection", one), Case::new("ours", ours)];
    Ok(interleave(vec![table], cases, lab.args.runs()).remove(0))
}
