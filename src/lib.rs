//! git-annex-remote-stream.

pub mod annex;
pub mod cli;
pub mod gateway;
pub mod name;
pub mod proto;
pub mod serve;
