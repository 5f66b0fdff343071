//! Figures of git-annex-remote-stream beside its rivals, all measured in one run on one machine.

mod annex;
mod cli;
mod curl;
mod driver;
mod goals;
mod groups;
mod lab;
mod machine;
mod proc;
mod program;
mod report;
mod rows;
mod servers;
mod stats;
mod usage;

use clap::Parser;
use cli::{Args, Group};
use groups::{annex as through_annex, lanes, memory, protocol, small, start};
use lab::Lab;
use report::Report;
use rows::Table;
use servers::Kind;
use std::io;
use std::process::ExitCode;

type Block = fn(&Lab) -> io::Result<Vec<Table>>;

const BLOCKS: &[(Group, &str, Block)] = &[
    (Group::Start, "start", start::cold),
    (Group::Lanes, "lanes", lanes::all),
    (Group::Protocol, "protocol fs", protocol::fs),
    (Group::Protocol, "protocol seaweedfs", |lab| protocol::s3(lab, Kind::SeaweedFs)),
    (Group::Protocol, "protocol rclone serve s3", |lab| protocol::s3(lab, Kind::RcloneServe)),
    (Group::Annex, "annex", through_annex::large),
    (Group::Small, "small", small::many),
    (Group::Memory, "memory", memory::peaks),
];

fn main() -> ExitCode {
    match bench(Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("bench: {failed} rows could not be measured");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; the number of rows that could not be measured.
fn bench(args: Args) -> io::Result<usize> {
    let lab = Lab::new(args)?;
    let mut report = Report {
        date: machine::date(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        runs: lab.args.runs(),
        machine: machine::describe(&lab),
        verdicts: Vec::new(),
        tables: Vec::new(),
    };
    let out = std::path::absolute(lab.args.out())?;
    let mut failed = 0;
    for (group, name, block) in BLOCKS {
        if !lab.args.wants(*group) {
            continue;
        }
        match block(&lab) {
            Ok(tables) => {
                failed += tables.iter().flat_map(|t| &t.rows).filter(|r| r.error.is_some()).count();
                report.tables.extend(tables);
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                failed += 1;
            }
        }
        // After every block, so that a long run that is cut short leaves what it had.
        report.verdicts = goals::hold(&report.tables, lab.args.judged());
        report.write(&out)?;
    }
    println!("{}", report.markdown());
    eprintln!("written: {}", out.join("results.md").display());
    Ok(failed)
}
