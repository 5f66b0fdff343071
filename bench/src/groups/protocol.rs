//! One large STORE and RETRIEVE, below git-annex: the programs are spoken to directly.

use super::{fresh_key, local, served};
use crate::curl;
use crate::driver::Driver;
use crate::lab::{Lab, same};
use crate::program::Program;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{BUCKET, Kind, Server};
use crate::usage::Usage;
use std::fs;
use std::io;
use std::path::Path;

/// Rows on one S3 server: ours, rclone and curl.
pub fn s3(lab: &Lab, kind: Kind) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, kind)?;
    let source = lab.large()?;
    let mut tables = Vec::new();

    let table = table(lab, kind.name(), "store", "STORE", "curl");
    let mut cases = Vec::new();
    for program in [Program::ours_s3(&server), Program::rclone_s3(&server)] {
        let (server, source) = (&server, &source);
        cases.push(Case::new(program.subject, move |round| {
            if round == 0 {
                init(lab, &program)?;
            }
            ready(lab, Some(server))?;
            let key = fresh_key(lab.size, "store");
            let sample = served(server, || store(lab, &program, &key, source))?;
            discard(lab, &program, &key)?;
            Ok(vec![sample])
        }));
    }
    cases.push(Case::new("curl", |_| {
        ready(lab, Some(&server))?;
        let url = format!("{}/{BUCKET}/{}", server.url(), fresh_key(lab.size, "store"));
        let sample = served(&server, || curl::put(lab, &source, &url))?;
        curl::delete(lab, &url)?;
        Ok(vec![sample])
    }));
    tables.extend(interleave(vec![table], cases, lab.args.runs()));

    // One object for all, so that nobody reads what was cut up differently.
    let table = self::table(lab, kind.name(), "retrieve", "RETRIEVE", "curl");
    let key = fresh_key(lab.size, "retrieve");
    let url = format!("{}/{BUCKET}/{key}", server.url());
    curl::put(lab, &source, &url)?;
    let mut cases = Vec::new();
    for program in [Program::ours_s3(&server), Program::rclone_s3(&server)] {
        let (server, source, key) = (&server, &source, &key);
        cases.push(Case::new(program.subject, move |round| {
            ready(lab, Some(server))?;
            let target = lab.at("retrieved");
            let sample = served(server, || retrieve(lab, &program, key, &target))?;
            received(round, source, &target)?;
            Ok(vec![sample])
        }));
    }
    cases.push(Case::new("curl", |round| {
        ready(lab, Some(&server))?;
        let target = lab.at("retrieved");
        let sample = served(&server, || curl::get(lab, &url, &target))?;
        received(round, &source, &target)?;
        Ok(vec![sample])
    }));
    tables.extend(interleave(vec![table], cases, lab.args.runs()));
    Ok(tables)
}

/// Rows on a directory: ours and cp, the latter also with the fsync that a store owes.
pub fn fs(lab: &Lab) -> io::Result<Vec<Table>> {
    let source = lab.large()?;
    let place = lab.at("fs-store");
    fs::create_dir(&place)?;
    let program = Program::ours_fs(&place);
    let held = fresh_key(lab.size, "retrieve");
    let mut stored = false;
    let (copied, target) = (lab.at("copied"), lab.at("retrieved"));
    let plain = |script: &'static str| {
        let (source, copied, target) = (&source, &copied, &target);
        move |round: usize| {
            let mut samples = Vec::new();
            for (from, to) in [(source, copied), (source, target)] {
                ready(lab, None)?;
                let command = &mut lab.command("sh");
                samples.push(local(lab.run(command.args(["-c", script, "copy"]).arg(from).arg(to))?));
                received(round, source, to)?;
            }
            Ok(samples)
        }
    };
    let ours = |round: usize| {
        if !stored {
            init(lab, &program)?;
            store(lab, &program, &held, &source)?;
            stored = true;
        }
        ready(lab, None)?;
        let key = fresh_key(lab.size, "store");
        let mut samples: Vec<Sample> = vec![local(store(lab, &program, &key, &source)?)];
        discard(lab, &program, &key)?;
        ready(lab, None)?;
        samples.push(local(retrieve(lab, &program, &held, &target)?));
        received(round, &source, &target)?;
        Ok(samples)
    };
    let cases = vec![
        Case::new("ours", ours),
        Case::new("cp", plain(r#"exec cp "$1" "$2""#)),
        Case::new("cp and fsync", plain(r#"cp "$1" "$2" && exec sync "$2""#)),
    ];
    let tables = vec![table(lab, "fs", "store", "STORE", "cp"), table(lab, "fs", "retrieve", "RETRIEVE", "cp")];
    let tables = interleave(tables, cases, lab.args.runs());
    fs::remove_dir_all(place)?;
    Ok(tables)
}

fn table(lab: &Lab, place: &str, what: &str, verb: &str, baseline: &str) -> Table {
    let title = format!("{verb} of {} MiB, protocol only, {place}", lab.size >> 20);
    Table::new(format!("protocol/{place}/{what}"), title, lab.size, baseline)
}

/// INITREMOTE in a process of its own, as git-annex does it.
pub fn init(lab: &Lab, program: &Program) -> io::Result<()> {
    let mut driver = Driver::start(lab, program, false)?;
    driver.request("INITREMOTE")?;
    driver.finish().map(drop)
}

/// The same page cache, the same memory at hand and the same idle disk and server for every subject.
pub fn ready(lab: &Lab, server: Option<&Server>) -> io::Result<()> {
    if let Some(server) = server {
        server.vacuum()?;
    }
    lab.large()?;
    lab.settle()?;
    lab.touch_memory()
}

fn store(lab: &Lab, program: &Program, key: &str, source: &Path) -> io::Result<Usage> {
    transfer(lab, program, &format!("TRANSFER STORE {key} {}", source.display()))
}

fn retrieve(lab: &Lab, program: &Program, key: &str, target: &Path) -> io::Result<Usage> {
    transfer(lab, program, &format!("TRANSFER RETRIEVE {key} {}", target.display()))
}

fn transfer(lab: &Lab, program: &Program, request: &str) -> io::Result<Usage> {
    let mut driver = Driver::start(lab, program, false)?;
    driver.request("PREPARE")?;
    let wall = driver.request(request)?;
    let cost = driver.finish()?;
    Ok(Usage { wall, cpu: cost.cpu, rss: cost.peaks.rss })
}

/// Removes a key that is no longer needed.
pub fn discard(lab: &Lab, program: &Program, key: &str) -> io::Result<()> {
    let mut driver = Driver::start(lab, program, false)?;
    driver.request("PREPARE")?;
    driver.request(&format!("REMOVE {key}"))?;
    driver.finish().map(drop)
}

/// Checks what arrived, byte for byte in the warm-up and by length after it, and deletes it.
fn received(round: usize, source: &Path, target: &Path) -> io::Result<()> {
    if round == 0 {
        same(source, target)?;
    } else if fs::metadata(target)?.len() != fs::metadata(source)?.len() {
        return Err(io::Error::other("what arrived is not as long as what was stored"));
    }
    fs::remove_file(target)
}
