//! One large content from and to a store that speaks TLS: SeaweedFS behind nginx.

use super::protocol::ready;
use super::serve_put::stored;
use crate::annex::Remote;
use crate::curl;
use crate::gateway::Kind;
use crate::lab::{Lab, MISSING, same};
use crate::nginx::Nginx;
use crate::presign;
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Row, Sample, Table, interleave};
use crate::servers::{BUCKET, Kind as Store, Server};
use std::fs;
use std::io;
use std::path::Path;

/// Rows of GET to a plain client and to one that speaks TLS too, and of PUT, beside curl and the same store.
pub fn s3(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Store::SeaweedFs)?;
    let nginx = match Nginx::before(lab, server.port) {
        Err(error) if error.to_string().starts_with(MISSING) => return Ok(vec![without(lab, &error)]),
        nginx => nginx?,
    };
    let proxied = Proxied::create_as(lab, Kind::Ours, Remote::OursS3Tls, nginx.port, "tls", &[])?;
    let secure = Secure { lab, server, nginx, proxied };
    let mut tables = secure.get(Kind::Ours, "get", "a client that does not")?;
    tables.extend(secure.get(Kind::OursTls, "get-tls", "a client that does too")?);
    tables.extend(secure.put()?);
    secure.proxied.delete()?;
    Ok(tables)
}

/// What is shown where there is nothing to put in front of the store.
fn without(lab: &Lab, error: &io::Error) -> Table {
    let mut table = Table::new("proxy-tls/get", "GET from SeaweedFS behind nginx with TLS", lab.size, "ours");
    table.rows.push(Row { subject: "ours".into(), samples: Vec::new(), error: Some(error.to_string()) });
    table
}

/// The store, and what is in front of it on both sides.
struct Secure<'a> {
    lab: &'a Lab,
    server: Server,
    nginx: Nginx,
    proxied: Proxied<'a>,
}

impl Secure<'_> {
    fn get(&self, kind: Kind, name: &str, client: &str) -> io::Result<Vec<Table>> {
        let Self { lab, server, proxied, .. } = self;
        let source = lab.large()?;
        let key = key_of(&source)?;
        curl::put(lab, &source, &server.object(&proxied.object(&key)))?;
        let title = format!(
            "GET of {} MiB from SeaweedFS behind nginx with TLS through the gateway to {client}; CPU is the gateway's",
            lab.size >> 20
        );
        let table = Table::new(format!("proxy-tls/{name}"), title, lab.size, "curl from the store");
        let gateway = proxied.serve(kind)?;
        let fetch = |url: &str, round: usize| {
            if round == 0 {
                let target = lab.at("retrieved");
                curl::timed(lab, &[url], &target)?;
                same(&source, &target)?;
                fs::remove_file(target)?;
            }
            ready(lab, Some(server))?;
            curl::timed(lab, &[url], Path::new("/dev/null"))
        };
        let ours = |round| {
            let url = gateway.content_url(&key);
            let cpu = gateway.cpu()?;
            let timing = fetch(&url, round)?;
            let cpu = gateway.cpu()? - cpu;
            let first_byte = Some(timing.first_byte);
            Ok(vec![Sample { wall: timing.total, first_byte, cpu, rss: gateway.rss(), ..Sample::default() }])
        };
        let straight = |round| {
            let timing = fetch(&self.presigned("GET", &proxied.object(&key))?, round)?;
            Ok(vec![Sample { wall: timing.total, first_byte: Some(timing.first_byte), ..Sample::default() }])
        };
        let cases = vec![Case::new("ours", ours), Case::new("curl from the store", straight)];
        let tables = interleave(vec![table], cases, lab.args.runs());
        curl::delete(lab, &server.object(&proxied.object(&key)))?;
        Ok(tables)
    }

    fn put(&self) -> io::Result<Vec<Table>> {
        let Self { lab, server, proxied, .. } = self;
        let source = lab.large()?;
        let key = key_of(&source)?;
        let title = format!(
            "PUT of {} MiB through the gateway to SeaweedFS behind nginx with TLS, SHA-256 proven; CPU is the gateway's",
            lab.size >> 20
        );
        let table = Table::new("proxy-tls/put", title, lab.size, "curl to the store");
        let gateway = proxied.serve(Kind::Ours)?;
        let ours = |_| {
            ready(lab, Some(server))?;
            let cpu = gateway.cpu()?;
            let wall = stored(lab, &source, &gateway.url("put", &key))?;
            let cpu = gateway.cpu()? - cpu;
            gateway.remove(&key)?;
            Ok(vec![Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() }])
        };
        let straight = |_| {
            ready(lab, Some(server))?;
            let url = self.presigned("PUT", "direct/put")?;
            let words = ["-H", "Expect:", "-T", &source.to_string_lossy(), &url];
            let wall = curl::timed(lab, &words, Path::new("/dev/null"))?.total;
            curl::delete(lab, &server.object("direct/put"))?;
            Ok(vec![Sample { wall, ..Sample::default() }])
        };
        let cases = vec![Case::new("ours", ours), Case::new("curl to the store", straight)];
        Ok(interleave(vec![table], cases, lab.args.runs()))
    }

    /// The whole address of `method` on the object `name`, over TLS.
    fn presigned(&self, method: &str, name: &str) -> io::Result<String> {
        let host = format!("localhost:{}", self.nginx.port);
        Ok(format!("https://{host}{}", presign::target(method, &host, &format!("/{BUCKET}/{name}"), &[])?))
    }
}
