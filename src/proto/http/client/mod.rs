//! The client side: writing requests, reading heads and answers.
//!
//! ```text
//! Endpoint + Api + Op -> request::write -> bytes
//! bytes -> response::parse -> ResponseHead -> body::BodyReader -> answer::*
//! ```
//!
//! git-annex goes from v4 down to v0 where it is answered 404, and so does whoever uses this; [`request::lowest`] tells how
//! far.

pub mod answer;
pub mod request;
pub mod response;

#[cfg(test)]
mod pair_tests;
