//! HTTP/1.1 and git-annex's API over it, without IO: heads, bodies, routes, permissions, answers.
//!
//! A request is read in this order, and the first thing that is wrong decides the answer:
//!
//! ```text
//! bytes -> head::parse -> origin::Guard -> route::route -> Access::judge -> (is the uuid served?) -> work -> json + response
//!            400 414 431      403 close      400 404          401 403              404
//!            417 505 close
//! ```
//!
//! Permission comes before the look whether the repository is there, so that strangers do not learn it.
//!
//! The body, where there is one, is read through [`body::BodyReader`], which also tells how many bytes may be moved
//! without being looked at. Source: the API is `design/p2p_protocol_over_http`, checked against git-annex 10.20261026;
//! the framing is RFC 9112. What is answered differently on purpose is in one table, in `tests/p2p/http_transcripts/mod.rs`.

pub mod access;
pub mod auth;
pub mod body;
pub mod client;
pub mod fuzz;
pub mod head;
pub mod json;
pub mod origin;
pub mod range;
pub mod response;
pub mod route;
pub mod settings;
pub mod words;

mod params;
pub(in crate::proto) mod query;
pub(in crate::proto) mod reject;
