//! More uploads at once than there is room for: no node is filled beyond its limit, and what is told is true.

use crate::clients::{self, Stored};
use crate::clustered::{Clustered, Member};
use crate::gateway::{Kind, target};
use crate::lab::Lab;
use crate::null::{Keys, Pattern};
use crate::rows::{Case, Sample, Table, interleave};
use crate::session::Session;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes of a content.
const LEN: u64 = 10_000;

/// Uploads at a time, half of them over each wire.
const AT_ONCE: usize = 64;

/// Rows of uploads over both wires to three directories with room for nine tenths of them.
pub fn within_limits(lab: &Lab) -> io::Result<Vec<Table>> {
    let count = lab.args.crowd();
    let room = count * 9 / 10;
    let title = format!(
        "{count} PUTs of {LEN} bytes, {AT_ONCE} at a time, half through p2phttp and half through p2pstdio, to three \
         directories with room for {} each: {room} are stored and {} refused, or this row fails",
        room / 3,
        count - room
    );
    let table = Table::new("cluster/many", title, 0, "ours").counting(count as u64);
    let work = |round: usize| {
        let cluster = Clustered::create(lab, Kind::Ours, &format!("many-{round}"), &[Member::Directory; 3])?;
        for node in &cluster.nodes {
            let limit = format!("{}B", room as u64 / 3 * LEN + LEN / 2);
            cluster.repo.run("git-annex-remote-stream", &["maxsize", &node.name, &limit])?;
            // Nobody wants it, so each content goes to the node with the most room.
            cluster.repo.run("git-annex", &["wanted", &node.name, "nothing"])?;
        }
        let gateway = cluster.serve(Kind::Ours, &[])?;
        let (begin, cpu) = (Instant::now(), gateway.cpu()?);
        let crowd = Crowd { lab, cluster: &cluster, pattern: Pattern::new(), next: AtomicUsize::new(0), count };
        let (stored, refused) = crowd.upload(gateway.port)?;
        let sample = Sample {
            wall: begin.elapsed().as_secs_f64(),
            cpu: gateway.cpu()? - cpu,
            rss: gateway.rss(),
            ..Sample::default()
        };
        gateway.stop()?;
        if (stored.len(), refused) != (room, count - room) {
            return Err(io::Error::other(format!("{} were stored and {refused} refused", stored.len())));
        }
        held(lab, &cluster, &stored, room as u64 / 3)?;
        cluster.delete()?;
        Ok(vec![sample])
    };
    Ok(interleave(vec![table], vec![Case::new("ours", work)], lab.args.runs().min(3)))
}

/// Errors: the nodes do not hold just what was `stored`, or one holds more than `most`, or a log says otherwise.
fn held(lab: &Lab, cluster: &Clustered<'_>, stored: &BTreeSet<String>, most: u64) -> io::Result<()> {
    let mut found = BTreeSet::new();
    for node in &cluster.nodes {
        let mut here = Vec::new();
        files(&node.directory(lab), &mut here)?;
        let bytes: u64 = here.iter().map(|(_, len)| len).sum();
        if here.len() as u64 > most {
            return Err(io::Error::other(format!("{} has {} contents", node.name, here.len())));
        }
        // As the real git-annex reads what was recorded.
        let said = cluster.repo.ask("git-annex", &["info", "--json", "--bytes", &node.name])?;
        let said: serde_json::Value = serde_json::from_str(&said).map_err(io::Error::other)?;
        let size = said["remote annex size"].as_str().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        if said["remote annex keys"].as_u64() != Some(here.len() as u64) || size != Some(bytes) {
            return Err(io::Error::other(format!("{} has {bytes} bytes, and git-annex says {said}", node.name)));
        }
        for (name, len) in here {
            if len != LEN || !found.insert(name.clone()) {
                return Err(io::Error::other(format!("{name} has {len} bytes on {}, or is twice", node.name)));
            }
        }
    }
    if found == *stored { Ok(()) } else { Err(io::Error::other("what was told to be stored is not what is there")) }
}

/// Names and lengths of contents below `dir`.
fn files(dir: &Path, into: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            files(&entry.path(), into)?;
        } else if name.starts_with("SHA256-") {
            into.push((name, entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Clients side by side, each of which takes the next content until there is none.
struct Crowd<'a> {
    lab: &'a Lab,
    cluster: &'a Clustered<'a>,
    pattern: Pattern,
    next: AtomicUsize,
    count: usize,
}

impl Crowd<'_> {
    /// The keys that were stored, and how many uploads were refused for want of room. Errors: any other answer.
    fn upload(&self, port: u16) -> io::Result<(BTreeSet<String>, usize)> {
        let keys = &self.pattern.keys(LEN);
        let all = std::thread::scope(|scope| {
            let client = |number: usize| scope.spawn(move || self.client(number, port, keys));
            let clients: Vec<_> = (0..AT_ONCE).map(client).collect();
            let all = clients.into_iter().map(|one| one.join().expect("a client returns its errors"));
            all.collect::<io::Result<Vec<_>>>()
        })?;
        let (told, refused): (Vec<Vec<String>>, Vec<usize>) = all.into_iter().unzip();
        Ok((told.into_iter().flatten().collect(), refused.into_iter().sum()))
    }

    fn client(&self, number: usize, port: u16, keys: &Keys) -> io::Result<(Vec<String>, usize)> {
        let (mut stored, mut refused, mut session) = (Vec::new(), 0, None);
        loop {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            if next >= self.count {
                return Ok((stored, refused));
            }
            let key = keys.key(next);
            let told = if number.is_multiple_of(2) {
                clients::try_put(port, &target(&self.cluster.uuid, "put", &key), &self.pattern, keys, next)?
            } else {
                let mut body = Vec::new();
                self.pattern.write_numbered(&mut body, keys, next)?;
                if session.is_none() {
                    session = Some(Session::start(self.lab, self.cluster.repo.dir(), &self.cluster.uuid)?);
                }
                let told = session.as_mut().expect("just started").put(&key, &body)?;
                if told == Stored::NoRoom {
                    // It ends with the error.
                    session = None;
                }
                told
            };
            match told {
                Stored::Yes => stored.push(key),
                Stored::NoRoom => refused += 1,
            }
        }
    }
}
