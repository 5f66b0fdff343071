//! The request that is being done: a span with its number, and what is known of it. Every line about a request says the number.
//!
//! The number is the process's own, from 1 on. It is known on the thread that does the request, and on the pool threads that it
//! uses: [`crate::pool`] and the pool of `remotes` take the span along.

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Empty, Field, Visit, display};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Span};
use tracing_core::span::Current;

/// What spans of requests are known by. No other span is enabled.
pub(crate) const TARGET: &str = "git_annex_remote_stream::request";

thread_local! {
    /// The requests that this thread is in; the last is the one it works on.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Begins a request: a span to be in while it is done.
pub(crate) fn begin() -> Span {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let req = COUNT.fetch_add(1, Ordering::Relaxed);
    tracing::error_span!(target: TARGET, "request", req, key = Empty, node = Empty, lane = Empty)
}

/// The request is about this key.
pub(crate) fn about(key: &impl Display) {
    Span::current().record("key", display(key));
}

/// It is for this repository or remote.
pub(crate) fn of(node: &impl Display) {
    Span::current().record("node", display(node));
}

/// Its bytes move by this lane.
pub(crate) fn by(lane: &impl Display) {
    Span::current().record("lane", display(lane));
}

/// The number of the request that this thread works on.
pub(crate) fn current() -> Option<u64> {
    ENTERED.with_borrow(|entered| entered.last().copied())
}

/// The same as a line ends with it: ` req=7`, or nothing.
pub(crate) fn tag() -> String {
    current().map(|req| format!(" req={req}")).unwrap_or_default()
}

/// What a subscriber keeps of requests: on each thread, which it is in.
pub(crate) mod kept {
    use super::*;

    static SPAN: OnceLock<&'static Metadata<'static>> = OnceLock::new();

    /// A span was made.
    pub(crate) fn made(attributes: &Attributes<'_>) -> Id {
        SPAN.get_or_init(|| attributes.metadata());
        let mut number = Number(1);
        attributes.record(&mut number);
        Id::from_u64(number.0.max(1))
    }

    /// This thread works on it from now on.
    pub(crate) fn entered(id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    /// It does not any more.
    pub(crate) fn left(id: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|req| *req == id.into_u64()) {
                entered.remove(at);
            }
        });
    }

    /// The span that this thread is in.
    pub(crate) fn current() -> Current {
        match (super::current(), SPAN.get()) {
            (Some(req), Some(span)) => Current::new(Id::from_u64(req), span),
            _ => Current::none(),
        }
    }

    struct Number(u64);

    impl Visit for Number {
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "req" {
                self.0 = value;
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
    }
}
