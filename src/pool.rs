//! Pool threads: blocking work is done there, and never on a data thread.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::Failure;

/// Runs what may block on a pool thread.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let thread = thread().await;
    let request = tracing::Span::current();
    let run = move || {
        let _thread = thread;
        request.in_scope(f)
    };
    tokio::task::spawn_blocking(run).await.map_err(|e| Failure::internal(e.to_string()))
}

/// Drops what may block in its end, on a pool thread where there are such.
pub(crate) fn off_this_thread<T: Send + 'static>(last: T) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        // Not counted: nobody waits for it.
        drop(runtime.spawn_blocking(move || drop(last)));
    }
}

/// Pool threads of the whole process at work at a time. More only wait for the same disk, and a runtime by itself would
/// start hundreds.
const THREADS: usize = 48;

/// Leave to use a pool thread, given back when dropped. Nobody holds one while waiting for another.
pub(crate) async fn thread() -> Option<SemaphorePermit<'static>> {
    static FREE: Semaphore = Semaphore::const_new(THREADS);
    // It is never closed.
    FREE.acquire().await.ok()
}
