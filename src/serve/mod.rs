//! The drivers: where protocols, stores and the operating system meet.

pub mod shell;
pub mod special;
pub mod systemd;
pub mod tls;
