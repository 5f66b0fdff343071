//! One upload to a directory, an S3 and a repository at once, beside git-annex's own gateway of the same cluster.

use super::mib;
use crate::clustered::{Clustered, Member};
use crate::gateway::{Gateway, Kind, target};
use crate::groups::{protocol, serve_put};
use crate::lab::Lab;
use crate::proxied::key_of;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind as Store, Server};
use std::io;
use std::path::Path;

/// The nodes, with their names in the tables.
const NODES: [&str; 3] = ["directory", "S3", "repository"];

/// Nodes whose content the gateway itself writes to the disk.
const WRITTEN: u64 = 2;

/// Rows of the whole cluster by ours and by git-annex, and of each node alone by ours.
pub fn all(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Store::SeaweedFs)?;
    let members = [Member::Directory, Member::S3(server.port), Member::Repository];
    let file = lab.large()?;
    let key = key_of(&file)?;
    let title = format!(
        "PUT of {} MiB from curl through the gateway to a directory, SeaweedFS and a repository, all on one disk, \
         SHA-256 proven; CPU is the gateway's, and so is what goes to disk beyond the content of the nodes",
        mib(lab)
    );
    let table = Table::new("cluster/stores", title, lab.size, "ours");
    let ours = Clustered::create(lab, Kind::Ours, "stores-ours", &members)?;
    let theirs = Clustered::create(lab, Kind::GitAnnex, "stores-theirs", &members)?;
    let upload = Upload { lab, server: &server, file: &file, key: &key };
    let gateway = ours.serve(Kind::Ours, &[])?;
    let mut cases = vec![Case::new("ours", |_| upload.run(&gateway, &ours.uuid, Some(WRITTEN)))];
    for (name, node) in NODES.iter().zip(&ours.nodes) {
        let (upload, gateway) = (&upload, &gateway);
        cases.push(Case::new(format!("ours, alone: {name}"), move |_| upload.run(gateway, &node.uuid, None)));
    }
    let mut served: Option<Gateway> = None;
    let (upload, cluster) = (&upload, &theirs);
    let rival = move |_| {
        if served.is_none() {
            served = Some(cluster.serve(Kind::GitAnnex, &[])?);
        }
        upload.run(served.as_ref().expect("just started"), &cluster.uuid, Some(WRITTEN))
    };
    cases.push(Case::new(Kind::GitAnnex.subject(), rival).at_most(1));
    let tables = interleave(vec![table], cases, lab.args.runs());
    drop(gateway);
    ours.delete()?;
    theirs.delete()?;
    Ok(tables)
}

/// What is put again and again.
struct Upload<'a> {
    lab: &'a Lab,
    server: &'a Server,
    file: &'a Path,
    key: &'a str,
}

impl Upload<'_> {
    /// One PUT into `uuid`; what it writes is told without the content of `own` nodes.
    fn run(&self, gateway: &Gateway, uuid: &str, own: Option<u64>) -> io::Result<Vec<Sample>> {
        protocol::ready(self.lab, Some(self.server))?;
        let url = gateway.base() + &target(uuid, "put", self.key);
        let (cpu, disk, store) = (gateway.cpu()?, gateway.written()?, self.server.cpu()?);
        let wall = serve_put::stored(self.lab, self.file, &url)?;
        let written = gateway.written()? - disk;
        let sample = Sample {
            wall,
            cpu: gateway.cpu()? - cpu,
            server_cpu: Some(self.server.cpu()? - store),
            disk: own.map(|nodes| written.saturating_sub(nodes * self.lab.size)),
            rss: gateway.rss(),
            ..Sample::default()
        };
        gateway.remove_from(uuid, self.key)?;
        Ok(vec![sample])
    }
}
