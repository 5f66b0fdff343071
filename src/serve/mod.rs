//! The drivers: where protocols, stores and the operating system meet.

mod flow;
pub mod hook;
pub mod http;
mod link;
pub mod shell;
pub mod special;
pub mod stdio;
pub mod systemd;
pub mod tls;
mod warnings;
