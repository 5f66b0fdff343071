//! The runtime of a data thread: tokio on io_uring where the kernel allows it, plain tokio elsewhere.

use std::cell::Cell;
use std::future::Future;
use std::io;

/// Stack of a thread that answers requests, in bytes: what the main thread has. A request to a store behind a server is a deep tree of
/// futures, and without optimisation each of them takes some KiB of it. Only what is used takes memory.
pub const STACK: usize = 8 << 20;

/// How files are read and written on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Through an io_uring of this thread.
    Uring,
    /// By system calls on a pool of threads.
    Threads,
}

thread_local! {
    static CURRENT: Cell<Engine> = const { Cell::new(Engine::Threads) };
}

impl Engine {
    /// The engine of the calling thread.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// The word logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Uring => "io_uring",
            Engine::Threads => "threads",
        }
    }
}

/// Runs `future` on this thread to its end, as a data thread: local tasks may be spawned, files go through [`Engine::Uring`]
/// where `uring` asks for it and the kernel grants a ring (containers often refuse it), through threads otherwise.
///
/// # Errors
///
/// Not even a plain runtime can be made.
pub fn run<F: Future>(uring: bool, future: F) -> io::Result<F::Output> {
    if uring && let Ok(runtime) = tokio_uring::Runtime::new(&tokio_uring::builder()) {
        CURRENT.set(Engine::Uring);
        return Ok(runtime.block_on(future));
    }
    CURRENT.set(Engine::Threads);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let output = local.block_on(&runtime, future);
    // A thread that hangs in a system call must not keep the program from ending.
    runtime.shutdown_background();
    Ok(output)
}
