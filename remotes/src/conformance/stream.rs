//! What is asked of uploads whose bytes come once, and of those that can be resumed.

use std::time::Duration;

use bytes::Bytes;

use super::{Exam, name, pattern, write};
use crate::budget::BLOCK;
use crate::{Kind, Mark, ObjectName, Put, Resumption, Uploads, Write, put_stream};

/// Long enough to be resumed, wherever anything is.
const LONG: u64 = 100 << 20;

/// Longest wait for a mark.
const PATIENCE: Duration = Duration::from_secs(60);

impl Exam<'_> {
    pub(super) async fn streams_keep_the_same_promises(&self) {
        for size in self.sizes().into_iter().chain([(64 << 10) + 1]) {
            self.a_stream_is_invisible_until_it_is_whole(size).await;
        }
        self.streams_of_wrong_length_are_refused().await;
        self.a_stream_overwrites_all_or_nothing().await;
    }

    async fn stream(&self, object: &ObjectName, len: u64) -> Box<dyn Put> {
        put_stream(&**self.store, object, len).await.expect("opened for a stream")
    }

    fn uploads(&self) -> &dyn Uploads {
        self.store.uploads().expect("whoever gives a resumption has uploads")
    }

    /// Lets go of an upload as a killed process does, and removes what it may have left.
    async fn kill(&self, object: &ObjectName, put: Box<dyn Put>) {
        let upload = put.resumption();
        drop(put);
        if let Some(upload) = upload {
            self.uploads().abandon(object, &upload).await.expect("abandoned");
        }
    }

    async fn a_stream_is_invisible_until_it_is_whole(&self, size: usize) {
        let object = name(&format!("stream-{size}"));
        let content = pattern(20 + size as u64, size);
        for written in [size / 2, size] {
            let mut put = self.stream(&object, size as u64).await;
            write(&mut *put, &content.slice(..written)).await.expect("written");
            put.relax();
            put.abort().await.expect("aborted");
            assert!(!self.present(&object).await, "{written} of {size} bytes are not visible after an abort");
            let mut put = self.stream(&object, size as u64).await;
            write(&mut *put, &content.slice(..written)).await.expect("written");
            assert!(!self.present(&object).await, "{written} of {size} bytes are not visible before the commit");
            self.kill(&object, put).await;
            assert!(!self.present(&object).await, "{written} of {size} bytes are not visible after a kill");
        }
        let mut put = self.stream(&object, size as u64).await;
        write(&mut *put, &content).await.expect("written");
        let stored = put.commit().await.expect("committed");
        assert_eq!(stored.len, size as u64, "the length after the commit of a stream");
        assert!(self.whole(&object).await.expect("got") == content, "{size} bytes of a stream come back");
        self.remove(&object).await;
    }

    async fn streams_of_wrong_length_are_refused(&self) {
        let object = name("stream-of-wrong-length");
        for size in [10, 5000, 200_000] {
            let content = pattern(21, size);
            let mut put = self.stream(&object, size as u64 + 1).await;
            write(&mut *put, &content).await.expect("written");
            let e = put.commit().await.expect_err("a byte is missing");
            assert_eq!(e.kind(), Kind::Truncated, "{e}");
            let mut put = self.stream(&object, size as u64 - 1).await;
            let e = match write(&mut *put, &content).await {
                Err(e) => e,
                Ok(()) => put.commit().await.expect_err("a byte too many"),
            };
            assert_eq!(e.kind(), Kind::Corrupt, "{e}");
            assert!(!self.present(&object).await, "a stream of wrong length never becomes visible");
        }
    }

    async fn a_stream_overwrites_all_or_nothing(&self) {
        let object = name("stream-over");
        let (old, new) = (pattern(22, 200_000), pattern(23, 300_000));
        self.put(&object, &old).await;
        let mut put = self.stream(&object, new.len() as u64).await;
        write(&mut *put, &new).await.expect("written");
        self.kill(&object, put).await;
        assert!(self.whole(&object).await.expect("got") == old, "the old object outlives a stream that was killed");
        let mut put = self.stream(&object, new.len() as u64).await;
        write(&mut *put, &new).await.expect("written");
        assert!(self.whole(&object).await.expect("got") == old, "the old object stays until the commit");
        put.commit().await.expect("committed");
        assert!(self.whole(&object).await.expect("got") == new, "the new object is there after it");
        self.remove(&object).await;
    }

    /// Everything that is asked of an upload with a [`Put::resumption`].
    pub(super) async fn uploads_outlive_their_process(&self) {
        if matches!(self.store.capabilities().write, Write::Memory(cap) if cap < LONG) {
            return;
        }
        let object = name("resumed");
        let put = self.stream(&object, LONG).await;
        let Some(upload) = put.resumption() else {
            return put.abort().await.expect("aborted");
        };
        assert!(upload.token.len() <= Resumption::TOKEN_MAX && upload.step > 0, "{upload:?}");
        put.abort().await.expect("aborted");
        let again = self.uploads().resume(&object, LONG, &upload, &[]).await.expect("a clear answer");
        assert!(again.is_none(), "what was aborted cannot be resumed");

        let step = usize::try_from(upload.step).expect("a step fits into memory");
        let content = pattern(24, step * 5 / 2);
        self.a_suspended_upload_is_gone_on_with(&object, &content, step).await;
        self.a_killed_upload_is_gone_on_with(&object, &content, step).await;
        self.an_abandoned_upload_is_gone(&object, &content, step).await;
    }

    async fn resumed(&self, object: &ObjectName, content: &Bytes, upload: &Resumption, marks: &[Mark]) {
        let len = content.len() as u64;
        let mut put =
            self.uploads().resume(object, len, upload, marks).await.expect("a clear answer").expect("resumed");
        assert_eq!(put.resumption().as_ref(), Some(upload), "it stays the same upload");
        assert_eq!(put.take_marks(), [], "marks are told once");
        let from = marks.last().map_or(0, |mark| mark.end) as usize;
        write(&mut *put, &content.slice(from..)).await.expect("written");
        assert!(!self.present(object).await, "a resumed upload is invisible before its commit");
        let stored = put.commit().await.expect("committed");
        assert_eq!(stored.len, len, "the length of a resumed upload");
        assert!(self.whole(object).await.expect("got") == *content, "a resumed upload is whole");
        let again = self.uploads().resume(object, len, upload, marks).await.expect("a clear answer");
        assert!(again.is_none(), "what was committed cannot be resumed");
        assert!(self.whole(object).await.expect("got") == *content, "and to ask does no harm");
        self.remove(object).await;
    }

    async fn a_suspended_upload_is_gone_on_with(&self, object: &ObjectName, content: &Bytes, step: usize) {
        for written in [0, step / 2, step, 2 * step + 1, content.len()] {
            let mut put = self.stream(object, content.len() as u64).await;
            let upload = put.resumption().expect("long enough");
            write(&mut *put, &content.slice(..written)).await.expect("written");
            let mut wanted: Vec<u64> = (1..=written / step).map(|n| (n * step) as u64).collect();
            if written == content.len() {
                wanted.push(written as u64);
            }
            // A store may be slow: `suspend` waits a moment only, so that the last step alone is left to it, and may be missing.
            let mut marks = self.marked(&mut *put, wanted.len().saturating_sub(1)).await;
            marks.extend(put.suspend().await.expect("suspended"));
            assert!(!self.present(object).await, "a suspended upload is not visible");
            let ends: Vec<u64> = marks.iter().map(|mark| mark.end).collect();
            assert!(wanted.starts_with(&ends) && ends.len() + 1 >= wanted.len(), "{ends:?} of {wanted:?} by {step}");
            assert!(marks.iter().all(|mark| mark.tag.len() <= Mark::TAG_MAX));
            self.resumed(object, content, &upload, &marks).await;
        }
    }

    /// The marks that come without being asked for, once there are `count`.
    async fn marked(&self, put: &mut dyn Put, count: usize) -> Vec<Mark> {
        let mut marks = put.take_marks();
        let enough = async {
            while marks.len() < count {
                tokio::task::yield_now().await;
                marks.extend(put.take_marks());
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.expect("marks come without being asked for");
        marks
    }

    async fn a_killed_upload_is_gone_on_with(&self, object: &ObjectName, content: &Bytes, step: usize) {
        let mut put = self.stream(object, content.len() as u64).await;
        let upload = put.resumption().expect("long enough");
        write(&mut *put, &content.slice(..step + BLOCK)).await.expect("written");
        let marks = self.marked(&mut *put, 1).await;
        drop(put);
        assert!(!self.present(object).await, "a killed upload is not visible");
        self.resumed(object, content, &upload, &marks).await;
    }

    async fn an_abandoned_upload_is_gone(&self, object: &ObjectName, content: &Bytes, step: usize) {
        let mut put = self.stream(object, content.len() as u64).await;
        let upload = put.resumption().expect("long enough");
        write(&mut *put, &content.slice(..step + 1)).await.expect("written");
        let marks = put.suspend().await.expect("suspended");
        assert_eq!(marks.len(), 1, "one step was reached");
        for _ in 0..2 {
            self.uploads().abandon(object, &upload).await.expect("abandoned");
        }
        let again = self.uploads().resume(object, content.len() as u64, &upload, &marks).await.expect("a clear answer");
        assert!(again.is_none(), "what was abandoned cannot be resumed");
        assert!(!self.present(object).await, "an abandoned upload is not visible");
        let mut put = self.stream(object, content.len() as u64).await;
        write(&mut *put, content).await.expect("written");
        put.abort().await.expect("aborted");
        assert!(!self.present(object).await, "an upload aborted at its end is not visible");
    }
}
