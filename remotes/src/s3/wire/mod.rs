//! HTTP/1.1 on plain connections of our own, for requests whose payload the kernel should move.
//!
//! Only what objects need: a head is sent, the payload goes by sendfile or from memory, a head comes back, and the payload
//! behind it stays in the socket for whoever pumps it, or is read where it is a short document. An object that comes in another
//! way (in chunks, from elsewhere) is left to the SDK.

mod chunked;
mod head;
mod pool;
mod refusal;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod upload;

pub(super) use pool::Pool;
pub(super) use request::{Body, Request};
pub(super) use response::{Refusal, Response};
pub(super) use upload::Upload;
