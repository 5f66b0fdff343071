//! The P2P protocol over HTTP: `git-annex-remote-stream p2phttp`.
//!
//! One data thread for each core accepts connections of its own; every connection is a task there. Locks, repositories
//! and counters are shared by all.

mod admin;
mod attempts;
mod audit;
mod authenticator;
mod call;
mod connection;
mod fail;
mod forward;
mod get;
mod git;
mod judge;
mod listen;
mod locks;
mod log;
mod put;
mod remembered;
mod room;
mod server;
mod shared;
mod skip;
mod smart;
mod transfers;
mod upkeep;

pub use authenticator::{AuthHeader, UsersFrom};
pub use forward::ForwardTo;
pub use git::{GitOptions, UNITES};
pub use listen::{Bind, ListenError};
pub use log::LogFormat;
pub use server::{Options, StartError, main};
