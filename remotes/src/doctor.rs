//! Tries out what a store can do, on an object of its own that is removed again.
//!
//! Unlike the proof at initremote it creates no bucket, claims nothing and goes on after a failure, so that one look shows all.

pub mod line;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::conformance::pattern;
use crate::fold::Folding;
use crate::pump::{FileSource, Meter};
use crate::retrieve;
use crate::{Context, Error, Kind, ObjectName, Op, Range, Result, Store, Write};

pub use crate::finding::{Finding, Verdict};

/// Bytes of the object that is stored: enough to see a rate, little enough for a slow line.
const SIZE: usize = 1 << 20;

/// Tries the place out. `token` makes the name of the trial object unlike any other.
pub async fn examine(store: &Rc<dyn Store>, token: &str, context: &Context) -> Vec<Finding> {
    let Ok(object) = ObjectName::new(format!("doctor-{token}")) else { return Vec::new() };
    let trial = Trial { store, object, content: pattern(1, SIZE), context };
    let mut findings = ways(&**store, context);
    let started = Instant::now();
    let absent = trial.absent().await;
    let reachable = absent.is_ok();
    findings.push(Finding::of("absent objects are absent", started, absent, Verdict::Failed));
    if !reachable {
        return findings;
    }
    if store.capabilities().write == Write::ReadOnly {
        let detail = "this kind of remote can only be read".to_string();
        findings.push(Finding { what: "store an object", verdict: Verdict::No, detail, milliseconds: 0 });
        return findings;
    }
    let started = Instant::now();
    let stored = trial.store().await;
    let there = stored.is_ok();
    findings.push(Finding::of("store an object", started, stored, Verdict::Failed));
    if there {
        let started = Instant::now();
        findings.push(Finding::of("read it back", started, trial.read().await, Verdict::Failed));
        let started = Instant::now();
        findings.push(Finding::of("read a range (resume)", started, trial.range().await, Verdict::No));
    }
    findings.extend(store.probe(&trial.object).await);
    findings.extend(trial.folding().await);
    let started = Instant::now();
    findings.push(Finding::of("remove it", started, trial.remove().await, Verdict::Failed));
    findings
}

/// What the site puts between here and there: its proxy, and the certificates that it trusts.
fn ways(store: &dyn Store, context: &Context) -> Vec<Finding> {
    let Some((whom, url)) = store.reached() else { return Vec::new() };
    let Ok(parsed) = url.parse::<http::Uri>() else { return Vec::new() };
    let tls = parsed.scheme_str() == Some("https");
    let host = parsed.host().unwrap_or_default();
    let port = parsed.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let finding = |what, verdict, detail| Finding { what, verdict, detail, milliseconds: 0 };
    let mut findings = vec![match context.site.proxies().to(tls, host, port) {
        Ok(Some(proxy)) => finding(PROXY, Verdict::Yes, proxy.to_string()),
        Ok(None) => finding(PROXY, Verdict::No, format!("{host} is reached directly")),
        Err(why) => finding(PROXY, Verdict::Failed, why),
    }];
    if tls {
        findings.push(finding("trust certificates", Verdict::Yes, context.site.trusts(whom, &url)));
    }
    findings
}

/// The question whether requests go by a proxy.
const PROXY: &str = "go by a proxy";

struct Trial<'a> {
    store: &'a Rc<dyn Store>,
    object: ObjectName,
    content: bytes::Bytes,
    context: &'a Context,
}

impl Trial<'_> {
    async fn absent(&self) -> Result<String> {
        match self.store.stat(&self.object).await? {
            None => Ok(String::new()),
            Some(_) => {
                Err(self.error(Op::Stat, Kind::Protocol, "the store claims to have an object that nobody stored"))
            }
        }
    }

    async fn store(&self) -> Result<String> {
        let started = Instant::now();
        let file = memory_file(&self.content).map_err(|e| Error::io(Op::Put, "a file for the trial", e))?;
        let from = FileSource { file, at: 0, len: self.content.len() as u64 };
        let mut put = self.store.put(&self.object, from.len).await?;
        let lane = put.lane();
        if let Err(e) = put.fill(&from, &Meter::new()).await {
            // The failure is the finding; what cannot be cleaned up after it is invisible.
            let _ = put.abort().await;
            return Err(e);
        }
        put.commit().await?;
        Ok(format!("{}, {lane}", rate(self.content.len(), started.elapsed())))
    }

    async fn read(&self) -> Result<String> {
        let started = Instant::now();
        let sink = memory_file(b"").map_err(|e| Error::io(Op::Get, "a file for the trial", e))?;
        let done = retrieve::into_file(self.store, &self.object, &sink, 0, &Meter::new(), self.context).await?;
        let mut got = vec![0; usize::try_from(done.total).unwrap_or(0)];
        std::os::unix::fs::FileExt::read_exact_at(&*sink, &mut got, 0)
            .map_err(|e| Error::io(Op::Get, "what was read", e))?;
        if got != self.content {
            return Err(self.error(Op::Get, Kind::Corrupt, "the content that comes back is not what was stored"));
        }
        Ok(format!("{}, {}", rate(got.len(), started.elapsed()), done.lane))
    }

    async fn range(&self) -> Result<String> {
        if !self.store.capabilities().ranges {
            return Err(self.error(Op::Get, Kind::Unsupported, "an interrupted retrieve starts over"));
        }
        let get = self.store.get(&self.object, Range { from: 1000, len: Some(10), tag: None }).await?;
        let got = crate::retrieve::collect(get, 10, self.context).await?;
        if got == self.content[1000..1010] {
            Ok("an interrupted retrieve resumes".into())
        } else {
            Err(self.error(Op::Get, Kind::Corrupt, "the wrong bytes come back"))
        }
    }

    async fn folding(&self) -> [Finding; 3] {
        let started = Instant::now();
        let asked = self.store.folding().await;
        let told = |folds: fn(Folding) -> bool, names: &str| match &asked {
            Ok(folding) if folds(*folding) => {
                let what = format!("{names} are one name here: of a tree that has both, neither is exported");
                Err(self.error(Op::Stat, Kind::Unsupported, &what))
            }
            Ok(_) => Ok(String::new()),
            Err(e) => Err(self.error(Op::Stat, e.kind(), e.detail())),
        };
        [
            Finding::of("tell case apart", started, told(|f| f.case, "a and A"), Verdict::No),
            Finding::of(
                "tell forms of Unicode apart",
                started,
                told(|f| f.unicode, "\u{e9} in NFC and NFD"),
                Verdict::No,
            ),
            Finding::of("tell dots at the end apart", started, told(|f| f.endings, "a and a."), Verdict::No),
        ]
    }

    async fn remove(&self) -> Result<String> {
        self.store.remove(&self.object).await?;
        match self.store.stat(&self.object).await? {
            None => Ok(String::new()),
            Some(_) => Err(self.error(Op::Remove, Kind::Protocol, "it is still there")),
        }
    }

    fn error(&self, op: Op, kind: Kind, detail: &str) -> Error {
        Error::new(op, kind, detail).object(&self.object).on(self.store.label())
    }
}

/// A file that is in no directory and on no disk.
fn memory_file(content: &[u8]) -> std::io::Result<Arc<std::fs::File>> {
    let fd = rustix::fs::memfd_create("doctor", rustix::fs::MemfdFlags::CLOEXEC)?;
    let file = std::fs::File::from(fd);
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0)?;
    Ok(Arc::new(file))
}

fn rate(bytes: usize, time: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / time.as_secs_f64().max(1e-6) / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Mem;
    use crate::wrap::{Fault, Faults};

    fn findings(faults: &[Fault]) -> Vec<Finding> {
        let context = Context::default();
        crate::sys::run(false, async {
            let store = Faults::new(Rc::new(Mem::new(1, &context)), faults.iter().copied());
            examine(&(Rc::new(store) as Rc<dyn Store>), "t", &context).await
        })
        .expect("a runtime")
    }

    #[test]
    fn a_good_place_passes() {
        let all = findings(&[]);
        assert!(all.iter().all(|f| f.verdict == Verdict::Yes), "{all:?}");
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn what_a_place_folds_is_told_and_no_failure() {
        let context = Context::default();
        let folding = Folding { unicode: false, ..Folding::ALL };
        let all = crate::sys::run(false, async {
            let store = crate::wrap::Folds::new(Rc::new(Mem::new(1, &context)), folding, false);
            examine(&(Rc::new(store) as Rc<dyn Store>), "t", &context).await
        });
        let all = all.expect("a runtime");
        let no: Vec<_> = all.iter().filter(|f| f.verdict == Verdict::No).map(|f| f.what).collect();
        assert_eq!(no, ["tell case apart", "tell dots at the end apart"]);
        assert!(all.iter().all(|f| f.verdict != Verdict::Failed), "{all:?}");
        assert!(all.iter().any(|f| f.detail.contains("a and A are one name here")), "{all:?}");
    }

    #[test]
    fn failures_are_told_and_the_rest_is_still_tried() {
        let all = findings(&[Fault { op: Op::Stat, after: 0, kind: Kind::Denied }]);
        assert_eq!(all.len(), 1, "what cannot be reached is not tried further");
        let all = findings(&[Fault { op: Op::Put, after: 10, kind: Kind::DiskFull }]);
        let failed: Vec<_> = all.iter().filter(|f| f.verdict == Verdict::Failed).map(|f| f.what).collect();
        assert_eq!(failed, ["store an object"]);
        assert!(all.iter().any(|f| f.what == "remove it"));
    }
}
