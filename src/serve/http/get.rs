//! GET and HEAD of the content of a key.

use std::io;
use std::time::Instant;

use super::call::Asked;
use super::connection::Connection;
use remotes::pump::lane::Broken;

use crate::gateway::Node;
use crate::name::Key;
use crate::proto::http::head::Method;
use crate::proto::http::range::{self, Choice};
use crate::proto::http::response::Response;
use crate::proto::http::route::Api;
use crate::proto::p2p::AssociatedFile;
use crate::serve::conn::flow::Flow;

impl Connection {
    pub(super) async fn get(
        &mut self,
        mut asked: Asked,
        node: &dyn Node,
        key: &Key,
        file: Option<Vec<u8>>,
        offset: u64,
    ) -> io::Result<bool> {
        let unversioned = asked.api == Api::Unversioned;
        if let (Method::Head, false, Some(size)) = (asked.method, node.is_here(), key.size()) {
            // What is elsewhere is not opened only to be told about.
            return match node.check(key).await {
                Ok(true) => {
                    let response = Response { ranges: unversioned, ..Response::content(size - offset.min(size)) };
                    self.answer(asked, response, b"").await
                }
                Ok(false) if unversioned => self.answer(asked, Response::of(404), b"").await,
                Ok(false) => self.answer(asked, Response::content(0), b"").await,
                Err(failure) => self.fail(asked, &failure).await,
            };
        }
        let file = file.and_then(|name| AssociatedFile::new(&name)).unwrap_or_default();
        // What part is wanted is known before the content is opened where the key tells its length.
        let expected = key.size().filter(|_| unversioned).map(|size| range::choose(asked.range.as_deref(), size));
        let (from, wanted) = match expected {
            Some(Choice::Part { first, length }) => (first, Some(length)),
            _ => (offset, None),
        };
        let found = match node.get(key, &file, from, wanted).await {
            Ok(found) => found,
            Err(failure) => return self.fail(asked, &failure).await,
        };
        let Some(content) = found else {
            // git-annex looks before it asks, and other clients should be told.
            let response = if unversioned { Response::of(404) } else { Response::content(0) };
            return self.answer(asked, response, b"").await;
        };
        if !self.skip(&mut asked.body).await? {
            asked.keep = false;
        }
        let total = content.total();
        // Of what is elsewhere only the part that it was opened for can be had; the whole is always right.
        let parts = unversioned && (expected.is_some() || content.is_here());
        let choice = if parts { range::choose(asked.range.as_deref(), total) } else { Choice::Whole };
        let (first, length) = match choice {
            Choice::Whole => (offset.min(total), total - offset.min(total)),
            Choice::Part { first, length } => (first, length),
            Choice::Unsatisfied => {
                let response = Response { part: choice.part(total), ranges: true, ..Response::of(416) };
                return self.answer(asked, response, b"").await;
            }
        };
        let status = if matches!(choice, Choice::Part { .. }) { 206 } else { 200 };
        let response = Response { status, part: choice.part(total), ranges: unversioned, ..Response::content(length) };
        self.begin(&asked, response).await?;
        if asked.method == Method::Head {
            return Ok(asked.keep);
        }
        let started = Instant::now();
        let metrics = &self.shared.metrics;
        metrics.downloads.add(1);
        let stable = content.is_stable();
        let pace = content.pace();
        let part = content.part(first, length);
        let length = part.len;
        let share = self.shared.outgoing.of(self.who(&asked));
        let listed = self.list("get", &asked, Some(key.as_bytes()), Some(length));
        let flow = Flow::new(part, self.shared.limits.idle).at(pace).sharing(share).counted(&listed.meter);
        let lane = flow.lane(&self.link);
        crate::request::by(&lane);
        if flow.by_kernel(&self.link) { &metrics.by_kernel } else { &metrics.by_memory }.add(1);
        let sent = self.send(flow, length, stable).await;
        self.shared.metrics.downloads.sub(1);
        let mut line = self.shared.log.line("get").bytes("key", key.as_bytes());
        line = line.with("bytes", length).with("from", first).seconds("seconds", started.elapsed());
        line = line.with("lane", lane);
        if let Some(client) = &asked.client {
            line = line.bytes("client", client.as_bytes());
        }
        if let Some(user) = &asked.user {
            line = line.bytes("user", user);
        }
        match &sent {
            Ok(()) => {
                self.shared.metrics.sent.add(length);
                line.info();
            }
            Err(e) => line.with("error", e.to_string()).warn(),
        }
        sent.map(|()| asked.keep)
    }

    /// Sends content. Errors also where it was not the content; then some of it was not sent, so that the client notices.
    async fn send(&mut self, mut flow: Flow, length: u64, stable: bool) -> io::Result<()> {
        let (budget, idle) = (self.shared.limits.budget.clone(), self.shared.limits.idle);
        let held = if stable { 0 } else { length.min(1) };
        self.link.pass(&mut flow, length - held, &budget, idle).await.map_err(broken)?;
        let last = flow.hold(held).await.map_err(broken)?;
        if !flow.finish().is_content().await {
            return Err(io::Error::other("the content changed while it was sent"));
        }
        self.link.write(&last, idle).await
    }
}

/// Tells the two ends apart in the log.
fn broken(error: Broken) -> io::Error {
    match error {
        Broken::Source(e) => io::Error::new(e.kind(), format!("the store broke off: {e}")),
        Broken::Sink(e) => e,
    }
}
