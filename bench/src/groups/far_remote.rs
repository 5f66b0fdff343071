//! Small files of the special remote and of an export, at a distance: as many requests side by side as there are jobs, and one for
//! each file.

use super::protocol::init;
use super::{fresh_key, local};
use crate::annex::{Remote, Repo};
use crate::driver::Driver;
use crate::lab::{Lab, fill, same};
use crate::line::{FAR, Line};
use crate::null::NullStore;
use crate::program::Program;
use crate::rows::{Case, Sample, Table, interleave};
use std::fs;
use std::io;

/// Bytes of a file.
const LEN: u64 = 10 << 10;

/// What git-annex is started with: `-J8`, `-J32`.
const JOBS: [usize; 2] = [8, 32];

/// Rows of STORE and RETRIEVE, spoken directly with so many jobs.
pub fn jobs(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let line = Line::start(store.port, FAR)?;
    let program = Program::ours_s3_at(line.port);
    let source = lab.data("small", LEN)?;
    let count = lab.args.files();
    let mut tables = Vec::new();
    for jobs in JOBS {
        let table = |what: &str, verb: &str| {
            let title = format!("{count} x {verb} of 10 KiB, {jobs} jobs of one process; 30 ms away");
            Table::new(format!("far-remote/{what}-{jobs}"), title, 0, "ours").counting(count as u64)
        };
        let work = |round: usize| {
            if round == 0 {
                init(lab, &program)?;
            }
            let keys: Vec<String> = (0..count).map(|_| fresh_key(LEN, "far")).collect();
            let dir = lab.at("retrieved-small");
            fs::create_dir_all(&dir)?;
            let stores = keys.iter().map(|key| format!("TRANSFER STORE {key} {}", source.display()));
            let stored = batch(lab, &program, &store, stores.collect(), jobs)?;
            let retrieves = keys.iter().map(|key| format!("TRANSFER RETRIEVE {key} {}", dir.join(key).display()));
            let retrieved = batch(lab, &program, &store, retrieves.collect(), jobs)?;
            for key in &keys {
                same(&source, &dir.join(key))?;
            }
            fs::remove_dir_all(&dir)?;
            Ok(vec![stored, retrieved])
        };
        let block = vec![table("store", "STORE"), table("retrieve", "RETRIEVE")];
        tables.extend(interleave(block, vec![Case::new("ours", work)], lab.args.runs()));
    }
    Ok(tables)
}

fn batch(lab: &Lab, program: &Program, store: &NullStore, requests: Vec<String>, jobs: usize) -> io::Result<Sample> {
    let mut driver = Driver::start(lab, program, true)?;
    driver.request("PREPARE")?;
    // Connections are made as jobs begin; the first of each job waits for one.
    let seen = store.requests();
    let wall = driver.requests_by(&requests, jobs)?;
    let trips = Some((store.requests() - seen) as f64 / requests.len() as f64);
    let cost = driver.finish()?;
    let (threads, fds) = (Some(cost.peaks.threads), Some(cost.peaks.fds));
    Ok(Sample { wall, cpu: cost.cpu, rss: cost.peaks.rss, threads, fds, trips, ..Sample::default() })
}

/// A row of a tree of ten times as many files, all of them new, that a push to a gateway exports.
pub fn export(lab: &Lab) -> io::Result<Vec<Table>> {
    let store = NullStore::start()?;
    let line = Line::start(store.port, FAR)?;
    let template = Repo::plain(lab, "repo-far-tree")?;
    let files = 10 * lab.args.files();
    fs::create_dir(template.dir().join("tree"))?;
    for index in 0..files {
        fill(&template.dir().join(format!("tree/file{index:05}")), LEN, 0x02f6_e2b1 + index as u64 * 104_729)?;
    }
    template.add_all()?;
    let title = format!("export of {files} new files of 10 KiB by post-receive; 30 ms away");
    let table = Table::new("far-remote/export", title, 0, "ours").counting(files as u64);
    let work = |round: usize| {
        let repo = template.duplicate("repo-far-tree-copy")?;
        let further = ["exporttree=yes", "annexobjects=yes"];
        repo.init_remote_with(Remote::OursS3, line.port, "far", &format!("far-tree-{round}"), &further)?;
        let branch = repo.ask("git", &["symbolic-ref", "--short", "HEAD"])?;
        repo.run("git", &["config", "remote.far.annex-tracking-branch", &branch])?;
        repo.run("git", &["config", "remote.far.annex-proxy", "true"])?;
        repo.run("git-annex-remote-stream", &["updateproxy"])?;
        lab.settle()?;
        let seen = store.requests();
        let usage = repo.run("git-annex-remote-stream", &["post-receive"])?;
        let trips = Some((store.requests() - seen) as f64 / files as f64);
        let told = repo.ask("git-annex-remote-stream", &["post-receive"])?;
        if !told.ends_with(": ok") {
            return Err(io::Error::other(format!("the tree was not exported at once: {told}")));
        }
        repo.delete()?;
        Ok(vec![Sample { trips, ..local(usage) }])
    };
    let tables = interleave(vec![table], vec![Case::new("ours", work)], lab.args.runs().min(3));
    template.delete()?;
    Ok(tables)
}
