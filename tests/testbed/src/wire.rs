//! Requests of the P2P protocol over HTTP, written by hand.

use sha2::{Digest, Sha256};

use super::annex::Repo;
use super::gateway::Gateway;
use super::http::{Answer, Client, post_head};

/// The uuid by which these requests name their client.
pub const CLIENT: &str = "00000000-0000-4000-8000-00000000c001";

/// The key of `content`, with its size.
pub fn key_of(content: &[u8]) -> String {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("SHA256-s{}--{digest}", content.len())
}

/// A server, and the repository it serves.
pub struct Wire {
    /// The repository.
    pub repo: Repo,
    /// The server.
    pub server: Gateway,
    uuid: String,
}

impl Wire {
    /// Serves `repo` to everyone, with more `flags`.
    #[track_caller]
    pub fn open(repo: Repo, flags: &[&str]) -> Wire {
        let server = Gateway::serve(&repo, &[&["--wideopen"], flags].concat());
        Wire::of(repo, server)
    }

    /// A server that runs.
    pub fn of(repo: Repo, server: Gateway) -> Wire {
        let uuid = repo.uuid();
        Wire { repo, server, uuid }
    }

    /// A server that runs, and `uuid` behind it.
    pub fn behind(repo: Repo, server: Gateway, uuid: String) -> Wire {
        Wire { repo, server, uuid }
    }

    /// Kills the server, and gives back what it served.
    pub fn killed(self) -> (Repo, String) {
        self.server.kill();
        (self.repo, self.uuid)
    }

    /// The path and query of `op` on `key`.
    pub fn path(&self, op: &str, key: &str) -> String {
        format!("/git-annex/{}/v4/{op}?clientuuid={CLIENT}&key={key}", self.uuid)
    }

    /// Asks for `op` on `key` on a connection of its own, and gives the body of a good answer.
    #[track_caller]
    pub fn ask(&self, op: &str, key: &str) -> String {
        let answer = self.server.connect().post(&self.path(op, key), &[], b"");
        assert_eq!(answer.status, 200, "{op} {key}: {}", answer.text());
        answer.text()
    }

    /// Puts `content` on a connection of its own.
    #[track_caller]
    pub fn put(&self, key: &str, content: &[u8]) -> Answer {
        self.server.connect().post(&self.path("put", key), &[&length(content.len())], content)
    }

    /// Puts what follows the first `offset` bytes of `content`.
    #[track_caller]
    pub fn put_from(&self, key: &str, content: &[u8], offset: usize) -> Answer {
        let path = format!("{}&offset={offset}", self.path("put", key));
        self.server.connect().post(&path, &[&length(content.len() - offset)], &content[offset..])
    }

    /// Bytes of `key` that are there from an upload that was broken off.
    #[track_caller]
    pub fn offset(&self, key: &str) -> usize {
        let told = self.ask("putoffset", key);
        let offset = told.strip_prefix("{\"offset\":").and_then(|rest| rest.strip_suffix('}'));
        offset.and_then(|offset| offset.parse().ok()).unwrap_or_else(|| panic!("no offset: {told}"))
    }

    /// The head of a put of `len` bytes to `key`.
    pub fn put_head(&self, key: &str, len: usize) -> String {
        post_head(&self.path("put", key), &[&length(len)], len as u64)
    }

    /// The head of a put in chunks, and so many bytes of it.
    pub fn put_chunk(&self, key: &str, len: usize, sent: &[u8]) -> Vec<u8> {
        let path = self.path("put", key);
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{}\r\n\r\n{:x}\r\n",
            length(len),
            sent.len()
        )
        .into_bytes();
        head.extend_from_slice(sent);
        head
    }

    /// The request for the content of `key`.
    pub fn get(&self, key: &str) -> String {
        format!("GET /git-annex/{}/v4/key/{key}?clientuuid={CLIENT} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.uuid)
    }

    /// Locks the content of `key` and gives the name of the lock.
    #[track_caller]
    pub fn lock(&self, key: &str) -> String {
        let told = self.ask("lockcontent", key);
        let id = told.strip_prefix(r#"{"locked":true,"lockid":""#).and_then(|rest| rest.strip_suffix("\"}"));
        id.unwrap_or_else(|| panic!("not locked: {told}")).to_string()
    }

    /// A client that keeps a lock; the server is known to have read that.
    #[track_caller]
    pub fn keep(&self, lockid: &str) -> Client {
        let mut client = self.server.connect();
        let path = format!("/git-annex/{}/v4/keeplocked?lockid={lockid}&clientuuid={CLIENT}", self.uuid);
        // The server lets go of the body only when it reads it, which is after it has found the lock.
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        ));
        let go_on = client.answer(true);
        assert_eq!(go_on.status, 100);
        client.send("10\r\n{\"unlock\":false}\r\n1\r\n\n\r\n");
        client
    }

    /// Ends a lock.
    #[track_caller]
    pub fn unlock(&self, lockid: &str) {
        let path = format!("/git-annex/{}/v4/keeplocked?lockid={lockid}&clientuuid={CLIENT}", self.uuid);
        let answer = self.server.connect().post(&path, &[], b"{\"unlock\":true}\n");
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"locked":false}"#));
    }
}

/// The header that tells the length of a put.
pub fn length(len: usize) -> String {
    format!("X-git-annex-data-length: {len}")
}
