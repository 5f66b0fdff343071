//! Preferred content, theirs and ours: what git-annex answers about random expressions, repositories and keys.

mod chance;
mod commands;
mod expressions;
mod find;
mod lab;
mod page;

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    match std::env::var(name).ok().filter(|value| !value.is_empty()) {
        Some(value) => value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")),
        None => default,
    }
}
