//! Small contents at a distance: as many requests as there are round trips, and no more round trips than there must be.

use crate::annex::Remote;
use crate::gateway::{Gateway, Kind, expect};
use crate::http::Client;
use crate::lab::{Lab, certificate};
use crate::line::{FAR, Line};
use crate::null::{Keys, NullStore, Pattern};
use crate::proxied::Proxied;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes of a content.
const LEN: u64 = 10 << 10;

/// Clients at once, each with a connection that it keeps.
const CLIENTS: usize = 64;

/// Requests a second that a store welcomes which has enough of them.
const WELCOME: u64 = 1000;

/// What is asked about each content.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Put,
    Get,
    Check,
    /// `checkpresent`, `putoffset` and `put` of content that is not there, as git-annex asks it.
    Row,
}

struct Far<'a> {
    store: &'a NullStore,
    line: &'a Line,
    proxied: &'a Proxied<'a>,
    pattern: Pattern,
    keys: Keys,
    count: usize,
}

/// Rows of each beside the same requests straight to the store.
pub fn all(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let line = Line::start(store.port, FAR)?;
    let proxied = Proxied::create(lab, Kind::Ours, line.port, "far-small", &[])?;
    let pattern = Pattern::new();
    let keys = pattern.keys(LEN);
    let far = Far { store: &store, line: &line, proxied: &proxied, pattern, keys, count: lab.args.files() };
    let mut tables = Vec::new();
    for (ask, name, words) in [
        (Ask::Put, "put", "PUT"),
        (Ask::Get, "get", "GET"),
        (Ask::Check, "check", "CHECKPRESENT"),
        (Ask::Row, "row", "checkpresent, putoffset and put in a row"),
    ] {
        let title = format!("{} x {words} of 10 KiB, {CLIENTS} clients at once; 30 ms away", far.count);
        let table = Table::new(format!("far-small/{name}"), title, 0, "straight to the store");
        let gateway = proxied.serve(Kind::Ours)?;
        let far = &far;
        let ours = |round| far.ours(&gateway, ask, round);
        let straight = |round| far.straight(ask, round);
        let cases = vec![Case::new("ours", ours), Case::new("straight to the store", straight)];
        tables.extend(interleave(vec![table.counting(far.count as u64)], cases, lab.args.runs()));
    }
    // Many enough that the pauses of the last ones do not count.
    let (pattern, count) = (Pattern::new(), 4 * far.count);
    let far = Far { keys: pattern.keys(LEN), pattern, count, ..far };
    let title = format!(
        "{} x PUT of 10 KiB, {CLIENTS} clients at once, to a store that refuses more than {WELCOME} requests a second; 30 ms away",
        far.count
    );
    let table = Table::new("far-small/welcome", title, 0, "ours").counting(far.count as u64);
    let gateway = proxied.serve(Kind::Ours)?;
    let welcome = |round| {
        let refused = store.refused();
        store.welcome(WELCOME);
        let samples = far.ours(&gateway, Ask::Put, round + 100);
        store.welcome(0);
        if !lab.args.quick && store.refused() == refused {
            return Err(io::Error::other("nothing was refused"));
        }
        samples
    };
    tables.extend(interleave(vec![table], vec![Case::new("ours", welcome)], lab.args.runs()));
    drop(gateway);
    proxied.delete()?;
    Ok(tables)
}

/// Rows of a store that speaks TLS. Its connections are made before what is measured begins, as a gateway in use has them.
pub fn secure(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start_with_tls(certificate())?;
    let line = Line::start(store.port, FAR)?;
    let proxied = Proxied::create_as(lab, Kind::Ours, Remote::OursS3Tls, line.port, "far-small-tls", &[])?;
    let pattern = Pattern::new();
    let keys = pattern.keys(LEN);
    let far = Far { store: &store, line: &line, proxied: &proxied, pattern, keys, count: lab.args.files() };
    let mut tables = Vec::new();
    for (ask, name, words) in [(Ask::Put, "put", "PUT"), (Ask::Get, "get", "GET")] {
        let title = format!("{} x {words} of 10 KiB over TLS, {CLIENTS} clients at once; 30 ms away", far.count);
        let table = Table::new(format!("far-small-tls/{name}"), title, 0, "ours").counting(far.count as u64);
        let gateway = proxied.serve(Kind::Ours)?;
        let far = &far;
        let ours = |round| far.ours(&gateway, ask, round);
        tables.extend(interleave(vec![table], vec![Case::new("ours", ours)], lab.args.runs()));
    }
    proxied.delete()?;
    Ok(tables)
}

impl Far<'_> {
    fn object(&self, key: &str) -> String {
        format!("/{BUCKET}/{}", self.proxied.object(key))
    }

    /// Has `one` done for `count` numbers by clients which are connected to `port`, once their connections are warm. Seconds,
    /// and requests that the store saw for each number.
    fn run(
        &self,
        port: u16,
        warm: impl Fn(&mut Client) -> io::Result<()> + Sync,
        one: impl Fn(&mut Client, usize) -> io::Result<()> + Sync,
    ) -> io::Result<(f64, f64)> {
        let next = AtomicUsize::new(0);
        let (ready, go) = (Barrier::new(CLIENTS + 1), Barrier::new(CLIENTS + 1));
        let work = || {
            let connected = Client::connect(port).and_then(|mut client| warm(&mut client).map(|()| client));
            ready.wait();
            go.wait();
            let mut client = connected?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.count {
                    return Ok(());
                }
                one(&mut client, number)?;
            }
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(work)).collect();
            ready.wait();
            let (begin, seen) = (Instant::now(), self.store.requests());
            go.wait();
            let ends = clients.into_iter().map(|client| client.join().expect("a client returns its errors"));
            ends.collect::<io::Result<Vec<()>>>()?;
            let trips = (self.store.requests() - seen) as f64 / self.count as f64;
            Ok((begin.elapsed().as_secs_f64(), trips))
        })
    }

    fn content(&self, number: usize) -> Vec<u8> {
        let mut body = Vec::new();
        self.pattern.write_numbered(&mut body, &self.keys, number).expect("memory");
        body
    }

    /// Numbers of this round, which no other has.
    fn first(&self, round: usize, ask: Ask) -> usize {
        (round * 8 + ask as usize) * self.count
    }

    fn ours(&self, gateway: &Gateway, ask: Ask, round: usize) -> io::Result<Vec<Sample>> {
        let first = self.first(round, ask);
        let keys: Vec<String> = (0..self.count).map(|number| self.keys.key(first + number)).collect();
        if matches!(ask, Ask::Get | Ask::Check) {
            keys.iter().for_each(|key| self.store.hold(&self.object(key), LEN));
        }
        let length = format!("X-git-annex-data-length: {LEN}\r\n");
        let put = |client: &mut Client, number: usize| {
            let target = gateway.target("put", &keys[number]);
            expect(&client.post(&target, &length, &self.content(first + number))?, r#""stored":true"#)
        };
        let check = |client: &mut Client, number: usize, words: &str| {
            expect(&client.post(&gateway.target("checkpresent", &keys[number]), "", b"")?, words)
        };
        let none = self.keys.key(usize::MAX);
        let warm = |client: &mut Client| {
            expect(&client.post(&gateway.target("checkpresent", &none), "", b"")?, r#""present":false"#)
        };
        let cpu = gateway.cpu()?;
        let (wall, trips) = self.run(gateway.port, warm, |client, number| match ask {
            Ask::Put => put(client, number),
            Ask::Check => check(client, number, r#""present":true"#),
            Ask::Get => {
                let content = client.ask("GET", &gateway.content_target(&keys[number]), "", b"")?;
                if content.len() as u64 == LEN && self.pattern.has(0, &content) {
                    return Ok(());
                }
                Err(io::Error::other("what arrived is not what the store has"))
            }
            Ask::Row => {
                check(client, number, r#""present":false"#)?;
                expect(&client.post(&gateway.target("putoffset", &keys[number]), "", b"")?, r#""offset":0"#)?;
                put(client, number)
            }
        })?;
        let cpu = gateway.cpu()? - cpu;
        if let Some(key) = keys.iter().find(|key| self.store.holds(&self.object(key)) != Some(LEN)) {
            return Err(io::Error::other(format!("the store does not have {key}")));
        }
        Ok(vec![Sample { wall, cpu, trips: Some(trips), rss: gateway.rss(), ..Sample::default() }])
    }

    fn straight(&self, ask: Ask, round: usize) -> io::Result<Vec<Sample>> {
        let first = self.first(round, ask);
        let path = |number: usize| format!("/{BUCKET}/straight/{}", first + number);
        if matches!(ask, Ask::Get | Ask::Check) {
            (0..self.count).for_each(|number| self.store.hold(&path(number), LEN));
        }
        let head = |client: &mut Client, number: usize| client.ask("HEAD", &path(number), "", b"").map(drop);
        let put = |client: &mut Client, number: usize| {
            client.ask("PUT", &path(number), "", &self.content(first + number)).map(drop)
        };
        let warm = |client: &mut Client| client.ask("HEAD", "/warm/up", "", b"").map(drop);
        let (wall, trips) = self.run(self.line.port, warm, |client, number| match ask {
            Ask::Put => put(client, number),
            Ask::Get => client.ask("GET", &path(number), "", b"").map(drop),
            Ask::Check => head(client, number),
            Ask::Row => head(client, number).and_then(|()| put(client, number)),
        })?;
        Ok(vec![Sample { wall, trips: Some(trips), ..Sample::default() }])
    }
}
