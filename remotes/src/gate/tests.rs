//! Who waits at the door, for how long, and in which order.

mod model;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::*;
use crate::{Error, Op};

/// A limit for silence that leaves all the time there is.
const IDLE: Duration = Duration::from_secs(4 * LONGEST.as_secs());

fn refuse(passages: Vec<Passage>, after: Option<Duration>) {
    passages.into_iter().for_each(|passage| passage.refused(after));
}

fn under_way(gate: &Gate) -> usize {
    gate.state().under_way
}

async fn entered(gate: &Arc<Gate>, count: usize) -> Vec<Passage> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(gate.enter(IDLE).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_comes_in_by_turns_and_who_went_away_is_passed_over() {
    let gate = Arc::<Gate>::default();
    refuse(entered(&gate, 6).await, None);
    let most = gate.most().expect("it is lowered");
    assert!(most < 4 && under_way(&gate) == 0, "{most}");
    let inside = entered(&gate, most).await;
    let begun = Instant::now();
    let gone = timeout(Duration::from_secs(1), gate.enter(IDLE)).await;
    assert!(gone.is_err(), "there is no room");
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.enter(IDLE).await.answered() }
    });
    tokio::task::yield_now().await;
    drop(inside);
    waiting.await.expect("it came in");
    assert_eq!((under_way(&gate), begun.elapsed().as_secs()), (0, 1));
}

#[tokio::test]
async fn a_door_that_is_open_keeps_nobody_for_a_moment() {
    let gate = Arc::<Gate>::default();
    for _ in 0..100 {
        assert!(gate.enter(IDLE).now_or_never().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_stands_in_the_line_for_ever() {
    let gate = Arc::<Gate>::default();
    refuse(entered(&gate, 3).await, None);
    let (begun, inside) = (Instant::now(), entered(&gate, 1).await);
    let late = gate.enter(IDLE).await;
    assert_eq!((begun.elapsed().as_secs(), under_way(&gate)), (LONGEST.as_secs(), 2));
    let (begun, soon) = (Instant::now(), gate.enter(IDLE / 40).await);
    assert_eq!(begun.elapsed(), IDLE / 160, "a transfer is not to be silent for longer than it may");
    drop((late, inside, soon));
    assert_eq!(under_way(&gate), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_wants_to_be_left_alone_is() {
    let gate = Arc::<Gate>::default();
    let (begun, after) = (Instant::now(), Some(Duration::from_secs(3)));
    refuse(entered(&gate, 1).await, after);
    drop(entered(&gate, 1).await);
    assert_eq!(begun.elapsed(), Duration::ZERO, "one refusal is an accident");
    refuse(entered(&gate, 8).await, after);
    let answer = gate.pass(IDLE, async { Err::<(), _>(Error::new(Op::Put, Kind::Throttled, "as asked")) }).await;
    assert!(answer.is_err() && begun.elapsed().as_secs() == 3, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_by_pauses_for_longer_either() {
    let gate = Arc::<Gate>::default();
    for _ in 0..40 {
        let passage = gate.enter(IDLE).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        passage.refused(None);
    }
    assert!(gate.state().window.pause().is_some_and(|pause| pause > LONGEST * 4));
    for _ in 0..3 {
        let begun = Instant::now();
        drop(gate.enter(IDLE).await);
        assert!(begun.elapsed() <= LONGEST, "{:?}", begun.elapsed());
    }
}
