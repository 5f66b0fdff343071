//! Content on its way to a client.

use std::io;
use std::sync::Arc;

use remotes::Get;
use remotes::pump::{FileSource, Source};

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
}

/// How to find out whether what was sent was the content.
enum Proof {
    /// By another look at the file.
    File(OpenContent),
    /// None is needed: a store gives what it was given, or breaks off.
    Given,
    /// By what the repository says that it came from.
    Peer(PeerEnd),
}

impl Outgoing {
    pub(super) fn from_file(content: OpenContent) -> io::Result<Self> {
        let file = Arc::new(content.file.try_clone()?);
        let total = content.len;
        let source = Source::File(FileSource { file, at: 0, len: total });
        Ok(Self { total, from: 0, source, proof: Proof::File(content), pace: None })
    }

    pub(super) fn from_store(get: Get, from: u64) -> Self {
        Self { total: get.total, from: from.min(get.total), source: get.source, proof: Proof::Given, pace: None }
    }

    pub(super) fn from_peer(get: PeerGet, from: u64) -> Self {
        Self { total: from.saturating_add(get.len), from, source: get.source, proof: Proof::Peer(get.end), pace: None }
    }

    /// The same, at this pace.
    pub(super) fn at(self, pace: Option<&Arc<Pace>>) -> Self {
        Self { pace: pace.cloned(), ..self }
    }

    /// How fast it may be sent, where that is limited.
    pub fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.clone()
    }

    /// Length of all of it in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Nobody can change it while it is sent, as far as can be known.
    pub fn is_stable(&self) -> bool {
        match &self.proof {
            Proof::File(content) => content.stable,
            Proof::Given => true,
            Proof::Peer(end) => end.is_certain(),
        }
    }

    /// Whether any part of it can be sent, whatever was asked for when it was opened.
    pub fn is_here(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Where `len` bytes from byte `first` come from, as far as there are any, and how to prove them after the last one.
    /// `first` is what it was opened with, unless it lies on this computer.
    pub fn part(self, first: u64, len: u64) -> (Source, u64, Sent) {
        let first = first.clamp(self.from, self.total.max(self.from));
        let len = len.min(self.total.saturating_sub(first));
        let source = match self.source {
            Source::File(file) => Source::File(file.part(first - self.from, len)),
            other => other,
        };
        (source, len, Sent(self.proof))
    }
}

/// What was sent, to be proven.
pub struct Sent(Proof);

impl Sent {
    /// Whether it was the content. Asked after the last byte.
    pub async fn is_content(self) -> bool {
        match self.0 {
            // What cannot be told is worth nothing to the client.
            Proof::File(content) => content.unchanged().unwrap_or(false),
            Proof::Given => true,
            Proof::Peer(end) => end.finish().await,
        }
    }
}
