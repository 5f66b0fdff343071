//! The two kinds of end a transfer can have: where bytes come from, and where they go.

use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::TcpStream;

use crate::Result;

/// A part of a file to be read. The file is shared: parts of it may be read side by side.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// Open for reading.
    pub file: Arc<File>,
    /// First byte.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
}

impl FileSource {
    /// A part of this part, `at` bytes into it.
    pub fn part(&self, at: u64, len: u64) -> Self {
        Self { file: Arc::clone(&self.file), at: self.at + at, len }
    }
}

/// Where a file that is being written ends now.
#[derive(Debug)]
pub struct FileSink {
    /// Open for writing.
    pub file: Arc<File>,
    /// Where the next byte goes.
    pub at: u64,
}

/// Where bytes come from.
pub enum Source {
    /// A file.
    File(FileSource),
    /// A socket whose next `len` bytes are the content.
    Socket(SocketSource),
    /// A stream of blocks in order.
    Stream(Box<dyn Blocks>),
}

/// Blocks of bytes, in order.
#[async_trait(?Send)]
pub trait Blocks {
    /// The next block; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// The body of a response on a plain connection.
pub struct SocketSource {
    /// Bytes of the body that came with the head.
    pub head: Bytes,
    /// Bytes of the body, those in `head` included.
    pub len: u64,
    /// The connection.
    pub socket: Socket,
}

/// A connection that goes back to its pool when told that all of its response was read, and is closed otherwise.
pub struct Socket {
    stream: Option<TcpStream>,
    home: Option<Rc<dyn Home>>,
}

/// A pool that takes connections back.
pub trait Home {
    /// Takes a connection on which nothing is outstanding.
    fn welcome(&self, stream: TcpStream);
}

impl Socket {
    /// A connection that is closed after use, or returned to `home`.
    pub fn new(stream: TcpStream, home: Option<Rc<dyn Home>>) -> Self {
        Self { stream: Some(stream), home }
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("only `done` takes the stream, and it consumes the socket")
    }

    /// All of the response was read: the connection may serve again.
    pub fn done(mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), &self.home) {
            home.welcome(stream);
        }
    }
}
