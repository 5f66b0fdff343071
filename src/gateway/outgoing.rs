//! Content on its way to a client.

use std::io;
use std::sync::Arc;

use remotes::pump::FileSource;

use crate::annex::content::OpenContent;

/// Content that was found and opened.
#[derive(Debug)]
pub struct Outgoing {
    content: OpenContent,
    source: FileSource,
}

impl Outgoing {
    pub(super) fn new(content: OpenContent) -> io::Result<Self> {
        let file = Arc::new(content.file.try_clone()?);
        let source = FileSource { file, at: 0, len: content.len };
        Ok(Self { content, source })
    }

    /// Length of all of it in bytes.
    pub fn len(&self) -> u64 {
        self.content.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.content.len == 0
    }

    /// Nobody can change it while it is sent.
    pub fn is_stable(&self) -> bool {
        self.content.stable
    }

    /// `len` bytes of it from `from` on, as far as there are any.
    pub fn part(&self, from: u64, len: u64) -> FileSource {
        let from = from.min(self.len());
        self.source.part(from, len.min(self.len() - from))
    }

    /// Whether what was sent was the content. Asked after the last byte.
    pub fn is_unchanged(&self) -> bool {
        // What cannot be told is worth nothing to the client.
        self.content.unchanged().unwrap_or(false)
    }
}
