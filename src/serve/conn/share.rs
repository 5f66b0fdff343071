//! Whose share of the bandwidth a transfer is: `--bwlimit` for all, `--bwlimit-user` for each user.
//!
//! Each user has one piece at a time in the queue of all, whatever the number of transfers: so users get the same, and the transfers of one
//! share what that one gets. Nobody keeps memory while waiting for a turn.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use remotes::budget::BLOCK;
use remotes::pump::Meter;

use crate::gateway::{Body, Pace, Piece};

/// A wait for a turn that is no reason to let go of memory.
const PAUSE: Duration = Duration::from_millis(20);

/// How many users are kept before it is looked who is gone.
const MANY: usize = 1024;

/// The limits, in one direction.
pub(crate) struct Shares {
    all: Option<Arc<Pace>>,
    /// Bytes a second of each user.
    each: Option<u64>,
    users: Mutex<HashMap<Who, Arc<User>>>,
}

/// Whose transfers count together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A user, by name.
    User(Vec<u8>),
    /// Strangers from one address; of IPv6 from one network, since one computer may have all addresses of it.
    Address(Option<IpAddr>),
}

/// What the transfers of one user wait for.
struct User {
    /// Held while waiting for a turn among all.
    gate: tokio::sync::Mutex<()>,
    pace: Option<Pace>,
}

/// The share of one transfer.
#[derive(Clone)]
pub(crate) struct Share {
    all: Option<Arc<Pace>>,
    user: Arc<User>,
}

impl Who {
    /// The user of that name, or strangers from `address`.
    pub(crate) fn new(name: Option<&[u8]>, address: Option<IpAddr>) -> Self {
        match name {
            Some(name) => Self::User(name.to_vec()),
            None => Self::Address(address.map(|address| match address {
                IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
                v4 => v4,
            })),
        }
    }
}

impl Shares {
    /// So many bytes a second for all, and for each user.
    pub(crate) fn new(all: Option<u64>, each: Option<u64>) -> Self {
        Self { all: all.and_then(Pace::new).map(Arc::new), each, users: Mutex::default() }
    }

    /// That of a transfer of `who`; none where nothing is limited.
    pub(crate) fn of(&self, who: Who) -> Option<Share> {
        if self.all.is_none() && self.each.is_none() {
            return None;
        }
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY {
            // Who comes back at once after this has lost nothing, and won no more than a piece.
            users.retain(|_, user| Arc::strong_count(user) > 1 || !user.is_free());
        }
        let make = || Arc::new(User { gate: tokio::sync::Mutex::default(), pace: self.each.and_then(Pace::new) });
        let user = Arc::clone(users.entry(who).or_insert_with(make));
        Some(Share { all: self.all.clone(), user })
    }
}

impl User {
    fn is_free(&self) -> bool {
        self.gate.try_lock().is_ok() && self.pace.as_ref().is_none_or(|pace| pace.wait() <= PAUSE)
    }
}

impl Share {
    /// How many bytes to move at once.
    pub(crate) fn piece(&self) -> usize {
        let paces = self.all.as_deref().into_iter().chain(&self.user.pace);
        paces.map(Pace::piece).min().unwrap_or(BLOCK)
    }

    /// Waits until `bytes` may move.
    pub(crate) async fn turn(&self, bytes: usize) {
        let _mine = self.user.gate.lock().await;
        if let Some(pace) = &self.user.pace {
            pace.turn(bytes).await;
        }
        if let Some(pace) = &self.all {
            pace.turn(bytes).await;
        }
    }

    /// So many bytes moved, and nobody waits for that.
    fn charge(&self, bytes: usize) {
        let paces = self.all.as_deref().into_iter().chain(&self.user.pace);
        paces.for_each(|pace| pace.charge(bytes));
    }

    /// Whether the next turn comes at once.
    fn is_free(&self) -> bool {
        self.user.is_free() && self.all.as_ref().is_none_or(|pace| pace.wait() <= PAUSE)
    }
}

/// What comes from a client within its share. A turn is taken for what came, before more is read: whoever announces much and sends
/// nothing would keep the turns of others.
pub(crate) struct Owed {
    share: Option<Share>,
    bytes: usize,
}

impl Owed {
    /// Of nothing yet.
    pub(crate) fn new(share: Option<Share>) -> Self {
        Self { share, bytes: 0 }
    }

    /// How many bytes to read at once, of `most`.
    pub(crate) fn piece(&self, most: usize) -> usize {
        self.share.as_ref().map_or(most, |share| share.piece().min(most))
    }

    /// So many came.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Waits for the turn of what came.
    pub(crate) async fn settle(&mut self) {
        if let Some(share) = self.share.as_ref().filter(|_| self.bytes > 0) {
            share.turn(self.bytes).await;
        }
        self.bytes = 0;
    }

    fn must_wait(&self) -> bool {
        self.bytes > 0 && self.share.as_ref().is_some_and(|share| !share.is_free())
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(share) = self.share.as_ref().filter(|_| self.bytes > 0) {
            share.charge(self.bytes);
        }
    }
}

/// A body that comes no faster than its share.
pub(crate) struct Shared<B> {
    body: B,
    owed: Owed,
    has_paused: bool,
    meter: Meter,
}

impl<B: Body> Shared<B> {
    /// What comes is counted by `meter`.
    pub(crate) fn new(body: B, share: Option<Share>, meter: Meter) -> Self {
        Self { body, owed: Owed::new(share), has_paused: false, meter }
    }
}

impl<B: Body> Body for Shared<B> {
    async fn next(&mut self, most: usize) -> Piece {
        // What came before is placed, so that its memory is free while this waits.
        if self.owed.must_wait() && !std::mem::replace(&mut self.has_paused, true) {
            return Piece::Pause;
        }
        self.owed.settle().await;
        let piece = self.body.next(self.owed.piece(most)).await;
        if let Piece::Bytes(block) = &piece {
            self.owed.came(block.len());
            self.meter.add(block.len() as u64);
        }
        self.has_paused = false;
        piece
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn name(name: &str) -> Who {
        Who::new(Some(name.as_bytes()), None)
    }

    #[test]
    fn strangers_count_by_address_and_of_ipv6_by_network() {
        let who = |text: &str| Who::new(None, Some(text.parse().expect("an address")));
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
        assert_ne!(name("a"), Who::new(None, None));
        assert!(Shares::new(None, None).of(name("a")).is_none());
    }

    /// Time is pretended, so what is counted is turns.
    #[tokio::test(start_paused = true)]
    async fn users_get_the_same_however_many_transfers_they_have() {
        let shares = Shares::new(Some(4 << 20), None);
        let taken = RefCell::new([0u32; 2]);
        let transfer = async |who: usize, share: Share| {
            loop {
                share.turn(share.piece()).await;
                taken.borrow_mut()[who] += 1;
            }
        };
        let (few, many) = (shares.of(name("few")).expect("limited"), shares.of(name("many")).expect("limited"));
        let all = async {
            let crowd = (0..20).map(|_| transfer(1, many.clone()));
            futures_util::future::join(transfer(0, few.clone()), futures_util::future::join_all(crowd)).await;
        };
        // Turns are booked by the real clock, and waited for by the pretended one.
        let _ = tokio::time::timeout(Duration::from_secs(10), all).await;
        let [few, many] = *taken.borrow();
        assert!(few >= 10 && many.abs_diff(few) <= 2, "{few} and {many}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_user_has_a_rate_of_its_own() {
        let shares = Shares::new(None, Some(1 << 20));
        let (a, b) = (shares.of(name("a")).expect("limited"), shares.of(name("b")).expect("limited"));
        assert_eq!(a.piece(), 256 << 10);
        let begun = tokio::time::Instant::now();
        a.turn(1 << 20).await;
        b.turn(1 << 20).await;
        assert!(begun.elapsed() < Duration::from_millis(500), "the first turns are free");
        assert!(!a.is_free() && !shares.of(name("a")).expect("limited").is_free());
        shares.of(name("a")).expect("limited").turn(1).await;
        assert!(begun.elapsed() > Duration::from_millis(900), "the next waits, whatever the transfer");
        b.charge(4 << 20);
        b.turn(1).await;
        assert!(begun.elapsed() > Duration::from_millis(3900), "what is charged is waited for by the next");
    }

    struct Endless;

    impl Body for Endless {
        async fn next(&mut self, most: usize) -> Piece {
            Piece::Bytes(vec![0; most.min(1000)].into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_to_let_go_once() {
        let shares = Shares::new(None, Some(8 << 10));
        let mut body = Shared::new(Endless, shares.of(name("a")), Meter::new());
        let mut seen = String::new();
        for _ in 0..6 {
            seen.push(match body.next(1 << 20).await {
                Piece::Bytes(block) if block.len() == 1000 => 'b',
                Piece::Pause => 'p',
                _ => '?',
            });
        }
        // The first turn is free.
        assert_eq!(seen, "bbpbpb");
        drop(body);
        assert!(!shares.of(name("a")).expect("limited").is_free(), "what came is charged, however it ends");
    }
}
