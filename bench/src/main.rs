//! Figures of git-annex-remote-stream beside its rivals, all measured in one run on one machine.

mod annex;
mod chance;
mod cli;
mod clients;
mod clustered;
mod curl;
mod driver;
mod gateway;
mod goals;
mod groups;
mod http;
mod lab;
mod line;
mod load;
mod machine;
mod multipart;
mod nginx;
mod null;
mod presign;
mod proc;
mod program;
mod proxied;
mod relay;
mod report;
mod rows;
mod servers;
mod session;
mod stats;
mod transfers;
mod usage;
mod wrk;

use clap::Parser;
use cli::{Args, Group};
use groups::{
    annex as through_annex, balance, cluster, far, far_crowd, far_remote, far_small, git, lanes, memory, protocol,
    proxy_check, proxy_get, proxy_memory, proxy_null, proxy_put, proxy_tls, serve_check, serve_get, serve_put,
    serve_record, serve_stdio, sim, sizes, small, start, trees, wanted,
};
use lab::Lab;
use report::Report;
use rows::{Row, Table};
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
    (Group::Trees, "trees", trees::exports),
    (Group::Memory, "memory", memory::peaks),
    (Group::ServeGet, "serve-get http", serve_get::http),
    (Group::ServeGet, "serve-get stdio", serve_stdio::stdio),
    (Group::ServePut, "serve-put", serve_put::http),
    (Group::ServeCheck, "serve-check", serve_check::one_core),
    (Group::ServeCheck, "serve-check branch", serve_check::branch),
    (Group::ServeCheck, "serve-check users", serve_check::users),
    (Group::ServeRecord, "serve-record", serve_record::puts),
    (Group::Sizes, "sizes", sizes::count),
    (Group::ProxyGet, "proxy-get", proxy_get::s3),
    (Group::ProxyPut, "proxy-put", proxy_put::s3),
    (Group::ProxyTls, "proxy-tls", proxy_tls::s3),
    (Group::ProxyNull, "proxy-null", proxy_null::cost),
    (Group::ProxyMemory, "proxy-memory", proxy_memory::many),
    (Group::ProxyMemory, "proxy-memory vanishing", proxy_memory::vanishing),
    (Group::ProxyCheck, "proxy-check", proxy_check::s3),
    (Group::Cluster, "cluster fan", cluster::fan::costless),
    (Group::Cluster, "cluster limited", cluster::fan::limited),
    (Group::Cluster, "cluster stores", cluster::stores::all),
    (Group::Cluster, "cluster stalled", cluster::faults::stalled),
    (Group::Cluster, "cluster killed put", cluster::faults::killed_put),
    (Group::Cluster, "cluster get", cluster::get::all),
    (Group::Cluster, "cluster many", cluster::many::within_limits),
    (Group::Far, "far", far::far),
    (Group::FarCrowd, "far-crowd", far_crowd::get),
    (Group::FarSmall, "far-small", far_small::all),
    (Group::FarSmall, "far-small TLS", far_small::secure),
    (Group::FarRemote, "far-remote jobs", far_remote::jobs),
    (Group::FarRemote, "far-remote export", far_remote::export),
    (Group::Git, "git", git::http),
    (Group::Wanted, "wanted", wanted::decisions),
    (Group::Balance, "balance", balance::plan),
    (Group::Sim, "sim", sim::all),
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

/// Whether a row failed. That a rival is not installed is said in the tables, and is no failure where nothing is judged.
fn counts(row: &Row, quick: bool) -> bool {
    row.error.as_ref().is_some_and(|error| !(quick && error.starts_with(lab::MISSING)))
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
                failed += tables.iter().flat_map(|t| &t.rows).filter(|r| counts(r, lab.args.quick)).count();
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
