//! The byte budget that all transfers of the process share.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Size of a block in bytes: writes shorter than this cost twice as much on ext4, longer ones gain nothing.
pub const BLOCK: usize = 1 << 20;

/// What a permit of the semaphore stands for, in bytes. Permits are counted in 32 bits.
const UNIT: u64 = 4096;

/// Budget where nothing else is said, in bytes.
pub const DEFAULT: u64 = 256 << 20;

/// A number of bytes that may be in flight at once, in all transfers together.
///
/// Bytes are leased before memory is taken and given back when the last [`Bytes`] made under the lease is dropped. A holder
/// never waits for a second lease while it keeps one it cannot finish with, so leases cannot lock each other out.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    blocks: Arc<Mutex<Vec<Vec<u8>>>>,
    total: u64,
}

/// Leave to hold some bytes in memory; given back on drop.
pub struct Lease {
    bytes: u64,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// How many bytes are leased.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Budget {
    /// A budget of `total` bytes; at least four blocks, below which nothing can move.
    pub fn new(total: u64) -> Self {
        let total = total.max(4 * BLOCK as u64);
        let permits = usize::try_from(total / UNIT).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), blocks: Arc::default(), total }
    }

    /// All bytes of the budget, leased or free.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are not leased now.
    pub fn free(&self) -> u64 {
        self.free.available_permits() as u64 * UNIT
    }

    /// Whether what is taken beyond need costs nobody memory: it never takes the second half.
    pub fn is_roomy(&self) -> bool {
        self.free() >= self.total / 2
    }

    /// Waits its turn for `bytes`; the longest waiting is served first. More than the whole budget becomes the whole budget.
    pub async fn lease(&self, bytes: u64) -> Lease {
        let permits = self.permits(bytes);
        let permit = Arc::clone(&self.free).acquire_many_owned(permits).await;
        Lease { bytes: u64::from(permits) * UNIT, _permit: permit.expect("the budget's semaphore is never closed") }
    }

    /// A lease of `bytes` if there are as many free now.
    pub fn try_lease(&self, bytes: u64) -> Option<Lease> {
        let permits = self.permits(bytes);
        let permit = Arc::clone(&self.free).try_acquire_many_owned(permits).ok()?;
        Some(Lease { bytes: u64::from(permits) * UNIT, _permit: permit })
    }

    /// An empty block with room for [`BLOCK`] bytes. The caller holds a lease for it. Blocks are used again, because fresh
    /// memory has to be zeroed by the kernel page by page.
    pub fn block(&self) -> Block {
        let spare = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Block { buf: spare.unwrap_or_else(|| vec![0; BLOCK]), filled: 0, home: self.clone(), lease: None }
    }

    fn permits(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.min(self.total).div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
    }

    fn take_back(&self, buf: Vec<u8>) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        // Idle memory stays below a quarter of the budget.
        if buf.len() == BLOCK && (blocks.len() as u64) * (BLOCK as u64) < self.total / 4 {
            blocks.push(buf);
        }
    }
}

/// Memory of [`BLOCK`] bytes that returns to its budget when dropped.
pub struct Block {
    buf: Vec<u8>,
    filled: usize,
    home: Budget,
    lease: Option<Arc<Lease>>,
}

impl Block {
    /// Keeps `lease` for as long as the block or bytes of it live.
    #[must_use]
    pub fn under(mut self, lease: &Arc<Lease>) -> Self {
        self.lease = Some(Arc::clone(lease));
        self
    }

    /// The part not filled yet.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.buf[self.filled..]
    }

    /// Counts `n` bytes of [`Block::spare`] as filled.
    pub fn advance(&mut self, n: usize) {
        self.filled = (self.filled + n).min(self.buf.len());
    }

    /// How many bytes are filled.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// True while nothing is filled.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// True when no room is left.
    pub fn is_full(&self) -> bool {
        self.filled == self.buf.len()
    }

    /// Copies as much of `bytes` as fits; says how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.buf.len() - self.filled);
        self.buf[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
        self.filled += n;
        n
    }

    /// The filled part as bytes that can be cloned and sliced; the memory returns with the last of them.
    pub fn freeze(self) -> Bytes {
        if self.filled == 0 { Bytes::new() } else { Bytes::from_owner(self) }
    }

    /// Takes the memory out for an operation that must own it; [`Block::put_memory`] gives it back.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buf)
    }

    /// Gives the memory back after [`Block::take_memory`], with `n` more bytes filled.
    pub(crate) fn put_memory(&mut self, buf: Vec<u8>, n: usize) {
        self.buf = buf;
        self.advance(n);
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.buf[..self.filled]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.home.take_back(std::mem::take(&mut self.buf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leases_never_exceed_the_budget() {
        let budget = Budget::new(8 << 20);
        let a = budget.lease(5 << 20).await;
        assert!(budget.try_lease(4 << 20).is_none());
        assert_eq!(budget.free(), 3 << 20);
        drop(a);
        let all = budget.lease(1 << 40).await;
        assert_eq!(all.bytes(), 8 << 20);
        assert_eq!(budget.free(), 0);
    }

    #[test]
    fn blocks_come_back() {
        let budget = Budget::new(64 << 20);
        let mut block = budget.block();
        assert_eq!(block.push(b"abc"), 3);
        let bytes = block.freeze();
        let tail = bytes.slice(1..);
        drop(bytes);
        assert_eq!(budget.blocks.lock().expect("no panic").len(), 0);
        drop(tail);
        assert_eq!(budget.blocks.lock().expect("no panic").len(), 1);
        assert!(budget.block().is_empty());
    }
}
