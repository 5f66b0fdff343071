//! Searches of the served directories: one at a time, shared by all who wait, with a pause after each.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::blocking;
use super::catalogue::Catalogue;

/// Longest wait for a walk. Who has waited that long is asked to come back.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Least rest after a walk; after one that took longer, as long as it took. Whoever asks for what is not there makes no more
/// of them.
const REST: Duration = Duration::from_secs(1);

/// The walks through some directories.
pub(super) struct Rounds {
    directories: Vec<PathBuf>,
    state: Mutex<State>,
    last: watch::Sender<Latest>,
}

struct State {
    under_way: bool,
    /// No walk begins before.
    next: Instant,
}

#[derive(Clone, Default)]
struct Latest {
    /// Of the walk that is under way: what it knows so far.
    part: Option<Round>,
    /// Of the one before.
    whole: Option<Round>,
}

#[derive(Clone)]
struct Round {
    begun: Instant,
    catalogue: Arc<Catalogue>,
}

/// What can be done about a walk now.
enum Turn {
    Mine(UnderWay),
    Anothers,
    Later(Instant),
}

/// That a walk is under way, until this is dropped.
struct UnderWay {
    rounds: Arc<Rounds>,
    begun: Instant,
}

impl Rounds {
    pub(super) fn new(directories: Vec<PathBuf>) -> Arc<Self> {
        let state = Mutex::new(State { under_way: false, next: Instant::now() });
        Arc::new(Self { directories, state, last: watch::Sender::new(Latest::default()) })
    }

    /// What the last walk found, if there was one.
    pub(super) fn last(&self) -> Option<Arc<Catalogue>> {
        let last = self.last.borrow();
        last.whole.as_ref().or(last.part.as_ref()).map(|round| Arc::clone(&round.catalogue))
    }

    /// What the last walk found that is over, and when it began.
    pub(super) fn whole(&self) -> Option<(Instant, Arc<Catalogue>)> {
        self.last.borrow().whole.as_ref().map(|round| (round.begun, Arc::clone(&round.catalogue)))
    }

    /// What the walk that is under way has found so far, and when it began.
    pub(super) fn part(&self) -> Option<(Instant, Arc<Catalogue>)> {
        self.last.borrow().part.as_ref().map(|round| (round.begun, Arc::clone(&round.catalogue)))
    }

    /// What a walk found that began at `moment` or later, or as much of it as `will_do`; none where that takes longer than
    /// [`PATIENCE`].
    pub(super) async fn since(
        self: &Arc<Self>,
        moment: Instant,
        will_do: impl Fn(&Catalogue) -> bool,
    ) -> Option<Arc<Catalogue>> {
        tokio::time::timeout(PATIENCE, self.wait(moment, will_do)).await.ok()
    }

    async fn wait(self: &Arc<Self>, moment: Instant, will_do: impl Fn(&Catalogue) -> bool) -> Arc<Catalogue> {
        let mut last = self.last.subscribe();
        loop {
            let Latest { part, whole } = last.borrow_and_update().clone();
            let part = part.filter(|round| will_do(&round.catalogue));
            if let Some(round) = whole.into_iter().chain(part).find(|round| round.begun >= moment) {
                return round.catalogue;
            }
            let rest = match self.turn() {
                Turn::Mine(turn) => {
                    // Not tied to who asked: the others wait for it too.
                    tokio::spawn(blocking(move || turn.walk()));
                    None
                }
                Turn::Anothers => None,
                Turn::Later(next) => Some(next),
            };
            // The sender lives as long as `self`.
            let news = async { drop(last.changed().await) };
            match rest {
                None => news.await,
                Some(next) => drop(tokio::time::timeout_at(next.into(), news).await),
            }
        }
    }

    fn turn(self: &Arc<Self>) -> Turn {
        let mut state = self.state();
        let now = Instant::now();
        if state.under_way {
            Turn::Anothers
        } else if now < state.next {
            Turn::Later(state.next)
        } else {
            state.under_way = true;
            Turn::Mine(UnderWay { rounds: Arc::clone(self), begun: now })
        }
    }

    /// A walk that began then has found this so far.
    pub(super) fn tell(&self, begun: Instant, part: Catalogue) {
        let part = Round { begun, catalogue: Arc::new(part) };
        self.last.send_modify(|last| last.part = Some(part));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Held for a few assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Blocks.
    fn walk(mut self) {
        self.begun = Instant::now();
        let rounds = &self.rounds;
        let round = |catalogue| Round { begun: self.begun, catalogue: Arc::new(catalogue) };
        let early = |part| rounds.tell(self.begun, part);
        let whole = Catalogue::of(&rounds.directories, rounds.last().as_deref(), early);
        rounds.last.send_replace(Latest { part: None, whole: Some(round(whole)) });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let now = Instant::now();
        {
            let mut state = self.rounds.state();
            state.under_way = false;
            state.next = now + REST.max(now - self.begun);
        }
        // Whoever waits for a later one may begin it, also where this one came to nothing.
        self.rounds.last.send_modify(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::{git, make};
    use crate::name::Uuid;

    /// Many ask at once for what is not there: one or two walks answer them all.
    #[test]
    fn those_who_wait_share_a_walk_that_began_after_they_asked() {
        let top = tempfile::tempdir().expect("a directory");
        make(&top.path().join("a"), &[]);
        let rounds = Rounds::new(vec![top.path().to_path_buf()]);
        let work = async {
            assert!(rounds.last().is_none());
            let asked = Instant::now();
            let waiting = (0..100).map(|_| rounds.since(asked, |_| false));
            let found: Vec<_> = futures_util::future::join_all(waiting).await.into_iter().flatten().collect();
            assert_eq!(found.len(), 100);
            assert!(found.iter().all(|one| Arc::ptr_eq(one, &found[0])), "one walk for all");
            let uuid = |text: &[u8]| Uuid::parse(text).expect("a uuid");
            assert!(found[0].known(&uuid(b"u-1")).is_some() && found[0].known(&uuid(b"u-2")).is_none());
            assert!(Arc::ptr_eq(&rounds.since(asked, |_| false).await.expect("found"), &found[0]), "it is new enough");
            // What is made now is in the next one, which begins after a rest.
            make(&top.path().join("b"), &[]);
            git(&top.path().join("b"), &["config", "annex.uuid", "u-2"]);
            let begun = Instant::now();
            let next = rounds.since(begun, |_| true).await.expect("found");
            assert!(next.known(&uuid(b"u-2")).is_some());
            assert!(asked.elapsed() >= REST, "walks have pauses between them");
        };
        remotes::sys::run(false, work).expect("a runtime");
    }
}
