//! git's smart HTTP, as far as a server has to understand it that leaves the rest to `git http-backend`.
//!
//! ```text
//! GET  PREFIX/info/refs?service=git-upload-pack      what there is to fetch
//! POST PREFIX/git-upload-pack                        fetching
//! GET  PREFIX/info/refs?service=git-receive-pack     what there is to push to
//! POST PREFIX/git-receive-pack                       pushing
//! GET  PREFIX/config                                 what git-annex asks of a remote over HTTP
//! ```
//!
//! Files of the repository are never sent as they are (git's "dumb" protocol). Source: git's `http-protocol` and `pack-protocol`,
//! `git-http-backend(1)`, RFC 3875.

pub mod cgi;
pub mod config;
pub mod fuzz;
pub mod packet;
pub mod push;
pub mod route;
