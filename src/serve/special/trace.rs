//! What stores log, as DEBUG lines. Nothing else that is traced in this process is enabled, so it costs nothing.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Metadata};

use super::port::Port;

/// Events of the target `remotes`, to git-annex.
struct Debugger(Arc<Port>);

/// Forwards from now on, in all threads.
pub(super) fn start(port: &Arc<Port>) {
    // Set already: then it forwards to the same port, as there is only one.
    let _ = tracing::subscriber::set_global_default(Debugger(Arc::clone(port)));
}

fn ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == "remotes"
}

impl Subscriber for Debugger {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if ours(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ours(metadata)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.remark(&message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
