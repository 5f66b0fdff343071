//! Quotas by prefix: what all repositories below one may hold together.
//!
//! Where a repository is uploaded to, the look at it, the sum and the reservation are one step, so of two uploads at once, to whichever
//! repositories, both are let in only if both fit. The others are looked at on threads of their own, with few at a time open: there may be
//! thousands. What cannot be told of one of them stops no upload to another; it takes nothing itself.

mod holdings;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use annex_types::size;

use holdings::Id;
pub use holdings::Listed;

use super::repository::{LocalRepository, admits};
use super::room::Unreserved;
use super::{Failure, FailureKind};
use crate::annex::sizes::{Sizes, SizesError};
use crate::name::Key;
use crate::proto::users::quota::Allotment;
use holdings::{Due, Holdings, Refusal};

/// What others do in a repository is seen after so long, if uploads come. A round that takes long is followed by a longer rest.
const AGE: Duration = Duration::from_secs(10);

/// How many times as long as a round took the rest after it is at least.
const REST: u32 = 9;

/// Longest count of one repository before the next has its turn. It is resumed where it ended.
const COUNT: Duration = Duration::from_secs(2);

/// How many are looked at side by side for the first time, which waits for disks: a database is made in each.
const SIDE_BY_SIDE: usize = 8;

/// A key that is nowhere.
const NOTHING: &[u8] = b"SHA256-s0--nothing";

/// Which search of the served directories something was found by, and whether that was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// When it began.
    pub begun: Instant,
    /// It has found all that is there.
    pub is_over: bool,
}

/// What is served, as far as quotas need to know it.
pub trait Served: Send + Sync {
    /// What the last search found, and which that was; none where it was `known`.
    fn listed(&self, known: Option<Search>) -> Option<(Search, Vec<Listed>)>;

    /// Those that are open now.
    fn opened(&self) -> Vec<Arc<LocalRepository>>;
}

/// The quotas by prefix of a server.
pub struct PrefixQuotas {
    served: Arc<dyn Served>,
    state: Mutex<State>,
    /// There are some.
    is_set: AtomicBool,
    /// A thread looks.
    looks: AtomicBool,
}

#[derive(Default)]
struct State {
    holdings: Holdings,
    /// What found the repositories that it knows.
    listed: Option<Search>,
    /// No round begins before.
    next: Option<Instant>,
}

/// The quotas that one repository has a part in.
#[derive(Clone)]
pub(in crate::gateway) struct Claim {
    quotas: Arc<PrefixQuotas>,
    id: Id,
    asked: Instant,
}

/// Room in a repository: what becomes of it is looked at once this is dropped.
pub(in crate::gateway) struct Taken(Claim);

impl PrefixQuotas {
    /// None yet, of what is served.
    pub fn new(served: Arc<dyn Served>) -> Arc<Self> {
        Arc::new(Self { served, state: Mutex::default(), is_set: AtomicBool::new(false), looks: false.into() })
    }

    /// These quotas count for what begins from now on.
    pub fn set(&self, quotas: Vec<Allotment>) {
        let mut state = self.state();
        state.holdings.set(quotas);
        self.is_set.store(state.holdings.has_quotas(), Ordering::Relaxed);
    }

    /// Looks at repositories that were never looked at, so that no upload has to wait for it.
    pub fn prepare(self: &Arc<Self>) {
        if self.is_set.load(Ordering::Relaxed) && self.followed().holdings.has_unknown() {
            self.wake();
        }
    }

    /// The claim of `served`; none where there are no quotas.
    pub(in crate::gateway) fn of(self: &Arc<Self>, served: &LocalRepository) -> Option<Claim> {
        let is_set = self.is_set.load(Ordering::Relaxed);
        is_set.then(|| Claim { quotas: Arc::clone(self), id: served.id(), asked: Instant::now() })
    }

    /// Something was removed from `served`, and that is recorded.
    pub(in crate::gateway) fn removed(&self, served: &LocalRepository) {
        if self.is_set.load(Ordering::Relaxed) {
            self.state().holdings.changed(served.id(), Instant::now());
        }
    }

    fn wake(self: &Arc<Self>) {
        if self.looks.swap(true, Ordering::AcqRel) {
            return;
        }
        let quotas = Arc::clone(self);
        // It may be ended with the process at any moment. Where there is no thread for it, whoever waits tries again.
        let started = std::thread::Builder::new().name("quotas".to_string()).spawn(move || {
            let _looks = Looks(&quotas);
            quotas.round();
        });
        if started.is_err() {
            self.looks.store(false, Ordering::Release);
        }
    }

    /// Looks at what is due, and then at what is unknown until nothing is. Blocks.
    fn round(&self) {
        let begun = Instant::now();
        let (is_time, mut due) = {
            let state = self.followed();
            let is_time = state.next.is_none_or(|next| next <= begun);
            (is_time, state.holdings.due(true, begun.checked_sub(AGE).filter(|_| is_time)))
        };
        due.retain(|due| !due.is_first());
        due.iter().for_each(|due| self.look(due));
        if is_time {
            self.state().next = Some(Instant::now() + AGE.max(begun.elapsed() * REST));
        }
        loop {
            let first = self.followed().holdings.due(false, None);
            if first.is_empty() {
                return;
            }
            std::thread::scope(|scope| {
                let mut parts = first.chunks(first.len().div_ceil(SIDE_BY_SIDE));
                let own = parts.next().unwrap_or_default();
                for some in parts {
                    let look = move || some.iter().for_each(|due| self.look(due));
                    // Without a thread these wait for the next time.
                    let _ = std::thread::Builder::new().name("quotas".to_string()).spawn_scoped(scope, look);
                }
                own.iter().for_each(|due| self.look(due));
            });
        }
    }

    fn look(&self, due: &Due) {
        let begun = Instant::now();
        let bytes = match self.bytes(due) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => return,
            Err(failure) => {
                if self.state().holdings.looked(due, begun, None) {
                    let path = due.path.display();
                    tracing::warn!("{path}: it counts to its quotas as it was last seen, and takes nothing: {failure}");
                }
                return;
            }
        };
        self.state().holdings.looked(due, begun, bytes);
    }

    /// What a repository holds, as quotas count it; `None` where that takes longer. Blocks.
    fn bytes(&self, due: &Due) -> Result<Option<u64>, Failure> {
        let opened = self.served.opened().into_iter().find(|served| served.id() == due.id);
        let served = match opened {
            Some(served) => served,
            None => Arc::new(LocalRepository::open(&due.path).map_err(|e| Failure::internal(e.to_string()))?),
        };
        if served.id() != due.id {
            return Err(Failure::internal("another repository is there now".to_string()));
        }
        let failed = |e: SizesError| Failure::internal(format!("tell how much room there is: {e}"));
        let (uuid, begun) = (served.uuid().clone(), Instant::now());
        match served.sizes().count(&|| begun.elapsed() > COUNT) {
            Err(SizesError::Stopped) => return Ok(None),
            counted => counted.map_err(failed)?,
        }
        let nothing = Key::parse(NOTHING).map_err(|_| Failure::internal("no key".to_string()))?;
        let sizes: &Arc<Sizes> = served.sizes();
        let usage = match sizes.usage(&nothing, 0, std::slice::from_ref(&uuid)) {
            Err(SizesError::Counting) => return Ok(None),
            usage => usage.map_err(failed)?,
        };
        let others = served.left_unfinished(HashSet::new())?;
        Ok(Some(usage.used(&uuid).unwrap_or_default().saturating_add(others)))
    }

    /// What is known of what is served now.
    fn followed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if let Some((search, listed)) = self.served.listed(state.listed) {
            state.listed = Some(search);
            state.holdings.follow(listed);
        }
        state
    }

    /// Held for no IO.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a thread looks, until this is dropped.
struct Looks<'a>(&'a PrefixQuotas);

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        self.0.looks.store(false, Ordering::Release);
    }
}

impl Claim {
    /// Whether `key` may come, as far as its name tells, and whether bytes count. Failures: why not.
    pub(in crate::gateway) fn admits(&self, key: &Key) -> Result<bool, Failure> {
        let quotas = self.quotas.followed().holdings.of(self.id);
        let largest = quotas.iter().filter_map(|quota| quota.largest).min();
        if !quotas.is_empty() {
            admits(largest, key)?;
        }
        Ok(quotas.iter().any(|quota| quota.all.is_some()))
    }

    /// `more` bytes go to this repository, which holds `used` by a look that began at `begun`. To be asked where nobody else can reserve
    /// room in it. Failures: it does not fit, or that cannot be told yet.
    pub(in crate::gateway) fn take(&self, used: u64, more: u64, begun: Instant) -> Result<(), Unreserved> {
        let taken = self.quotas.followed().holdings.take(self.id, used, more, begun, self.asked);
        let is_time = self.quotas.state().next.is_none_or(|next| next <= begun);
        if is_time || taken == Err(Refusal::Waits) {
            self.quotas.wake();
        }
        taken.map_err(|refusal| match refusal {
            Refusal::Waits => Unreserved::Counting,
            Refusal::Full { repositories, used, most } => {
                let (used, most, more) = (size::show(used), size::show(most), size::show(more));
                let words =
                    format!("the quota of {repositories} is used up: {used} of {most}, and {more} more do not fit");
                Unreserved::Failed(Failure::new(FailureKind::NoRoom, words))
            }
        })
    }

    /// To be kept as long as the room is.
    pub(in crate::gateway) fn taken(self) -> Taken {
        Taken(self)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.quotas.state().holdings.changed(self.0.id, Instant::now());
    }
}
