//! The figures to reach, as ratios within one run, and whether they were.

use crate::rows::{Row, Table};
use crate::stats::Spread;
use serde::Serialize;

/// What a goal looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Median wall seconds as a multiple of the named subject of the same table.
    Times(&'static str),
    /// Median wall milliseconds.
    Milliseconds,
    /// Median CPU seconds for each GiB of payload.
    CpuPerGib,
    /// Largest peak RSS in MiB.
    RssMib,
    /// How many times as fast as the named subject of the same table, by median wall seconds.
    Faster(&'static str),
    /// Requests a second, by median wall seconds.
    PerSecond,
    /// Most commits of any run.
    Commits,
    /// How many times as fast as the fastest subject whose name begins so, by median wall seconds.
    FasterThanAny(&'static str),
    /// Median milliseconds to the first byte, less those of the named subject of the same table.
    FirstByteBehind(&'static str),
    /// Median CPU seconds as a multiple of the cheapest subject whose name begins so.
    CpuTimesAny(&'static str),
    /// Median wall seconds as a multiple of the slowest subject whose name begins so.
    TimesSlowest(&'static str),
    /// Median wall seconds, less those of the named subject of the same table.
    SecondsBehind(&'static str),
    /// Most KiB of any run that were written to disks.
    DiskKib,
    /// Most requests to the store for each of any run.
    Trips,
    /// The slowest of clients at once beside the fastest, at the most of any run.
    Unfair,
    /// Median megabytes a second.
    Megabytes,
    /// Most threads of any run.
    Threads,
    /// Most descriptors of any run.
    Descriptors,
}

/// One figure that one row is to reach.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Id of the table.
    pub table: &'static str,
    /// Subject of the row.
    pub subject: &'static str,
    /// What is compared.
    pub measure: Measure,
    /// The most it may be, or the least where more is better.
    pub limit: f64,
}

/// A goal beside what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Id of the table.
    pub table: String,
    /// Subject of the row.
    pub subject: String,
    /// The goal in words.
    pub goal: String,
    /// What was measured; None when the row or its baseline has no figures.
    pub measured: Option<f64>,
    /// The most it may be, or the least where more is better.
    pub limit: f64,
    /// PASS, `short by ..`, `over by ..`, `no figures` or `not judged`.
    pub verdict: String,
}

/// Every figure that has been promised.
pub const GOALS: &[Goal] = &[
    goal("protocol/seaweedfs/store", "ours", Measure::Times("curl"), 1.15),
    goal("protocol/seaweedfs/store", "ours", Measure::CpuPerGib, 0.5),
    goal("protocol/seaweedfs/retrieve", "ours", Measure::Times("curl"), 1.1),
    goal("protocol/seaweedfs/retrieve", "ours", Measure::CpuPerGib, 0.6),
    goal("protocol/rclone-serve/store", "ours", Measure::Times("curl"), 1.15),
    goal("protocol/rclone-serve/store", "ours", Measure::CpuPerGib, 0.5),
    goal("protocol/rclone-serve/retrieve", "ours", Measure::Times("curl"), 1.1),
    goal("protocol/rclone-serve/retrieve", "ours", Measure::CpuPerGib, 0.6),
    goal("small/copy-J4", "ours s3", Measure::Times("git-annex directory"), 1.3),
    goal("trees/export", "ours s3", Measure::Faster("git-annex S3"), 2.0),
    goal("trees/export", "post-receive s3", Measure::Faster("git-annex S3"), 2.0),
    goal("start", "ours", Measure::Milliseconds, 5.0),
    goal("memory/store-1", "ours", Measure::RssMib, 96.0),
    goal("memory/retrieve-1", "ours", Measure::RssMib, 96.0),
    // The default budget of 256 MiB and 64 beside it.
    goal("memory/store-16", "ours", Measure::RssMib, 320.0),
    goal("memory/retrieve-16", "ours", Measure::RssMib, 320.0),
    goal("serve-get/http", "ours", Measure::Faster("nginx"), 1.5),
    goal("serve-get/http", "ours", Measure::CpuPerGib, 0.35),
    goal("serve-get/stdio", "ours", Measure::Faster("cat"), 2.0),
    goal("serve-put/http", "ours", Measure::Faster("receive, hash, write"), 1.2),
    goal("serve-check/one-core", "ours", Measure::PerSecond, 60_000.0),
    goal("serve-check/users", "with users", Measure::Faster("without"), 0.95),
    goal("serve-check/branch", "large branch", Measure::Times("small branch"), 1.2),
    goal("serve-check/branch", "large branch", Measure::RssMib, 96.0),
    goal("serve-record/puts", "ours", Measure::Faster("git-annex p2phttp"), 3.0),
    goal("serve-record/puts", "ours", Measure::Commits, 20.0),
    goal("git/clone", "ours", Measure::Times("git http-backend behind nginx"), 1.1),
    goal("git/push", "ours", Measure::Times("git http-backend behind nginx"), 1.1),
    goal("balance/plan", "ours", Measure::Milliseconds, 60_000.0),
    goal("balance/plan", "ours", Measure::RssMib, 256.0),
    goal("balance/rebalance", "ours", Measure::Milliseconds, 60_000.0),
    goal("balance/rebalance", "ours", Measure::RssMib, 256.0),
    goal("sim/beside", "ours", Measure::Faster("git-annex"), 1_000.0),
    goal("sim/stable", "1000000 files", Measure::Milliseconds, 60_000.0),
    goal("sim/stable", "1000000 files", Measure::RssMib, 1024.0),
    // Twice the files.
    goal("sim/stable", "1000000 files", Measure::Times("500000 files"), 2.4),
    goal("sim/from-repository", "ours", Measure::Milliseconds, 30_000.0),
    goal("sim/whatif", "ours", Measure::Milliseconds, 60_000.0),
    goal("sim/prove", "ours", Measure::Milliseconds, 60_000.0),
    goal("sim/prove-many", "ours", Measure::Milliseconds, 60_000.0),
    goal("sim/show", "ours", Measure::Milliseconds, 10.0),
    goal("sizes/first", "ours", Measure::Faster("git-annex"), 3.0),
    goal("sizes/first", "ours", Measure::RssMib, 96.0),
    goal("sizes/changes", "ours", Measure::Milliseconds, 50.0),
    goal("proxy-get/s3", "ours", Measure::Faster("curl from the store"), 0.9),
    goal("proxy-get/s3", "ours", Measure::FirstByteBehind("curl from the store"), 5.0),
    // A log line and what the kernel rounds up.
    goal("proxy-get/s3", "ours", Measure::DiskKib, 64.0),
    goal("proxy-put/single", "ours", Measure::Faster("curl to the store"), 0.88),
    // Records of location, the git-annex branch.
    goal("proxy-put/single", "ours", Measure::DiskKib, 1024.0),
    goal("proxy-put/parts", "ours", Measure::FasterThanAny("curl to the store, parts"), 0.88),
    goal("proxy-put/parts", "ours", Measure::DiskKib, 1024.0),
    goal("proxy-tls/get", "ours", Measure::Faster("curl from the store"), 0.95),
    goal("proxy-tls/get", "ours", Measure::CpuPerGib, 0.8),
    goal("proxy-tls/get-tls", "ours", Measure::CpuPerGib, 1.1),
    goal("proxy-tls/put", "ours", Measure::Faster("curl to the store"), 0.95),
    goal("proxy-tls/put", "ours", Measure::CpuPerGib, 1.5),
    goal("proxy-null/put", "ours", Measure::CpuPerGib, 1.2),
    goal("proxy-null/get", "ours", Measure::CpuPerGib, 0.35),
    goal("proxy-null/get", "ours", Measure::CpuTimesAny("read and write"), 0.5),
    goal("proxy-null/get-tls", "ours", Measure::CpuPerGib, 1.2),
    goal("proxy-memory/idle", "ours", Measure::RssMib, 64.0),
    goal("proxy-memory/get", "ours", Measure::RssMib, 320.0),
    goal("proxy-memory/put", "ours", Measure::RssMib, 320.0),
    goal("proxy-memory/left", "ours", Measure::Threads, 0.0),
    goal("proxy-memory/left", "ours", Measure::Descriptors, 0.0),
    goal("proxy-check/16", "ours", Measure::Faster("HEAD to the store"), 0.9),
    goal("far/get", "ours", Measure::Faster("one connection"), 10.0),
    goal("far/get", "ours", Measure::FirstByteBehind("one connection"), 5.0),
    goal("far/put", "ours", Measure::Faster("one connection"), 8.0),
    goal("far/get", "ours, to a file", Measure::Faster("rclone copyto"), 1.1),
    goal("far/get", "ours, to a file", Measure::Faster("s5cmd cp"), 1.1),
    goal("far/get", "ours, to a file", Measure::Faster("aws s3 cp"), 1.1),
    goal("far/put", "ours", Measure::Faster("rclone copyto"), 1.1),
    goal("far/put", "ours", Measure::Faster("s5cmd cp"), 1.1),
    goal("far/put", "ours", Measure::Faster("aws s3 cp"), 1.1),
    goal("far-cut/get", "ours", Measure::Faster("one connection"), 7.0),
    goal("far-cut/put", "ours", Measure::Faster("one connection"), 5.6),
    goal("far-jitter/get", "ours", Measure::Faster("one connection"), 10.0),
    goal("far-jitter/put", "ours", Measure::Faster("one connection"), 8.0),
    goal("far-tls/get", "ours", Measure::Faster("one connection"), 10.0),
    goal("far-tls/get", "ours", Measure::FirstByteBehind("one connection"), 5.0),
    goal("far-tls/put", "ours", Measure::Faster("one connection"), 8.0),
    goal("far-crowd/8", "ours", Measure::Megabytes, 900.0),
    goal("far-crowd/8", "ours", Measure::Unfair, 2.0),
    goal("far-crowd/8", "ours", Measure::RssMib, 320.0),
    goal("far-crowd/64", "ours", Measure::Megabytes, 900.0),
    goal("far-crowd/64", "ours", Measure::Unfair, 2.0),
    goal("far-crowd/64", "ours", Measure::RssMib, 320.0),
    // 0.9 of 64 connections / 30 ms.
    goal("far-small/put", "ours", Measure::PerSecond, 1920.0),
    goal("far-small/put", "ours", Measure::Trips, 1.0),
    goal("far-small/get", "ours", Measure::PerSecond, 1920.0),
    goal("far-small/get", "ours", Measure::Trips, 1.0),
    goal("far-small/check", "ours", Measure::Trips, 1.0),
    goal("far-small-tls/put", "ours", Measure::PerSecond, 1920.0),
    goal("far-small-tls/put", "ours", Measure::Trips, 1.0),
    goal("far-small-tls/get", "ours", Measure::PerSecond, 1920.0),
    goal("far-small-tls/get", "ours", Measure::Trips, 1.0),
    // 0.9 of what the store welcomes.
    goal("far-small/welcome", "ours", Measure::PerSecond, 900.0),
    // A look, and the content.
    goal("far-small/row", "ours", Measure::Trips, 2.0),
    goal("far-small/row", "ours", Measure::PerSecond, 960.0),
    // 0.9 of so many jobs / 30 ms.
    goal("far-remote/store-8", "ours", Measure::PerSecond, 240.0),
    goal("far-remote/store-8", "ours", Measure::Trips, 1.0),
    goal("far-remote/retrieve-8", "ours", Measure::PerSecond, 240.0),
    goal("far-remote/retrieve-8", "ours", Measure::Trips, 1.0),
    goal("far-remote/store-32", "ours", Measure::PerSecond, 960.0),
    goal("far-remote/store-32", "ours", Measure::Trips, 1.0),
    goal("far-remote/retrieve-32", "ours", Measure::PerSecond, 960.0),
    goal("far-remote/retrieve-32", "ours", Measure::Trips, 1.0),
    // 0.9 of 32 steps / 30 ms, with which it begins.
    goal("far-remote/export", "ours", Measure::PerSecond, 960.0),
    goal("wanted/memory", "ours", Measure::PerSecond, 200_000.0),
    goal("wanted/branch", "ours", Measure::PerSecond, 20_000.0),
    goal("cluster/limited", "to three", Measure::Times("to the slowest alone"), 1.05),
    goal("cluster/costless", "to three", Measure::CpuTimesAny("to one"), 1.25),
    goal("cluster/stores", "ours", Measure::TimesSlowest("ours, alone"), 1.15),
    goal("cluster/stores", "ours", Measure::Faster("git-annex p2phttp"), 2.5),
    // Records of location, the git-annex branch, and what the file system rounds up.
    goal("cluster/stores", "ours", Measure::DiskKib, 1024.0),
    // The default budget of 256 MiB and 64 beside it.
    goal("cluster/stalled", "ours", Measure::RssMib, 320.0),
    goal("cluster/killed-put", "one of three killed", Measure::SecondsBehind("the other two"), 0.2),
    goal("cluster/killed-get", "node killed", Measure::Faster("undisturbed"), 0.8),
    goal("cluster/first-byte", "of the cluster", Measure::FirstByteBehind("of the node alone"), 5.0),
    goal("proxy-check/64", "ours", Measure::Faster("HEAD to the store"), 0.9),
];

const fn goal(table: &'static str, subject: &'static str, measure: Measure, limit: f64) -> Goal {
    Goal { table, subject, measure, limit }
}

/// Holds every goal whose table is among `tables` against it; with `judged` false nothing is called met or short.
pub fn hold(tables: &[Table], judged: bool) -> Vec<Verdict> {
    let found = GOALS.iter().filter_map(|g| tables.iter().find(|t| t.id == g.table).map(|t| (g, t)));
    found.map(|(goal, table)| goal.hold(table, judged)).collect()
}

impl Goal {
    fn hold(&self, table: &Table, judged: bool) -> Verdict {
        let measured = table.row(self.subject).and_then(|row| self.measure.of(row, table));
        let verdict = match measured {
            None => "no figures".into(),
            Some(_) if !judged => "not judged".into(),
            Some(value) if self.measure.more_is_better() => verdict(self.limit / value),
            // A limit of nothing at all divides nothing.
            Some(value) if value <= self.limit => verdict(0.0),
            Some(value) if self.limit == 0.0 => format!("over by {value}"),
            Some(value) => verdict(value / self.limit),
        };
        Verdict {
            table: self.table.into(),
            subject: self.subject.into(),
            goal: self.measure.words(self.limit),
            measured,
            limit: self.limit,
            verdict,
        }
    }
}

/// `excess` is 1 where the limit is just met.
fn verdict(excess: f64) -> String {
    if excess <= 1.0 { "PASS".into() } else { format!("short by {:.0} %", (excess - 1.0) * 100.0) }
}

impl Measure {
    fn more_is_better(self) -> bool {
        matches!(self, Self::Faster(_) | Self::FasterThanAny(_) | Self::PerSecond | Self::Megabytes)
    }

    fn of(self, row: &Row, table: &Table) -> Option<f64> {
        match self {
            Self::Times(other) => Some(row.wall()?.median / table.row(other)?.wall()?.median),
            Self::Milliseconds => Some(row.wall()?.median * 1e3),
            Self::CpuPerGib => Some(row.cpu()?.median / (table.bytes as f64 / f64::from(1 << 30))),
            Self::RssMib => (row.rss() > 0).then(|| row.rss() as f64 / f64::from(1 << 20)),
            Self::Faster(other) => Some(table.row(other)?.wall()?.median / row.wall()?.median),
            Self::PerSecond => Some(table.requests as f64 / row.wall()?.median),
            Self::Commits => row.commits().map(|n| n as f64),
            Self::FasterThanAny(others) => Some(least(table, others, Row::wall)? / row.wall()?.median),
            Self::FirstByteBehind(other) => {
                Some((row.first_byte()?.median - table.row(other)?.first_byte()?.median) * 1e3)
            }
            Self::CpuTimesAny(others) => Some(row.cpu()?.median / least(table, others, Row::cpu)?),
            Self::TimesSlowest(others) => {
                let rows = table.rows.iter().filter(|row| row.subject.starts_with(others));
                // One that has no figures may have been the slowest.
                let walls: Option<Vec<f64>> = rows.map(|row| Some(row.wall()?.median)).collect();
                Some(row.wall()?.median / walls?.into_iter().max_by(f64::total_cmp)?)
            }
            Self::SecondsBehind(other) => Some(row.wall()?.median - table.row(other)?.wall()?.median),
            Self::DiskKib => row.disk().map(|n| n as f64 / 1024.0),
            Self::Trips => row.trips(),
            Self::Unfair => row.unfair(),
            Self::Megabytes => Some(table.bytes as f64 / 1e6 / row.wall()?.median),
            Self::Threads => row.threads().map(|n| n as f64),
            Self::Descriptors => row.fds().map(|n| n as f64),
        }
    }

    fn words(self, limit: f64) -> String {
        match self {
            Self::Times(other) => format!("at most {limit} times {other}"),
            Self::Milliseconds => format!("at most {limit} ms"),
            Self::CpuPerGib => format!("at most {limit} CPU s/GiB"),
            Self::RssMib => format!("at most {limit} MiB peak RSS"),
            Self::Faster(other) => format!("at least {limit} times as fast as {other}"),
            Self::PerSecond => format!("at least {limit} a second"),
            Self::Commits => format!("at most {limit} commits"),
            Self::FasterThanAny(others) => format!("at least {limit} times as fast as the best {others}"),
            Self::FirstByteBehind(other) => format!("first byte at most {limit} ms behind {other}"),
            Self::CpuTimesAny(others) => format!("at most {limit} times the CPU of the best {others}"),
            Self::TimesSlowest(others) => format!("at most {limit} times the slowest {others}"),
            Self::SecondsBehind(other) => format!("at most {limit} s behind {other}"),
            Self::DiskKib => format!("at most {limit} KiB written to disks"),
            Self::Trips => format!("at most {limit} requests to the store for each"),
            Self::Unfair => format!("the slowest client at most {limit} times the fastest"),
            Self::Megabytes => format!("at least {limit} MB/s"),
            Self::Threads => format!("at most {limit} threads"),
            Self::Descriptors => format!("at most {limit} descriptors"),
        }
    }
}

/// The smallest median among the subjects whose names begin with `prefix`.
fn least(table: &Table, prefix: &str, of: fn(&Row) -> Option<Spread>) -> Option<f64> {
    let rows = table.rows.iter().filter(|row| row.subject.starts_with(prefix));
    rows.filter_map(|row| Some(of(row)?.median)).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Sample;

    fn table(ours: f64, curl: f64) -> Table {
        let mut table = Table::new("protocol/seaweedfs/store", "t", 2 << 30, "curl");
        let row = |subject: &str, wall| Row {
            subject: subject.into(),
            samples: vec![Sample { wall, cpu: 0.8, ..Sample::default() }],
            error: None,
        };
        table.rows = vec![row("ours", ours), row("curl", curl)];
        table
    }

    #[test]
    fn ratios_and_cpu_are_held_against_their_limits() {
        let verdicts = hold(&[table(11.0, 10.0)], true);
        assert_eq!(verdicts.len(), 2);
        assert_eq!(verdicts[0].verdict, "PASS");
        assert_eq!((verdicts[1].measured, verdicts[1].verdict.as_str()), (Some(0.4), "PASS"));
        assert_eq!(hold(&[table(23.0, 10.0)], true)[0].verdict, "short by 100 %");
    }

    #[test]
    fn where_more_is_better_less_is_short() {
        let mut table = Table::new("serve-check/one-core", "t", 0, "ours").counting(10_000);
        let sample = |wall, commits| Sample { wall, commits, ..Sample::default() };
        table.rows = vec![Row { subject: "ours".into(), samples: vec![sample(0.25, None)], error: None }];
        assert_eq!(hold(&[table.clone()], true)[0].verdict, "short by 50 %");
        table.rows[0].samples[0].wall = 0.1;
        assert_eq!(hold(&[table], true)[0].verdict, "PASS");
        let mut table = Table::new("serve-record/puts", "t", 0, "git-annex p2phttp");
        table.rows = [("ours", 2.0, Some(21)), ("git-annex p2phttp", 8.0, None)]
            .map(|(subject, wall, commits)| Row {
                subject: subject.into(),
                samples: vec![sample(wall, commits)],
                error: None,
            })
            .into();
        let verdicts = hold(&[table], true);
        assert_eq!((verdicts[0].measured, verdicts[0].verdict.as_str()), (Some(4.0), "PASS"));
        assert_eq!(verdicts[1].verdict, "short by 5 %");
    }

    #[test]
    fn the_best_of_several_is_what_is_compared_with() {
        let row = |subject: &str, wall: f64, first_byte: f64| Row {
            subject: subject.into(),
            samples: vec![Sample { wall, cpu: wall, first_byte: Some(first_byte), ..Sample::default() }],
            error: None,
        };
        let mut table = Table::new("t", "t", 1 << 30, "ours");
        table.rows = vec![row("ours", 4.0, 0.010), row("relay a", 5.0, 0.007), row("relay b", 3.0, 0.0)];
        let of = |measure: Measure| measure.of(&table.rows[0], &table).expect("figures");
        assert_eq!(of(Measure::FasterThanAny("relay")), 0.75);
        assert_eq!(of(Measure::CpuTimesAny("relay")), 4.0 / 3.0);
        assert!((of(Measure::FirstByteBehind("relay a")) - 3.0).abs() < 1e-9);
        assert_eq!(Measure::FasterThanAny("nobody").of(&table.rows[0], &table), None);
    }

    #[test]
    fn the_slowest_of_several_is_only_known_when_all_have_figures() {
        let row = |subject: &str, wall: f64| Row {
            subject: subject.into(),
            samples: vec![Sample { wall, ..Sample::default() }],
            error: None,
        };
        let mut table = Table::new("t", "t", 1 << 30, "ours");
        table.rows = vec![row("ours", 4.5), row("alone: a", 2.0), row("alone: b", 4.0)];
        let of = |measure: Measure, table: &Table| measure.of(&table.rows[0], table);
        assert_eq!(of(Measure::TimesSlowest("alone"), &table), Some(1.125));
        assert_eq!(of(Measure::SecondsBehind("alone: b"), &table), Some(0.5));
        table.rows[1].samples.clear();
        assert_eq!(of(Measure::TimesSlowest("alone"), &table), None);
    }

    #[test]
    fn tiny_runs_and_missing_rows_are_never_a_pass() {
        assert_eq!(hold(&[table(11.0, 10.0)], false)[0].verdict, "not judged");
        let mut lone = table(11.0, 10.0);
        lone.rows.pop();
        assert_eq!(hold(&[lone], true)[0].verdict, "no figures");
    }
}
