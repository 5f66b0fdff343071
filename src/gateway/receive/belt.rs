//! Work on blocks in their order, on pool threads, while further blocks arrive.
//!
//! A thread is taken when a block arrives and none is at work, and given back when no block is left: a slow client keeps
//! none. While blocks arrive fast one thread goes from block to block by itself, which costs no wakeups in between.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

/// Blocks that may wait. More would only be memory.
const DEPTH: usize = 4;

/// What is done with every block.
pub(in crate::gateway) trait Work: Send + 'static {
    /// The next one. After an error no other follows.
    fn process(&mut self, block: &[u8]) -> io::Result<()>;
}

/// Blocks on their way through some work.
pub(in crate::gateway) struct Belt<W>(Arc<Shared<W>>);

struct Shared<W> {
    state: Mutex<State<W>>,
    room: Semaphore,
    idle: Notify,
}

struct State<W> {
    queue: VecDeque<Bytes>,
    /// With the thread while one is at work. Lost where that thread panics.
    work: Option<W>,
    running: bool,
    error: Option<io::Error>,
}

impl<W: Work> Belt<W> {
    pub(in crate::gateway) fn new(work: W) -> Self {
        let state = State { queue: VecDeque::new(), work: Some(work), running: false, error: None };
        Self(Arc::new(Shared { state: Mutex::new(state), room: Semaphore::new(DEPTH), idle: Notify::new() }))
    }

    /// Hands over a block; waits while too many wait. Errors: what the work met with an earlier block, once.
    pub(in crate::gateway) async fn push(&self, block: Bytes) -> io::Result<()> {
        // The semaphore is never closed, and its permits come back as blocks are done.
        if let Ok(permit) = self.0.room.acquire().await {
            permit.forget();
        }
        let mut state = self.0.state();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        state.queue.push_back(block);
        if !std::mem::replace(&mut state.running, true) {
            let shared = Arc::clone(&self.0);
            // By a task of its own: whoever pushes may give up, and the blocks are to be done all the same.
            tokio::spawn(async move {
                let thread = crate::pool::thread().await;
                drop(tokio::task::spawn_blocking(move || {
                    let _thread = thread;
                    shared.run();
                }));
            });
        }
        Ok(())
    }

    /// Waits until all blocks are done, and gives the work back. `None` where it was lost, or taken before.
    pub(in crate::gateway) async fn finish(&self) -> io::Result<Option<W>> {
        loop {
            let idle = self.0.idle.notified();
            {
                let mut state = self.0.state();
                if !state.running {
                    // Also after an error, and before its thread is quite gone: what the work holds on to is free then.
                    let work = state.work.take();
                    return match state.error.take() {
                        Some(error) => Err(error),
                        None => Ok(work),
                    };
                }
            }
            idle.await;
        }
    }
}

impl<W: Work> Shared<W> {
    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_work(&self) -> Option<W> {
        let mut state = self.state();
        let work = state.work.take();
        if work.is_none() {
            state.running = false;
            state.error = Some(io::Error::other("there is nobody to do it any more"));
            let dropped = std::mem::take(&mut state.queue).len();
            self.room.add_permits(dropped);
        }
        work
    }

    fn run(&self) {
        // However this thread ends, nobody waits for it any longer.
        let _end = End(self);
        let Some(mut work) = self.take_work() else { return };
        loop {
            let block = {
                let mut state = self.state();
                match state.queue.pop_front() {
                    Some(block) => block,
                    None => {
                        state.work = Some(work);
                        // In the same hold: a block that comes later finds nobody running, and starts a thread.
                        state.running = false;
                        return;
                    }
                }
            };
            let done = work.process(&block);
            drop(block);
            self.room.add_permits(1);
            if let Err(error) = done {
                let mut state = self.state();
                state.error = Some(error);
                let dropped = std::mem::take(&mut state.queue).len();
                state.work = Some(work);
                state.running = false;
                self.room.add_permits(dropped);
                return;
            }
        }
    }
}

struct End<'a, W: Work>(&'a Shared<W>);

impl<W: Work> Drop for End<'_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state();
            state.running = false;
            state.error = Some(io::Error::other("the thread that did it panicked"));
            // Whoever waits for room is to come and see the error.
            self.0.room.add_permits(DEPTH);
        }
        self.0.idle.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collect(Vec<u8>, usize);

    impl Work for Collect {
        fn process(&mut self, block: &[u8]) -> io::Result<()> {
            assert!(block != b"panic", "as asked");
            if self.0.len() + block.len() > self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(block);
            Ok(())
        }
    }

    #[tokio::test]
    async fn blocks_are_done_in_order_and_all_of_them() {
        let belt = Belt::new(Collect(Vec::new(), usize::MAX));
        let mut expected = Vec::new();
        for number in 0..2000u32 {
            let block = number.to_be_bytes();
            expected.extend_from_slice(&block);
            belt.push(Bytes::copy_from_slice(&block)).await.expect("taken");
            if number % 97 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let done = belt.finish().await.expect("no error").expect("the work");
        assert!(done.0 == expected);
        assert!(belt.finish().await.expect("no error").is_none(), "it was taken");
    }

    #[tokio::test]
    async fn an_error_reaches_whoever_comes_next_and_blocks_nobody() {
        let belt = Belt::new(Collect(Vec::new(), 10));
        let mut failed = None;
        for _ in 0..100 {
            if let Err(e) = belt.push(Bytes::from_static(b"1234")).await {
                failed = Some(e.kind());
                break;
            }
        }
        let failed = match failed {
            Some(kind) => kind,
            None => belt.finish().await.err().expect("the disk was full").kind(),
        };
        assert_eq!(failed, io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn after_an_error_nothing_is_held_any_more() {
        struct Fail {
            _held: Arc<()>,
        }
        impl Work for Fail {
            fn process(&mut self, _: &[u8]) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        for _ in 0..200 {
            let held = Arc::new(());
            let belt = Belt::new(Fail { _held: Arc::clone(&held) });
            belt.push(Bytes::from_static(b"1")).await.expect("taken");
            assert!(belt.finish().await.is_err());
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_too() {
        let belt = Belt::new(Collect(Vec::new(), usize::MAX));
        belt.push(Bytes::from_static(b"panic")).await.expect("taken");
        assert!(belt.finish().await.is_err());
        assert!(belt.finish().await.expect("told once").is_none());
        belt.push(Bytes::from_static(b"more")).await.expect("taken");
        assert!(belt.finish().await.is_err(), "nobody does it");
    }
}
