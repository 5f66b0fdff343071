//! How fast content may move from or to a remote: `annex-bwlimit`.
//!
//! All transfers of a process with one remote in one direction share one rate. Each waits its turn for the next piece, in
//! the order in which they asked, and holds no memory meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use remotes::budget::BLOCK;

use crate::annex::repository::Config;

/// A rate. Shared by all threads.
pub struct Pace {
    /// Bytes in a second; not 0.
    rate: u64,
    /// When the next piece may move.
    free: Mutex<Instant>,
}

/// Smallest piece in bytes: a slower rate than some of these in a second makes pauses, and no smaller pieces.
const SMALLEST: usize = 4 << 10;

impl Pace {
    /// Of so many bytes in a second. `None` where that is no rate.
    pub fn new(rate: u64) -> Option<Self> {
        (rate > 0).then(|| Self { rate, free: Mutex::new(Instant::now()) })
    }

    /// What git config says of content that moves `direction` (`download`: from the remote; `upload`: to it) with the remote
    /// `name`. As git-annex reads it, a limit of one direction goes before one of both, and after that the remote's own before
    /// the one of all. Values that are no size are none.
    pub fn of(config: &Config, name: &[u8], direction: &str) -> Option<Self> {
        let set = |key: &str| {
            let own = config.value_in("remote", name, &format!("annex-{key}"));
            own.or_else(|| config.value(&format!("annex.{key}")))
        };
        Self::told(direction, set)
    }

    /// The same, where `set` is the nearest value of `bwlimit` or `bwlimit-...`.
    pub fn told(direction: &str, set: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let told = set(&format!("bwlimit-{direction}")).or_else(|| set("bwlimit"))?;
        annex_types::size::parse(&told).and_then(Self::new)
    }

    /// How many bytes move at once: a quarter of a second's.
    pub fn piece(&self) -> usize {
        usize::try_from(self.rate / 4).unwrap_or(BLOCK).clamp(SMALLEST, BLOCK)
    }

    /// Waits until `bytes` may move.
    pub async fn turn(&self, bytes: usize) {
        let now = Instant::now();
        let at = self.book(now, bytes);
        if at > now {
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// So many bytes moved that nobody waits for.
    pub fn charge(&self, bytes: usize) {
        self.book(Instant::now(), bytes);
    }

    /// How long the next turn would wait, were it asked for now.
    pub fn wait(&self) -> Duration {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(Instant::now())
    }

    /// So many bytes of a turn did not move after all.
    pub fn give_back(&self, bytes: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(self.takes(bytes)).unwrap_or(*free);
    }

    /// When `bytes` may move that are asked for now. What was not used before is lost.
    fn book(&self, now: Instant, bytes: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (*free).max(now);
        *free = at + self.takes(bytes);
        at
    }

    fn takes(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.rate as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::Repository;
    use crate::annex::repository::tests::{git, make};

    #[test]
    fn pieces_come_one_after_another_at_the_rate() {
        let pace = Pace::new(1 << 20).expect("a rate");
        let now = Instant::now() + Duration::from_secs(1000);
        let quarter = Duration::from_millis(250);
        assert_eq!(pace.piece(), 256 << 10);
        let booked: Vec<Duration> = (0..4).map(|_| pace.book(now, pace.piece()) - now).collect();
        assert_eq!(booked, [0, 1, 2, 3].map(|n| quarter * n));
        // What did not move is for the next; what nobody asked for is not saved up.
        pace.give_back(256 << 10);
        assert_eq!(pace.book(now, 1) - now, quarter * 3);
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.book(later, pace.piece()), later);
        assert_eq!(pace.book(later, 1) - later, quarter);
        assert!(Pace::new(0).is_none());
        assert_eq!(
            (Pace::new(1).expect("a rate").piece(), Pace::new(u64::MAX).expect("a rate").piece()),
            (SMALLEST, BLOCK)
        );
    }

    #[test]
    fn the_nearest_setting_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let steps = [
            ("annex.bwlimit", "1000", "1000/1000"),
            ("remote.r.annex-bwlimit", "2kB", "2000/2000"),
            ("annex.bwlimit-download", "3kB", "3000/2000"),
            ("remote.r.annex-bwlimit-upload", "4 KiB", "3000/4096"),
            ("remote.r.annex-bwlimit-download", "nonsense", "-/4096"),
        ];
        for (name, value, limits) in steps {
            git(dir.path(), &["config", name, value]);
            let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            let told = ["download", "upload"].map(|direction| {
                let pace = Pace::of(&repository.settings(), b"r", direction);
                pace.map_or("-".to_string(), |pace| pace.rate.to_string())
            });
            assert_eq!(told.join("/"), limits, "{name}={value}");
        }
    }
}
