//! What is traced while the program goes on, for whoever runs it: warnings of a server, DEBUG lines of a special remote.
//! Nothing else that is traced in the process is enabled, so it costs nothing.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Level, Metadata};

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
        metadata.is_event() && (self.wanted)(metadata)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        (self.say)(&words.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
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
}
