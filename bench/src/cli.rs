//! The command line: what to measure, with which programs, how often.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures git-annex-remote-stream beside its rivals on servers it starts itself.
#[derive(Parser, Debug, Clone)]
#[command(name = "bench", version)]
pub struct Args {
    /// Groups to run; all of them when none is named.
    #[arg(value_enum)]
    pub groups: Vec<Group>,
    /// Groups to run, the same as naming them without a flag.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Group>,
    /// Directory with git-annex, weed and rclone.
    #[arg(long, default_value = "target/peers/bin")]
    pub peers: PathBuf,
    /// Directory with the AWS CLI and s5cmd; without them their rows say so.
    #[arg(long, default_value = "target/peers/rivals/programs")]
    pub rivals: PathBuf,
    /// The special remote under test.
    #[arg(long, default_value = "target/release/git-annex-remote-stream")]
    pub binary: PathBuf,
    /// Measured runs of every row, after one warm-up that is not counted.
    #[arg(short = 'n', long)]
    pub runs: Option<usize>,
    /// Size of the large file, bytes or with K, M or G (powers of 1024).
    #[arg(long, value_parser = size)]
    pub size: Option<u64>,
    /// Number of 10 KiB files in the group of small files.
    #[arg(long)]
    pub files: Option<usize>,
    /// Where results.json and results.md go.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Directory that holds server data and scratch files while it runs; must be a real disk.
    #[arg(long, default_value = "target")]
    pub work: PathBuf,
    /// Tiny sizes and one run: proves that every row still runs, measures nothing.
    #[arg(long)]
    pub quick: bool,
}

/// A set of rows that can be run by itself.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One large STORE and RETRIEVE, the protocol driven directly.
    Protocol,
    /// One large file through git-annex.
    Annex,
    /// Many small files through git-annex.
    Small,
    /// Trees of small files exported through git-annex.
    Trees,
    /// Cold start.
    Start,
    /// Peak memory, threads and descriptors at 1 and 16 transfers.
    Memory,
    /// Kernel calls of the data plane against each other.
    Lanes,
    /// Gateway: one large content to a client, over HTTP, HTTPS and stdio.
    ServeGet,
    /// Gateway: one large content from a client.
    ServePut,
    /// Gateway: is a content present, and what a large git-annex branch costs.
    ServeCheck,
    /// Gateway: many small contents, each recorded in the git-annex branch.
    ServeRecord,
    /// How much repositories hold, with a large git-annex branch.
    Sizes,
    /// Proxy: one large content from a store, through the gateway.
    ProxyGet,
    /// Proxy: contents through the gateway to a store.
    ProxyPut,
    /// Proxy: the same from and to a store that speaks TLS.
    ProxyTls,
    /// Proxy: what the gateway itself costs, with a store that costs nothing.
    ProxyNull,
    /// Proxy: memory, threads and descriptors under many transfers, and after clients that vanish.
    ProxyMemory,
    /// Proxy: is a content present on a store.
    ProxyCheck,
    /// Cluster: one upload to several nodes, nodes that stall and die, many uploads within limits.
    Cluster,
    /// Proxy: one large content to and from a store that is far away.
    Far,
    /// Proxy: many clients at once of a store that is far away.
    FarCrowd,
    /// Proxy: small contents to and from a store that is far away, and what git-annex asks in a row.
    FarSmall,
    /// Small files of the special remote and of an export, to and from a store that is far away.
    FarRemote,
    /// One address: a repository of 100,000 commits cloned and pushed over HTTP, beside git http-backend behind nginx.
    Git,
    /// Preferred content: which of 16 repositories want a key.
    Wanted,
    /// The plan of a cluster's moves, with a large git-annex branch.
    Balance,
    /// The simulator, beside git annex sim and with many files, and proofs.
    Sim,
}

impl Args {
    /// Whether `group` was asked for.
    pub fn wants(&self, group: Group) -> bool {
        let mut asked = self.groups.iter().chain(&self.only).peekable();
        asked.peek().is_none() || asked.any(|g| *g == group)
    }

    /// Measured runs per row.
    pub fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.quick { 1 } else { 5 }).max(1)
    }

    /// Bytes of the large file.
    pub fn size(&self) -> u64 {
        self.size.unwrap_or(if self.quick { 2 << 20 } else { 1 << 30 })
    }

    /// Number of small files.
    pub fn files(&self) -> usize {
        self.files.unwrap_or(if self.quick { 4 } else { 1000 })
    }

    /// Contents that are put and recorded.
    pub fn puts(&self) -> usize {
        if self.quick { 48 } else { 10_000 }
    }

    /// Keys in the large git-annex branch; the small one has 1,000.
    pub fn keys(&self) -> usize {
        if self.quick { 5_000 } else { 1_000_000 }
    }

    /// Large transfers at once through the proxy.
    pub fn transfers(&self) -> usize {
        if self.quick { 6 } else { 64 }
    }

    /// Clients that vanish.
    pub fn vanishing(&self) -> usize {
        if self.quick { 300 } else { 10_000 }
    }

    /// Uploads to nodes that have room for nine tenths of them.
    pub fn crowd(&self) -> usize {
        if self.quick { 60 } else { 1000 }
    }

    /// Seconds of one run under load.
    pub fn load(&self) -> u64 {
        if self.quick { 1 } else { 4 }
    }

    /// Whether the figures are of the sizes the goals speak of.
    pub fn judged(&self) -> bool {
        !self.quick && self.size() >= 1 << 30 && self.files() >= 1000
    }

    /// Directory of the results; a quick run stays out of the tree that is committed.
    pub fn out(&self) -> PathBuf {
        let default = if self.quick { "target/bench-quick" } else { "bench/results" };
        self.out.clone().unwrap_or_else(|| default.into())
    }
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("not a size: {text}"))?;
    number.checked_shl(shift).filter(|n| n >> shift == number && *n > 0).ok_or(format!("out of range: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_suffixes() {
        assert_eq!(size("1G"), Ok(1 << 30));
        assert_eq!(size("3m"), Ok(3 << 20));
        assert_eq!(size("17"), Ok(17));
        assert!(size("0").is_err() && size("G").is_err() && size("99999999999G").is_err());
    }

    #[test]
    fn no_group_named_means_all_of_them() {
        let all = Args::parse_from(["bench"]);
        assert!(all.wants(Group::Lanes) && all.wants(Group::Small));
        let some = Args::parse_from(["bench", "--only", "start,memory"]);
        assert!(some.wants(Group::Start) && some.wants(Group::Memory) && !some.wants(Group::Small));
        assert!(!Args::parse_from(["bench", "lanes"]).wants(Group::Start));
    }
}
