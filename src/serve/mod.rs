//! The drivers: where protocols, stores and the operating system meet.

pub mod conn;
pub mod http;
pub mod post_receive;
pub mod shell;
pub mod special;
pub mod stdio;
pub mod unite;
pub(crate) mod warnings;
