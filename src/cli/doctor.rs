//! `doctor`: tries a place out on an object of its own and says what it can do.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use annex_types::size;
use remotes::doctor::line::{Line, measure};
use remotes::doctor::{Finding, Verdict, examine};
use remotes::options::bad;
use remotes::{Context, Error, ObjectName, Op, Result, Store, registry, sys};
use serde::Serialize;

use super::meter::Meter;
use crate::gateway::far::{Prospect, Wall};
use crate::proto::special::{Answer, Query, Secret};
use crate::resolve::setup::{Purpose, Ready, Setup, Step};

/// What was found out.
#[derive(Serialize)]
struct Report {
    /// The place, or nothing where the options make no sense.
    store: Option<String>,
    /// Why nothing could be tried.
    error: Option<String>,
    findings: Vec<Finding>,
    /// What was measured of the line, where that was asked for and could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Measured>,
}

/// A line, and what is done with it.
#[derive(Serialize)]
struct Measured {
    round_trip_milliseconds: f64,
    /// Bytes a second.
    one_connection: f64,
    four_connections: f64,
    sixteen_connections: f64,
    /// `near`, `line`, `several` or `connection`.
    limited_by: &'static str,
    /// Connections that the gateway will come to use for one transfer, and the memory for them in bytes.
    connections: usize,
    memory: u64,
}

/// How the line is to be measured.
pub(super) struct Look {
    /// The object to read; one of its own where there is none.
    pub(super) object: Option<String>,
}

/// Tries the place that `options` describe. Fails where a remote could not use it.
pub(super) fn main(options: &[String], json: bool, line: Option<Look>) -> ExitCode {
    let report = settle(options).and_then(|ready| {
        sys::run(true, tried(&ready, line)).unwrap_or_else(|e| Err(Error::io(Op::Open, "starting", e)))
    });
    let report =
        report.unwrap_or_else(|e| Report { store: None, error: Some(e.to_string()), findings: Vec::new(), line: None });
    if json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is strings and numbers"));
    } else {
        print(&report);
    }
    let usable = report.error.is_none() && report.findings.iter().all(|f| f.verdict != Verdict::Failed);
    if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn tried(ready: &Ready, line: Option<Look>) -> Result<Report> {
    let site = crate::resolve::site::of(std::path::Path::new("."));
    let context = Context { site, ..Context::default() };
    let store = registry::open(ready.scheme.name, &ready.options, &context)?;
    let meter = Meter::new();
    let mut findings = examine(&store, &unique(), &context, &|what| meter.step(|| format!("{what} ..."))).await;
    let line = match line {
        // What cannot be reached has no line.
        Some(look) if findings.iter().all(|f| f.verdict != Verdict::Failed) => {
            measured(&store, look, &context, &mut findings).await?
        }
        _ => None,
    };
    Ok(Report { store: Some(store.label().to_string()), error: None, findings, line })
}

/// Measures the line, and adds to the findings what it is like. `None` where it could not be measured, and why is among them.
async fn measured(
    store: &Rc<dyn Store>,
    look: Look,
    context: &Context,
    findings: &mut Vec<Finding>,
) -> Result<Option<Measured>> {
    let object = look.object.map(|name| ObjectName::new(name).map_err(|e| bad("--object", &e.to_string())));
    let started = Instant::now();
    let line = measure(store, &unique(), object.transpose()?, context).await;
    let (line, outcome) = match line {
        Ok(line) => (Some(line), Ok(figures(&line))),
        Err(e) => (None, Err(e)),
    };
    // A place whose line cannot be measured is as good as before.
    findings.push(Finding::of("measure the line", started, outcome, Verdict::No));
    let Some(line) = line else { return Ok(None) };
    let prospect = Prospect::of(&line);
    let (limited_by, detail) = told(&prospect);
    let verdict = if prospect.connections > 1 { Verdict::Yes } else { Verdict::No };
    findings.push(Finding { what: "use several connections", verdict, detail, milliseconds: 0 });
    Ok(Some(Measured {
        round_trip_milliseconds: line.round_trip,
        one_connection: line.one,
        four_connections: line.four,
        sixteen_connections: line.sixteen,
        limited_by,
        connections: prospect.connections,
        memory: prospect.memory,
    }))
}

fn figures(line: &Line) -> String {
    let Line { round_trip, one, four, sixteen } = line;
    let mb = |rate: &f64| rate / 1e6;
    format!(
        "{round_trip:.1} ms there and back; one connection {:.1} MB/s, four {:.1}, sixteen {:.1}",
        mb(one),
        mb(four),
        mb(sixteen)
    )
}

/// A prospect in a word and in a sentence.
fn told(prospect: &Prospect) -> (&'static str, String) {
    let Prospect { wall, connections, memory } = prospect;
    let several = format!(
        "a large transfer comes to use some {connections} connections and {} of memory; --memory should be twice that, and \
         --store-connections no less",
        size::show(*memory)
    );
    match wall {
        Wall::Near => ("near", "it is near: one connection is as fast as a transfer needs".into()),
        Wall::Line => ("line", "several bring no more than one: the line or the store is the limit".into()),
        Wall::Several => ("several", several),
        Wall::Connection => ("connection", format!("{several}; sixteen were not all yet, so more will be tried")),
    }
}

fn print(report: &Report) {
    if let Some(store) = &report.store {
        println!("{store}");
    }
    if let Some(error) = &report.error {
        println!("{error}");
    }
    let width = report.findings.iter().map(|f| f.what.len()).max().unwrap_or(0);
    for Finding { what, verdict, detail, milliseconds } in &report.findings {
        let verdict = match verdict {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Failed => "FAILED",
        };
        println!("{what:<width$}  {verdict:<6} {milliseconds:>6} ms  {detail}");
    }
}

/// The remote that the arguments describe, with credentials from the environment.
fn settle(arguments: &[String]) -> Result<Ready> {
    let known = registry::all_options();
    let mut given = BTreeMap::new();
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| bad(argument, "has no value"))?;
        if name != "scheme" && !known.contains_key(name) {
            return Err(bad(name, "is not known"));
        }
        given.insert(name, value);
    }
    let mut setup = Setup::new(Purpose::Init, crate::resolve::environment);
    let mut answer = None;
    let ready = loop {
        match setup.next(answer.take()) {
            Step::Ask(Query::GetConfig(name)) => {
                let name = String::from_utf8_lossy(&name);
                answer = Some(Answer::Value(given.get(&*name).copied().unwrap_or_default().into()));
            }
            Step::Ask(Query::GetCreds(_)) => {
                answer = Some(Answer::Creds { user: Vec::new(), password: Secret::new("") });
            }
            Step::Ask(_) => answer = Some(Answer::Value(unique().into_bytes())),
            Step::Tell(_) => {}
            Step::Failed(error) => return Err(error),
            Step::Done(ready) => break ready,
        }
    };
    if ready.scheme.name == "s3" && !given.contains_key("bucket") {
        return Err(bad("bucket", "is missing"));
    }
    Ok(ready)
}

fn unique() -> String {
    format!("{:016x}{:016x}", sys::chance(), sys::chance())
}
