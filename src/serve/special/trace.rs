//! Log lines of stores, as DEBUG lines.

use std::sync::Arc;

use super::port::Port;
use crate::serve::warnings;

/// Forwards events of the target `remotes` from now on, in all threads.
pub(super) fn start(port: &Arc<Port>) {
    let port = Arc::clone(port);
    warnings::listen(|metadata| metadata.target() == "remotes", move |words| port.remark(words));
}
