//! What is known of git-annex's keys and of where it puts them.

pub mod key;
pub mod layout;
