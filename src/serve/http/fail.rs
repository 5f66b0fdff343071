//! Maps failures to HTTP responses: the only table of this wire, and the text for people.

use std::io;

use super::call::Asked;
use super::connection::Connection;
use crate::gateway::{Failure, FailureKind};
use crate::proto::http::origin::Foreign;
use crate::proto::http::response::{Connection as Kept, Media, Response};
use crate::proto::http::words::without_paths;

impl Connection {
    /// Answers that it could not be done.
    pub(super) async fn fail(&mut self, asked: Asked, failure: &Failure) -> io::Result<bool> {
        self.shared.metrics.failure(failure.kind());
        self.shared.log.line("failed").with("error", failure.to_string()).warn();
        let (status, retry_after) = match failure.kind() {
            FailureKind::Full => (503, Some(60)),
            FailureKind::NoRoom => (507, None),
            FailureKind::Busy => (503, Some(5)),
            FailureKind::Locked | FailureKind::TooLate | FailureKind::Refused | FailureKind::Broken => (500, None),
        };
        // The log has them whole.
        let words = without_paths(&failure.to_string());
        let response = Response { media: Some(Media::Text), retry_after, ..Response::of(status) };
        self.answer_saying(&words, asked, response, words.as_bytes()).await
    }

    /// Refuses what a web page may have made a browser ask. The connection has to end then: not a byte of the body is read.
    pub(super) async fn turn_away(&mut self, foreign: Foreign) -> io::Result<()> {
        let words = foreign.detail();
        self.shared.metrics.request("other");
        self.shared.log.line("failed").with("error", words).warn();
        let length = words.len() as u64;
        let response = Response { media: Some(Media::Text), length, connection: Kept::Close, ..Response::of(403) };
        self.say_words(words, response, words.as_bytes()).await
    }
}
