//! Connections: where they come from, TLS and systemd, and how content moves through them.
//!
//! | file | what |
//! |---|---|
//! | `link` | a connection, or standard input and output |
//! | `flow` | content that goes out |
//! | `payload` | content that comes in |
//! | `tls` | the same encrypted, with certificates that may be renewed |
//! | `systemd` | listeners that were passed on |

pub(in crate::serve) mod flow;
pub(in crate::serve) mod link;
pub(in crate::serve) mod payload;
pub mod systemd;
pub mod tls;
