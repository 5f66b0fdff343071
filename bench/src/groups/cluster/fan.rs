//! One upload to three stores that are nothing but what they are said to be: of a certain speed, or free.

use super::{Contents, mib};
use crate::clustered::{Clustered, Member};
use crate::gateway::Kind;
use crate::lab::Lab;
use crate::null::NullStore;
use crate::rows::{Case, Sample, Table, interleave};
use std::io;

/// Megabytes a second of the stores that are limited.
const RATES: [u64; 3] = [100, 200, 400];

/// Rows of an upload to three stores of different speed, and to the slowest of them.
pub fn limited(lab: &Lab) -> io::Result<Vec<Table>> {
    let stores = RATES.map(|rate| NullStore::start_with_rate(rate * 1_000_000));
    let [first, second, third] = stores;
    let stores = [first?, second?, third?];
    let title = format!(
        "PUT of {} MiB through the gateway to a cluster of three stores that take 100, 200 and 400 MB/s, SHA-256 \
         proven; CPU is the gateway's",
        mib(lab)
    );
    let table = Table::new("cluster/limited", title, lab.size, "to the slowest alone");
    three_and_one(lab, &stores, "limited", table, "to the slowest alone")
}

/// Rows of an upload to three stores that cost nothing, and to one of them.
pub fn costless(lab: &Lab) -> io::Result<Vec<Table>> {
    let stores = [NullStore::start()?, NullStore::start()?, NullStore::start()?];
    let title = format!(
        "PUT of {} MiB through the gateway to a cluster of three stores that cost nothing, SHA-256 proven; CPU is the \
         gateway's",
        mib(lab)
    );
    let table = Table::new("cluster/costless", title, lab.size, "to one");
    three_and_one(lab, &stores, "costless", table, "to one")
}

/// The whole cluster, and its first node by itself.
fn three_and_one(
    lab: &Lab,
    stores: &[NullStore; 3],
    name: &str,
    table: Table,
    alone: &'static str,
) -> io::Result<Vec<Table>> {
    let members: Vec<Member> = stores.iter().map(|store| Member::S3(store.port)).collect();
    let cluster = Clustered::create(lab, Kind::Ours, name, &members)?;
    let gateway = cluster.serve(Kind::Ours, &[])?;
    let contents = Contents::of(lab.size);
    let case = |subject: &'static str, nodes: usize| {
        let (cluster, gateway, contents) = (&cluster, &gateway, &contents);
        Case::new(subject, move |_| {
            let uuid = if nodes == 1 { &cluster.nodes[0].uuid } else { &cluster.uuid };
            let cpu = gateway.cpu()?;
            let (wall, key) = contents.put(gateway, uuid)?;
            let cpu = gateway.cpu()? - cpu;
            for (store, node) in stores.iter().zip(&cluster.nodes).take(nodes) {
                if store.holds(&node.path(&key)) != Some(lab.size) {
                    return Err(io::Error::other(format!("{} does not have it", node.name)));
                }
            }
            gateway.remove_from(uuid, &key)?;
            Ok(vec![Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() }])
        })
    };
    let cases = vec![case("to three", 3), case(alone, 1)];
    let tables = interleave(vec![table], cases, lab.args.runs());
    drop(gateway);
    cluster.delete()?;
    Ok(tables)
}
