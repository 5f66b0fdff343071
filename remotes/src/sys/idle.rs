//! Idle things kept for reuse: connections, empty pipes.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A few things, closed when they were not used for a while. A thread with a `LocalSet` keeps them.
pub struct Idle<T>(Rc<Inner<T>>);

struct Inner<T> {
    most: usize,
    keep: Duration,
    items: RefCell<Vec<(T, Instant)>>,
    tidying: Cell<bool>,
}

impl<T: 'static> Idle<T> {
    /// Room for `most`, each kept for `keep`.
    pub fn new(most: usize, keep: Duration) -> Self {
        Self(Rc::new(Inner { most, keep, items: RefCell::default(), tidying: Cell::new(false) }))
    }

    /// The one that was used last of those that are still good; others that are met on the way are closed.
    pub fn take(&self, is_good: impl Fn(&T) -> bool) -> Option<T> {
        self.take_of(|_| true, is_good)
    }

    /// The same of those that are of a kind; others stay.
    pub fn take_of(&self, is_of_kind: impl Fn(&T) -> bool, is_good: impl Fn(&T) -> bool) -> Option<T> {
        loop {
            let (item, since) = {
                let mut items = self.0.items.borrow_mut();
                let at = items.iter().rposition(|(item, _)| is_of_kind(item))?;
                items.remove(at)
            };
            if since.elapsed() < self.0.keep && is_good(&item) {
                return Some(item);
            }
        }
    }

    /// Keeps one, if there is room.
    pub fn put(&self, item: T) {
        let mut items = self.0.items.borrow_mut();
        if items.len() >= self.0.most {
            return;
        }
        items.push((item, Instant::now()));
        if !self.0.tidying.replace(true) {
            tokio::task::spawn_local(tidy(Rc::downgrade(&self.0), self.0.keep));
        }
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.items.borrow().len()
    }
}

/// Closes what lies idle for too long, until there is nothing left.
async fn tidy<T>(idle: Weak<Inner<T>>, keep: Duration) {
    loop {
        tokio::time::sleep(keep / 4).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut items = idle.items.borrow_mut();
        items.retain(|(_, since)| since.elapsed() < keep);
        if items.is_empty() {
            idle.tidying.set(false);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_one_is_taken_and_there_is_no_end_of_room() {
        let done = crate::sys::run(false, async {
            let idle = Idle::new(3, Duration::from_secs(600));
            (1..=5).for_each(|n| idle.put(n));
            assert_eq!(idle.len(), 3);
            assert_eq!((idle.take_of(|n| n % 2 == 1, |n| *n < 3), idle.len()), (Some(1), 1));
            (1..=3).for_each(|n| idle.put(n));
            assert_eq!((idle.take_of(|n| n % 2 == 1, |_| true), idle.len()), (Some(1), 2));
            assert_eq!((idle.take(|n| *n < 3), idle.len()), (Some(2), 1));
            assert_eq!((idle.take(|_| false), idle.len()), (None, 0));
        });
        done.expect("a runtime");
    }

    #[test]
    fn what_lies_too_long_is_closed_by_itself() {
        struct Told(Option<tokio::sync::oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.take().map(|tell| tell.send(()));
            }
        }
        let done = crate::sys::run(false, async {
            let idle = Idle::new(3, Duration::from_millis(40));
            let (tell, closed) = tokio::sync::oneshot::channel();
            idle.put(Told(Some(tell)));
            tokio::time::timeout(Duration::from_secs(20), closed)
                .await
                .expect("it is closed")
                .expect("by being dropped");
            assert_eq!(idle.len(), 0);
        });
        done.expect("a runtime");
    }
}
