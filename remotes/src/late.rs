//! Requests without an answer: a slow store may still carry them out after the name was filled again.
//!
//! Whoever fills a name waits until those are over. How long a store may take is for [`Context::late`] to say. What was left
//! by a process that is dead is for those to remember who can outlive it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Context, Error, Kind};

/// Names of which a request may still be on its way, by the store's label, and until when; of all stores of this process.
static NAMES: LazyLock<Mutex<HashMap<(String, String), Instant>>> = LazyLock::new(Mutex::default);

fn names() -> MutexGuard<'static, HashMap<(String, String), Instant>> {
    // Each change is one step, so a panic elsewhere leaves the map whole.
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory and what else may be at its name are one.
fn entry(label: &str, name: &str) -> (String, String) {
    (label.to_string(), name.trim_end_matches('/').to_string())
}

/// Whether a request that failed like this may still be done.
fn is_open(error: &Error) -> bool {
    // One that was given up because its time was over may be on its way, too, and so may one that a server in front was tired
    // of. An answer that is no answer, such as 202, says nothing of what is done.
    matches!(error.kind(), Kind::Timeout | Kind::Reset | Kind::TooLate | Kind::Unavailable | Kind::Protocol)
}

/// A request to change `name` in the store `label` failed.
pub(crate) fn failed(context: &Context, label: &str, name: &str, error: &Error) {
    if is_open(error) && !context.late.is_zero() {
        let mut names = names();
        let now = Instant::now();
        names.retain(|_, until| *until > now);
        names.insert(entry(label, name), now + context.late);
    }
}

/// Waits until nothing of an earlier request can happen to `name` any more. At once, where there was none.
pub(crate) async fn over(label: &str, name: &str) {
    let until = {
        let names = names();
        if names.is_empty() {
            return;
        }
        names.get(&entry(label, name)).copied()
    };
    if let Some(until) = until.filter(|until| *until > Instant::now()) {
        let wait = until.duration_since(Instant::now());
        tracing::warn!(target: "remotes", "{label}: the outcome of a request to change {name} is unknown; the name is filled again in {} s", wait.as_secs());
        tokio::time::sleep_until(until).await;
    }
}

/// For how long something may still happen in the store `label` of what this process asked for.
pub fn left(label: &str) -> Option<Duration> {
    let (names, now) = (names(), Instant::now());
    let of_store = names.iter().filter(|((of, _), _)| of == label);
    of_store.map(|(_, until)| until.duration_since(now)).max().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;

    #[tokio::test(start_paused = true)]
    async fn a_name_waits_for_what_may_still_be_done_to_it() {
        let context = Context { late: Duration::from_secs(60), ..Context::default() };
        let fails = |kind| Error::new(Op::Remove, kind, "as asked");
        let begun = Instant::now();
        failed(&context, "store", "refused", &fails(Kind::Denied));
        over("store", "refused").await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "who said no does nothing");
        failed(&context, "store", "silent", &fails(Kind::Timeout));
        over("store", "other").await;
        over("elsewhere", "silent").await;
        assert_eq!((begun.elapsed(), left("elsewhere")), (Duration::ZERO, None));
        assert_eq!(left("store"), Some(context.late));
        over("store", "silent").await;
        assert_eq!(begun.elapsed(), context.late);
        over("store", "silent").await;
        assert_eq!((begun.elapsed(), left("store")), (context.late, None));
    }
}
