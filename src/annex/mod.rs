//! A git-annex repository on disk: its keys, where they are stored, what is locked, and what is recorded.

pub mod backend;
pub mod branch;
pub mod content;
pub mod export;
pub mod fresh;
pub mod fuzz;
pub mod git;
pub mod key;
pub mod layout;
pub mod lock;
pub mod log;
pub mod program;
pub mod recorder;
pub mod remote;
pub mod repository;
pub mod sizes;
pub mod unfinished;
pub(crate) mod wal;
