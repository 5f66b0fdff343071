//! Rows: the same work done by several subjects in turn, and the tables they end up in.

use crate::stats::{Spread, spread};
use serde::Serialize;
use std::io;

/// What one run of one subject cost.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Sample {
    /// Seconds of wall time.
    pub wall: f64,
    /// User and system seconds of the subject's own processes.
    pub cpu: f64,
    /// CPU seconds of the server meanwhile, where there is one.
    pub server_cpu: Option<f64>,
    /// Peak resident bytes of the subject; 0 where it has no process of its own.
    pub rss: u64,
    /// Most threads seen, where it was looked at.
    pub threads: Option<u64>,
    /// Most descriptors seen, where it was looked at.
    pub fds: Option<u64>,
    /// Seconds to the first byte of content, where it was looked at.
    pub first_byte: Option<f64>,
    /// Commits it took, where they were counted.
    pub commits: Option<u64>,
    /// Bytes that its process wrote to disks, where it was looked at.
    pub disk: Option<u64>,
    /// Requests that the store saw for each request of the run, where they were counted.
    pub trips: Option<f64>,
    /// Seconds of the slowest of clients at once, beside those of the fastest.
    pub unfair: Option<f64>,
}

/// One subject's runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who did the work.
    pub subject: String,
    /// Every measured run, the warm-up left out.
    pub samples: Vec<Sample>,
    /// Why the runs ended early, if they did.
    pub error: Option<String>,
}

/// Rows that did the same work.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// Short name that stays, `group/what`.
    pub id: String,
    /// What was done, for people.
    pub title: String,
    /// Payload bytes moved by one run; 0 where that is not the point.
    pub bytes: u64,
    /// Requests of one run; 0 where they are not the point.
    pub requests: u64,
    /// Subject that the others are divided by.
    pub baseline: String,
    /// One row per subject, in the order they took turns.
    pub rows: Vec<Row>,
}

/// A subject and how to run it once: one sample per table of its block.
pub struct Case<'a> {
    /// Who does the work.
    pub subject: String,
    /// Called with the number of the round; round 0 is the warm-up.
    pub run: Box<dyn FnMut(usize) -> io::Result<Vec<Sample>> + 'a>,
    /// Measured rounds it takes part in at most.
    most: usize,
}

impl<'a> Case<'a> {
    /// A case of the block's tables.
    pub fn new(subject: impl Into<String>, run: impl FnMut(usize) -> io::Result<Vec<Sample>> + 'a) -> Self {
        Self { subject: subject.into(), run: Box::new(run), most: usize::MAX }
    }

    /// The same, measured no more than `most` times: for who takes minutes where the others take seconds.
    pub fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

impl Table {
    /// An empty table.
    pub fn new(id: impl Into<String>, title: impl Into<String>, bytes: u64, baseline: &str) -> Self {
        Self { id: id.into(), title: title.into(), bytes, requests: 0, baseline: baseline.into(), rows: Vec::new() }
    }

    /// The same table of runs of `requests` requests each.
    pub fn counting(self, requests: u64) -> Self {
        Self { requests, ..self }
    }

    /// The row of `subject`, if it was run.
    pub fn row(&self, subject: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.subject == subject)
    }
}

impl Row {
    /// Spread of wall seconds.
    pub fn wall(&self) -> Option<Spread> {
        spread(self.samples.iter().map(|s| s.wall))
    }

    /// Spread of CPU seconds.
    pub fn cpu(&self) -> Option<Spread> {
        spread(self.samples.iter().map(|s| s.cpu))
    }

    /// Spread of the server's CPU seconds.
    pub fn server_cpu(&self) -> Option<Spread> {
        spread(self.samples.iter().filter_map(|s| s.server_cpu))
    }

    /// Spread of the seconds to the first byte.
    pub fn first_byte(&self) -> Option<Spread> {
        spread(self.samples.iter().filter_map(|s| s.first_byte))
    }

    /// Most commits of any run.
    pub fn commits(&self) -> Option<u64> {
        self.samples.iter().filter_map(|s| s.commits).max()
    }

    /// Most requests to the store for each of any run.
    pub fn trips(&self) -> Option<f64> {
        self.samples.iter().filter_map(|s| s.trips).max_by(f64::total_cmp)
    }

    /// The slowest of clients at once beside the fastest, at the most of any run.
    pub fn unfair(&self) -> Option<f64> {
        self.samples.iter().filter_map(|s| s.unfair).max_by(f64::total_cmp)
    }

    /// Most bytes written to disks in any run.
    pub fn disk(&self) -> Option<u64> {
        self.samples.iter().filter_map(|s| s.disk).max()
    }

    /// Most threads of any run.
    pub fn threads(&self) -> Option<u64> {
        self.samples.iter().filter_map(|s| s.threads).max()
    }

    /// Most descriptors of any run.
    pub fn fds(&self) -> Option<u64> {
        self.samples.iter().filter_map(|s| s.fds).max()
    }

    /// Largest peak RSS of any run, bytes.
    pub fn rss(&self) -> u64 {
        self.samples.iter().map(|s| s.rss).max().unwrap_or(0)
    }
}

/// Runs all cases in turn, one warm-up round and `runs` measured ones, and fills the tables of the block.
///
/// A case that fails keeps what it has measured, sits out the rest, and carries the reason in its rows.
pub fn interleave(mut tables: Vec<Table>, mut cases: Vec<Case<'_>>, runs: usize) -> Vec<Table> {
    for table in &mut tables {
        let empty = |c: &Case| Row { subject: c.subject.clone(), samples: Vec::new(), error: None };
        table.rows = cases.iter().map(empty).collect();
    }
    let name = tables.iter().map(|t| t.id.as_str()).collect::<Vec<_>>().join(" + ");
    for round in 0..=runs {
        for (index, case) in cases.iter_mut().enumerate() {
            if tables[0].rows[index].error.is_some() || round > case.most {
                continue;
            }
            let label = if round == 0 { "warm-up".into() } else { format!("{round}/{runs}") };
            match (case.run)(round) {
                Ok(samples) => {
                    let walls: Vec<String> = samples.iter().map(|s| format!("{:.3} s", s.wall)).collect();
                    eprintln!("{name}  {label}  {}: {}", case.subject, walls.join(", "));
                    for (table, sample) in tables.iter_mut().zip(samples).filter(|_| round > 0) {
                        table.rows[index].samples.push(sample);
                    }
                }
                Err(error) => {
                    eprintln!("{name}  {label}  {}: FAILED: {error}", case.subject);
                    tables.iter_mut().for_each(|t| t.rows[index].error = Some(error.to_string()));
                }
            }
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn subjects_take_turns_and_the_warm_up_is_not_counted() {
        let order = RefCell::new(String::new());
        let case = |name: &'static str| {
            let order = &order;
            Case::new(name, move |round| {
                order.borrow_mut().push_str(&format!("{name}{round} "));
                Ok(vec![Sample { wall: round as f64, ..Sample::default() }])
            })
        };
        let tables = interleave(vec![Table::new("t", "t", 0, "a")], vec![case("a"), case("b")], 3);
        assert_eq!(*order.borrow(), "a0 b0 a1 b1 a2 b2 a3 b3 ");
        let wall = tables[0].row("b").and_then(Row::wall).expect("measured");
        assert_eq!((wall.min, wall.median, wall.max), (1.0, 2.0, 3.0));
    }

    #[test]
    fn a_slow_subject_sits_out_the_rounds_it_need_not_run() {
        let case = |name: &str| Case::new(name, |_| Ok(vec![Sample::default()]));
        let tables = interleave(vec![Table::new("t", "t", 0, "a")], vec![case("a"), case("b").at_most(1)], 3);
        assert_eq!(tables[0].rows.iter().map(|r| r.samples.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_failed_subject_says_why_and_the_others_go_on() {
        let bad = Case::new("bad", |_| Err(io::Error::other("no such thing")));
        let good = Case::new("good", |_| Ok(vec![Sample::default()]));
        let tables = interleave(vec![Table::new("t", "t", 0, "good")], vec![bad, good], 2);
        assert_eq!(tables[0].rows[0].error.as_deref(), Some("no such thing"));
        assert!(tables[0].rows[0].samples.is_empty());
        assert_eq!(tables[0].rows[1].samples.len(), 2);
    }
}
