//! `doctor`: tries a place out on an object of its own and says what it can do.

use std::collections::BTreeMap;
use std::process::ExitCode;

use remotes::doctor::{Finding, Verdict, examine};
use remotes::options::bad;
use remotes::{Context, Error, Op, Result, registry, sys};
use serde::Serialize;

use super::meter::Meter;
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
}

/// Tries the place that `options` describe. Fails where a remote could not use it.
pub(super) fn main(options: &[String], json: bool) -> ExitCode {
    let report = settle(options)
        .and_then(|ready| sys::run(true, tried(&ready)).unwrap_or_else(|e| Err(Error::io(Op::Open, "starting", e))));
    let report = report.unwrap_or_else(|e| Report { store: None, error: Some(e.to_string()), findings: Vec::new() });
    if json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is strings and numbers"));
    } else {
        print(&report);
    }
    let usable = report.error.is_none() && report.findings.iter().all(|f| f.verdict != Verdict::Failed);
    if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn tried(ready: &Ready) -> Result<Report> {
    let site = crate::resolve::site::of(std::path::Path::new("."));
    let context = Context { site, ..Context::default() };
    let store = registry::open(ready.scheme.name, &ready.options, &context)?;
    let meter = Meter::new();
    let findings = examine(&store, &unique(), &context, &|what| meter.step(|| format!("{what} ..."))).await;
    Ok(Report { store: Some(store.label().to_string()), error: None, findings })
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
