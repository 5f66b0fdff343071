//! What the gateway itself costs: the store takes everything and gives a pattern, at no cost to the gateway.

use super::serve_put::stored;
use crate::curl;
use crate::gateway::{Gateway, Kind};
use crate::lab::Lab;
use crate::null::{NullStore, Pattern};
use crate::proxied::{Proxied, key_of};
use crate::relay::Relay;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::BUCKET;
use std::fs;
use std::io;
use std::path::Path;

/// Rows of PUT, of GET beside loops that read and write, and of GET through TLS.
pub fn cost(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let proxied = Proxied::create(lab, Kind::Ours, store.port, "null", &[])?;
    let mib = lab.size >> 20;
    let mut tables = Vec::new();

    let source = lab.large()?;
    let key = key_of(&source)?;
    let title = format!("PUT of {mib} MiB through the gateway to a store that costs nothing, SHA-256 proven");
    let table = Table::new("proxy-null/put", title, lab.size, "ours");
    let mut gateway = None;
    let put = |_| {
        let gateway = kept(&mut gateway, || proxied.serve(Kind::Ours))?;
        lab.large()?;
        lab.touch_memory()?;
        let (cpu, disk) = (gateway.cpu()?, gateway.written()?);
        let wall = stored(lab, &source, &gateway.url("put", &key))?;
        let cpu = gateway.cpu()? - cpu;
        let disk = Some(gateway.written()? - disk);
        match store.holds(&format!("/{BUCKET}/{}", proxied.object(&key))) {
            Some(len) if len == lab.size => {}
            other => return Err(io::Error::other(format!("the store has {other:?} bytes"))),
        }
        gateway.remove(&key)?;
        Ok(vec![Sample { wall, cpu, disk, rss: gateway.rss(), ..Sample::default() }])
    };
    tables.extend(interleave(vec![table], vec![Case::new("ours", put)], lab.args.runs()));
    drop(gateway);

    let key = Pattern::new().key(lab.size);
    let path = format!("/{BUCKET}/{}", proxied.object(&key));
    store.hold(&path, lab.size);
    let title = format!("GET of {mib} MiB through the gateway from a store that costs nothing");
    let table = Table::new("proxy-null/get", title.clone(), lab.size, "read and write, 64 KiB");
    let mut cases = vec![through(lab, &proxied, Kind::Ours, &key)];
    for block in [64, 128, 256] {
        let (store, path, key) = (&store, &path, &key);
        cases.push(Case::new(format!("read and write, {block} KiB"), move |round| {
            lab.touch_memory()?;
            let relay = Relay::start(store.port, block << 10)?;
            let url = format!("http://127.0.0.1:{}{path}", relay.port);
            let wall = fetch(lab, &url, round, key)?;
            Ok(vec![Sample { wall, cpu: relay.finish()?, ..Sample::default() }])
        }));
    }
    tables.extend(interleave(vec![table], cases, lab.args.runs()));

    let table = Table::new("proxy-null/get-tls", format!("{title}, over HTTPS"), lab.size, "ours");
    let cases = vec![through(lab, &proxied, Kind::OursTls, &key)];
    tables.extend(interleave(vec![table], cases, lab.args.runs()));
    proxied.delete()?;
    Ok(tables)
}

fn through<'a>(lab: &'a Lab, proxied: &'a Proxied<'_>, kind: Kind, key: &'a str) -> Case<'a> {
    let mut gateway = None;
    Case::new(kind.subject(), move |round| {
        let gateway = kept(&mut gateway, || proxied.serve(kind))?;
        lab.touch_memory()?;
        let (cpu, disk) = (gateway.cpu()?, gateway.written()?);
        let wall = fetch(lab, &gateway.content_url(key), round, key)?;
        let cpu = gateway.cpu()? - cpu;
        let disk = Some(gateway.written()? - disk);
        Ok(vec![Sample { wall, cpu, disk, rss: gateway.rss(), ..Sample::default() }])
    })
}

/// Seconds to get all of it. In the warm-up its hash is looked at; later it is thrown away, and curl misses what is missing.
fn fetch(lab: &Lab, url: &str, round: usize, key: &str) -> io::Result<f64> {
    if round > 0 {
        return Ok(curl::timed(lab, &[url], Path::new("/dev/null"))?.total);
    }
    let target = lab.at("retrieved");
    let timing = curl::timed(lab, &[url], &target)?;
    if key_of(&target)? != key {
        return Err(io::Error::other("what arrived is not what the store has"));
    }
    fs::remove_file(target)?;
    Ok(timing.total)
}

/// The gateway of a case, started when it is first asked for.
fn kept(slot: &mut Option<Gateway>, start: impl FnOnce() -> io::Result<Gateway>) -> io::Result<&Gateway> {
    if slot.is_none() {
        *slot = Some(start()?);
    }
    Ok(slot.as_ref().expect("just started"))
}
