//! Room for connections, and who gets it.
//!
//! ```text
//!            +-- request without a password --> busy stranger (most: all but a quarter, where there are logins)
//!   idle <---+                                   |
//!   stranger +-- answered <----------------------+
//!            +-- request with a password ------> known, to its end
//! ```
//!
//! Where all room is taken, whoever comes gets that of the stranger who has been idle for longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;

/// Where nobody can log in, for how long a connection must have been idle before another gets its room: any may be between
/// two requests.
const PAUSE: Duration = Duration::from_secs(1);

/// Most descriptors of one connection: an upload has its socket, the partial file, and two locks of the transfer.
const DESCRIPTORS: usize = 4;

/// Descriptors for all the rest: the threads, the branch, `/metrics`, hooks.
const OWN_DESCRIPTORS: usize = 128;

/// Room for so many connections.
pub(super) struct Room {
    limit: usize,
    /// Most strangers that are busy.
    strangers: usize,
    pause: Duration,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    taken: usize,
    busy: usize,
    /// Strangers that are idle, longest first.
    idle: BTreeMap<u64, (Instant, Arc<Notify>)>,
    /// The number of the next to be idle.
    next: u64,
}

/// Room that a connection has.
pub(super) struct Seat {
    room: Arc<Room>,
    state: State,
    leave: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle(u64),
    Busy,
    Known,
    /// Another has it.
    Lost,
}

impl Room {
    /// Room for `limit` connections; with `logins`, some is kept for those who log in.
    pub(super) fn new(limit: usize, logins: bool) -> Arc<Self> {
        let kept = if logins && limit > 1 { (limit / 4).max(1) } else { 0 };
        let pause = if logins { Duration::ZERO } else { PAUSE };
        Arc::new(Self { limit, strangers: limit - kept, pause, table: Mutex::default() })
    }

    /// For one who has just come, and is an idle stranger. None where all room is taken and nobody is idle.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Seat> {
        let mut table = self.table();
        if table.taken < self.limit {
            table.taken += 1;
        } else {
            let longest = table.idle.first_entry()?;
            if longest.get().0.elapsed() < self.pause {
                return None;
            }
            longest.remove().1.notify_one();
        }
        let leave = Arc::new(Notify::new());
        let state = table.rest(&leave);
        Some(Seat { room: Arc::clone(self), state, leave })
    }

    /// HeldLock for a few assignments.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn rest(&mut self, leave: &Arc<Notify>) -> State {
        let number = self.next;
        self.next += 1;
        self.idle.insert(number, (Instant::now(), Arc::clone(leave)));
        State::Idle(number)
    }
}

impl Seat {
    /// A request begins, of somebody `known` or of a stranger. False where there is no room for it.
    pub(super) fn begin(&mut self, known: bool) -> bool {
        if self.state == State::Known {
            return true;
        }
        let mut table = self.room.table();
        match self.state {
            State::Idle(number) => {
                if !known && table.busy >= self.room.strangers {
                    return false;
                }
                if table.idle.remove(&number).is_none() {
                    self.state = State::Lost;
                    return false;
                }
                if !known {
                    table.busy += 1;
                }
            }
            State::Busy if known => table.busy -= 1,
            State::Busy | State::Known => return true,
            State::Lost => return false,
        }
        self.state = if known { State::Known } else { State::Busy };
        true
    }

    /// The request has been answered.
    pub(super) fn rest(&mut self) {
        if self.state == State::Busy {
            let mut table = self.room.table();
            table.busy -= 1;
            self.state = table.rest(&self.leave);
        }
    }

    /// Waits until another has got this room. Never where it is not idle.
    pub(super) async fn lost(&self) {
        match self.state {
            State::Idle(_) | State::Lost => self.leave.notified().await,
            State::Busy | State::Known => std::future::pending().await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.room.table();
        match self.state {
            State::Idle(number) if table.idle.remove(&number).is_none() => {}
            State::Lost => {}
            State::Idle(_) | State::Known => table.taken -= 1,
            State::Busy => {
                table.busy -= 1;
                table.taken -= 1;
            }
        }
    }
}

/// How many of `connections` there are descriptors for, after asking the system for all it grants. Without the rest the
/// first to arrive would be the last to be served: who has none left cannot even say so.
pub(super) fn affordable(connections: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, ..limit };
    if setrlimit(Resource::Nofile, most).is_ok() {
        limit = most;
    }
    let descriptors = limit.current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    connections.min(descriptors.saturating_sub(OWN_DESCRIPTORS) / DESCRIPTORS).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The units' limit is enough for the default of `--connections`.
    #[test]
    fn the_units_let_as_many_files_be_open_as_connections_need() {
        let pages = [
            include_str!("../../../packaging/systemd/git-annex-p2phttp.service"),
            include_str!("../../../docs/server.md"),
        ];
        for page in pages {
            let limit = page.split("LimitNOFILE=").nth(1).and_then(|rest| rest.split_whitespace().next());
            let limit: usize = limit.and_then(|limit| limit.parse().ok()).expect("a number");
            assert!((limit - OWN_DESCRIPTORS) / DESCRIPTORS >= 4096, "{limit}");
        }
    }

    #[test]
    fn strangers_leave_room_for_those_who_log_in() {
        let room = Room::new(8, true);
        let mut strangers: Vec<Seat> = (0..8).map(|_| room.enter().expect("room")).collect();
        let begun = strangers.iter_mut().filter_map(|seat| seat.begin(false).then_some(())).count();
        assert_eq!(begun, 6, "a quarter is kept");
        let mut known = room.enter().expect("that of an idle stranger");
        assert!(known.begin(true) && known.begin(true));
        let mut other = room.enter().expect("that of the other");
        assert!(room.enter().is_some(), "it is idle itself as yet");
        assert!(!other.begin(true), "so its room is gone");
        let mut last = room.enter().expect("the one before has gone");
        assert!(last.begin(true));
        assert!(room.enter().is_none(), "all are busy or known");
        drop(strangers);
        assert!(room.enter().is_some());
    }

    #[test]
    fn where_nobody_logs_in_all_may_be_busy_and_a_short_pause_is_no_idleness() {
        let room = Room { pause: Duration::MAX, ..Arc::into_inner(Room::new(2, false)).expect("it is the only one") };
        let room = Arc::new(room);
        let mut seats: Vec<Seat> = (0..2).map(|_| room.enter().expect("room")).collect();
        assert!(room.enter().is_none(), "they have just come");
        assert!(seats.iter_mut().all(|seat| seat.begin(false)));
        seats[0].rest();
        assert!(room.enter().is_none());
        let mut other = Room::new(1, true).enter().expect("room");
        assert!(other.begin(false), "one is not shared");
    }

    #[tokio::test]
    async fn who_loses_its_room_is_told_whenever_it_asks() {
        let room = Room::new(2, true);
        let (first, mut second) = (room.enter().expect("room"), room.enter().expect("room"));
        let _third = room.enter().expect("that of the first");
        first.lost().await;
        drop(first);
        let _fourth = room.enter().expect("that of the second");
        assert!(!second.begin(true) && !second.begin(false));
        second.lost().await;
    }

    proptest! {
        /// Whatever they do, there are never more than the limit, and never too many busy strangers.
        #[test]
        fn no_limit_is_passed(limit in 1usize..9, logins: bool, steps in proptest::collection::vec((0u8..5, 0usize..12), 1..200)) {
            let room = Room::new(limit, logins);
            let mut seats: Vec<Seat> = Vec::new();
            for (what, which) in steps {
                let seat = if seats.is_empty() { None } else { Some(which % seats.len()) };
                match (what, seat) {
                    (0, _) => seats.extend(room.enter()),
                    (1, Some(at)) => drop(seats.remove(at)),
                    (2, Some(at)) => seats[at].rest(),
                    (_, Some(at)) => { seats[at].begin(what == 3); }
                    (_, None) => {}
                }
                let (taken, busy, idle) = { let t = room.table(); (t.taken, t.busy, t.idle.len()) };
                let count = |wanted: fn(&State) -> bool| seats.iter().filter(|seat| wanted(&seat.state)).count();
                let known = count(|state| *state == State::Known);
                prop_assert_eq!(busy, count(|state| *state == State::Busy));
                prop_assert_eq!(taken, busy + idle + known);
                prop_assert!(taken <= limit && busy <= room.strangers);
            }
            drop(seats);
            let table = room.table();
            prop_assert_eq!((table.taken, table.busy, table.idle.len()), (0, 0, 0));
        }
    }
}
