//! One digest and one place, on a sink in memory.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::memory::{Kept, Manner, MemorySink, content, key_of, run};
use super::*;

fn upload_to_one(key: &Key, manner: Manner) -> (Rc<RefCell<Kept>>, Upload) {
    let place: Rc<RefCell<Kept>> = Rc::default();
    let again = resume_to_one(key, manner, &place);
    (place, again)
}

fn resume_to_one(key: &Key, manner: Manner, place: &Rc<RefCell<Kept>>) -> Upload {
    place.borrow_mut().ended = None;
    Upload::new(key, MemorySink { key: key.clone(), place: Rc::clone(place), manner })
}

pub(super) async fn send(upload: &mut Upload, content: &[u8], piece: usize) -> Result<(), Failure> {
    for block in content.chunks(piece) {
        upload.write(Bytes::copy_from_slice(block)).await?;
    }
    Ok(())
}

#[test]
fn what_comes_is_proven_and_placed() {
    let body = content(1 << 20);
    let key = key_of(&body);
    for (piece, step) in [(1000, 0), (300 << 10, 65_536), (2 << 20, 100_000)] {
        let (place, mut upload) = upload_to_one(&key, Manner { step, ..Manner::default() });
        let settled = run(async {
            assert!(upload.begin(0, body.len() as u64).await.expect("begun"));
            send(&mut upload, &body, piece).await.expect("taken");
            upload.finish().await.expect("settled")
        });
        assert_eq!((settled, place.borrow().ended), (Settled::Stored(Vec::new()), Some("committed")));
        assert!(place.borrow().content == body, "pieces of {piece}");
    }
}

#[test]
fn what_is_not_the_content_is_nowhere() {
    let body = content(600_000);
    let key = key_of(&body);
    let mut other = body.clone();
    other[599_999] ^= 1;
    for (sent, announced) in [(&other[..], 600_000_u64), (&body[..599_999], 599_999), (&body[..], 600_001)] {
        let (place, mut upload) = upload_to_one(&key, Manner::default());
        let settled = run(async {
            assert!(upload.begin(0, announced).await.expect("begun"));
            send(&mut upload, sent, 200_000).await.expect("taken");
            upload.finish().await.expect("settled")
        });
        assert_eq!((settled, place.borrow().ended), (Settled::Wrong, Some("discarded")));
    }
}

/// A length that the key rules out is known before a byte of it has come.
#[test]
fn the_key_says_how_long_the_content_is() {
    let body = content(1000);
    for len in [1001, u64::MAX] {
        let (place, mut upload) = upload_to_one(&key_of(&body), Manner::default());
        run(upload.begin(0, len)).expect("begun");
        assert!(upload.is_spoiled(), "{len}");
        run(send(&mut upload, &body, 10)).expect("it is read and dropped");
        assert_eq!(place.borrow().content, b"");
        assert_eq!(run(upload.finish()).expect("settled"), Settled::Wrong);
    }
}

/// As git-annex asks how much is there where it has no other words: it sends nothing, and says that this is not all.
#[test]
fn less_than_the_key_says_may_be_kept() {
    let body = content(1000);
    let key = key_of(&body);
    let (place, mut first) = upload_to_one(&key, Manner::default());
    run(async {
        first.begin(0, 400).await.expect("begun");
        send(&mut first, &body[..400], 100).await.expect("taken");
        first.settle(End::Short).await.expect("kept");
        let mut asks = resume_to_one(&key, Manner::default(), &place);
        assert_eq!(asks.offset(), 400);
        asks.begin(400, 0).await.expect("begun");
        asks.settle(End::Short).await.expect("kept");
        assert_eq!(place.borrow().content, &body[..400]);
        let mut wrong = resume_to_one(&key, Manner::default(), &place);
        wrong.begin(400, 100).await.expect("begun");
        send(&mut wrong, &body[400..500], 100).await.expect("taken");
        assert_eq!(wrong.finish().await.expect("settled"), Settled::Wrong);
    });
}

#[test]
fn half_a_content_would_keep_a_full_disk_full() {
    let body = content(1 << 20);
    let (place, mut upload) = upload_to_one(&key_of(&body), Manner { room: 500_000, ..Manner::default() });
    let failed = run(async {
        upload.begin(0, body.len() as u64).await.expect("begun");
        let failed = send(&mut upload, &body, 300_000).await.expect_err("there is no room");
        upload.settle(End::Failed(failed)).await.expect_err("it failed")
    });
    assert!(matches!(failed, Unsettled::Content(failure) if failure.kind() == FailureKind::Full));
    assert_eq!(place.borrow().ended, Some("discarded"));
}

#[test]
fn nothing_is_hashed_for_those_who_prove_it_themselves() {
    let key = key_of(b"content");
    let (place, mut upload) = upload_to_one(&key, Manner { proves: true, ..Manner::default() });
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
    let (_, mut upload) = upload_to_one(&key_of(&body), Manner::default());
    assert!(!run(upload.begin(1, 999)).expect("asked"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However an upload is cut and resumed, and whether or not its place saves states at steps of its own, it ends with the
    /// content.
    #[test]
    fn what_is_cut_is_resumed(
        step in prop_oneof![Just(0_u64), 1000_u64..200_000],
        cuts in prop::collection::vec(1_usize..600_000, 0..4),
        piece in 1000_usize..400_000,
    ) {
        let body = content(600_000);
        let key = key_of(&body);
        let manner = Manner { step, ..Manner::default() };
        let (place, first) = upload_to_one(&key, manner);
        drop(first);
        run(async {
            for cut in cuts {
                let mut upload = resume_to_one(&key, manner, &place);
                let from = upload.offset();
                assert!(upload.begin(from, body.len() as u64 - from).await.expect("begun"));
                let from = from as usize;
                send(&mut upload, &body[from..(from + cut).min(body.len())], piece).await.expect("taken");
                upload.keep().await.expect("kept");
            }
            let mut upload = resume_to_one(&key, manner, &place);
            let from = upload.offset();
            assert!(upload.begin(from, body.len() as u64 - from).await.expect("begun"));
            send(&mut upload, &body[from as usize..], piece).await.expect("taken");
            assert_eq!(upload.finish().await.expect("settled"), Settled::Stored(Vec::new()));
        });
        prop_assert_eq!(place.borrow().ended, Some("committed"));
        prop_assert!(place.borrow().content == body);
    }
}
