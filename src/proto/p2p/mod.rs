//! The P2P protocol, versions 0 to 4, as git-annex 10.20261026 speaks it over stdio.
//!
//! Source: `design/p2p_protocol` in git-annex's documentation, and where that is silent or wrong, conversations recorded
//! with git-annex; they are in `testdata/p2p/`.
//!
//! | file | what |
//! |---|---|
//! | `server` | the side that serves a repository: whose turn it is; start reading there |
//! | `client` | the side that asks another server |
//! | `event` | what the server hears and what can be said in return |
//! | `message` | every line of the protocol, both ways |
//! | `file` | the name of a file as these lines carry it |
//! | `version` | what each version changed |

pub mod client;
mod event;
mod file;
#[doc(hidden)]
pub mod fuzz;
pub mod message;
pub mod server;
#[cfg(test)]
mod tests;
mod version;

pub use client::{Answer, Broken, Client};
pub use event::{Close, Event, Misuse, Reply, Request};
pub use file::AssociatedFile;
pub use message::{Message, Service};
pub use server::{Access, Server};
pub use version::ProtocolVersion;

/// Longest line taken, in bytes without its newline: what git-annex itself takes before it calls it a protocol error.
pub const LINE_LIMIT: usize = 32767;
