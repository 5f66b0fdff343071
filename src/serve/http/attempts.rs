//! Passwords that were tried, so that one who guesses keeps nobody from logging in.
//!
//! Each try costs as much work as a password is safe. Of one address, for one name, so many are looked at in a minute; and of one
//! address so many in all, unless a web server may be there, behind which others come from the same address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// For how long a wrong password is held against an address.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// Wrong passwords of one address for one name.
const FOR_A_NAME: u32 = 10;

/// Wrong passwords of one address for all names.
const FOR_ALL: u32 = 60;

/// Most pairs of an address and a name that something is remembered of.
const MOST: usize = 20_000;

/// Whose tries are counted together: an address (or a network of IPv6) and a name, or all names.
type Who = (Option<IpAddr>, Option<Vec<u8>>);

/// The tries of the last minute.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<Who, (u32, Instant)>);

impl Attempts {
    /// Whether `name` may be tried from `address` at `now`. It counts until it is [taken back](Self::right).
    pub(super) fn begin(&mut self, address: Option<IpAddr>, name: &[u8], now: Instant) -> bool {
        if !self.has_room(address, name, now) {
            return false;
        }
        for (who, _) in counted(address, name) {
            let entry = self.0.entry(who).or_insert((0, now));
            if now.duration_since(entry.1) >= WINDOW {
                *entry = (0, now);
            }
            entry.0 += 1;
        }
        true
    }

    /// Whether `name` may be tried from `address` at `now`. Nothing is counted.
    pub(super) fn has_room(&mut self, address: Option<IpAddr>, name: &[u8], now: Instant) -> bool {
        let counted = counted(address, name);
        if self.0.len() + counted.len() > MOST {
            self.0.retain(|_, (_, since)| now.duration_since(*since) < WINDOW);
            if self.0.len() + counted.len() > MOST {
                return false;
            }
        }
        counted.iter().all(|(who, most)| match self.0.get(who) {
            Some((count, since)) => now.duration_since(*since) >= WINDOW || count < most,
            None => true,
        })
    }

    /// The password was right.
    pub(super) fn right(&mut self, address: Option<IpAddr>, name: &[u8]) {
        for (who, _) in counted(address, name) {
            if let Some((count, _)) = self.0.get_mut(&who) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.0.remove(&who);
                }
            }
        }
    }
}

fn counted(address: Option<IpAddr>, name: &[u8]) -> Vec<(Who, u32)> {
    let address = address.map(network);
    let mut counted = vec![((address, Some(name.to_vec())), FOR_A_NAME)];
    if address.is_some_and(|address| !address.is_loopback()) {
        counted.push(((address, None), FOR_ALL));
    }
    counted
}

/// One customer has a whole network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) if !six.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_guesses_stops_and_others_do_not() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let address = |text: &str| Some(text.parse().expect("an address"));
        let (evil, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let tries = |attempts: &mut Attempts, who, name: &str, now| {
            (0..100).filter(|_| attempts.begin(who, name.as_bytes(), now)).count()
        };
        assert_eq!(tries(&mut attempts, evil, "alice", now), 10);
        assert!(attempts.begin(other, b"alice", now), "whoever comes from elsewhere");
        attempts.right(other, b"alice");
        let names: usize = (0..100).map(|n| tries(&mut attempts, evil, &format!("user{n}"), now)).sum();
        assert_eq!(names, 50, "the rest of what one address has");
        assert_eq!(tries(&mut attempts, evil, "alice", now + WINDOW), 10);
        // Right ones do not count.
        for _ in 0..1000 {
            assert!(attempts.begin(other, b"alice", now));
            attempts.right(other, b"alice");
        }
        // Behind a web server all come from one address.
        for near in [address("127.0.0.1"), None] {
            let names: usize = (0..10).map(|n| tries(&mut attempts, near, &format!("user{n}"), now)).sum();
            assert_eq!(names, 100);
        }
        // A network is one.
        assert_eq!(tries(&mut attempts, address("2001:db8::1"), "bob", now), 10);
        assert_eq!(tries(&mut attempts, address("2001:db8::2"), "bob", now), 0);
        assert_eq!(tries(&mut attempts, address("2001:db8:0:1::2"), "bob", now), 10);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..2 * MOST {
            attempts.begin(None, n.to_string().as_bytes(), now);
        }
        assert!(attempts.0.len() <= MOST);
        assert!(!attempts.begin(None, b"new", now) && attempts.begin(None, b"new", now + WINDOW));
    }
}
