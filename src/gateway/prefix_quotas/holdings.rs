//! What each repository was last seen to hold, and whether more fits within the quotas of their prefixes. Time is an argument.
//!
//! A repository that is uploaded to is looked at each time, in the step in which room is reserved there. The others count as they were
//! last seen, which is looked at again when something changed there, and now and then.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::proto::users::quota::Allotment;
use crate::proto::users::rights::Pattern;

/// Device and number of a git directory.
pub type Id = (u64, u64);

/// A repository that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which it is.
    pub id: Id,
    /// What it is called where rights are looked up.
    pub name: Arc<[u8]>,
    /// Where it is.
    pub path: PathBuf,
}

/// A look that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) id: Id,
    pub(super) path: PathBuf,
    turn: u64,
    is_first: bool,
}

impl Due {
    /// Whether it was never looked at.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }
}

/// Why nothing is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Some repositories have to be looked at before.
    Waits,
    /// They hold so much that it does not fit.
    Full { repositories: Pattern, used: u64, most: u64 },
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    quotas: Vec<Allotment>,
    known: HashMap<Id, Holding>,
}

#[derive(Debug)]
struct Holding {
    listed: Listed,
    /// What it holds, with what is being uploaded; none before the first look.
    bytes: Option<u64>,
    /// When the look at that began.
    at: Option<Instant>,
    /// When it may have become less.
    changed: Option<Instant>,
    /// Counts looks as part of a reservation: any other that began before is of no use.
    turn: u64,
    /// It could not be told at the last look.
    is_unclear: bool,
}

impl Holdings {
    /// These quotas count from now on.
    pub(super) fn set(&mut self, quotas: Vec<Allotment>) {
        self.quotas = quotas;
    }

    /// Whether there are any.
    pub(super) fn has_quotas(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// These repositories are served now.
    pub(super) fn follow(&mut self, listed: Vec<Listed>) {
        let mut before = std::mem::take(&mut self.known);
        for listed in listed {
            let holding = before.remove(&listed.id).map_or_else(
                || Holding { listed: listed.clone(), bytes: None, at: None, changed: None, turn: 0, is_unclear: false },
                |known| Holding { listed: listed.clone(), ..known },
            );
            self.known.entry(listed.id).or_insert(holding);
        }
    }

    /// The quotas that a repository has a part in.
    pub(super) fn of(&self, id: Id) -> Vec<Allotment> {
        let Some(holding) = self.known.get(&id) else { return Vec::new() };
        self.quotas.iter().filter(|quota| quota.fits(&holding.listed.name)).cloned().collect()
    }

    /// `more` bytes go to `id`, which holds `used` by a look that began at `begun`, if they fit into all quotas that it has a part in.
    /// What changed after `asked` is not waited for.
    pub(super) fn take(&mut self, id: Id, used: u64, more: u64, begun: Instant, asked: Instant) -> Result<(), Refusal> {
        let Some(own) = self.known.get_mut(&id) else { return Ok(()) };
        (own.bytes, own.at, own.is_unclear) = (Some(used), Some(begun), false);
        own.turn += 1;
        own.changed = own.changed.filter(|changed| *changed > begun);
        let name = Arc::clone(&own.listed.name);
        for quota in self.quotas.iter().filter(|quota| quota.fits(&name)) {
            let Some(most) = quota.all else { continue };
            let (mut sum, mut is_unknown, mut is_less) = (0u64, false, false);
            for holding in self.known.values().filter(|holding| quota.fits(&holding.listed.name)) {
                sum = sum.saturating_add(holding.bytes.unwrap_or(0));
                is_unknown |= holding.bytes.is_none();
                is_less |= holding.changed.is_some_and(|changed| changed <= asked);
            }
            match sum.saturating_add(more) > most {
                true if is_less => return Err(Refusal::Waits),
                true => return Err(Refusal::Full { repositories: quota.repositories.clone(), used: sum, most }),
                false if is_unknown => return Err(Refusal::Waits),
                false => {}
            }
        }
        if let Some(own) = self.known.get_mut(&id) {
            own.bytes = Some(used.saturating_add(more));
        }
        Ok(())
    }

    /// `id` may hold less since `now`: an upload has ended, or something was removed.
    pub(super) fn changed(&mut self, id: Id, now: Instant) {
        if let Some(holding) = self.known.get_mut(&id) {
            holding.changed = Some(now);
        }
    }

    /// Whether there is one that was never looked at.
    pub(super) fn has_unknown(&self) -> bool {
        self.counted().any(|holding| holding.bytes.is_none())
    }

    /// What is to be looked at: what is unknown, what changed if that `counts`, and what was last looked at before `before`.
    pub(super) fn due(&self, counts: bool, before: Option<Instant>) -> Vec<Due> {
        let is_due = |holding: &&Holding| {
            let is_old = |at: Instant| before.is_some_and(|before| at < before);
            holding.at.is_none_or(is_old) || counts && holding.changed.is_some()
        };
        let due = |holding: &Holding| Due {
            id: holding.listed.id,
            path: holding.listed.path.clone(),
            turn: holding.turn,
            is_first: holding.at.is_none(),
        };
        self.counted().filter(is_due).map(due).collect()
    }

    /// What a look at `due` that began at `begun` has told; none where it could not be told: then it counts as it was last seen, or as
    /// nothing. Tells whether that is news.
    pub(super) fn looked(&mut self, due: &Due, begun: Instant, bytes: Option<u64>) -> bool {
        // One that was uploaded to meanwhile was looked at then.
        let Some(holding) = self.known.get_mut(&due.id).filter(|holding| holding.turn == due.turn) else {
            return false;
        };
        let is_news = bytes.is_none() && !holding.is_unclear;
        (holding.bytes, holding.at) = (Some(bytes.or(holding.bytes).unwrap_or(0)), Some(begun));
        holding.is_unclear = bytes.is_none();
        holding.changed = holding.changed.filter(|changed| *changed > begun);
        is_news
    }

    /// Those that have a part in a quota of bytes.
    fn counted(&self) -> impl Iterator<Item = &Holding> {
        self.known
            .values()
            .filter(|holding| self.quotas.iter().any(|quota| quota.all.is_some() && quota.fits(&holding.listed.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const A: Id = (1, 1);
    const B: Id = (1, 2);
    const ELSEWHERE: Id = (1, 3);

    struct Lab {
        holdings: Holdings,
        zero: Instant,
    }

    impl Lab {
        fn new(quotas: &[&str]) -> Lab {
            let mut holdings = Holdings::default();
            holdings.set(quotas.iter().map(|line| Allotment::parse(line).expect(line)).collect());
            let mut lab = Lab { holdings, zero: Instant::now() };
            lab.follow(&[(A, "org/a.git"), (B, "org/b.git"), (ELSEWHERE, "x.git")]);
            lab
        }

        fn follow(&mut self, names: &[(Id, &str)]) {
            let listed = |(id, name): &(Id, &str)| Listed { id: *id, name: name.as_bytes().into(), path: name.into() };
            self.holdings.follow(names.iter().map(listed).collect());
        }

        fn at(&self, seconds: u64) -> Instant {
            self.zero + Duration::from_secs(seconds)
        }

        fn look(&mut self, seconds: u64, what: &[(Id, Option<u64>)]) {
            for due in self.holdings.due(true, Some(self.at(seconds))) {
                if let Some((_, bytes)) = what.iter().find(|(id, _)| *id == due.id) {
                    self.holdings.looked(&due, self.at(seconds), *bytes);
                }
            }
        }

        fn take(&mut self, id: Id, used: u64, more: u64, seconds: u64) -> Result<(), Refusal> {
            let now = self.at(seconds);
            self.holdings.take(id, used, more, now, now)
        }

        fn due(&self, seconds: u64) -> Vec<Id> {
            let mut ids: Vec<_> = self.holdings.due(true, Some(self.at(seconds))).iter().map(|due| due.id).collect();
            ids.sort_unstable();
            ids
        }
    }

    fn full(pattern: &str, used: u64, most: u64) -> Result<(), Refusal> {
        Err(Refusal::Full { repositories: Pattern::parse(pattern).expect(pattern), used, most })
    }

    #[test]
    fn what_all_hold_together_counts_and_every_quota_that_fits() {
        let mut lab = Lab::new(&["org/ 100 -", "* 150 -", "org/b 30 -"]);
        assert_eq!(lab.take(A, 0, 1, 1), Err(Refusal::Waits), "nobody has looked at the others");
        assert_eq!(lab.take(A, 99, 2, 1), full("org/", 99, 100), "whatever they hold");
        lab.look(1, &[(A, Some(0)), (B, Some(20)), (ELSEWHERE, Some(40))]);
        assert_eq!(lab.take(A, 0, 60, 2), Ok(()));
        assert_eq!(lab.take(B, 20, 11, 2), full("org/b", 20, 30));
        assert_eq!(lab.take(B, 20, 10, 2), Ok(()));
        assert_eq!(lab.take(A, 60, 11, 2), full("org/", 90, 100));
        assert_eq!(lab.take(A, 60, 0, 2), Ok(()), "what is there already costs nothing");
        assert_eq!(lab.take(ELSEWHERE, 40, 21, 2), full("*", 130, 150));
        assert_eq!(lab.take(ELSEWHERE, 40, 20, 2), Ok(()), "to the last byte");
        assert_eq!(lab.take(ELSEWHERE, u64::MAX, u64::MAX, 2), full("*", u64::MAX, 150), "and no sum goes round");
        assert_eq!(lab.take((9, 9), 0, u64::MAX, 2), Ok(()), "what is not served here is no concern of them");
    }

    /// Room that was reserved is not given away by a look that began before it.
    #[test]
    fn a_look_that_began_before_a_reservation_tells_nothing() {
        let mut lab = Lab::new(&["org/ 100 -"]);
        let before = lab.holdings.due(false, None);
        assert_eq!(lab.take(A, 10, 0, 1), Err(Refusal::Waits));
        for due in &before {
            lab.holdings.looked(due, lab.zero, Some(0));
        }
        assert_eq!(lab.take(B, 0, 91, 2), full("org/", 10, 100));
        assert_eq!(lab.take(B, 0, 90, 2), Ok(()));
    }

    #[test]
    fn what_became_less_is_looked_at_before_anything_is_refused() {
        let mut lab = Lab::new(&["org/ 100 -"]);
        lab.look(1, &[(A, Some(90)), (B, Some(0))]);
        lab.holdings.changed(A, lab.at(5));
        assert_eq!(lab.due(1), [A]);
        assert_eq!(lab.take(B, 0, 10, 6), Ok(()), "what fits in any case is not kept waiting");
        assert_eq!(lab.take(B, 10, 10, 6), Err(Refusal::Waits));
        lab.look(4, &[(A, Some(90))]);
        assert_eq!(lab.take(B, 10, 10, 6), Err(Refusal::Waits), "a look that began before it changed");
        lab.look(6, &[(A, Some(50))]);
        assert_eq!(lab.take(B, 10, 40, 7), Ok(()));
        lab.holdings.changed(A, lab.at(9));
        assert_eq!(lab.take(B, 50, 1, 8), full("org/", 100, 100), "what changed since it was asked is not waited for");
    }

    #[test]
    fn what_cannot_be_told_counts_as_it_was_last_seen_and_stops_nobody_else() {
        let mut lab = Lab::new(&["org/ 100 -"]);
        lab.look(1, &[(A, Some(30)), (B, None)]);
        assert_eq!(lab.take(A, 30, 70, 2), Ok(()), "never seen, it counts as nothing");
        lab.look(50, &[(A, None), (B, Some(0))]);
        assert_eq!(lab.take(B, 0, 1, 51), full("org/", 100, 100));
        let due = lab.holdings.due(true, Some(lab.at(60))).into_iter().find(|due| due.id == A).expect("it is due");
        assert!(!lab.holdings.looked(&due, lab.at(60), None), "told once");
    }

    #[test]
    fn only_what_counts_is_looked_at_and_only_when_it_is_time() {
        let mut lab = Lab::new(&["org/ 100 5", "* - 9"]);
        assert_eq!((lab.due(0), lab.holdings.has_unknown()), (vec![A, B], true));
        lab.look(5, &[(A, Some(1)), (B, Some(1))]);
        assert_eq!((lab.due(5), lab.due(6), lab.holdings.has_unknown()), (vec![], vec![A, B], false));
        assert!(lab.holdings.due(false, None).is_empty());
        assert_eq!(lab.holdings.of(ELSEWHERE).iter().map(|quota| quota.largest).collect::<Vec<_>>(), [Some(9)]);
        assert_eq!(lab.holdings.of(A).len(), 2);
        // One that is gone counts no more, and one that is new is not known.
        lab.follow(&[(A, "org/a.git"), (ELSEWHERE, "org/new.git")]);
        assert_eq!(lab.due(5), [ELSEWHERE]);
        assert_eq!(lab.take(A, 1, 1, 6), Err(Refusal::Waits));
        lab.look(6, &[(ELSEWHERE, Some(98))]);
        assert_eq!(lab.take(A, 1, 1, 6), Ok(()));
        // Other quotas, while all is as it was.
        lab.holdings.set(vec![Allotment::parse("org/a 3 -").expect("a quota")]);
        assert_eq!(lab.take(A, 2, 1, 7), Ok(()));
        assert_eq!(lab.take(A, 3, 1, 7), full("org/a", 3, 3));
        lab.holdings.set(Vec::new());
        assert!(!lab.holdings.has_quotas());
        assert_eq!(lab.take(A, 3, 1, 7), Ok(()));
    }
}
