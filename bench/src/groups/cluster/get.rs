//! Content from a cluster: how soon it begins, and what happens when the node that gives it is killed.

use super::faults::Killer;
use super::mib;
use crate::clients;
use crate::clustered::{Clustered, Member};
use crate::gateway::{Gateway, Kind, content_target};
use crate::lab::Lab;
use crate::null::{NullStore, Pattern};
use crate::rows::{Case, Sample, Table, interleave};
use std::io;
use std::sync::atomic::Ordering;

/// Bytes a second of each node while one is killed.
const RATE: u64 = 400_000_000;

/// Bytes of the content whose first byte is waited for.
const SMALL: u64 = 64 << 10;

/// Requests of a sample; its figure is their median.
const REQUESTS: usize = 100;

/// Rows of content from a node that is killed in the middle, and of the first byte.
pub fn all(lab: &Lab) -> io::Result<Vec<Table>> {
    let stores = [NullStore::start_with_rate(RATE)?, NullStore::start_with_rate(RATE)?];
    let members = stores.each_ref().map(|s| Member::S3(s.port));
    let cluster = Clustered::create(lab, Kind::Ours, "get", &members)?;
    let pattern = Pattern::new();
    let (large, small) = (pattern.key(lab.size), pattern.key(SMALL));
    for (store, node) in stores.iter().zip(&cluster.nodes) {
        store.hold(&node.path(&large), lab.size);
        store.hold(&node.path(&small), SMALL);
        for key in [&large, &small] {
            cluster.repo.run("git-annex", &["setpresentkey", key, &node.uuid, "1"])?;
        }
    }
    let mut tables = killed(lab, &stores, &cluster, &pattern, &large)?;
    tables.extend(first_byte(lab, &cluster, &pattern, &small)?);
    cluster.delete()?;
    Ok(tables)
}

fn killed(
    lab: &Lab,
    stores: &[NullStore; 2],
    cluster: &Clustered<'_>,
    pattern: &Pattern,
    key: &str,
) -> io::Result<Vec<Table>> {
    let title = format!(
        "GET of {} MiB through the gateway from a cluster of two stores that give {} MB/s, every byte compared; the one \
         that gives it is killed in the middle",
        mib(lab),
        RATE / 1_000_000
    );
    let table = Table::new("cluster/killed-get", title, lab.size, "undisturbed");
    let case = |subject: &'static str, dies: bool| {
        Case::new(subject, move |_| {
            let gateway = cluster.serve(Kind::Ours, &[])?;
            let killers = stores.each_ref().map(|store| Killer::new(store, lab.size / 2));
            let target = content_target(&cluster.uuid, key);
            let (got, killed) = std::thread::scope(|scope| {
                let waits = killers.each_ref().map(|killer| {
                    let others = &killers;
                    scope.spawn(move || {
                        let killed = dies && killer.wait();
                        // The first that is killed is the only one.
                        others.iter().for_each(|other| other.is_over.store(true, Ordering::Relaxed));
                        killed
                    })
                });
                let got = clients::get_checked(gateway.port, &target, lab.size, pattern);
                killers.iter().for_each(|killer| killer.is_over.store(true, Ordering::Relaxed));
                (got, waits.map(|one| one.join().expect("it counts")))
            });
            stores.iter().for_each(NullStore::revive);
            let got = got?;
            if killed.iter().filter(|killed| **killed).count() != usize::from(dies) {
                return Err(io::Error::other("not one node was killed in the middle"));
            }
            let first_byte = Some(got.first_byte);
            Ok(vec![Sample { wall: got.total, first_byte, rss: gateway.rss(), ..Sample::default() }])
        })
    };
    let cases = vec![case("undisturbed", false), case("node killed", true)];
    Ok(interleave(vec![table], cases, lab.args.runs()))
}

fn first_byte(lab: &Lab, cluster: &Clustered<'_>, pattern: &Pattern, key: &str) -> io::Result<Vec<Table>> {
    let title = format!(
        "{REQUESTS} GETs of {} KiB through the gateway, one after another, each on a connection of its own",
        SMALL >> 10
    );
    let table = Table::new("cluster/first-byte", title, 0, "of the node alone").counting(REQUESTS as u64);
    let gateway = cluster.serve(Kind::Ours, &[])?;
    let case = |subject: &'static str, uuid: &str| {
        let (gateway, target): (&Gateway, _) = (&gateway, content_target(uuid, key));
        Case::new(subject, move |_| {
            let cpu = gateway.cpu()?;
            let get = |_| clients::get_checked(gateway.port, &target, SMALL, pattern);
            let all = (0..REQUESTS).map(get).collect::<io::Result<Vec<_>>>()?;
            let cpu = gateway.cpu()? - cpu;
            let wall = all.iter().map(|timing| timing.total).sum();
            let mut first: Vec<f64> = all.iter().map(|timing| timing.first_byte).collect();
            first.sort_by(f64::total_cmp);
            let first_byte = Some(first[REQUESTS / 2]);
            Ok(vec![Sample { wall, cpu, first_byte, rss: gateway.rss(), ..Sample::default() }])
        })
    };
    let cases = vec![case("of the cluster", &cluster.uuid), case("of the node alone", &cluster.nodes[0].uuid)];
    Ok(interleave(vec![table], cases, lab.args.runs()))
}
