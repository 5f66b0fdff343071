//! One large content from a store through the gateway to curl, which throws it away.

use crate::curl::{self, Timing};
use crate::gateway::Kind;
use crate::lab::{Lab, same};
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind as Store, Server};
use std::fs;
use std::io;
use std::path::Path;

/// Rows of ours, of curl straight from the store, and of git-annex with its own type of remote.
pub fn s3(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Store::SeaweedFs)?;
    let source = lab.large()?;
    let key = key_of(&source)?;
    let title =
        format!("GET of {} MiB from SeaweedFS through the gateway to curl; CPU is the gateway's", lab.size >> 20);
    let table = Table::new("proxy-get/s3", title, lab.size, "curl from the store");

    let name = format!("direct/{key}");
    curl::put(lab, &source, &server.object(&name))?;
    let direct = server.url() + &server.presigned("GET", &name, &[])?;
    let warm_up = |round: usize, fetch: &dyn Fn(&Path) -> io::Result<Timing>| {
        if round > 0 {
            return Ok(());
        }
        let target = lab.at("retrieved");
        fetch(&target)?;
        same(&source, &target)?;
        fs::remove_file(target)
    };
    let gateway = |kind: Kind, name: &'static str| {
        let (server, source, key, warm_up) = (&server, &source, &key, &warm_up);
        let mut served = None;
        Case::new(kind.subject(), move |round| {
            if served.is_none() {
                let proxied = Proxied::create(lab, kind, server.port, name, &[])?;
                // Each remote has objects of its own, all stored by curl.
                curl::put(lab, source, &server.object(&proxied.object(key)))?;
                served = Some((proxied.serve(kind)?, proxied));
            }
            let (gateway, _) = served.as_ref().expect("just set up");
            let url = gateway.content_url(key);
            warm_up(round, &|target| curl::timed(lab, &[&url], target))?;
            super::protocol::ready(lab, Some(server))?;
            let (cpu, disk, store) = (gateway.cpu()?, gateway.written()?, server.cpu()?);
            let timing = curl::timed(lab, &[&url], Path::new("/dev/null"))?;
            Ok(vec![Sample {
                wall: timing.total,
                first_byte: Some(timing.first_byte),
                cpu: gateway.cpu()? - cpu,
                server_cpu: Some(server.cpu()? - store),
                disk: Some(gateway.written()? - disk),
                rss: gateway.rss(),
                ..Sample::default()
            }])
        })
    };
    let straight = |round: usize| {
        warm_up(round, &|target| curl::timed(lab, &[&direct], target))?;
        super::protocol::ready(lab, Some(&server))?;
        let store = server.cpu()?;
        let timing = curl::timed(lab, &[&direct], Path::new("/dev/null"))?;
        let server_cpu = Some(server.cpu()? - store);
        Ok(vec![Sample { wall: timing.total, first_byte: Some(timing.first_byte), server_cpu, ..Sample::default() }])
    };
    let cases = vec![
        gateway(Kind::Ours, "get-ours"),
        Case::new("curl from the store", straight),
        gateway(Kind::GitAnnex, "get-theirs").at_most(1),
    ];
    Ok(interleave(vec![table], cases, lab.args.runs()))
}
