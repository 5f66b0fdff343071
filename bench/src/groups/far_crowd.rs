//! Many clients of a store that is far away at once: all that the store gives, each as much as any other, in bounded memory.

use crate::clients;
use crate::gateway::Kind;
use crate::lab::Lab;
use crate::line::{FAR, Line};
use crate::null::{NullStore, Pattern};
use crate::proxied::Proxied;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use std::io;
use std::time::Instant;

/// Clients at once.
const CROWDS: [usize; 2] = [8, 64];

/// Rows of GET, by so many clients; together they read twice the large file.
pub fn get(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let line = Line::start(store.port, FAR)?;
    let proxied = Proxied::create(lab, Kind::Ours, line.port, "far-crowd", &[])?;
    let pattern = Pattern::new();
    let mut tables = Vec::new();
    for crowd in CROWDS {
        let len = lab.size * 2 / crowd as u64;
        let title = format!(
            "{crowd} clients at once GET {} MiB each; 60 MB/s a connection, 1 GB/s in all, 30 ms away",
            len >> 20
        );
        let table = Table::new(format!("far-crowd/{crowd}"), title, len * crowd as u64, "one connection each");
        let keys = pattern.keys(len);
        let keys: Vec<String> = (0..crowd).map(|number| keys.key(number)).collect();
        let object = |key: &String| format!("/{BUCKET}/{}", proxied.object(key));
        keys.iter().for_each(|key| store.hold(&object(key), len));
        let gateway = proxied.serve(Kind::Ours)?;
        let ours = |round| {
            let cpu = gateway.cpu()?;
            let targets: Vec<String> = keys.iter().map(|key| gateway.content_target(key)).collect();
            let (wall, unfair) = all(gateway.port, &targets, len, (round == 0).then_some(&pattern))?;
            let cpu = gateway.cpu()? - cpu;
            Ok(vec![Sample { wall, cpu, unfair: Some(unfair), rss: gateway.rss(), ..Sample::default() }])
        };
        let straight = |_| {
            let targets: Vec<String> = keys.iter().map(object).collect();
            let (wall, unfair) = all(line.port, &targets, len, None)?;
            Ok(vec![Sample { wall, unfair: Some(unfair), ..Sample::default() }])
        };
        let cases = vec![Case::new("ours", ours), Case::new("one connection each", straight)];
        tables.extend(interleave(vec![table], cases, lab.args.runs().min(3)));
    }
    proxied.delete()?;
    Ok(tables)
}

/// Seconds until all have their content, and those of the slowest beside those of the fastest. With a pattern, what comes is held
/// against it.
fn all(port: u16, targets: &[String], len: u64, pattern: Option<&Pattern>) -> io::Result<(f64, f64)> {
    let begin = Instant::now();
    let times = std::thread::scope(|scope| {
        let one = |target: &String| match pattern {
            Some(pattern) => clients::get_checked(port, target, len, pattern).map(drop),
            None => clients::get(port, target, len),
        };
        let client = |target| scope.spawn(move || one(target).map(|()| begin.elapsed().as_secs_f64()));
        let clients: Vec<_> = targets.iter().map(client).collect();
        let times = clients.into_iter().map(|client| client.join().expect("a client returns its errors"));
        times.collect::<io::Result<Vec<f64>>>()
    })?;
    let (least, most) =
        times.iter().fold((f64::MAX, 0.0_f64), |(least, most), time| (least.min(*time), most.max(*time)));
    Ok((most, most / least))
}
