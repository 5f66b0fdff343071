//! One digest, many places, on sinks in memory.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::annex::backend::Verifier;

/// What became of a place.
#[derive(Default)]
struct Place {
    /// What it has.
    content: Vec<u8>,
    /// The digest's state with it, where it saves states.
    states: Vec<(u64, Vec<u8>)>,
    saves: Option<States>,
    ended: Option<&'static str>,
}

struct MemorySink {
    key: Key,
    place: Rc<RefCell<Place>>,
    /// At every so many bytes it saves the state of the digest.
    step: u64,
    /// It fails once it has so many.
    room: usize,
    proves: bool,
}

impl MemorySink {
    fn end(&self, how: &'static str) {
        let before = self.place.borrow_mut().ended.replace(how);
        assert_eq!(before, None, "a sink ends once");
    }

    fn take_states(&self) {
        let mut place = self.place.borrow_mut();
        let reached = place.content.len() as u64;
        let Some(saves) = place.saves.clone() else { return };
        let first = place.states.last().map_or(0, |(at, _)| *at) + self.step;
        for at in (first..=reached).step_by(self.step as usize) {
            if let Some(state) = saves.take(at) {
                place.states.push((at, state));
            }
        }
    }
}

#[async_trait(?Send)]
impl Sink for MemorySink {
    fn offset(&self) -> u64 {
        self.place.borrow().content.len() as u64
    }

    fn proves(&self) -> bool {
        self.proves
    }

    async fn digested(&mut self, from: u64, mut fresh: Verifier) -> Result<Option<Verifier>, Failure> {
        let place = self.place.borrow();
        if self.step > 0 {
            let saved = place.states.iter().find(|(at, _)| *at == from);
            return Ok(saved.and_then(|(_, state)| Verifier::restore(&self.key, state)));
        }
        fresh.update(&place.content[..from as usize]);
        Ok(Some(fresh))
    }

    async fn begin(&mut self, from: u64, _: u64, digest: &mut Digest) -> Result<(), Failure> {
        let mut place = self.place.borrow_mut();
        place.content.truncate(from as usize);
        place.states.retain(|(at, _)| *at <= from);
        place.saves = digest.keep_states(from, self.step);
        Ok(())
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        if self.place.borrow().content.len() + block.len() > self.room {
            return Err(Failure::new(FailureKind::Full, "no room".to_string()));
        }
        self.place.borrow_mut().content.extend_from_slice(&block);
        Ok(())
    }

    async fn pause(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Settled, Failure> {
        self.end("committed");
        Ok(Settled::Stored(Vec::new()))
    }

    async fn keep(self: Box<Self>) -> Result<(), Failure> {
        self.take_states();
        self.end("kept");
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        self.place.borrow_mut().content.clear();
        self.end("discarded");
        Ok(())
    }
}

fn key_of(content: &[u8]) -> Key {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Key::parse(format!("SHA256-s{}--{digest}", content.len()).as_bytes()).expect("a key")
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

/// Some places, and an upload into all of them.
fn upload(key: &Key, places: &[(u64, usize)]) -> (Vec<Rc<RefCell<Place>>>, Upload) {
    let all: Vec<Rc<RefCell<Place>>> = places.iter().map(|_| Rc::default()).collect();
    let again = resume(key, places, &all);
    (all, again)
}

fn resume(key: &Key, places: &[(u64, usize)], all: &[Rc<RefCell<Place>>]) -> Upload {
    let sink = |(place, (step, room)): (&Rc<RefCell<Place>>, &(u64, usize))| {
        place.borrow_mut().ended = None;
        let (key, place) = (key.clone(), Rc::clone(place));
        Box::new(MemorySink { key, place, step: *step, room: *room, proves: false }) as Box<dyn Sink>
    };
    Upload::new(key, all.iter().zip(places).map(sink).collect())
}

fn run<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(f)
}

fn ends(places: &[Rc<RefCell<Place>>]) -> Vec<&'static str> {
    places.iter().map(|place| place.borrow().ended.unwrap_or("left")).collect()
}

async fn send(upload: &mut Upload, content: &[u8], piece: usize) -> Result<(), Failure> {
    for block in content.chunks(piece) {
        upload.write(Bytes::copy_from_slice(block)).await?;
    }
    Ok(())
}

const ALL: usize = usize::MAX;

#[test]
fn one_digest_proves_what_all_places_get() {
    let body = content(1 << 20);
    let key = key_of(&body);
    for piece in [1000, 300 << 10, 2 << 20] {
        let (places, mut upload) = upload(&key, &[(0, ALL), (100_000, ALL), (65_536, ALL)]);
        let settled = run(async {
            assert!(upload.begin(0, body.len() as u64).await.expect("begun"));
            send(&mut upload, &body, piece).await.expect("taken");
            upload.finish().await.expect("settled")
        });
        assert_eq!((settled, ends(&places)), (Settled::Stored(Vec::new()), vec!["committed"; 3]));
        assert!(places.iter().all(|place| place.borrow().content == body), "pieces of {piece}");
    }
}

#[test]
fn what_is_not_the_content_is_nowhere() {
    let body = content(600_000);
    let key = key_of(&body);
    let mut other = body.clone();
    other[599_999] ^= 1;
    for (sent, announced) in [(&other[..], 600_000_u64), (&body[..599_999], 599_999), (&body[..], 600_001)] {
        let (places, mut upload) = upload(&key, &[(0, ALL), (1000, ALL)]);
        let settled = run(async {
            assert!(upload.begin(0, announced).await.expect("begun"));
            send(&mut upload, sent, 200_000).await.expect("taken");
            upload.finish().await.expect("settled")
        });
        assert_eq!((settled, ends(&places)), (Settled::Wrong, vec!["discarded"; 2]));
    }
}

/// A length that the key rules out is known before a byte of it has come.
#[test]
fn the_key_says_how_long_the_content_is() {
    let body = content(1000);
    for len in [1001, u64::MAX] {
        let (places, mut upload) = upload(&key_of(&body), &[(0, ALL)]);
        run(upload.begin(0, len)).expect("begun");
        assert!(upload.is_spoiled(), "{len}");
        run(send(&mut upload, &body, 10)).expect("it is read and dropped");
        assert_eq!(places[0].borrow().content, b"");
        assert_eq!(run(upload.finish()).expect("settled"), Settled::Wrong);
    }
}

/// As git-annex asks how much is there where it has no other words: it sends nothing, and says that this is not all.
#[test]
fn less_than_the_key_says_may_be_kept() {
    let body = content(1000);
    let key = key_of(&body);
    let (places, mut first) = upload(&key, &[(0, ALL)]);
    run(async {
        first.begin(0, 400).await.expect("begun");
        send(&mut first, &body[..400], 100).await.expect("taken");
        first.settle(End::Short).await.expect("kept");
        let mut asks = resume(&key, &[(0, ALL)], &places);
        assert_eq!(asks.offset(), 400);
        asks.begin(400, 0).await.expect("begun");
        asks.settle(End::Short).await.expect("kept");
        assert_eq!(places[0].borrow().content, &body[..400]);
        let mut wrong = resume(&key, &[(0, ALL)], &places);
        wrong.begin(400, 100).await.expect("begun");
        send(&mut wrong, &body[400..500], 100).await.expect("taken");
        assert_eq!(wrong.finish().await.expect("settled"), Settled::Wrong);
    });
}

#[test]
fn one_place_that_fails_does_not_stop_the_others() {
    let body = content(1 << 20);
    let key = key_of(&body);
    let (places, mut upload) = upload(&key, &[(0, ALL), (0, 500_000), (0, ALL)]);
    let settled = run(async {
        upload.begin(0, body.len() as u64).await.expect("begun");
        send(&mut upload, &body, 300_000).await.expect("taken by the others");
        upload.finish().await.expect("settled")
    });
    assert_eq!((settled, ends(&places)), (Settled::Stored(Vec::new()), vec!["committed", "kept", "committed"]));
}

#[test]
fn the_last_place_that_fails_is_the_end() {
    let body = content(1 << 20);
    let (places, mut upload) = upload(&key_of(&body), &[(0, 500_000), (0, 700_000)]);
    let failed = run(async {
        upload.begin(0, body.len() as u64).await.expect("begun");
        let failed = send(&mut upload, &body, 300_000).await.expect_err("nobody has room");
        upload.settle(End::Failed(failed)).await.expect_err("it failed")
    });
    assert!(matches!(failed, Unsettled::Content(failure) if failure.kind() == FailureKind::Full));
    assert_eq!(ends(&places), ["kept", "discarded"], "half a content would keep a full disk full");
}

#[test]
fn nothing_is_hashed_for_those_who_prove_it_themselves() {
    let key = key_of(b"content");
    let place: Rc<RefCell<Place>> = Rc::default();
    let (of_sink, proves) = (Rc::clone(&place), true);
    let sink = MemorySink { key: key.clone(), place: of_sink, step: 0, room: ALL, proves };
    let mut upload = Upload::into_one(&key, sink);
    let settled = run(async {
        upload.begin(0, 7).await.expect("begun");
        upload.write(Bytes::from_static(b"another")).await.expect("taken");
        upload.finish().await.expect("settled")
    });
    assert_eq!((settled, place.borrow().ended), (Settled::Stored(Vec::new()), Some("committed")));
}

#[test]
fn nobody_begins_beyond_what_is_there() {
    let body = content(1000);
    let (_, mut upload) = upload(&key_of(&body), &[(0, ALL)]);
    assert!(!run(upload.begin(1, 999)).expect("asked"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However an upload is cut and resumed, and however many places save states at their own steps, all end with the content.
    #[test]
    fn what_is_cut_is_resumed(
        steps in prop::collection::vec(prop_oneof![Just(0_u64), 1000_u64..200_000], 1..4),
        cuts in prop::collection::vec(1_usize..600_000, 0..4),
        piece in 1000_usize..400_000,
    ) {
        let body = content(600_000);
        let key = key_of(&body);
        let kinds: Vec<(u64, usize)> = steps.iter().map(|step| (*step, ALL)).collect();
        let (places, first) = upload(&key, &kinds);
        drop(first);
        run(async {
            for cut in cuts {
                let mut upload = resume(&key, &kinds, &places);
                // What has no state that was saved there begins anew, as a store does that has marks alone.
                let has_states = places.iter().zip(&kinds).all(|(place, (step, _))| {
                    let place = place.borrow();
                    *step == 0 || place.states.last().map_or(0, |(at, _)| *at) == place.content.len() as u64
                });
                let from = if has_states { upload.offset() } else { 0 };
                assert!(upload.begin(from, body.len() as u64 - from).await.expect("begun"));
                let from = from as usize;
                send(&mut upload, &body[from..(from + cut).min(body.len())], piece).await.expect("taken");
                upload.keep().await.expect("kept");
                // A store keeps what has reached a mark, and no more.
                for (place, (step, _)) in places.iter().zip(&kinds) {
                    let mut place = place.borrow_mut();
                    let marked = place.states.last().map_or(0, |(at, _)| *at as usize);
                    if *step > 0 {
                        place.content.truncate(marked);
                    }
                }
            }
            let mut upload = resume(&key, &kinds, &places);
            let from = upload.offset();
            assert!(upload.begin(from, body.len() as u64 - from).await.expect("begun"));
            send(&mut upload, &body[from as usize..], piece).await.expect("taken");
            assert_eq!(upload.finish().await.expect("settled"), Settled::Stored(Vec::new()));
        });
        for place in &places {
            prop_assert_eq!(place.borrow().ended, Some("committed"));
            prop_assert!(place.borrow().content == body);
        }
    }
}
