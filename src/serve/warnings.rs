//! Shows what is traced at run time: warnings of a server, DEBUG lines of a special remote.
//! Spans of requests are kept too, so that a line can say which request it is about ([`crate::request`]). Nothing else that is
//! traced in the process is enabled, so it costs nothing.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Level, Metadata};
use tracing_core::span::Current;

use crate::request::{TARGET, kept};

/// Takes one event, which may have several lines.
type Say = Box<dyn Fn(&str) + Send + Sync>;

/// Says the events that are wanted.
struct Listener {
    wanted: fn(&Metadata<'_>) -> bool,
    say: Say,
}

/// Hands warnings and errors of this program's own code to `say` from now on, in all threads. The first call in a process
/// counts, of this and [`listen`].
pub(crate) fn start(say: impl Fn(&str) + Send + Sync + 'static) {
    listen(is_warning, say);
}

/// Hands the events that are `wanted` to `say`, likewise.
pub(crate) fn listen(wanted: fn(&Metadata<'_>) -> bool, say: impl Fn(&str) + Send + Sync + 'static) {
    let _ = tracing::subscriber::set_global_default(Listener { wanted, say: Box::new(say) });
}

fn is_warning(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() { metadata.target() == TARGET } else { (self.wanted)(metadata) }
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        kept::made(attributes)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        (self.say)(&words.0);
    }

    fn enter(&self, id: &Id) {
        kept::entered(id);
    }

    fn exit(&self, id: &Id) {
        kept::left(id);
    }

    fn current_span(&self) -> Current {
        kept::current()
    }
}

/// The message, and behind it the fields.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to memory does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::request;

    #[test]
    fn warnings_are_said_and_the_rest_is_not() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let again = Arc::clone(&said);
        let say = move |words: &str| again.lock().expect("no panic").push(words.to_string());
        tracing::subscriber::with_default(Listener { wanted: is_warning, say: Box::new(say) }, || {
            tracing::warn!(repository = %"/srv/x", "cannot commit yet: {}", "busy");
            tracing::info!("all is well");
            tracing::warn!(target: "rustls", "noise");
        });
        assert_eq!(*said.lock().expect("no panic"), ["cannot commit yet: busy repository=/srv/x"]);
    }

    /// On the thread that does it, after every wait, and on the pool threads that it uses.
    #[test]
    fn a_line_says_the_request_it_is_about_on_whatever_thread() {
        use tracing::Instrument as _;

        let said = Arc::new(Mutex::new(Vec::new()));
        let again = Arc::clone(&said);
        let say = move |words: &str| again.lock().expect("no panic").push((words.to_string(), request::current()));
        let dispatch = tracing::Dispatch::new(Listener { wanted: is_warning, say: Box::new(say) });
        let on_pool = dispatch.clone();
        tracing::dispatcher::with_default(&dispatch, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let one = |name: &'static str| {
                let on_pool = on_pool.clone();
                let work = async move {
                    tracing::warn!("{name} begins");
                    tokio::task::yield_now().await;
                    let blocking = crate::pool::blocking(move || {
                        tracing::dispatcher::with_default(&on_pool, || tracing::warn!("{name} blocks"));
                    });
                    blocking.await.expect("it runs");
                    tracing::warn!("{name} ends");
                };
                work.instrument(request::begin())
            };
            runtime.block_on(async { tokio::join!(one("a"), one("b")) });
            tracing::warn!("nobody asks");
        });
        let said = said.lock().expect("no panic");
        let of = |name: &str| -> Vec<Option<u64>> {
            said.iter().filter(|(words, _)| words.starts_with(name)).map(|(_, req)| *req).collect()
        };
        let (a, b) = (of("a "), of("b "));
        assert!(a.len() == 3 && a[0].is_some() && a.iter().all(|req| *req == a[0]), "{said:?}");
        assert!(b.len() == 3 && b[0].is_some() && b.iter().all(|req| *req == b[0]), "{said:?}");
        assert_ne!(a[0], b[0], "each has its own");
        assert_eq!(of("nobody"), [None]);
    }
}
