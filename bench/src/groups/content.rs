//! Many small contents, as the groups about the branch put them.

use crate::gateway::{Gateway, expect};
use crate::http::Client;
use sha2::{Digest, Sha256};
use std::io;

/// A small content under its key.
pub struct Content {
    /// SHA-256 key.
    pub key: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// `count` contents of 1 KiB, different from those of any other `seed`.
pub fn contents(count: usize, seed: &str) -> Vec<Content> {
    let content = |number| {
        let mut body = format!("{seed} {number} ").into_bytes();
        body.resize(1 << 10, b'.');
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        Content { key: format!("SHA256-s1024--{digest}"), body }
    };
    (0..count).map(content).collect()
}

/// Puts one content. Errors: it was not stored.
pub fn put(client: &mut Client, gateway: &Gateway, content: &Content) -> io::Result<()> {
    let length = format!("X-git-annex-data-length: {}\r\n", content.body.len());
    let answer = client.post(&gateway.target("put", &content.key), &length, &content.body)?;
    expect(&answer, r#""stored":true"#)
}
