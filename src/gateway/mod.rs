//! What clients ask of a repository and of what is behind it, once for every wire.
//!
//! A driver parses a request, finds the [`Node`] it is about, and does it there; how it is said on the wire is the driver's
//! business. Everything here runs on a data thread: what may block goes to pool threads.

mod catalogue;
mod export;
mod failure;
mod held;
mod hub;
mod kept;
mod leases;
pub mod leftovers;
mod metrics;
mod neighbour;
mod node;
mod outgoing;
pub mod peer;
mod proxy;
pub mod remote;
mod rounds;
mod served;
mod special;
mod upload;
mod walk;

pub use export::Exported;
pub use failure::{Failure, FailureKind};
pub use held::Held;
pub use hub::{Hub, Place, Unserved};
pub use leases::{LeaseId, Leases};
pub use metrics::{Counter, Metrics};
pub use neighbour::Neighbour;
pub use node::{Means, Node};
pub use outgoing::{Outgoing, Sent};
pub use proxy::Proxied;
pub use served::Served;
pub use special::Special;
pub use upload::{LocalUpload, Offer, PeerUpload, Settled, StoreUpload, Upload};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Seconds of the clock that `GETTIMESTAMP` tells and `REMOVE-BEFORE` is held against: monotonic, and the same for every
/// process of this computer, since a client may ask one and remove through another.
pub fn timestamp() -> u64 {
    u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec).unwrap_or(0)
}

/// Runs what may block on a pool thread.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let thread = thread().await;
    let run = move || {
        let _thread = thread;
        f()
    };
    tokio::task::spawn_blocking(run).await.map_err(|e| Failure::internal(e.to_string()))
}

/// Drops what may block in its end, on a pool thread where there are such.
fn off_this_thread<T: Send + 'static>(last: T) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        // Not counted: nobody waits for it.
        drop(runtime.spawn_blocking(move || drop(last)));
    }
}

/// Pool threads of the whole process at work at a time. More only wait for the same disk, and a runtime by itself would
/// start hundreds.
const THREADS: usize = 48;

/// Leave to use a pool thread, given back when dropped. Nobody holds one while waiting for another.
async fn thread() -> Option<SemaphorePermit<'static>> {
    static FREE: Semaphore = Semaphore::const_new(THREADS);
    // It is never closed.
    FREE.acquire().await.ok()
}
