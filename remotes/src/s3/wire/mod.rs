//! HTTP/1.1 on connections of our own: plain ones, on which the kernel moves the payload, and TLS.
//!
//! Only what objects need: a head is sent, the payload goes by sendfile or from memory, a head comes back, and the payload
//! behind it stays in the socket for whoever pumps it, is decrypted as it is asked for, or is read where it is a short document.
//! An object that comes in another way (in chunks, from elsewhere) is left to the SDK.

mod chunked;
mod head;
mod link;
mod pool;
mod refusal;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod tls_blocks;
mod upload;

pub(super) use pool::{Connector, Pool};
pub(super) use request::{Body, Request};
pub(super) use response::{Refusal, Response};
pub(super) use upload::Upload;
