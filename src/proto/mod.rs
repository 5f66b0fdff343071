//! The protocols git-annex speaks, as pure state machines: bytes in, events out.
//!
//! Nothing in here opens a socket, reads a clock, holds payload or knows an async runtime. A driver reads bytes from
//! wherever they come, hands them over, acts on the events and writes what the machine has to say.

pub mod git;
pub mod http;
pub mod line;
pub mod p2p;
pub mod special;
pub mod users;
