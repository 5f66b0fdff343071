//! Special remote of git-annex and streaming gateway to git-annex repositories, in one program with three faces.
//!
//! | face | started as | speaks | code |
//! |---|---|---|---|
//! | special remote | `git-annex-remote-stream`, by git-annex | the external special remote protocol | [`serve::special`] |
//! | gateway over HTTP | `git-annex-remote-stream p2phttp` | git-annex's P2P protocol over HTTP(S) | [`serve::http`] |
//! | gateway over stdio | `git-annex-shell`, by sshd | git-annex's P2P protocol | [`serve::shell`] |
//!
//! The special remote stores and fetches content for a git-annex on the same computer. The gateways serve repositories, and
//! what is behind these: special remotes, and repositories elsewhere.
//!
//! # Folders
//!
//! Each arrow is from a folder to one that it uses. There are no others between them, and `tests/house/layering.rs` keeps it so.
//!
//! ```text
//! main, cli --> serve --> gateway --> peer, resolve --> annex --> name
//!                                                   --> proto --> name
//!                                                   --> remotes (a crate of its own)
//!                                 --> cluster --> wanted --> name
//!          --> sim --> cluster, wanted
//! ```
//!
//! - [`serve`]: the drivers. They read requests from a wire, and write the answers.
//! - [`gateway`]: what a client can ask of a repository, the same for both wires.
//! - [`peer`]: repositories elsewhere, as a client of theirs; [`resolve`]: from the configuration of a remote to its store.
//! - [`cluster`]: which nodes an upload goes to; [`wanted`]: what repositories want. Both are pure.
//! - [`sim`]: what a network of repositories will do, tried out without moving content. Pure too.
//! - [`annex`]: a repository on the disk; [`proto`]: the protocols, as state machines without IO; [`name`]: keys and uuids.
//! - [`remotes`]: stores, and the data plane that moves bytes.
//!
//! # Where to start reading
//!
//! - A request over HTTP: `src/serve/http/connection.rs`, then [`gateway::Node`].
//! - A request of git-annex to a special remote: `src/serve/special/talk.rs`, then `worker.rs` beside it.
//! - What a store promises: [`remotes::Store`].
//! - The map of all folders, and why they are so: `docs/architecture.md`. How to change something: `CONTRIBUTING.md`.
//!
//! This crate is the program; its public items are for its own tests, and change without notice.

pub mod annex;
pub mod cli;
pub mod cluster;
pub mod failure;
pub mod gateway;
pub mod name;
pub mod peer;
mod pool;
mod process;
pub mod proto;
mod request;
pub mod resolve;
pub mod serve;
pub mod sim;
pub mod wanted;
