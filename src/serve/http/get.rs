//! GET and HEAD of the content of a key.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::connection::{Asked, Connection};
use crate::gateway::{Outgoing, Served};
use crate::name::Key;
use crate::proto::http::head::Method;
use crate::proto::http::range::{self, Choice};
use crate::proto::http::response::Response;
use crate::proto::http::route::Api;

impl Connection {
    pub(super) async fn get(
        &mut self,
        mut asked: Asked,
        served: &Arc<Served>,
        key: &Key,
        offset: u64,
    ) -> io::Result<bool> {
        let unversioned = asked.api == Api::Unversioned;
        let found = match served.get(key).await {
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
        let total = content.len();
        let choice = if unversioned { range::choose(asked.range.as_deref(), total) } else { Choice::Whole };
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
        if self.link.by_kernel() { &metrics.by_kernel } else { &metrics.by_memory }.add(1);
        let sent = self.send(&content, first, length).await;
        self.shared.metrics.downloads.sub(1);
        let mut line = self.shared.log.line("get").bytes("key", key.as_bytes());
        line = line.with("bytes", length).with("from", first).seconds("seconds", started.elapsed());
        line = line.with("lane", if self.link.by_kernel() { "sendfile" } else { "tls" });
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

    /// Sends a part of the content. Errors also where it is no longer the content; then some of it was not sent, so that the
    /// client notices.
    async fn send(&mut self, content: &Outgoing, first: u64, length: u64) -> io::Result<()> {
        let (budget, idle) = (&self.shared.budget, self.shared.idle);
        if content.is_stable() || length == 0 {
            return self.link.send(&content.part(first, length), budget, idle).await;
        }
        self.link.send(&content.part(first, length - 1), budget, idle).await?;
        if !content.is_unchanged() {
            return Err(io::Error::other("the content changed while it was sent"));
        }
        let last = content.part(first + length - 1, 1);
        self.link.send(&last, budget, idle).await
    }
}
