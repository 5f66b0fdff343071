//! One digest, many places, on sinks in memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use remotes::budget::Budget;
use tokio::time::Instant;

use super::stall::patience;
use super::*;
use crate::gateway::FailureKind;
use crate::gateway::receive::memory::{Kept, Manner, MemorySink, content, key_of, run};
use crate::gateway::receive::tests::send;
use crate::gateway::receive::{End, Unsettled, Upload};

const IDLE: Duration = Duration::from_secs(60);

type Places = Vec<Rc<RefCell<Kept>>>;

fn uuid(nth: usize) -> Uuid {
    Uuid::parse(format!("n{nth}").as_bytes()).expect("a uuid")
}

/// Some places, and an upload into all of them.
fn upload(key: &Key, manners: &[Manner]) -> (Places, Upload) {
    let places: Places = manners.iter().map(|_| Rc::default()).collect();
    let again = resume(key, manners, &places);
    (places, again)
}

fn resume(key: &Key, manners: &[Manner], places: &Places) -> Upload {
    resume_within(key, manners, places, &Budget::new(64 << 20))
}

fn resume_within(key: &Key, manners: &[Manner], places: &Places, budget: &Budget) -> Upload {
    let place = |(nth, (place, manner)): (usize, (&Rc<RefCell<Kept>>, &Manner))| {
        place.borrow_mut().ended = None;
        let sink = MemorySink { key: key.clone(), place: Rc::clone(place), manner: *manner };
        FanLeg {
            uuid: uuid(nth),
            is_place: true,
            name: format!("n{nth}"),
            sink: Box::new(sink),
            pace: None,
            hops: 0,
            rests_on: Box::new(()),
        }
    };
    let all = places.iter().zip(manners).enumerate().map(place).collect();
    Upload::new(key, Fan::new(key, all, budget, IDLE, Rc::new(|_, _| {})))
}

fn ends(places: &Places) -> Vec<&'static str> {
    places.iter().map(|place| place.borrow().ended.unwrap_or("left")).collect()
}

fn steps(steps: &[u64]) -> Vec<Manner> {
    steps.iter().map(|step| Manner { step: *step, ..Manner::default() }).collect()
}

fn stored(nths: impl DoubleEndedIterator<Item = usize>) -> Settled {
    Settled::Stored(nths.rev().map(uuid).collect())
}

async fn put(upload: &mut Upload, body: &[u8], piece: usize) -> Result<(), Failure> {
    let from = upload.offset();
    assert!(upload.begin(from, body.len() as u64 - from).await?);
    send(upload, &body[from as usize..], piece).await
}

#[test]
fn one_digest_proves_what_all_places_get() {
    let body = content(1 << 20);
    let key = key_of(&body);
    for piece in [1000, 300 << 10, 2 << 20] {
        let (places, mut upload) = upload(&key, &steps(&[0, 100_000, 65_536]));
        let settled = run(async {
            put(&mut upload, &body, piece).await.expect("taken");
            upload.finish().await.expect("settled")
        });
        assert_eq!((settled, ends(&places)), (stored(0..3), vec!["committed"; 3]));
        assert!(places.iter().all(|place| place.borrow().content == body), "pieces of {piece}");
    }
}

#[test]
fn what_is_not_the_content_is_nowhere() {
    let body = content(600_000);
    let mut other = body.clone();
    other[599_999] ^= 1;
    let (places, mut upload) = upload(&key_of(&body), &steps(&[0, 1000]));
    let settled = run(async {
        put(&mut upload, &other, 200_000).await.expect("taken");
        upload.finish().await.expect("settled")
    });
    assert_eq!((settled, ends(&places)), (Settled::Wrong, vec!["discarded"; 2]));
}

#[test]
fn one_place_that_fails_does_not_stop_the_others() {
    let body = content(1 << 20);
    let key = key_of(&body);
    let manner = Manner::default();
    for (odd, end) in [
        (Manner { room: 500_000, ..manner }, "discarded"),
        (Manner { breaks: 500_000, ..manner }, "kept"),
        (Manner { breaks: 0, ..manner }, "kept"),
        (Manner { fails: true, ..manner }, "left"),
        (Manner { stalls: 500_000, ..manner }, "left"),
        (Manner { stalls: 0, ..manner }, "left"),
        // Nobody notices before the end.
        (Manner { stalls: (1 << 20) - 1, ..manner }, "left"),
    ] {
        let (places, mut upload) = upload(&key, &[manner, odd, manner]);
        let settled = run(async {
            put(&mut upload, &body, 300_000).await.expect("taken by the others");
            upload.finish().await.expect("settled")
        });
        assert_eq!(settled, stored([0, 2].into_iter()), "{odd:?}");
        assert_eq!(ends(&places), ["committed", end, "committed"], "{odd:?}");
    }
}

#[test]
fn the_last_place_that_fails_is_the_end() {
    let body = content(1 << 20);
    let manner = Manner::default();
    let manners = [Manner { room: 500_000, ..manner }, Manner { room: 700_000, ..manner }];
    let (places, mut upload) = upload(&key_of(&body), &manners);
    let failed = run(async {
        put(&mut upload, &body, 300_000).await.expect("it is noticed with the last piece");
        upload.finish().await.expect_err("nobody has room")
    });
    assert_eq!(failed.kind(), FailureKind::Full);
    assert!(
        failed.to_string().contains("n0: no room; n1: no room")
            || failed.to_string().contains("n1: no room; n0: no room")
    );
    assert_eq!(ends(&places), ["discarded", "discarded"]);
}

/// The same leg would hold up the others for ever; it does for as long as a leg may be silent, and no longer: less than others wait
/// for what comes from here.
#[test]
fn a_leg_that_stalls_holds_up_the_others_once() {
    let body = content(40 << 20);
    let manner = Manner::default();
    let (_, mut upload) = upload(&key_of(&body), &[manner, Manner { stalls: 1 << 20, ..manner }, manner]);
    let (took, settled) = run(async {
        let begun = Instant::now();
        put(&mut upload, &body, 1 << 20).await.expect("taken");
        let settled = upload.finish().await.expect("settled");
        (begun.elapsed(), settled)
    });
    assert_eq!(settled, stored([0, 2].into_iter()));
    assert!(took >= patience(IDLE, 0) && took < IDLE, "{took:?}");
}

#[test]
fn a_leg_that_is_ahead_counts_if_it_has_the_same_beginning() {
    let body = content(600_000);
    let key = key_of(&body);
    for (other, ends_as, by) in [(false, "committed", vec![0, 1]), (true, "discarded", vec![0])] {
        let manners = steps(&[0, 50_000]);
        let (places, mut first) = upload(&key, &manners);
        run(async {
            put(&mut first, &body[..333_000], 10_000).await.err();
            first.keep().await.expect("kept");
        });
        assert_eq!(places[1].borrow().content.len(), 300_000);
        places[0].borrow_mut().content.truncate(70_000);
        if other {
            // What lies there is of another content, and so is its digest.
            let mut digest = Verifier::for_key(&key).expect("it has one");
            digest.update(&vec![7; 300_000]);
            let mut place = places[1].borrow_mut();
            place.content = vec![7; 300_000];
            place.states = vec![(300_000, digest.save().expect("it can be saved"))];
        }
        let mut again = resume(&key, &manners, &places);
        assert_eq!(again.offset(), 70_000);
        let settled = run(async {
            put(&mut again, &body, 9_999).await.expect("taken");
            again.finish().await.expect("settled")
        });
        assert_eq!(settled, stored(by.into_iter()));
        assert_eq!(ends(&places), ["committed", ends_as]);
        assert!(places[0].borrow().content == body && (other || places[1].borrow().content == body));
    }
}

/// Where nobody can tell the digest of what lies there, all of it is to come again.
#[test]
fn what_cannot_be_proven_is_not_resumed() {
    let body = content(100_000);
    let key = key_of(&body);
    let manners = [Manner { proves: true, ..Manner::default() }, steps(&[10_000])[0]];
    let (places, mut first) = upload(&key, &manners);
    run(async {
        put(&mut first, &body[..55_000], 1000).await.err();
        first.keep().await.expect("kept");
    });
    places[0].borrow_mut().content.truncate(20_000);
    let mut again = resume(&key, &manners, &places);
    assert_eq!(again.offset(), 0);
    let settled = run(async {
        put(&mut again, &body, 1000).await.expect("taken");
        again.finish().await.expect("settled")
    });
    assert_eq!((settled, ends(&places)), (stored(0..2), vec!["committed"; 2]));
}

#[test]
fn all_who_stall_alike_have_twice_the_time() {
    let body = content(1 << 20);
    let manner = Manner { stalls: 0, ..Manner::default() };
    let (places, mut upload) = upload(&key_of(&body), &[manner, manner]);
    let (took, failed) = run(async {
        let begun = Instant::now();
        let failed = match put(&mut upload, &body, 1 << 18).await {
            Ok(()) => upload.finish().await.expect_err("nobody takes it"),
            Err(failure) => match upload.settle(End::Failed(failure)).await {
                Err(Unsettled::Content(failure)) => failure,
                other => panic!("{other:?}"),
            },
        };
        (begun.elapsed(), failed)
    });
    assert!(took >= patience(IDLE, 0) * 2 && failed.kind() == FailureKind::Busy, "{took:?} {failed}");
    assert_eq!(ends(&places), ["left", "left"]);
}

/// More uploads at once than there is memory for, with legs that are slow, that stall, and that keep what they sent last.
#[test]
fn legs_never_starve_each_other() {
    const UPLOADS: usize = 24;
    let budget = Budget::new(4 << 20);
    let body = content(6 << 20);
    let key = key_of(&body);
    let manner = Manner::default();
    let kinds = [
        manner,
        Manner { slow: Duration::from_millis(700), ..manner },
        Manner { keeps: true, step: 5 << 20, ..manner },
        Manner { stalls: 3 << 20, ..manner },
    ];
    let one = async |nth: usize| {
        let places: Places = kinds.iter().map(|_| Rc::default()).collect();
        let mut upload = resume_within(&key, &kinds, &places, &budget);
        upload.begin(0, body.len() as u64).await.expect("begun");
        for block in body.chunks(1 << 20) {
            let lease = match budget.try_lease(block.len() as u64) {
                Some(lease) => lease,
                None => {
                    upload.pause().await.expect("it lets go of memory");
                    budget.lease(block.len() as u64).await
                }
            };
            let mut leased = budget.block().under(&std::sync::Arc::new(lease));
            leased.push(block);
            upload.write(leased.freeze()).await.expect("taken");
        }
        assert_eq!(upload.finish().await.expect("settled"), stored(0..3), "{nth}");
    };
    run(async {
        let all = join_all((0..UPLOADS).map(one));
        tokio::time::timeout(IDLE * UPLOADS as u32, all).await.expect("none waits for ever");
    });
    assert_eq!(budget.free(), budget.total());
}

fn manner() -> impl Strategy<Value = Manner> {
    let place = || prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..700_000];
    let step = prop_oneof![Just(0_u64), 1000_u64..200_000];
    let all = (step, place(), place(), place(), prop::bool::weighted(0.1));
    all.prop_map(|(step, room, breaks, stalls, fails)| Manner {
        step,
        room,
        breaks,
        stalls,
        fails,
        ..Manner::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// In whatever order legs fail, stall and are cut: what is told to be stored is there, whole; nothing else is; legs that are
    /// well are never let go; and the next upload, to places that are well again, ends with the content everywhere.
    #[test]
    fn legs_fail_in_any_order(
        manners in prop::collection::vec(manner(), 1..5),
        cuts in prop::collection::vec(1_usize..600_000, 0..3),
        piece in 1000_usize..400_000,
    ) {
        let body = content(600_000);
        let key = key_of(&body);
        let (places, first) = upload(&key, &manners);
        drop(first);
        let fits = |manner: &Manner| [manner.room, manner.breaks, manner.stalls].iter().all(|most| *most >= body.len());
        let well: Vec<usize> = (0..manners.len()).filter(|nth| fits(&manners[*nth]) && !manners[*nth].fails).collect();
        for cut in cuts {
            let mut upload = resume(&key, &manners, &places);
            run(async {
                let from = upload.offset();
                if upload.begin(from, body.len() as u64 - from).await.is_ok() {
                    let from = from as usize;
                    let _ = send(&mut upload, &body[from..(from + cut).min(body.len())], piece).await;
                }
                let _ = upload.keep().await;
            });
            prop_assert!(!ends(&places).contains(&"committed"));
        }
        let mut upload = resume(&key, &manners, &places);
        let settled = run(async {
            match put(&mut upload, &body, piece).await {
                Ok(()) => upload.finish().await,
                Err(failure) => Err(failure),
            }
        });
        let committed: Vec<usize> = (0..places.len()).filter(|nth| ends(&places)[*nth] == "committed").collect();
        prop_assert!(committed.iter().all(|nth| places[*nth].borrow().content == body));
        prop_assert!(well.iter().all(|nth| committed.contains(nth)), "{:?} of {:?}", committed, well);
        match settled {
            Ok(settled) => prop_assert_eq!(settled, stored(committed.into_iter())),
            Err(_) => prop_assert!(committed.is_empty()),
        }
        let steps: Vec<Manner> = manners.iter().map(|manner| Manner { step: manner.step, ..Manner::default() }).collect();
        for place in places.iter().filter(|place| place.borrow().ended == Some("committed")) {
            // Nothing would be sent there.
            place.replace(Kept::default());
        }
        let mut again = resume(&key, &steps, &places);
        let settled = run(async {
            put(&mut again, &body, piece).await.expect("taken");
            again.finish().await.expect("settled")
        });
        prop_assert_eq!(settled, stored(0..places.len()));
        prop_assert!(places.iter().all(|place| place.borrow().content == body));
    }
}
