//! The groups of rows.

pub mod annex;
pub mod balance;
pub mod cluster;
pub mod content;
pub mod far;
pub mod far_crowd;
pub mod far_remote;
pub mod far_small;
pub mod git;
pub mod lanes;
pub mod memory;
pub mod protocol;
pub mod proxy_check;
pub mod proxy_get;
pub mod proxy_memory;
pub mod proxy_null;
pub mod proxy_put;
pub mod proxy_tls;
pub mod serve_check;
pub mod serve_get;
pub mod serve_put;
pub mod serve_record;
pub mod serve_stdio;
pub mod sim;
pub mod sizes;
pub mod small;
pub mod start;
pub mod trees;
pub mod wanted;

use crate::rows::Sample;
use crate::servers::Server;
use crate::usage::Usage;
use std::io;

/// Runs `work` and charges it with the CPU the server used meanwhile.
fn served(server: &Server, work: impl FnOnce() -> io::Result<Usage>) -> io::Result<Sample> {
    let before = server.cpu()?;
    let usage = work()?;
    let server_cpu = Some(server.cpu()? - before);
    Ok(Sample { server_cpu, ..local(usage) })
}

/// A sample of work in which no server took part.
fn local(usage: Usage) -> Sample {
    Sample { wall: usage.wall, cpu: usage.cpu, rss: usage.rss, ..Sample::default() }
}

/// A key nothing was ever stored under in this run. WORM, so that no program has a hash to check it by.
fn fresh_key(len: u64, tag: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("WORM-s{len}-m1700000000--{tag}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
