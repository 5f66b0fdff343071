//! Sending content to a client.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use remotes::Get;
use remotes::pump::{FileSource, Source};

use super::far::Far;
use super::pace::Pace;
use crate::annex::content::OpenContent;
use crate::peer::{PeerEnd, PeerGet};

/// Content that was found and opened.
pub struct Outgoing {
    total: u64,
    /// Where the source begins.
    from: u64,
    source: Source,
    proof: Proof,
    pace: Option<Arc<Pace>>,
    at_end: AtEnd,
    more: Option<Box<dyn More>>,
    far: Option<Far>,
}

/// Where content may be had from once its source broke off.
#[async_trait(?Send)]
pub(super) trait More {
    /// The content from byte `at` on, where the source before it `broke`; `None` where nobody gives it.
    async fn next(self: Box<Self>, at: u64, broke: &io::Error) -> Option<Outgoing>;
}

/// Content to be sent.
pub struct Part {
    /// Where it comes from.
    pub source: Source,
    /// Where in the whole it begins, in bytes.
    pub first: u64,
    /// How much it is, in bytes.
    pub len: u64,
    /// How to prove it after the last byte.
    pub sent: Sent,
    /// How else it may be had, where it may be.
    pub far: Option<Far>,
}

/// What is done once it was sent: told whether all of it was.
#[derive(Default)]
struct AtEnd(Option<Box<dyn FnOnce(bool)>>);

/// How to find out whether what was sent was the content.
enum Proof {
    /// By another look at the file.
    File(OpenContent),
    /// None is needed: a store gives what it was given, or breaks off.
    Given,
    /// By what the repository says that it came from.
    Peer(PeerEnd),
    /// There is none any more.
    Lost,
}

impl Outgoing {
    pub(super) fn from_file(content: OpenContent) -> io::Result<Self> {
        let file = Arc::new(content.file.try_clone()?);
        let total = content.len;
        let source = Source::File(FileSource { file, at: 0, len: total });
        Ok(Self {
            total,
            from: 0,
            source,
            proof: Proof::File(content),
            pace: None,
            at_end: AtEnd::default(),
            more: None,
            far: None,
        })
    }

    pub(super) fn from_store(get: Get, from: u64) -> Self {
        let (total, source) = (get.total, get.source);
        Self {
            total,
            from: from.min(total),
            source,
            proof: Proof::Given,
            pace: None,
            at_end: AtEnd::default(),
            more: None,
            far: None,
        }
    }

    pub(super) fn from_peer(get: PeerGet, from: u64) -> Self {
        let (total, source, proof) = (from.saturating_add(get.len), get.source, Proof::Peer(get.end));
        Self { total, from, source, proof, pace: None, at_end: AtEnd::default(), more: None, far: None }
    }

    /// The same, at this pace.
    pub(super) fn at(self, pace: Option<&Arc<Pace>>) -> Self {
        Self { pace: pace.cloned(), ..self }
    }

    /// The same, where `at_end` is told whether all of it was sent.
    pub(super) fn at_end(self, at_end: impl FnOnce(bool) + 'static) -> Self {
        Self { at_end: AtEnd(Some(Box::new(at_end))), ..self }
    }

    /// The same, where `more` gives the rest should its source break off.
    pub(super) fn followed_by(self, more: Box<dyn More>) -> Self {
        Self { more: Some(more), ..self }
    }

    /// The same, which may be had by other connections too.
    pub(super) fn or_from(self, far: Option<Far>) -> Self {
        Self { far, ..self }
    }

    /// How fast it may be sent, where that is limited.
    pub fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.clone()
    }

    /// Length of all of it in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Nobody can change it while it is sent, as far as can be known, wherever it comes from.
    pub fn is_stable(&self) -> bool {
        match &self.proof {
            _ if self.more.is_some() => false,
            Proof::File(content) => content.stable,
            Proof::Given => true,
            Proof::Peer(end) => end.is_certain(),
            Proof::Lost => false,
        }
    }

    /// Whether any part of it can be sent, whatever was asked for when it was opened.
    pub fn is_here(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// The `len` bytes from byte `first` on, as far as there are any. `first` is what it was opened with, unless it lies on this
    /// computer.
    pub fn part(self, first: u64, len: u64) -> Part {
        let first = first.clamp(self.from, self.total.max(self.from));
        let len = len.min(self.total.saturating_sub(first));
        let source = match self.source {
            Source::File(file) => Source::File(file.part(first - self.from, len)),
            other => other,
        };
        let sent = Sent { proof: self.proof, at_end: self.at_end, more: self.more };
        Part { source, first, len, sent, far: self.far }
    }
}

/// What was sent, to be proven.
pub struct Sent {
    proof: Proof,
    at_end: AtEnd,
    more: Option<Box<dyn More>>,
}

impl Sent {
    /// Whether it was the content. Asked after the last byte.
    pub async fn is_content(self) -> bool {
        let is_content = match self.proof {
            // What cannot be told is worth nothing to the client.
            Proof::File(content) => content.unchanged().unwrap_or(false),
            Proof::Given => true,
            Proof::Peer(end) => end.finish().await,
            Proof::Lost => false,
        };
        self.at_end.tell(is_content);
        is_content
    }

    /// Whether the rest may come from elsewhere, should the source break off.
    pub fn has_more(&self) -> bool {
        self.more.is_some()
    }

    /// The source broke off at byte `at`, and `len` bytes are to come: where they come from instead, and how fast. `None` where
    /// nobody gives them, or where it cannot be told whether what came before was the content.
    pub async fn next(
        &mut self,
        at: u64,
        len: u64,
        broke: &io::Error,
    ) -> Option<(Source, Option<Arc<Pace>>, Option<Far>)> {
        let more = self.more.take()?;
        let is_content = match std::mem::replace(&mut self.proof, Proof::Lost) {
            Proof::File(content) => content.unchanged().unwrap_or(false),
            Proof::Given => true,
            Proof::Peer(end) => end.is_certain(),
            Proof::Lost => false,
        };
        if !is_content {
            return None;
        }
        std::mem::take(&mut self.at_end).tell(false);
        let next = more.next(at, broke).await?;
        let pace = next.pace();
        let part = next.part(at, len);
        if (part.first, part.len) != (at, len) {
            return None;
        }
        *self = part.sent;
        Some((part.source, pace, part.far))
    }
}

impl AtEnd {
    fn tell(mut self, all: bool) {
        if let Some(at_end) = self.0.take() {
            at_end(all);
        }
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(at_end) = self.0.take() {
            at_end(false);
        }
    }
}
