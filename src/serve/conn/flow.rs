//! Sending content on a connection, by the best lane.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use remotes::Kind;
use remotes::budget::{BLOCK, Budget};
use remotes::pump::lane::{self, Broken, Plain, SocketBlocks};
use remotes::pump::{Blocks, Meter, Needs, SinkKind, SocketSource, Source, SourceKind, plan};
use remotes::sys::{Engine, Idle, Pipe};

use super::link::{Link, within};
use super::share::Share;
use crate::gateway::far::{Far, Takeover};
use crate::gateway::{Pace, Part, Sent};

/// What is left of a source.
pub(crate) struct Flow {
    source: Source,
    /// Bytes of a stream that came and were not sent.
    rest: Bytes,
    left: u64,
    /// Where in the content it ends, in bytes.
    end: u64,
    /// How it is proven, and where the rest may come from.
    sent: Sent,
    /// How long the source may be silent.
    idle: Duration,
    pace: Option<Arc<Pace>>,
    /// That of whoever takes it.
    share: Option<Share>,
    /// Counts all that went.
    meter: Meter,
    /// How else it may be had.
    far: Option<Far>,
    /// From which byte on it comes by other connections.
    takeover: Option<Takeover>,
}

impl Flow {
    /// The bytes of `part`, whose source is silent for no longer than `idle`.
    pub(crate) fn new(part: Part, idle: Duration) -> Self {
        let Part { source, first, len, sent, far } = part;
        let end = first.saturating_add(len);
        Self {
            source,
            rest: Bytes::new(),
            left: len,
            end,
            sent,
            idle,
            pace: None,
            share: None,
            meter: Meter::new(),
            far,
            takeover: None,
        }
    }

    /// The same, at this pace.
    pub(crate) fn at(self, pace: Option<Arc<Pace>>) -> Self {
        Self { pace, ..self }
    }

    /// The same, as the share of whoever takes it.
    pub(crate) fn sharing(self, share: Option<Share>) -> Self {
        Self { share, ..self }
    }

    /// The same, counted by `meter`.
    pub(crate) fn counted(self, meter: &Meter) -> Self {
        Self { meter: meter.clone(), ..self }
    }

    /// How it travels to `link`, for the log: a lane, or `tls` where it is encrypted on the way.
    pub(crate) fn lane(&self, link: &Link) -> &'static str {
        if !link.by_kernel() {
            return "tls";
        }
        plan(self.kind(), SinkKind::Socket, Needs::default(), Engine::Threads).as_str()
    }

    /// Whether it travels without passing through memory.
    pub(crate) fn by_kernel(&self, link: &Link) -> bool {
        link.by_kernel() && !matches!(self.source, Source::Stream(_))
    }

    fn kind(&self) -> SourceKind {
        match self.source {
            Source::File(_) => SourceKind::File,
            Source::Socket(_) => SourceKind::Socket,
            Source::Stream(_) => SourceKind::Stream,
        }
    }

    /// Goes on from another source where this one broke off, at the next byte to be sent.
    async fn follow(&mut self, broke: io::Error) -> Result<(), Broken> {
        let at = self.end - self.left;
        // What others read already is from further on.
        self.takeover = None;
        // Another source is sooner there than a store whose connections break.
        if !self.sent.has_more()
            && may_pass(&broke)
            && let Some(far) = self.far.take()
        {
            (self.source, self.rest) = (Source::Stream(Box::new(far.again(at, self.end))), Bytes::new());
            return Ok(());
        }
        match self.sent.next(at, self.left, &broke).await {
            Some((source, pace, far)) => {
                (self.source, self.rest, self.pace, self.far) = (source, Bytes::new(), pace, far);
                Ok(())
            }
            None => Err(Broken::Source(broke)),
        }
    }

    /// How much of `left` bytes to pass on at once.
    fn piece(&self, left: u64) -> u64 {
        let paced = self.pace.as_ref().map_or(u64::MAX, |pace| pace.piece() as u64);
        let at = self.end - self.left;
        let from_here = match (&self.takeover, &self.far) {
            (Some(takeover), _) => takeover.at - at,
            (None, Some(far)) => far.piece(),
            (None, None) => u64::MAX,
        };
        let shared = self.share.as_ref().map_or(u64::MAX, |share| share.piece() as u64);
        left.min(paced).min(shared).min(from_here)
    }

    /// `bytes` were passed on: whether others are to go on from here, or from further on.
    fn look(&mut self, bytes: u64, elapsed: Duration, waited: Duration) {
        let at = self.end - self.left;
        if let Some(takeover) = self.takeover.take_if(|takeover| takeover.at == at) {
            // The connection it began on has more to give than anybody wants of it now.
            (self.source, self.rest, self.far) = (Source::Stream(Box::new(takeover.ahead)), Bytes::new(), None);
        } else if let (Some(far), None) = (&mut self.far, &self.takeover) {
            self.takeover = far.look(bytes, elapsed, waited, at, self.end);
        }
    }

    /// Takes the next `len` bytes, which are few, without sending them.
    pub(crate) async fn hold(&mut self, len: u64) -> Result<Vec<u8>, Broken> {
        loop {
            match self.take(len).await {
                Err(Broken::Source(broke)) => self.follow(broke).await?,
                other => return other,
            }
        }
    }

    async fn take(&mut self, len: u64) -> Result<Vec<u8>, Broken> {
        let idle = self.idle;
        let mut held = Vec::new();
        while (held.len() as u64) < len.min(self.left) {
            let want = usize::try_from(len.min(self.left)).unwrap_or(usize::MAX) - held.len();
            match &mut self.source {
                Source::File(file) => {
                    let mut buf = vec![0; want];
                    // A byte or two of a file that was just read: no use to wait on another thread for it.
                    file.file.read_exact_at(&mut buf, file.at + held.len() as u64).map_err(Broken::Source)?;
                    held.extend_from_slice(&buf);
                }
                Source::Socket(from) => {
                    let mut block = Budget::new(0).block();
                    let head = std::mem::take(&mut from.head);
                    let mut blocks = SocketBlocks::new(from.socket.stream(), head, want as u64, idle);
                    blocks.fill(&mut block).await.map_err(Broken::Source)?;
                    held.extend_from_slice(block.as_ref());
                }
                Source::Stream(blocks) => {
                    if self.rest.is_empty() {
                        self.rest = next_of(blocks.as_mut(), idle).await?;
                    }
                    let n = want.min(self.rest.len());
                    held.extend_from_slice(&self.rest.split_to(n));
                }
            }
        }
        self.left -= held.len() as u64;
        Ok(held)
    }

    /// All was sent: the connection it came on may serve again. Gives what proves it.
    pub(crate) fn finish(self) -> Sent {
        if let (Source::Socket(from), 0) = (self.source, self.left) {
            from.socket.done();
        }
        self.sent
    }
}

impl Link {
    /// Sends the next `len` bytes of `flow`.
    ///
    /// Errors: `TimedOut` where the receiver takes nothing for `idle`, or the source is silent for its time; it may end early.
    pub(crate) async fn pass(
        &mut self,
        flow: &mut Flow,
        len: u64,
        budget: &Budget,
        idle: Duration,
    ) -> Result<(), Broken> {
        let mut left = len.min(flow.left);
        while left > 0 {
            let piece = flow.piece(left);
            if let Some(pace) = flow.pace.clone() {
                pace.turn(piece as usize).await;
            }
            if let Some(share) = &flow.share {
                share.turn(piece as usize).await;
            }
            let (before, begun, meter) = (flow.left, Instant::now(), flow.meter.child());
            let passed = self.pass_piece(flow, piece, budget, idle, &meter).await;
            let bytes = before - flow.left;
            left -= bytes;
            match passed {
                Err(Broken::Source(broke)) => flow.follow(broke).await?,
                passed => passed?,
            }
            flow.look(bytes, begun.elapsed(), meter.starved());
        }
        Ok(())
    }

    /// What was sent is counted, however it ends.
    async fn pass_piece(
        &mut self,
        flow: &mut Flow,
        len: u64,
        budget: &Budget,
        idle: Duration,
        meter: &Meter,
    ) -> Result<(), Broken> {
        match &mut flow.source {
            Source::File(file) => {
                self.send(&file.part(0, len), budget, idle, meter).await.map_err(Broken::Sink)?;
                *file = file.part(len, file.len.saturating_sub(len));
                flow.left -= len;
            }
            Source::Socket(from) => {
                let passed = self.pass_socket(from, len, budget, (flow.idle, idle), meter).await;
                flow.left -= meter.bytes();
                passed?;
            }
            Source::Stream(blocks) => {
                let mut left = len;
                while left > 0 {
                    if flow.rest.is_empty() {
                        let waits = Instant::now();
                        flow.rest = next_of(blocks.as_mut(), flow.idle).await?;
                        meter.starve(waits.elapsed());
                    }
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(flow.rest.len());
                    let block = flow.rest.split_to(n);
                    self.write(&block, idle).await.map_err(Broken::Sink)?;
                    meter.add(block.len() as u64);
                    left -= block.len() as u64;
                    flow.left -= block.len() as u64;
                }
            }
        }
        Ok(())
    }

    async fn pass_socket(
        &mut self,
        from: &mut SocketSource,
        len: u64,
        budget: &Budget,
        (source_idle, idle): (Duration, Duration),
        meter: &Meter,
    ) -> Result<(), Broken> {
        let n = usize::try_from(len).unwrap_or(usize::MAX).min(from.head.len());
        if n > 0 {
            self.write(&from.head[..n], idle).await.map_err(Broken::Sink)?;
            from.head.advance(n);
            meter.add(n as u64);
        }
        let len = len - n as u64;
        let stream = from.socket.stream();
        match self {
            Link::Tcp(to) => splice(stream, to, len, meter, source_idle, idle).await,
            Link::Unix(to) => splice(stream, to, len, meter, source_idle, idle).await,
            Link::Pipes { output, .. } => splice(stream, output, len, meter, source_idle, idle).await,
            Link::Tls(_) => {
                let mut left = len;
                while left > 0 {
                    // Leased block by block, so that a client which takes nothing keeps one, and not for ever.
                    let lease = within(idle, async { Ok(budget.lease(BLOCK as u64).await) });
                    let lease = Arc::new(lease.await.map_err(Broken::Sink)?);
                    let mut block = budget.block().under(&lease);
                    let mut blocks = SocketBlocks::new(stream, Bytes::new(), left.min(TLS), source_idle);
                    let waits = Instant::now();
                    blocks.fill(&mut block).await.map_err(Broken::Source)?;
                    meter.starve(waits.elapsed());
                    left -= block.len() as u64;
                    self.write(block.as_ref(), idle).await.map_err(Broken::Sink)?;
                    meter.add(block.len() as u64);
                }
                Ok(())
            }
        }
    }
}

/// Whether another connection may bring what this one did not. Whoever is sent to has waited long enough for one that was silent.
fn may_pass(broke: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match broke.get_ref().and_then(|e| e.downcast_ref::<remotes::Error>()) {
        Some(e) => e.kind().retry() && e.kind() != Kind::Timeout,
        None => matches!(broke.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof),
    }
}

/// The next block of a stream that is not at its end.
async fn next_of(blocks: &mut dyn Blocks, idle: Duration) -> Result<Bytes, Broken> {
    let next = within(idle, async { blocks.next().await.map_err(io::Error::other) }).await.map_err(Broken::Source)?;
    next.ok_or_else(|| Broken::Source(io::ErrorKind::UnexpectedEof.into()))
}

/// Bytes read before they are encrypted: more leave the cache between the two.
const TLS: u64 = 256 << 10;

async fn splice(
    from: &impl Plain,
    to: &impl Plain,
    len: u64,
    meter: &Meter,
    from_idle: Duration,
    to_idle: Duration,
) -> Result<(), Broken> {
    if len == 0 {
        return Ok(());
    }
    let mut pipe = IDLE.with(|idle| idle.take(|_| true)).map_or_else(Pipe::new, Ok).map_err(Broken::Sink)?;
    lane::relay(from, to, len, &mut pipe, meter, from_idle, to_idle).await?;
    if pipe.held() == 0 {
        IDLE.with(|idle| idle.put(pipe));
    }
    Ok(())
}

/// Empty pipes a thread keeps: making one and growing it costs as much as moving 100 KiB.
const PIPES: usize = 8;

/// For how long one is kept that nobody uses.
const KEEP: Duration = Duration::from_secs(5);

thread_local! {
    static IDLE: Idle<Pipe> = Idle::new(PIPES, KEEP);
}
