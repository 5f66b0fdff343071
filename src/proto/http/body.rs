//! The body of a request: which of the bytes that arrive are payload, and where it ends.
//!
//! ```text
//!            size line        size bytes         CRLF
//!   Size --------------> Data ----------> After ------> Size
//!     | size 0
//!     +---------> Trailer --- empty line ---> Done
//! ```
//!
//! Payload is pointed at, never copied, except by [`BodyReader::compact`], which closes the gaps between chunks in the
//! caller's own buffer. Source: RFC 9112, section 7.1.

use super::head::Body;

/// Most bytes of extensions after the size of one chunk.
pub const LONGEST_EXTENSION: usize = 256;
/// Most bytes of extensions in a whole body, so that a body cannot be nearly all extension.
pub const MOST_EXTENSIONS: usize = 16 * 1024;
/// Most bytes of trailers.
pub const LONGEST_TRAILER: usize = 8 * 1024;
/// Most digits of the size of a chunk.
const MOST_DIGITS: usize = 16;

/// The end of every chunk that is sent.
pub const CHUNK_END: &[u8] = b"\r\n";
/// What ends a body that is sent in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The chunks cannot be read. Where the next request begins is not known, so the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBody(pub &'static str);

/// Reads one body. Made of the head's [`Body`], fed with whatever arrives after the head.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    /// Bytes of payload left in this chunk, or in a body with a length.
    left: u64,
    /// Digits of this size line, or bytes of this trailer line.
    column: usize,
    extensions: usize,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A body with a length.
    Counted,
    Size,
    Extension,
    SizeEnd,
    Data,
    AfterCr,
    AfterLf,
    Trailer,
    TrailerEnd,
    Done,
}

/// What [`BodyReader::compact`] made of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// So many bytes at the front of the buffer are payload.
    pub payload: usize,
    /// So many bytes of the buffer were used; what follows them belongs to the next request.
    pub used: usize,
}

impl BodyReader {
    /// For a body that ends as `body` says.
    pub fn new(body: Body) -> Self {
        let (state, left) = match body {
            Body::None | Body::Length(0) => (State::Done, 0),
            Body::Length(length) => (State::Counted, length),
            Body::Chunked => (State::Size, 0),
        };
        Self { state, left, column: 0, extensions: 0, trailers: 0 }
    }

    /// Whether the whole body went by.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the body has a length, so that nothing but payload comes before its end.
    pub fn is_counted(&self) -> bool {
        self.state == State::Counted
    }

    /// So many of the bytes that come next are payload and nothing else; 0 where framing comes next.
    pub fn payload_ahead(&self) -> u64 {
        if matches!(self.state, State::Counted | State::Data) { self.left } else { 0 }
    }

    /// `count` bytes of payload went elsewhere without passing through here (`splice`, a read into another buffer).
    ///
    /// Panics when that is more than [`payload_ahead`](Self::payload_ahead), which the caller asked before.
    pub fn passed(&mut self, count: u64) {
        assert!(count <= self.payload_ahead(), "more payload than was ahead");
        self.left -= count;
        if self.left == 0 && count > 0 {
            self.state = if self.state == State::Counted { State::Done } else { State::AfterCr };
        }
    }

    /// Cuts the next piece of payload off the front of `bytes`, with the framing before it.
    ///
    /// `None` when the body is done (what is left of `bytes` belongs to the next request) or `bytes` are used up.
    ///
    /// # Errors
    ///
    /// [`BadBody`] where the framing is wrong or beyond a limit.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadBody> {
        loop {
            if self.payload_ahead() > 0 {
                let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                if count == 0 {
                    return Ok(None);
                }
                let (piece, rest) = bytes.split_at(count);
                *bytes = rest;
                self.passed(count as u64);
                return Ok(Some(piece));
            }
            if self.is_done() {
                return Ok(None);
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(None) };
            *bytes = rest;
            self.frame(*byte)?;
        }
    }

    /// Moves the payload in `bytes` to their front, over the framing.
    ///
    /// Where the body does not end in `bytes`, all of them are used.
    ///
    /// # Errors
    ///
    /// [`BadBody`].
    pub fn compact(&mut self, bytes: &mut [u8]) -> Result<Compacted, BadBody> {
        let (mut payload, mut used) = (0, 0);
        while used < bytes.len() && !self.is_done() {
            let ahead = usize::try_from(self.payload_ahead()).unwrap_or(usize::MAX).min(bytes.len() - used);
            if ahead == 0 {
                self.frame(bytes[used])?;
                used += 1;
                continue;
            }
            if payload != used {
                bytes.copy_within(used..used + ahead, payload);
            }
            self.passed(ahead as u64);
            payload += ahead;
            used += ahead;
        }
        Ok(Compacted { payload, used })
    }

    /// One byte of framing.
    fn frame(&mut self, byte: u8) -> Result<(), BadBody> {
        self.state = match (self.state, byte) {
            (State::Size, b'\r') if self.column > 0 => State::SizeEnd,
            (State::Size, b';') if self.column > 0 => {
                self.column = 0;
                State::Extension
            }
            (State::Size, digit) => {
                let digit = char::from(digit).to_digit(16).ok_or(BadBody("malformed size of a chunk"))?;
                self.column += 1;
                if self.column > MOST_DIGITS {
                    return Err(BadBody("size of a chunk has too many digits"));
                }
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\n' | 0) => return Err(BadBody("malformed extension of a chunk")),
            (State::Extension, _) => {
                self.column += 1;
                self.extensions += 1;
                if self.column > LONGEST_EXTENSION || self.extensions > MOST_EXTENSIONS {
                    return Err(BadBody("extensions of chunks are too long"));
                }
                State::Extension
            }
            (State::SizeEnd, b'\n') => {
                self.column = 0;
                if self.left > 0 { State::Data } else { State::Trailer }
            }
            (State::AfterCr, b'\r') => State::AfterLf,
            (State::AfterLf, b'\n') => State::Size,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Trailer, b'\n' | 0) => return Err(BadBody("malformed trailer")),
            (State::Trailer, _) => {
                self.column += 1;
                self.trailers += 1;
                if self.trailers > LONGEST_TRAILER {
                    return Err(BadBody("trailers are too long"));
                }
                State::Trailer
            }
            (State::TrailerEnd, b'\n') if self.column == 0 => State::Done,
            (State::TrailerEnd, b'\n') => {
                self.column = 0;
                State::Trailer
            }
            _ => return Err(BadBody("malformed line end in a chunked body")),
        };
        Ok(())
    }
}

/// Appends the line that begins a chunk of `length` bytes, which must be above 0: 0 would end the body.
///
/// The bytes of the chunk follow, then [`CHUNK_END`]; after the last of them [`LAST_CHUNK`].
pub fn begin_chunk(length: usize, out: &mut Vec<u8>) {
    debug_assert!(length > 0, "an empty chunk ends the body");
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
