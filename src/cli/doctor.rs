//! `doctor`: tries a place out as initremote and a few transfers would, and says how each step went.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use remotes::options::{Options, bad};
use remotes::registry::{self, Layout};
use remotes::{Context, Error, Kind, ObjectName, Op, Range, Result, Store, pump, sys};
use serde::Serialize;

use crate::annex::layout;
use crate::proto::special::{Answer, Query, Secret};
use crate::serve::special::setup::{Purpose, Ready, Setup, Step};

/// Bytes stored for the try.
const LEN: usize = 1 << 20;

/// What was found out.
#[derive(Serialize)]
struct Report {
    store: String,
    checks: Vec<Check>,
}

/// One step and how it went.
#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
    ms: u128,
}

/// Tries the place that `options` describe. Fails where a step does.
pub(super) fn main(options: &[String], json: bool) -> ExitCode {
    let report = match settle(options) {
        Ok(ready) => sys::run(true, examine(&ready)).unwrap_or_else(|e| Report {
            store: String::new(),
            checks: vec![Check::failed("options", Error::io(Op::Open, "", e))],
        }),
        Err(error) => Report { store: String::new(), checks: vec![Check::failed("options", error)] },
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is strings and numbers"));
    } else {
        print(&report);
    }
    if report.checks.iter().all(|check| check.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(report: &Report) {
    if !report.store.is_empty() {
        println!("{}", report.store);
    }
    for Check { name, ok, detail, ms } in &report.checks {
        println!("{name:<10} {:<6} {ms:>6} ms  {detail}", if *ok { "ok" } else { "FAILED" });
    }
}

impl Check {
    fn failed(name: &'static str, error: Error) -> Self {
        Self { name, ok: false, detail: error.to_string(), ms: 0 }
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
    let mut setup = Setup::new(Purpose::Init, crate::serve::special::environment);
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
    Ok(apart(ready))
}

/// The same place, below a prefix of our own where the place is marked as the remote's whose it is.
fn apart(mut ready: Ready) -> Ready {
    if ready.scheme.name == "s3" {
        let mut prefix = ready.options.bytes("fileprefix").unwrap_or_default().to_vec();
        prefix.extend_from_slice(format!("{}/", unique()).as_bytes());
        ready.options.set("fileprefix", prefix);
    }
    ready
}

fn unique() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("stream-doctor-{}-{}", std::process::id(), now.as_nanos())
}

async fn examine(ready: &Ready) -> Report {
    let context = Context::default();
    let store = match open(&ready.options, ready.scheme.name, &context) {
        Ok(store) => store,
        Err(error) => return Report { store: String::new(), checks: vec![Check::failed("options", error)] },
    };
    let mut patient = Patient { store, context, checks: Vec::new() };
    let key = format!("WORM-s{LEN}--{}", unique());
    patient.steps(ready, key.as_bytes()).await;
    Report { store: patient.store.label().to_string(), checks: patient.checks }
}

fn open(options: &Options, scheme: &str, context: &Context) -> Result<Rc<dyn Store>> {
    registry::open(scheme, options, context)
}

struct Patient {
    store: Rc<dyn Store>,
    context: Context,
    checks: Vec<Check>,
}

impl Patient {
    async fn steps(&mut self, ready: &Ready, key: &[u8]) {
        let store = Rc::clone(&self.store);
        let context = self.context.clone();
        let name = match ready.scheme.layout {
            Layout::Tree => layout::tree(key),
            Layout::Flat => layout::flat(key),
        };
        let Ok(object) = ObjectName::new(name) else { return };
        let owner = ready.owner.clone().unwrap_or_default();
        if !self.step("place", async { store.prove(&owner).await.map(|()| "found or made".into()) }).await {
            return;
        }
        let absent = async {
            match store.stat(&object).await? {
                None => Ok("what was not stored is not there".into()),
                Some(_) => Err(wrong(Op::Stat, "an object that nobody stored is there")),
            }
        };
        self.step("absent", absent).await;
        if self.step("put", put(&*store, &object)).await {
            let stat = async {
                match store.stat(&object).await? {
                    Some(stat) if stat.len == LEN as u64 => Ok(format!("{LEN} bytes are there")),
                    found => Err(wrong(Op::Stat, &format!("{found:?} where {LEN} bytes were stored"))),
                }
            };
            self.step("stat", stat).await;
            self.step("get", read(&*store, &object, Range::default(), content(), &context)).await;
            let range = Range { from: 1000, len: Some(100_000), tag: None };
            if store.capabilities().ranges {
                self.step("range", read(&*store, &object, range, content().slice(1000..101_000), &context)).await;
            }
        }
        let removed = async {
            store.remove(&object).await?;
            match store.stat(&object).await? {
                None => Ok("gone, and absent afterwards".into()),
                Some(_) => Err(wrong(Op::Remove, "the object is still there")),
            }
        };
        self.step("remove", removed).await;
        if ready.scheme.name == "s3" {
            // The marker below our own prefix. Where it stays, it is in nobody's way.
            if let Ok(marker) = ObjectName::new("annex-uuid") {
                let _ = store.remove(&marker).await;
            }
        }
    }

    async fn step(&mut self, name: &'static str, step: impl Future<Output = Result<String>>) -> bool {
        let started = Instant::now();
        let result = step.await;
        let ms = started.elapsed().as_millis();
        let ok = result.is_ok();
        let detail = result.unwrap_or_else(|error| error.on(self.store.label()).to_string());
        self.checks.push(Check { name, ok, detail, ms });
        ok
    }
}

fn content() -> Bytes {
    (0..LEN).map(|i| (i % 251) as u8).collect()
}

async fn put(store: &dyn Store, object: &ObjectName) -> Result<String> {
    let mut put = store.put(object, LEN as u64).await?;
    let lane = put.lane();
    if let Err(error) = put.write(content()).await {
        let _ = put.abort().await;
        return Err(error);
    }
    put.commit().await?;
    Ok(format!("{LEN} bytes, lane={lane}"))
}

async fn read(
    store: &dyn Store,
    object: &ObjectName,
    range: Range,
    expected: Bytes,
    context: &Context,
) -> Result<String> {
    let get = store.get(object, range).await?;
    let bytes = pump::collect(get, LEN as u64, context).await?;
    if bytes == expected {
        Ok(format!("{} bytes, as they were stored", bytes.len()))
    } else {
        Err(wrong(Op::Get, "what is read is not what was stored"))
    }
}

fn wrong(op: Op, what: &str) -> Error {
    Error::new(op, Kind::Protocol, what)
}
