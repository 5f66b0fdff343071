//! A store that is far away: each connection gets a part of what can be had, and answers come late.

use super::serve_put::stored;
use crate::annex::Remote;
use crate::curl;
use crate::gateway::Kind;
use crate::lab::{Lab, certificate};
use crate::line::{Distance, FAR, Line};
use crate::null::{NullStore, Pattern};
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use crate::transfers::{TOOLS, Tool};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How much more than usual a round trip takes at the most where it is uneven.
const JITTER: Duration = Duration::from_millis(20);

/// A store at the end of a line, and what rows of it are called.
struct Far<'a> {
    lab: &'a Lab,
    store: &'a NullStore,
    line: &'a Line,
    proxied: &'a Proxied<'a>,
    name: &'a str,
    words: &'a str,
    /// `http`, or `https`.
    scheme: &'a str,
    /// One request of ours in so many is refused.
    refused: u64,
    /// Other programs, as they come.
    tools: &'a [Tool],
}

/// Rows of GET and PUT beside one connection.
pub fn far(lab: &Lab) -> io::Result<Vec<Table>> {
    let plain = (NullStore::start()?, Remote::OursS3, "http");
    let secure = (NullStore::start_with_tls(certificate())?, Remote::OursS3Tls, "https");
    let mut tables = Vec::new();
    let cut = Distance { cut_every: 10, ..FAR };
    let uneven = Distance { jitter: JITTER, ..FAR };
    for (name, (store, remote, scheme), distance, refused, tools, words) in [
        ("far", &plain, FAR, 0, &TOOLS[..], "60 MB/s a connection, 1 GB/s in all, 30 ms away"),
        (
            "far-cut",
            &plain,
            cut,
            50,
            &[],
            "the same, every tenth connection cut, and one request in fifty answered with 503",
        ),
        ("far-jitter", &plain, uneven, 0, &[], "60 MB/s a connection, 1 GB/s in all, 30 to 50 ms away"),
        ("far-tls", &secure, uneven, 0, &[], "the same over TLS, which the store speaks itself"),
    ] {
        let line = Line::start(store.port, distance)?;
        let proxied = Proxied::create_as(lab, Kind::Ours, *remote, line.port, name, &[])?;
        let far = Far { lab, store, line: &line, proxied: &proxied, name, words, scheme, refused, tools };
        tables.push(far.get()?);
        tables.push(far.put()?);
        proxied.delete()?;
    }
    Ok(tables)
}

impl Far<'_> {
    /// Has `work` done while the store refuses what it is to refuse.
    fn refusing<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.store.refuse_one_in(self.refused);
        let done = work();
        self.store.refuse_one_in(0);
        done
    }

    fn get(&self) -> io::Result<Table> {
        let Self { lab, store, line, proxied, name, words, scheme, tools, .. } = *self;
        let mib = lab.size >> 20;
        let key = Pattern::new().key(lab.size);
        let path = format!("/{BUCKET}/{}", proxied.object(&key));
        store.hold(&path, lab.size);
        let table = Table::new(format!("{name}/get"), format!("GET of {mib} MiB; {words}"), lab.size, "one connection");
        let gateway = proxied.serve(Kind::Ours)?;
        let url = format!("{scheme}://127.0.0.1:{}{path}", line.port);
        let one = |_| {
            let timing = curl::timed(lab, &[&url], Path::new("/dev/null"))?;
            Ok(vec![Sample { wall: timing.total, first_byte: Some(timing.first_byte), ..Sample::default() }])
        };
        let right = |target: &Path| {
            let is_right = key_of(target)? == key;
            fs::remove_file(target)?;
            if is_right { Ok(()) } else { Err(io::Error::other("what arrived is not what the store has")) }
        };
        let ours = |is_kept: bool| {
            lab.touch_memory()?;
            let cpu = gateway.cpu()?;
            let target = if is_kept { lab.at("retrieved") } else { Path::new("/dev/null").into() };
            let timing = self.refusing(|| curl::timed(lab, &[&gateway.content_url(&key)], &target))?;
            let cpu = gateway.cpu()? - cpu;
            if is_kept {
                right(&target)?;
            }
            Ok(vec![Sample {
                wall: timing.total,
                cpu,
                first_byte: Some(timing.first_byte),
                rss: gateway.rss(),
                ..Sample::default()
            }])
        };
        let mut cases = vec![Case::new("one connection", one), Case::new("ours", |round| ours(round == 0))];
        if !tools.is_empty() {
            // They write files, and so does this one.
            cases.push(Case::new("ours, to a file", |_| ours(true)));
        }
        for tool in tools {
            let (right, key) = (&right, &key);
            cases.push(Case::new(tool.subject(), move |_| {
                lab.touch_memory()?;
                let target = lab.at("retrieved");
                let usage = lab.run(&mut tool.get(lab, line.port, &proxied.object(key), &target)?)?;
                right(&target)?;
                Ok(vec![Sample { wall: usage.wall, cpu: usage.cpu, rss: usage.rss, ..Sample::default() }])
            }));
        }
        Ok(interleave(vec![table], cases, lab.args.runs()).remove(0))
    }

    fn put(&self) -> io::Result<Table> {
        let Self { lab, store, line, proxied, name, words, scheme, tools, .. } = *self;
        let mib = lab.size >> 20;
        let source = lab.large()?;
        let key = key_of(&source)?;
        let title = format!("PUT of {mib} MiB, SHA-256 proven; {words}");
        let table = Table::new(format!("{name}/put"), title, lab.size, "one connection");
        let gateway = proxied.serve(Kind::Ours)?;
        let url = format!("{scheme}://127.0.0.1:{}/{BUCKET}/plain", line.port);
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
            let wall = self.refusing(|| stored(lab, &source, &gateway.url("put", &key)))?;
            let cpu = gateway.cpu()? - cpu;
            match store.holds(&format!("/{BUCKET}/{}", proxied.object(&key))) {
                Some(len) if len == lab.size => {}
                other => return Err(io::Error::other(format!("the store has {other:?} bytes"))),
            }
            gateway.remove(&key)?;
            Ok(vec![Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() }])
        };
        let mut cases = vec![Case::new("one connection", one), Case::new("ours", ours)];
        for tool in tools {
            cases.push(Case::new(tool.subject(), move |_| {
                let source = lab.large()?;
                let path = format!("/{BUCKET}/rival");
                store.forget(&path);
                let usage = lab.run(&mut tool.put(lab, line.port, &source, "rival")?)?;
                match store.holds(&path) {
                    Some(len) if len == lab.size => {}
                    other => return Err(io::Error::other(format!("the store has {other:?} bytes"))),
                }
                Ok(vec![Sample { wall: usage.wall, cpu: usage.cpu, rss: usage.rss, ..Sample::default() }])
            }));
        }
        Ok(interleave(vec![table], cases, lab.args.runs()).remove(0))
    }
}
