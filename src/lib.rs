//! git-annex-remote-stream.

pub mod annex;
pub mod cli;
pub mod failure;
pub mod gateway;
pub mod name;
pub mod peer;
mod pool;
pub mod proto;
pub mod resolve;
pub mod serve;
pub mod wanted;
