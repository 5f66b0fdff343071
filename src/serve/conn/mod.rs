//! Connections: where they come from, TLS and systemd, and how content moves through them.
//!
//! | file | what |
//! |---|---|
//! | `link` | a connection, or standard input and output |
//! | `flow` | content that goes out |
//! | `payload` | content that comes in |
//! | `patience` | how slow a client may be that keeps something from others |
//! | `share` | whose share of the bandwidth it takes |
//! | `tls` | the same encrypted, with certificates that may be renewed |
//! | `systemd` | listeners that were passed on |

pub(in crate::serve) mod flow;
pub(in crate::serve) mod link;
pub(in crate::serve) mod patience;
pub(in crate::serve) mod payload;
pub(in crate::serve) mod share;
pub mod systemd;
pub mod tls;
