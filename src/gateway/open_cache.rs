//! Stores and connections that a data thread keeps open from one request to the next.
//!
//! They cannot be shared between threads.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{Failure, timestamp};

/// Seconds after which what nobody asked for is closed.
const IDLE: u64 = 300;

struct Entry {
    /// What it was opened from, held so that nothing else can be at its address.
    _from: Rc<dyn Any>,
    opened: Box<dyn Any>,
    used: u64,
}

thread_local! {
    static OPEN: RefCell<HashMap<usize, Entry>> = RefCell::default();
}

/// What `open` made of `from` on this thread before, or makes now. A configuration that is read anew is another one, so what
/// was opened from the old one is used until its requests end, and closed then.
pub(super) fn kept<C: 'static, T: ?Sized + 'static>(
    from: &Arc<C>,
    open: impl FnOnce() -> Result<Rc<T>, Failure>,
) -> Result<Rc<T>, Failure> {
    let (place, now) = (Arc::as_ptr(from) as usize, timestamp());
    let known = OPEN.with_borrow_mut(|entries| {
        entries.retain(|at, entry| *at == place || now < entry.used + IDLE);
        let entry = entries.get_mut(&place)?;
        entry.used = now;
        entry.opened.downcast_ref::<Rc<T>>().cloned()
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let opened = open()?;
    let entry = Entry { _from: Rc::new(Arc::clone(from)), opened: Box::new(Rc::clone(&opened)), used: now };
    OPEN.with_borrow_mut(|entries| entries.insert(place, entry));
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_is_found_again_and_a_new_configuration_opens_anew() {
        let open = |from: &Arc<String>| kept(from, || Ok(Rc::new(format!("{from}!")))).expect("opened");
        let (one, other) = (Arc::new("a".to_string()), Arc::new("a".to_string()));
        assert!(Rc::ptr_eq(&open(&one), &open(&one)));
        assert!(!Rc::ptr_eq(&open(&one), &open(&other)));
        let failed = kept::<_, str>(&Arc::new("b".to_string()), || Err(Failure::busy("no")));
        assert!(failed.is_err());
    }
}
