//! Results as JSON for programs and as Markdown for people.

use crate::goals::Verdict;
use crate::machine::Machine;
use crate::rows::{Row, Table};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// Everything one run found out.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it began, UTC.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Measured runs per row.
    pub runs: usize,
    /// Where it ran and with what.
    pub machine: Machine,
    /// Goals beside what was measured.
    pub verdicts: Vec<Verdict>,
    /// All rows.
    pub tables: Vec<Table>,
}

impl Report {
    /// Writes `results.json` and `results.md` into `dir`. Errors: they cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(dir.join("results.json"), json + "\n")?;
        fs::write(dir.join("results.md"), self.markdown())
    }

    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Bench results\n\n");
        let machine = &self.machine;
        push(
            &mut text,
            format_args!("{}, `{}`, {} runs per row after a warm-up.\n", self.date, self.command, self.runs),
        );
        push(
            &mut text,
            format_args!(
                "{} cores of {}, {} MiB, Linux {}, scratch on {}, load average at the start {}.\n",
                machine.cores, machine.cpu, machine.memory_mib, machine.kernel, machine.filesystem, machine.load
            ),
        );
        let versions: Vec<String> = machine.versions.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        push(&mut text, format_args!("{}\n", versions.join("; ")));
        text.push_str(
            "Seconds are medians with the smallest and largest in brackets. CPU is user and system time of the \
             subject's own processes, server CPU that of the server meanwhile, RSS the largest of all runs.\n",
        );
        if !self.verdicts.is_empty() {
            text.push_str("\n## Goals\n\n| row | subject | goal | measured | |\n|---|---|---|--:|---|\n");
            for v in &self.verdicts {
                let measured = v.measured.map_or("-".into(), figure);
                push(
                    &mut text,
                    format_args!("| {} | {} | {} | {measured} | {} |", v.table, v.subject, v.goal, v.verdict),
                );
            }
        }
        for table in &self.tables {
            section(&mut text, table);
        }
        text
    }
}

fn section(text: &mut String, table: &Table) {
    push(text, format_args!("\n## {}\n\n`{}`\n", table.title, table.id));
    let looked = table.rows.iter().any(|r| r.samples.iter().any(|s| s.threads.is_some()));
    let served = table.rows.iter().any(|r| r.server_cpu().is_some());
    let first = table.rows.iter().any(|r| r.first_byte().is_some());
    let committed = table.rows.iter().any(|r| r.commits().is_some());
    let disk = table.rows.iter().any(|r| r.disk().is_some());
    let trips = table.rows.iter().any(|r| r.trips().is_some());
    let unfair = table.rows.iter().any(|r| r.unfair().is_some());
    let shown = Shown { looked, served, first, committed, disk, trips, unfair };
    let mut head = vec!["subject".to_string(), "wall s".into()];
    head.extend((table.bytes > 0).then(|| "MB/s".into()));
    head.extend((table.requests > 0).then(|| "a second".into()));
    head.extend(first.then(|| "first byte ms".into()));
    head.push(format!("x {}", table.baseline));
    head.push("CPU s".into());
    head.extend(served.then(|| "server CPU s".into()));
    head.push("peak RSS MiB".into());
    head.extend(looked.then(|| "threads".into()));
    head.extend(looked.then(|| "fds".into()));
    head.extend(committed.then(|| "commits".into()));
    head.extend(disk.then(|| "to disk KiB".into()));
    head.extend(trips.then(|| "to the store".into()));
    head.extend(unfair.then(|| "slowest x fastest".into()));
    push(text, format_args!("| {} |", head.join(" | ")));
    push(text, format_args!("|---|{}", "--:|".repeat(head.len() - 1)));
    let base = table.row(&table.baseline).and_then(Row::wall).map(|s| s.median);
    for row in &table.rows {
        let cells = cells(row, table, base, shown, head.len());
        push(text, format_args!("| {} |", cells.join(" | ")));
    }
    for row in &table.rows {
        if let Some(error) = &row.error {
            push(text, format_args!("\n{} failed: {}", row.subject, error.replace(['\n', '\r'], " ")));
        }
    }
}

/// Columns that not every table has.
#[derive(Clone, Copy)]
struct Shown {
    looked: bool,
    served: bool,
    first: bool,
    committed: bool,
    disk: bool,
    trips: bool,
    unfair: bool,
}

fn cells(row: &Row, table: &Table, base: Option<f64>, shown: Shown, width: usize) -> Vec<String> {
    let dash = || "-".to_string();
    let Some(wall) = row.wall() else {
        return [row.subject.clone(), "failed".into()].into_iter().chain((2..width).map(|_| dash())).collect();
    };
    let spread = |s: crate::stats::Spread| format!("{} [{}..{}]", figure(s.median), figure(s.min), figure(s.max));
    let mut cells = vec![row.subject.clone(), spread(wall)];
    cells.extend((table.bytes > 0).then(|| figure(table.bytes as f64 / 1e6 / wall.median)));
    cells.extend((table.requests > 0).then(|| figure(table.requests as f64 / wall.median)));
    cells.extend(shown.first.then(|| row.first_byte().map_or_else(dash, |s| figure(s.median * 1e3))));
    cells.push(base.map_or_else(dash, |b| format!("{:.2}", wall.median / b)));
    cells.push(row.cpu().map_or_else(dash, spread));
    cells.extend(shown.served.then(|| row.server_cpu().map_or_else(dash, |s| figure(s.median))));
    cells.push(if row.rss() > 0 { figure(row.rss() as f64 / f64::from(1 << 20)) } else { dash() });
    if shown.looked {
        cells.extend([row.threads(), row.fds()].map(|most| most.map_or_else(dash, |n| n.to_string())));
    }
    cells.extend(shown.committed.then(|| row.commits().map_or_else(dash, |n| n.to_string())));
    cells.extend(shown.disk.then(|| row.disk().map_or_else(dash, |n| n.div_ceil(1 << 10).to_string())));
    cells.extend(shown.trips.then(|| row.trips().map_or_else(dash, figure)));
    cells.extend(shown.unfair.then(|| row.unfair().map_or_else(dash, figure)));
    cells
}

/// A number with three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Sample;

    #[test]
    fn every_line_of_a_table_has_as_many_cells_as_its_head() {
        for (bytes, server_cpu, threads) in [(0, None, None), (9, Some(1.0), None), (9, None, Some(3))] {
            let mut table = Table::new("a/b", "A B", bytes, "one").counting(threads.unwrap_or(0));
            let first_byte = server_cpu;
            let sample = Sample {
                wall: 2.0,
                server_cpu,
                threads,
                fds: threads,
                first_byte,
                commits: threads,
                disk: threads,
                trips: first_byte,
                unfair: first_byte,
                ..Sample::default()
            };
            let row = |subject: &str, samples| Row { subject: subject.into(), samples, error: Some("x\ny".into()) };
            table.rows = vec![row("one", vec![sample]), row("two", vec![])];
            let mut text = String::new();
            section(&mut text, &table);
            let widths: Vec<usize> =
                text.lines().filter(|l| l.starts_with('|')).map(|l| l.matches('|').count()).collect();
            assert_eq!(widths.len(), 4);
            assert!(widths.iter().all(|w| *w == widths[0]), "{text}");
            assert!(text.contains("two failed: x y"));
        }
    }
}
