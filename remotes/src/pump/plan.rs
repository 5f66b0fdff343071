//! Which lane for which pair of ends: a table.

use crate::sys::Engine;

/// Kind of end bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A file on this computer.
    File,
    /// A plain TCP socket.
    Socket,
    /// Blocks in memory: a TLS connection, an SDK, a decoder.
    Stream,
}

/// Kind of end bytes go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// A file on this computer.
    File,
    /// A plain TCP socket.
    Socket,
    /// Something that takes blocks in memory.
    Blocks,
}

/// What else has to be done with the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// They are hashed on the way, so they have to pass through memory.
    pub digest: bool,
}

/// How bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// copy_file_range(2): may share extents, or copy on the file server.
    CopyRange,
    /// sendfile(2).
    Sendfile,
    /// splice(2) through a pipe.
    Splice,
    /// Blocks, read from the file through io_uring.
    Uring,
    /// Blocks, by plain reads and writes.
    Buffered,
}

impl Lane {
    /// The word logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::CopyRange => "copy-range",
            Lane::Sendfile => "sendfile",
            Lane::Splice => "splice",
            Lane::Uring => "uring",
            Lane::Buffered => "buffered",
        }
    }
}

/// The lane from `source` to `sink`. Every row is there because it won its row of the bench (docs/dataplane.md).
pub fn plan(source: SourceKind, sink: SinkKind, needs: Needs, engine: Engine) -> Lane {
    use SinkKind as To;
    use SourceKind as From;
    let blocks = match engine {
        Engine::Uring => Lane::Uring,
        Engine::Threads => Lane::Buffered,
    };
    match (source, sink) {
        (From::File, To::File) if !needs.digest => Lane::CopyRange,
        (From::File, To::Socket) if !needs.digest => Lane::Sendfile,
        (From::Socket, To::Socket) if !needs.digest => Lane::Splice,
        (From::File, _) => blocks,
        (From::Socket | From::Stream, _) => Lane::Buffered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        use SinkKind as To;
        use SourceKind as From;
        let plain = Needs::default();
        let digest = Needs { digest: true };
        for (from, to, needs, uring, threads) in [
            (From::File, To::File, plain, Lane::CopyRange, Lane::CopyRange),
            (From::File, To::Socket, plain, Lane::Sendfile, Lane::Sendfile),
            (From::File, To::Blocks, plain, Lane::Uring, Lane::Buffered),
            (From::Socket, To::File, plain, Lane::Buffered, Lane::Buffered),
            (From::Socket, To::Socket, plain, Lane::Splice, Lane::Splice),
            (From::Socket, To::Blocks, plain, Lane::Buffered, Lane::Buffered),
            (From::Stream, To::File, plain, Lane::Buffered, Lane::Buffered),
            (From::Stream, To::Socket, plain, Lane::Buffered, Lane::Buffered),
            (From::Stream, To::Blocks, plain, Lane::Buffered, Lane::Buffered),
            (From::File, To::File, digest, Lane::Uring, Lane::Buffered),
            (From::File, To::Socket, digest, Lane::Uring, Lane::Buffered),
            (From::Socket, To::Socket, digest, Lane::Buffered, Lane::Buffered),
            (From::Socket, To::File, digest, Lane::Buffered, Lane::Buffered),
        ] {
            assert_eq!(plan(from, to, needs, Engine::Uring), uring, "{from:?} {to:?} {needs:?}");
            assert_eq!(plan(from, to, needs, Engine::Threads), threads, "{from:?} {to:?} {needs:?}");
        }
    }
}
