//! Contents from curl through the gateway, which has to prove their SHA-256, to a store.

use super::serve_put::stored;
use crate::gateway::{Gateway, Kind};
use crate::lab::Lab;
use crate::proxied::{Proxied, key_of};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind as Store, Server};
use crate::{curl, multipart};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The part size that ours chooses, and the most that it sends as a single PUT.
const PART: u64 = 8 << 20;
/// The same in a quick run, where it is asked for; S3 allows no less.
const PART_QUICK: u64 = 5 << 20;

/// Files of one run of the table of single PUTs.
const FILES: u64 = 16;

/// A file and its key.
struct Content {
    file: PathBuf,
    key: String,
}

/// The rows that are in one table.
struct Block<'a> {
    lab: &'a Lab,
    server: &'a Server,
    contents: Vec<Content>,
    further: Vec<String>,
}

/// Rows of single PUTs and of uploads in parts: ours, curl straight to the store, and git-annex.
pub fn s3(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Store::SeaweedFs)?;
    let mut tables = single(lab, &server)?;
    tables.extend(parts(lab, &server)?);
    Ok(tables)
}

fn single(lab: &Lab, server: &Server) -> io::Result<Vec<Table>> {
    // Single PUTs of the largest size.
    let len = (lab.size / FILES).min(PART);
    let contents = (0..FILES).map(|n| content(lab.data(&format!("single-{n}"), len + n).ok()?)).collect::<Option<_>>();
    let contents: Vec<Content> = contents.ok_or_else(|| io::Error::other("the files cannot be made"))?;
    let title = format!(
        "{FILES} PUTs of {} MiB, one after another, from curl through the gateway to SeaweedFS, each a single PUT there, \
         SHA-256 proven; CPU is the gateway's",
        len >> 20
    );
    let table = Table::new("proxy-put/single", title, contents.len() as u64 * len, "curl to the store");
    let block = Block { lab, server, contents, further: Vec::new() };
    let straight = |_| {
        super::protocol::ready(lab, Some(server))?;
        let store = server.cpu()?;
        let mut wall = 0.0;
        for content in &block.contents {
            wall += block.send(content)?;
        }
        let server_cpu = Some(server.cpu()? - store);
        block.delete("direct/")?;
        Ok(vec![Sample { wall, server_cpu, ..Sample::default() }])
    };
    let cases = vec![
        block.gateway(Kind::Ours, "single-ours"),
        Case::new("curl to the store", straight),
        block.gateway(Kind::GitAnnex, "single-theirs").at_most(1),
    ];
    Ok(interleave(vec![table], cases, lab.args.runs()))
}

fn parts(lab: &Lab, server: &Server) -> io::Result<Vec<Table>> {
    let (size, part) = if lab.args.quick { (2 * PART_QUICK + 1, PART_QUICK) } else { (lab.size, PART) };
    let whole = lab.data("parts-whole", size)?;
    let cut = cut(lab, &whole, part)?;
    let contents = vec![content(whole).ok_or_else(|| io::Error::other("no key"))?];
    let title = format!(
        "PUT of {} MiB from curl through the gateway to SeaweedFS, {} parts of {} MiB there, SHA-256 proven; CPU is the \
         gateway's",
        size >> 20,
        cut.len(),
        part >> 20
    );
    let table = Table::new("proxy-put/parts", title, size, "curl to the store, parts 2 at once");
    let further = if lab.args.quick { vec![format!("partsize={}MiB", part >> 20)] } else { Vec::new() };
    let block = Block { lab, server, contents, further };
    let mut cases = vec![block.gateway(Kind::Ours, "parts-ours")];
    for at_once in [1, 2, 4] {
        let (cut, block) = (&cut, &block);
        cases.push(Case::new(format!("curl to the store, parts {at_once} at once"), move |_| {
            super::protocol::ready(lab, Some(server))?;
            let name = format!("direct/{}", block.contents[0].key);
            let store = server.cpu()?;
            let wall = multipart::put(lab, server, cut, &name, at_once)?;
            let server_cpu = Some(server.cpu()? - store);
            block.delete("direct/")?;
            Ok(vec![Sample { wall, server_cpu, ..Sample::default() }])
        }));
    }
    let one = |_| {
        super::protocol::ready(lab, Some(server))?;
        let store = server.cpu()?;
        let wall = block.send(&block.contents[0])?;
        let server_cpu = Some(server.cpu()? - store);
        block.delete("direct/")?;
        Ok(vec![Sample { wall, server_cpu, ..Sample::default() }])
    };
    cases.push(Case::new("curl to the store, single PUT", one));
    cases.push(block.gateway(Kind::GitAnnex, "parts-theirs").at_most(1));
    let tables = interleave(vec![table], cases, lab.args.runs());
    cut.iter().try_for_each(fs::remove_file)?;
    Ok(tables)
}

impl Block<'_> {
    /// All contents through a gateway.
    fn gateway(&self, kind: Kind, name: &'static str) -> Case<'_> {
        let mut served: Option<(Gateway, Proxied<'_>)> = None;
        Case::new(kind.subject(), move |_| {
            let (lab, server) = (self.lab, self.server);
            if served.is_none() {
                let wished = if kind == Kind::GitAnnex { &[][..] } else { &self.further[..] };
                let further: Vec<&str> = wished.iter().map(String::as_str).collect();
                let proxied = Proxied::create(lab, kind, server.port, name, &further)?;
                served = Some((proxied.serve(kind)?, proxied));
            }
            let (gateway, proxied) = served.as_ref().expect("just set up");
            super::protocol::ready(lab, Some(server))?;
            let (cpu, disk, store) = (gateway.cpu()?, gateway.written()?, server.cpu()?);
            let mut wall = 0.0;
            for content in &self.contents {
                wall += stored(lab, &content.file, &gateway.url("put", &content.key))?;
            }
            let sample = Sample {
                wall,
                cpu: gateway.cpu()? - cpu,
                server_cpu: Some(server.cpu()? - store),
                disk: Some(gateway.written()? - disk),
                rss: gateway.rss(),
                ..Sample::default()
            };
            self.delete(&proxied.object(""))?;
            Ok(vec![sample])
        })
    }

    /// Seconds of one PUT straight to the store.
    fn send(&self, content: &Content) -> io::Result<f64> {
        let url = self.server.url() + &self.server.presigned("PUT", &format!("direct/{}", content.key), &[])?;
        let file = content.file.to_string_lossy();
        Ok(curl::timed(self.lab, &["-H", "Expect:", "-T", &file, &url], Path::new("/dev/null"))?.total)
    }

    /// Deletes the objects of all contents below `prefix`. Errors: one is not as long as it should be.
    fn delete(&self, prefix: &str) -> io::Result<()> {
        for content in &self.contents {
            let name = format!("{prefix}{}", content.key);
            let url = self.server.url() + &self.server.presigned("HEAD", &name, &[])?;
            let head = String::from_utf8_lossy(&curl::ask(self.lab, &["-I", &url])?).to_ascii_lowercase();
            let length = format!("content-length: {}\r\n", fs::metadata(&content.file)?.len());
            if !head.contains(&length) {
                return Err(io::Error::other(format!("{name} is not what was put: {head}")));
            }
            curl::delete(self.lab, &self.server.object(&name))?;
        }
        Ok(())
    }
}

fn content(file: PathBuf) -> Option<Content> {
    let key = key_of(&file).ok()?;
    Some(Content { file, key })
}

/// `whole` cut into files of `part` bytes.
fn cut(lab: &Lab, whole: &Path, part: u64) -> io::Result<Vec<PathBuf>> {
    use std::io::Read;
    let mut source = fs::File::open(whole)?;
    let mut cut = Vec::new();
    loop {
        let path = lab.at(&format!("part-{}", cut.len()));
        let n = io::copy(&mut (&mut source).take(part), &mut fs::File::create(&path)?)?;
        if n == 0 {
            fs::remove_file(path)?;
            return Ok(cut);
        }
        cut.push(path);
    }
}
