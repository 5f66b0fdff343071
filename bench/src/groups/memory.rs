//! Peak memory, threads and descriptors of our process: one transfer, and sixteen at once in one process.

use super::fresh_key;
use super::protocol::{init, ready};
use crate::driver::Driver;
use crate::lab::{Lab, same};
use crate::program::Program;
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind, Server};
use std::fs;
use std::io;
use std::path::PathBuf;

const JOBS: usize = 16;

/// Rows of ours on SeaweedFS, with ASYNC.
pub fn peaks(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Kind::SeaweedFs)?;
    let program = Program::ours_s3(&server);
    let large = lab.large()?;
    let part = lab.data("part", lab.size / 4)?;
    // Four GiB a round: enough rounds to see a peak, few enough to end.
    let runs = lab.args.runs().min(2);
    let mut tables = Vec::new();
    for (jobs, source) in [(1, &large), (JOBS, &part)] {
        let len = fs::metadata(source)?.len();
        let table = |what: &str, verb: &str| {
            let title = format!("{jobs} x {verb} of {} MiB at once in one process, ASYNC", len >> 20);
            Table::new(format!("memory/{what}-{jobs}"), title, len * jobs as u64, "ours")
        };
        let work = |round: usize| {
            if round == 0 {
                init(lab, &program)?;
            }
            let keys: Vec<String> = (0..jobs).map(|_| fresh_key(len, "memory")).collect();
            let targets: Vec<PathBuf> = (0..jobs).map(|job| lab.at(&format!("retrieved-{job}"))).collect();
            ready(lab, Some(&server))?;
            let store = keys.iter().map(|key| format!("TRANSFER STORE {key} {}", source.display()));
            let stored = batch(lab, &program, &server, store.collect())?;
            ready(lab, Some(&server))?;
            let retrieve = keys.iter().zip(&targets);
            let retrieve = retrieve.map(|(key, target)| format!("TRANSFER RETRIEVE {key} {}", target.display()));
            let retrieved = batch(lab, &program, &server, retrieve.collect())?;
            for target in &targets {
                if round == 0 {
                    same(source, target)?;
                }
                fs::remove_file(target)?;
            }
            batch(lab, &program, &server, keys.iter().map(|key| format!("REMOVE {key}")).collect())?;
            Ok(vec![stored, retrieved])
        };
        let block = vec![table("store", "STORE"), table("retrieve", "RETRIEVE")];
        tables.extend(interleave(block, vec![Case::new("ours", work)], runs));
    }
    Ok(tables)
}

fn batch(lab: &Lab, program: &Program, server: &Server, requests: Vec<String>) -> io::Result<Sample> {
    let before = server.cpu()?;
    let mut driver = Driver::start(lab, program, true)?;
    driver.request("PREPARE")?;
    let wall = driver.requests(&requests)?;
    let cost = driver.finish()?;
    Ok(Sample {
        wall,
        cpu: cost.cpu,
        server_cpu: Some(server.cpu()? - before),
        rss: cost.peaks.rss,
        threads: Some(cost.peaks.threads),
        fds: Some(cost.peaks.fds),
        ..Sample::default()
    })
}
