//! The recorded conversations over stdio, as the unit tests of the protocol read them.
#![allow(dead_code)]

#[path = "../../src/proto/p2p/tests/behind.rs"]
pub mod behind;
#[path = "../../src/proto/p2p/tests/differences.rs"]
pub mod differences;
#[path = "../../src/proto/p2p/tests/transcript.rs"]
pub mod transcript;
