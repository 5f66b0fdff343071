//! Uploads of which one node stalls, or is killed in the middle.

use super::{Contents, mib};
use crate::clients;
use crate::clustered::{Clustered, Member};
use crate::gateway::{Kind, target};
use crate::lab::Lab;
use crate::null::NullStore;
use crate::rows::{Case, Sample, Table, interleave};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Uploads at once, of each of which one node stalls.
const STALLED: usize = 32;

/// Bytes of each body that a node takes before it stalls.
const TAKEN: u64 = 1 << 20;

/// Bytes a second of the nodes that are well while another is killed: slow enough to tell tenths of a second.
const RATE: u64 = 200_000_000;

/// The same of tiny contents: the half that is left has to take longer than a busy machine lets a thread wait.
const QUICK_RATE: u64 = 1_000_000;

/// Uploads at once to three nodes, one of which stalls.
pub fn stalled(lab: &Lab) -> io::Result<Vec<Table>> {
    let stores = [NullStore::start()?, NullStore::start()?, NullStore::start()?];
    let cluster = Clustered::create(lab, Kind::Ours, "stalled", &stores.each_ref().map(|s| Member::S3(s.port)))?;
    stores[2].stall(TAKEN);
    let contents = Contents::of(lab.size);
    let title = format!(
        "{STALLED} PUTs of {} MiB at once through the gateway to three stores that cost nothing, one of which stalls \
         after {} MiB, `--timeout 5`",
        mib(lab),
        TAKEN >> 20
    );
    let table = Table::new("cluster/stalled", title, lab.size * STALLED as u64, "ours");
    let work = |round: usize| {
        let gateway = cluster.serve(Kind::Ours, &["--timeout", "5"])?;
        // The warm-up finds out whether it works at all.
        let count = if round == 0 { 2 } else { STALLED };
        let cpu = gateway.cpu()?;
        let begin = Instant::now();
        let sampler = gateway.sample();
        let (keys, first) = (&contents.keys, round * STALLED);
        let put = |number: usize| {
            let target = target(&cluster.uuid, "put", &keys.key(number));
            clients::put(gateway.port, &target, &contents.pattern, keys, number)
        };
        let put = &put;
        let done: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (first..first + count).map(|number| scope.spawn(move || put(number))).collect();
            threads.into_iter().map(|t| t.join().expect("a client returns its errors")).collect()
        });
        let wall = begin.elapsed().as_secs_f64();
        let peaks = sampler.finish();
        done.into_iter().collect::<io::Result<()>>()?;
        for number in first..first + count {
            let key = keys.key(number);
            let has = |nth: usize| stores[nth].holds(&cluster.nodes[nth].path(&key)) == Some(lab.size);
            if !has(0) || !has(1) || has(2) {
                return Err(io::Error::other(format!("{key} is not where it should be")));
            }
        }
        let (threads, fds) = (Some(peaks.threads), Some(peaks.fds));
        Ok(vec![Sample { wall, cpu: gateway.cpu()? - cpu, rss: peaks.rss, threads, fds, ..Sample::default() }])
    };
    // Many GiB a round: once is enough to see a peak.
    let tables = interleave(vec![table], vec![Case::new("ours", work)], 1);
    cluster.delete()?;
    Ok(tables)
}

/// Rows of an upload to three nodes of which one is killed in the middle, and of one to the other two.
pub fn killed_put(lab: &Lab) -> io::Result<Vec<Table>> {
    let rate = if lab.args.quick { QUICK_RATE } else { RATE };
    let rated = || NullStore::start_with_rate(rate);
    let stores = [rated()?, rated()?, rated()?];
    let members = stores.each_ref().map(|s| Member::S3(s.port));
    let three = Clustered::create(lab, Kind::Ours, "killed", &members)?;
    let two = Clustered::create(lab, Kind::Ours, "unharmed", &members[..2])?;
    let contents = Contents::of(lab.size);
    let title = format!(
        "PUT of {} MiB through the gateway to three stores that take {} MB/s, one of which is killed in the middle",
        mib(lab),
        rate / 1_000_000
    );
    let table = Table::new("cluster/killed-put", title, lab.size, "the other two");
    let case = |subject: &'static str, cluster, dies: bool| {
        let (cluster, stores, contents): (&Clustered, _, _) = (cluster, &stores, &contents);
        Case::new(subject, move |_| {
            // A fresh one does not remember that the node was down.
            let gateway = cluster.serve(Kind::Ours, &[])?;
            let killer = Killer::new(&stores[2], lab.size / 2);
            let (put, killed) = std::thread::scope(|scope| {
                let waits = scope.spawn(|| dies && killer.wait());
                let put = contents.put(&gateway, &cluster.uuid);
                killer.is_over.store(true, Ordering::Relaxed);
                (put, waits.join().expect("it counts"))
            });
            stores[2].revive();
            let (wall, key) = put?;
            let has = |nth: usize| stores[nth].holds(&cluster.nodes[nth].path(&key)) == Some(lab.size);
            if killed != dies || !has(0) || !has(1) || (dies && has(2)) {
                return Err(io::Error::other("it was not killed in the middle, or the others do not have it"));
            }
            gateway.remove(&key)?;
            Ok(vec![Sample { wall, rss: gateway.rss(), ..Sample::default() }])
        })
    };
    let cases = vec![case("the other two", &two, false), case("one of three killed", &three, true)];
    let tables = interleave(vec![table], cases, lab.args.runs());
    three.delete()?;
    two.delete()?;
    Ok(tables)
}

/// Kills a store once so many bytes have passed.
pub struct Killer<'a> {
    store: &'a NullStore,
    at: u64,
    /// What it waits for will not happen any more.
    pub is_over: AtomicBool,
}

impl<'a> Killer<'a> {
    /// Of `store`, `bytes` from now.
    pub fn new(store: &'a NullStore, bytes: u64) -> Self {
        Self { store, at: store.passed() + bytes, is_over: AtomicBool::new(false) }
    }

    /// Whether it was killed.
    pub fn wait(&self) -> bool {
        while self.store.passed() < self.at {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        self.store.kill();
        true
    }
}
