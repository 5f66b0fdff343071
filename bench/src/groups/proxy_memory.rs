//! Memory, threads and descriptors of the gateway as a proxy: at rest, under many transfers, after clients that vanished.

use crate::chance::Chance;
use crate::clients::{self, Wish};
use crate::gateway::{Gateway, Kind};
use crate::lab::Lab;
use crate::null::{NullStore, Pattern};
use crate::proc::Peaks;
use crate::proxied::Proxied;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Clients that vanish side by side.
const SIDE_BY_SIDE: usize = 16;

/// Clients that vanish in the warm-up, after which everything that is made once has been made.
const FIRST: usize = 200;

/// Keys that vanishing clients choose from; small contents, and large ones, which can be resumed.
const KEYS: usize = 64;

/// No later than this after the last client has gone, nothing of them is left.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// The same in a quick run, whose figures nobody reads.
const REST_QUICK: Duration = Duration::from_secs(2);

/// Rows of a gateway at rest and under many transfers at once, GETs and PUTs.
pub fn many(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let proxied = Proxied::create(lab, Kind::Ours, store.port, "many", &[])?;
    let count = lab.args.transfers();
    let pattern = Pattern::new();
    let keys = pattern.keys(lab.size);
    let got = pattern.key(lab.size);
    store.hold(&format!("/{BUCKET}/{}", proxied.object(&got)), lab.size);
    let work = |round: usize| {
        let begin = Instant::now();
        let gateway = proxied.serve(Kind::Ours)?;
        let idle = Sample { wall: begin.elapsed().as_secs_f64(), ..counted(gateway.peek()) };
        // The warm-up finds out whether it works at all.
        let count = if round == 0 { count.div_ceil(16) } else { count };
        let target = gateway.content_target(&got);
        let gets = at_once(&gateway, count, |_| clients::get(gateway.port, &target, lab.size))?;
        drop(gateway);
        let gateway = proxied.serve(Kind::Ours)?;
        let puts = at_once(&gateway, count, |number| {
            clients::put(gateway.port, &gateway.target("put", &keys.key(number)), &pattern, &keys, number)
        })?;
        for number in 0..count {
            gateway.remove(&keys.key(number))?;
        }
        Ok(vec![idle, gets, puts])
    };
    let mib = lab.size >> 20;
    let title =
        |verb: &str| format!("{count} x {verb} of {mib} MiB at once through the gateway, a store that costs nothing");
    let tables = vec![
        Table::new(
            "proxy-memory/idle",
            "The gateway of a proxied remote before its first transfer; until it answers",
            0,
            "ours",
        ),
        Table::new("proxy-memory/get", title("GET"), lab.size * count as u64, "ours"),
        Table::new("proxy-memory/put", title("PUT"), lab.size * count as u64, "ours"),
    ];
    // Many GiB a round: once is enough to see a peak.
    let tables = interleave(tables, vec![Case::new("ours", work)], 1);
    proxied.delete()?;
    Ok(tables)
}

/// Rows of clients that go in the middle of what they wanted.
pub fn vanishing(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let proxied = Proxied::create(lab, Kind::Ours, store.port, "vanishing", &[])?;
    let count = lab.args.vanishing();
    let held = Pattern::new().key(64 << 20);
    store.hold(&format!("/{BUCKET}/{}", proxied.object(&held)), 64 << 20);
    let within = if lab.args.quick { REST_QUICK } else { REST_WITHIN };
    let work = |round: usize| {
        if round == 0 {
            return Ok(vec![Sample::default(); 2]);
        }
        let gateway = proxied.serve(Kind::Ours)?;
        crowd(&gateway, &held, FIRST, 1)?;
        let before = at_rest(&gateway, Peaks::default(), within);
        let begin = Instant::now();
        let cpu = gateway.cpu()?;
        crowd(&gateway, &held, count, 2)?;
        let wall = begin.elapsed().as_secs_f64();
        let cpu = gateway.cpu()? - cpu;
        let after = at_rest(&gateway, before, within);
        eprintln!("proxy-memory vanishing: before {before:?}, after {after:?}");
        let left = Peaks {
            rss: after.rss,
            threads: after.threads.saturating_sub(before.threads),
            fds: after.fds.saturating_sub(before.fds),
        };
        let sample = |peaks: Peaks| Sample { wall, cpu, ..counted(peaks) };
        Ok(vec![sample(after), sample(left)])
    };
    let what = format!("{count} clients that vanish at a random byte of a GET or PUT");
    let tables = vec![
        Table::new("proxy-memory/vanished", format!("After {what}"), 0, "ours").counting(count as u64),
        Table::new("proxy-memory/left", format!("Threads and descriptors more than before {what}"), 0, "ours"),
    ];
    let tables = interleave(tables, vec![Case::new("ours", work)], 1);
    proxied.delete()?;
    Ok(tables)
}

/// Runs `client` `count` times side by side.
fn at_once(gateway: &Gateway, count: usize, client: impl Fn(usize) -> io::Result<()> + Sync) -> io::Result<Sample> {
    let client = &client;
    let cpu = gateway.cpu()?;
    let begin = Instant::now();
    let sampler = gateway.sample();
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || client(number))).collect();
        threads.into_iter().map(|t| t.join().expect("a client returns its errors")).collect::<Vec<_>>()
    });
    let wall = begin.elapsed().as_secs_f64();
    let peaks = sampler.finish();
    done.into_iter().collect::<io::Result<()>>()?;
    Ok(Sample { wall, cpu: gateway.cpu()? - cpu, ..counted(peaks) })
}

/// `count` clients that vanish, the same ones for the same `seed`.
fn crowd(gateway: &Gateway, held: &str, count: usize, seed: u64) -> io::Result<()> {
    let pattern = Pattern::new();
    let content = gateway.content_target(held);
    let next = AtomicUsize::new(0);
    let one = |number: usize| {
        let mut chance = Chance::new(seed << 32 | number as u64);
        // In the head, in a small content, in a large one; now and then behind the first part of it.
        let reach = match chance.below(20) {
            0..8 => 300,
            8..16 => 60_000,
            16..19 => 1 << 20,
            _ => 40 << 20,
        };
        let bytes = chance.below(reach);
        let which = chance.below(KEYS as u64);
        let len: u64 = if which.is_multiple_of(2) { 1 << 30 } else { 2 << 20 };
        let target = gateway.target("put", &format!("SHA256-s{len}--{which:064x}"));
        let wish = if chance.below(3) == 0 { Wish::Get(&content) } else { Wish::Put(&target, len) };
        // One short of what would be a whole PUT of the wrong content.
        clients::vanish(gateway.port, wish, &pattern, bytes.min(len - 1))
    };
    std::thread::scope(|scope| {
        let worker = || -> io::Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                one(number)?;
            }
        };
        let threads: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|t| t.join().expect("a client returns its errors"))
    })
}

/// What the gateway has once it has no more threads and descriptors than `before`, or has not changed for long.
fn at_rest(gateway: &Gateway, before: Peaks, within: Duration) -> Peaks {
    let begin = Instant::now();
    let mut least = gateway.peek();
    let mut since = Instant::now();
    while begin.elapsed() < within {
        std::thread::sleep(Duration::from_millis(100));
        let now = gateway.peek();
        if now.threads < least.threads || now.fds < least.fds {
            since = Instant::now();
        }
        least = Peaks { rss: now.rss, threads: now.threads, fds: now.fds };
        let enough = now.threads <= before.threads && now.fds <= before.fds;
        // Pool threads that have nothing to do go after ten seconds.
        if enough || (before.threads == 0 && since.elapsed() > Duration::from_secs(15)) {
            break;
        }
    }
    least
}

fn counted(peaks: Peaks) -> Sample {
    Sample { rss: peaks.rss, threads: Some(peaks.threads), fds: Some(peaks.fds), ..Sample::default() }
}
