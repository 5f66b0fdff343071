//! Is a content present on a store: how often the gateway can say so, beside the store itself.

use crate::curl;
use crate::gateway::Kind;
use crate::lab::Lab;
use crate::load;
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind as Store, Server};
use std::io;

/// Requests that a row's seconds are for.
const REQUESTS: u64 = 10_000;

/// Connections of the two tables.
const CONNECTIONS: [usize; 2] = [16, 64];

/// Rows of ours, of HEADs to the store, and of git-annex with its own type of remote.
pub fn s3(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Store::SeaweedFs)?;
    let source = lab.data("checked", 1 << 10)?;
    let key = key_of(&source)?;
    let tables = CONNECTIONS.map(|connections| {
        let title = format!(
            "CHECKPRESENT of one content on SeaweedFS through the gateway, {connections} connections, seconds for 10,000; CPU \
             is the gateway's"
        );
        Table::new(format!("proxy-check/{connections}"), title, 0, "HEAD to the store").counting(REQUESTS)
    });
    let seconds = lab.args.load();
    let gateway = |kind: Kind, name: &'static str| {
        let (server, source, key) = (&server, &source, &key);
        let mut served = None;
        Case::new(kind.subject(), move |_| {
            if served.is_none() {
                let proxied = Proxied::create(lab, kind, server.port, name, &[])?;
                curl::put(lab, source, &server.object(&proxied.object(key)))?;
                served = Some((proxied.serve(kind)?, proxied));
            }
            let (gateway, _) = served.as_ref().expect("just set up");
            let target = gateway.target("checkpresent", key);
            let request = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let one = |connections| {
                let cpu = gateway.cpu()?;
                let sample = measured(server, gateway.port, &request, b"\"present\":true", connections, seconds)?;
                let share = sample.1;
                Ok(Sample { cpu: (gateway.cpu()? - cpu) * share, rss: gateway.rss(), ..sample.0 })
            };
            CONNECTIONS.into_iter().map(one).collect()
        })
    };
    let straight = {
        let object = format!("direct/{key}");
        curl::put(lab, &source, &server.object(&object))?;
        let server = &server;
        move |_| {
            let target = server.presigned("HEAD", &object, &[])?;
            let request = format!("HEAD {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", server.port);
            let one = |connections| {
                measured(server, server.port, &request, b" 200 OK\r\n", connections, seconds).map(|(sample, _)| sample)
            };
            CONNECTIONS.into_iter().map(one).collect()
        }
    };
    let cases = vec![
        gateway(Kind::Ours, "check-ours"),
        Case::new("HEAD to the store", straight),
        gateway(Kind::GitAnnex, "check-theirs"),
    ];
    Ok(interleave(tables.into(), cases, lab.args.runs()))
}

/// One load, and which share of it the sample is for.
fn measured(
    server: &Server,
    port: u16,
    request: &str,
    expected: &[u8],
    connections: usize,
    seconds: u64,
) -> io::Result<(Sample, f64)> {
    let store = server.cpu()?;
    let load = load::run(port, request.as_bytes(), expected, connections, seconds)?;
    let share = REQUESTS as f64 / load.requests as f64;
    let server_cpu = Some((server.cpu()? - store) * share);
    Ok((Sample { wall: load.seconds * share, server_cpu, ..Sample::default() }, share))
}
