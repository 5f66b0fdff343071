//! HTTP/1.1 on plain connections of our own, for requests whose payload the kernel shall move.
//!
//! Only what presigned GETs and PUTs need: a head is sent, the payload goes by sendfile or from memory, a head comes back, and
//! the payload behind it stays in the socket for whoever pumps it. A server that answers in another way (chunked, redirects)
//! is left to the SDK.

mod pool;
mod request;
mod response;
mod upload;

pub(super) use pool::Pool;
pub(super) use request::{Body, Request};
pub(super) use response::Response;
pub(super) use upload::Upload;
