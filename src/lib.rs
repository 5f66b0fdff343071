//! git-annex-remote-stream.

pub mod annex;
pub mod cli;
pub mod gateway;
pub mod name;
pub mod peer;
pub mod proto;
pub mod resolve;
pub mod serve;
