//! What is known of a git-annex repository: its keys, where they lie, what is locked, and what is recorded.

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
