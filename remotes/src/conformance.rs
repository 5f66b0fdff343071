//! The examination that every store and wrapper takes. It tests the promises of `Store`, by capability.
//!
//! Meant for tests: a broken promise panics with the name of the promise. It leaves the place as it found it.

mod stream;
mod tree;

use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::budget::BLOCK;
use crate::pump::{FileSource, Meter};
use crate::retrieve::{self, read_small};
use crate::{Context, Error, Kind, ObjectName, Put, Range, Store, Until, Write};

/// Runs the whole examination. Panics where the store fails it.
pub async fn examine(store: &Rc<dyn Store>, context: &Context) {
    let exam = Exam { store, context };
    store.prove("00000000-0000-0000-0000-00000000c0de").await.expect("the place proves itself");
    store.prove("00000000-0000-0000-0000-00000000c0de").await.expect("and proves itself again");
    exam.absence_is_an_answer().await;
    if store.capabilities().write == Write::ReadOnly {
        return;
    }
    exam.what_was_put_is_got_back().await;
    exam.a_file_is_put_whole().await;
    exam.nothing_is_visible_before_commit().await;
    exam.wrong_lengths_are_refused().await;
    exam.an_overwrite_is_all_or_nothing().await;
    exam.removal_is_idempotent().await;
    exam.nothing_is_removed_too_late().await;
    exam.ranges_are_exact().await;
    exam.a_changed_object_is_noticed().await;
    exam.a_fetch_resumes_and_starts_over().await;
    exam.odd_names_are_kept().await;
    exam.equal_puts_at_once_do_no_harm().await;
    exam.streams_keep_the_same_promises().await;
    exam.uploads_outlive_their_process().await;
    exam.trees_are_kept().await;
    exam.directories_are_tidy().await;
}

struct Exam<'a> {
    store: &'a Rc<dyn Store>,
    context: &'a Context,
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out.into()
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(format!("conformance/{text}/{text}")).expect("a good name")
}

fn file(content: &[u8]) -> Arc<std::fs::File> {
    let mut file = tempfile().expect("a temporary file");
    file.write_all(content).expect("its content");
    Arc::new(file)
}

/// A nameless file in the temporary directory.
fn tempfile() -> std::io::Result<std::fs::File> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("conformance-{}-{count}", std::process::id()));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

impl Exam<'_> {
    /// Sizes around every edge: empty, one, a page, a block, several blocks; no more than the store can take.
    fn sizes(&self) -> Vec<usize> {
        let cap = match self.store.capabilities().write {
            Write::Memory(cap) => usize::try_from(cap).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        [0, 1, 4095, 65_536, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 17].into_iter().filter(|s| *s <= cap).collect()
    }

    async fn put(&self, object: &ObjectName, content: &Bytes) {
        let mut put = self.open(object, content.len() as u64).await;
        write(&mut *put, content).await.expect("written");
        let stored = put.commit().await.expect("committed");
        assert_eq!(stored.len, content.len() as u64, "the length after the commit of {object}");
    }

    async fn open(&self, object: &ObjectName, len: u64) -> Box<dyn Put> {
        self.store.put(object, len).await.expect("opened for writing")
    }

    async fn whole(&self, object: &ObjectName) -> Result<Vec<u8>, Error> {
        let sink = file(b"");
        retrieve::into_file(self.store, object, &sink, 0, &Meter::new(), self.context).await?;
        Ok(content(&sink))
    }

    async fn range(&self, object: &ObjectName, range: Range) -> Result<Bytes, Error> {
        let get = self.store.get(object, range).await?;
        let expected = get.len;
        let got = crate::retrieve::collect(get, 64 << 20, self.context).await?;
        assert_eq!(got.len() as u64, expected, "a body is as long as announced");
        Ok(got)
    }

    async fn present(&self, object: &ObjectName) -> bool {
        self.store.stat(object).await.expect("a clear answer").is_some()
    }

    async fn remove(&self, object: &ObjectName) {
        self.store.remove(object).await.expect("removed");
    }

    async fn absence_is_an_answer(&self) {
        let object = name("nobody-stored-this");
        assert!(!self.present(&object).await, "absent objects are absent");
        let e = self.store.get(&object, Range::default()).await.err().expect("nothing to get");
        assert_eq!(e.kind(), Kind::NotFound, "{e}");
        let e = self.whole(&object).await.expect_err("nothing to fetch");
        assert_eq!(e.kind(), Kind::NotFound, "{e}");
    }

    async fn what_was_put_is_got_back(&self) {
        for size in self.sizes() {
            let object = name(&format!("size-{size}"));
            let content = pattern(size as u64, size);
            self.put(&object, &content).await;
            let stat = self.store.stat(&object).await.expect("a clear answer").expect("present");
            assert_eq!(stat.len, size as u64, "stat tells the length of {object}");
            assert!(self.whole(&object).await.expect("got") == content, "{size} bytes come back as they were");
            self.remove(&object).await;
        }
    }

    async fn a_file_is_put_whole(&self) {
        for size in self.sizes() {
            let object = name(&format!("file-{size}"));
            let content = pattern(7 + size as u64, size);
            let meter = Meter::new();
            let mut put = self.open(&object, size as u64).await;
            let from = FileSource { file: file(&content), at: 0, len: size as u64 };
            put.fill(&from, &meter).await.expect("filled from a file");
            put.commit().await.expect("committed");
            assert_eq!(meter.bytes(), size as u64, "the meter counts every byte once");
            assert!(self.whole(&object).await.expect("got") == content, "{size} bytes of a file come back");
            self.remove(&object).await;
        }
    }

    async fn nothing_is_visible_before_commit(&self) {
        let object = name("aborted");
        let content = pattern(3, 100_000);
        for step in 0..3 {
            let mut put = self.open(&object, content.len() as u64).await;
            write(&mut *put, &content).await.expect("written");
            assert!(!self.present(&object).await, "nothing is visible before the commit");
            match step {
                0 => put.abort().await.expect("aborted"),
                1 => drop(put),
                _ => {
                    let from = FileSource { file: file(b"short"), at: 0, len: 5 };
                    put.fill(&from, &Meter::new()).await.expect_err("a file of another length");
                    put.abort().await.expect("aborted");
                }
            }
            assert!(!self.present(&object).await, "nothing is visible after an abort");
        }
    }

    async fn wrong_lengths_are_refused(&self) {
        let object = name("wrong-length");
        let content = pattern(4, 5000);
        let mut put = self.open(&object, 5001).await;
        write(&mut *put, &content).await.expect("written");
        let e = put.commit().await.expect_err("a byte is missing");
        assert_eq!(e.kind(), Kind::Truncated, "{e}");
        assert!(!self.present(&object).await, "a short object never becomes visible");
        let mut put = self.open(&object, 4999).await;
        let result = write(&mut *put, &content).await;
        let e = match result {
            Err(e) => e,
            Ok(()) => put.commit().await.expect_err("a byte too many"),
        };
        assert_eq!(e.kind(), Kind::Corrupt, "{e}");
        assert!(!self.present(&object).await, "a long object never becomes visible");
    }

    async fn an_overwrite_is_all_or_nothing(&self) {
        let object = name("overwritten");
        let (old, new) = (pattern(5, 20_000), pattern(6, 30_000));
        self.put(&object, &old).await;
        let mut put = self.open(&object, new.len() as u64).await;
        write(&mut *put, &new).await.expect("written");
        assert!(self.whole(&object).await.expect("got") == old, "the old object stays until the commit");
        put.commit().await.expect("committed");
        assert!(self.whole(&object).await.expect("got") == new, "the new object is there after it");
        self.remove(&object).await;
    }

    async fn removal_is_idempotent(&self) {
        let object = name("removed");
        self.remove(&object).await;
        self.put(&object, &pattern(8, 10)).await;
        self.store.make_lasting(&object).await.expect("it lasts");
        self.remove(&object).await;
        self.store.make_lasting(&object).await.expect("nothing has to last");
        assert!(!self.present(&object).await, "removed objects are absent");
        self.remove(&object).await;
    }

    async fn nothing_is_removed_too_late(&self) {
        let (object, content) = (name("late"), pattern(8, 10));
        self.put(&object, &content).await;
        let e = self.store.remove_until(&object, &Until::new(|| None)).await.expect_err("too late");
        assert_eq!(e.kind(), Kind::TooLate, "{e}");
        assert!(self.whole(&object).await.expect("it stays") == content, "what it is too late for stays");
        let in_time = Until::new(|| Some(Duration::from_secs(600)));
        self.store.remove_until(&object, &in_time).await.expect("in time");
        assert!(!self.present(&object).await, "what was removed in time is gone");
    }

    async fn ranges_are_exact(&self) {
        if !self.store.capabilities().ranges {
            return;
        }
        let object = name("ranges");
        let content = pattern(9, 200_000);
        self.put(&object, &content).await;
        for (from, len) in [(0, None), (0, Some(1)), (1, None), (65_535, Some(3)), (199_999, None), (199_999, Some(9))]
        {
            let got = self.range(&object, Range { from, len, tag: None }).await.expect("got");
            let end = len.map_or(content.len(), |l| (from + l).min(content.len() as u64) as usize);
            assert!(got == content[from as usize..end], "bytes {from} + {len:?} are the right ones");
        }
        for from in [200_000, 200_001, 1 << 40] {
            let get = self.store.get(&object, Range::from(from)).await.expect("a range behind the end is empty");
            assert_eq!((get.len, get.total), (0, 200_000), "from {from}");
        }
        self.remove(&object).await;
    }

    async fn a_changed_object_is_noticed(&self) {
        let object = name("changed");
        self.put(&object, &pattern(10, 1000)).await;
        let old = self.store.stat(&object).await.expect("a clear answer").expect("present").tag;
        if let Some(tag) = old.filter(|_| self.store.capabilities().ranges) {
            self.put(&object, &pattern(11, 1001)).await;
            let range = Range { from: 10, len: None, tag: Some(tag) };
            let e = self.range(&object, range).await.expect_err("it is another object now");
            assert_eq!(e.kind(), Kind::Corrupt, "{e}");
        }
        self.remove(&object).await;
    }

    async fn a_fetch_resumes_and_starts_over(&self) {
        let object = name("fetched");
        let size = self.sizes().pop().unwrap_or(0);
        let bytes = pattern(12, size);
        self.put(&object, &bytes).await;
        let half = size / 2;
        let meter = Meter::new();
        for have in [0, 1, half, size] {
            let sink = file(&bytes[..have]);
            let done = retrieve::into_file(self.store, &object, &sink, have as u64, &meter, self.context)
                .await
                .expect("fetched");
            assert!(content(&sink) == bytes, "a file that had {have} bytes is whole");
            assert_eq!(done.total, size as u64);
            assert_eq!(meter.bytes(), size as u64, "the meter ends at the object's length");
        }
        let sink = file(&pattern(13, size + 10));
        retrieve::into_file(self.store, &object, &sink, size as u64 + 10, &meter, self.context).await.expect("fetched");
        assert!(content(&sink) == bytes, "a file longer than the object is started over");
        self.remove(&object).await;
    }

    async fn odd_names_are_kept(&self) {
        let names = [
            "a b",
            "a%20b",
            "a+b&c=d",
            "ü-日本",
            "a,b;c@d",
            "'\"()",
            "~tilde",
            "&cfoo&a",
            "x:y",
            "#hash?query",
            "100%",
        ];
        let long = "L".repeat(200);
        for text in names.into_iter().chain([long.as_str()]) {
            let object = name(text);
            self.put(&object, &pattern(14, 30)).await;
            assert!(self.present(&object).await, "{text} is there");
            let got = read_small(&**self.store, &object, 100, self.context).await.expect("got");
            assert!(got == pattern(14, 30), "{text} keeps its content");
        }
        for text in names.into_iter().chain([long.as_str()]) {
            self.remove(&name(text)).await;
            assert!(!self.present(&name(text)).await, "{text} is gone");
        }
    }

    async fn equal_puts_at_once_do_no_harm(&self) {
        let object = name("twice");
        let content = pattern(15, 50_000);
        let mut one = self.open(&object, content.len() as u64).await;
        let mut two = self.open(&object, content.len() as u64).await;
        write(&mut *one, &content.slice(..100)).await.expect("written");
        write(&mut *two, &content).await.expect("written");
        write(&mut *one, &content.slice(100..)).await.expect("written");
        two.commit().await.expect("the second is stored");
        one.commit().await.expect("the first is stored after it");
        assert!(self.whole(&object).await.expect("got") == content, "both stored the same");
        self.remove(&object).await;
    }
}

fn content(file: &std::fs::File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut out = vec![0; file.metadata().expect("its length").len() as usize];
    file.read_exact_at(&mut out, 0).expect("its content");
    out
}

/// Writes in pieces of uneven length.
async fn write(put: &mut dyn Put, content: &Bytes) -> Result<(), Error> {
    let mut rest = content.clone();
    let mut step = 777;
    while !rest.is_empty() {
        put.write(rest.split_to(step.min(rest.len()))).await?;
        step = (step * 5 + 13).min(3 * BLOCK / 2);
    }
    Ok(())
}
