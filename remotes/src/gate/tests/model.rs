//! A model of stores that take so many requests a second, in pretend time: all requests are done in the end, few are refused, and the
//! store is used well.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::connections::Connections;
use crate::retry::Backoff;
use crate::{Context, Error, Kind, Op, Result};

/// How far ahead of its rate a store lets a burst come.
const BURST: Duration = Duration::from_millis(50);

/// What a store is like.
#[derive(Debug, Clone)]
struct Nature {
    round_trip: Duration,
    /// Requests a second that it takes, and for how long; again from the beginning after the last.
    rates: Vec<(u32, Duration)>,
    /// One in so many is refused in any case; 0 for none.
    refuses: usize,
    /// Whether it says for how long it wants to be left alone.
    says_after: bool,
}

struct Pretend {
    nature: Nature,
    begun: Instant,
    /// When the next request would be one too many.
    next: Cell<Instant>,
    asked: Cell<usize>,
    refused: Cell<usize>,
    under_way: Cell<usize>,
    /// The most under way at once.
    most: Cell<usize>,
}

impl Pretend {
    fn new(nature: Nature) -> Rc<Self> {
        let now = Instant::now();
        let (asked, refused, under_way, most) = Default::default();
        Rc::new(Self { nature, begun: now, next: Cell::new(now), asked, refused, under_way, most })
    }

    /// Requests a second that it takes now.
    fn rate(&self) -> u32 {
        let round: Duration = self.nature.rates.iter().map(|(_, time)| *time).sum();
        let mut at = Duration::from_nanos((self.begun.elapsed().as_nanos() % round.as_nanos()) as u64);
        for (rate, time) in &self.nature.rates {
            if at < *time {
                return *rate;
            }
            at -= *time;
        }
        self.nature.rates[0].0
    }

    async fn ask(&self) -> Result<()> {
        self.under_way.set(self.under_way.get() + 1);
        self.most.set(self.most.get().max(self.under_way.get()));
        sleep(self.nature.round_trip / 2).await;
        self.asked.set(self.asked.get() + 1);
        let now = Instant::now();
        let is_unlucky = self.nature.refuses > 0 && self.asked.get().is_multiple_of(self.nature.refuses);
        let is_welcome = self.next.get() <= now + BURST && !is_unlucky;
        if is_welcome {
            self.next.set(self.next.get().max(now) + Duration::from_secs(1) / self.rate());
        }
        sleep(self.nature.round_trip / 2).await;
        self.under_way.set(self.under_way.get() - 1);
        if is_welcome {
            return Ok(());
        }
        self.refused.set(self.refused.get() + 1);
        let after = self.nature.says_after.then(|| Duration::from_secs(1));
        Err(Error::new(Op::Put, Kind::Throttled, "503").retried_after(after))
    }
}

/// What came of `count` requests by so many clients: seconds, and those that failed for good.
async fn run(store: &Rc<Pretend>, clients: usize, count: usize, is_open: bool) -> (f64, usize) {
    let context = Context { connections: Arc::new(Connections::new(64)), ..Context::default() };
    let (left, failed, begun) = (Cell::new(count), Cell::new(0), Instant::now());
    let one = async || {
        while left.get() > 0 {
            left.set(left.get() - 1);
            let mut backoff = Backoff::new(&context);
            loop {
                let answer = if is_open {
                    store.ask().await
                } else {
                    context.connections.gate().pass(context.idle, store.ask()).await
                };
                let Err(error) = answer else { break };
                if backoff.pause(error).await.is_err() {
                    failed.set(failed.get() + 1);
                    break;
                }
            }
        }
    };
    join_all((0..clients).map(|_| one())).await;
    (begun.elapsed().as_secs_f64(), failed.get())
}

fn steady(rate: u32, round_trip: u64) -> Nature {
    let rates = vec![(rate, Duration::from_secs(1))];
    Nature { round_trip: Duration::from_millis(round_trip), rates, refuses: 0, says_after: false }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_above_a_rate_is_used_well_and_seldom_has_to_refuse() {
    // Clients, requests a second, milliseconds: at most so many refused of all.
    for (clients, rate, round_trip, most) in
        [(64, 1000, 30, 0.15), (256, 1000, 30, 0.15), (32, 500, 30, 0.15), (64, 2000, 100, 0.05), (64, 100, 2, 0.3)]
    {
        let store = Pretend::new(steady(rate, round_trip));
        let count = 10 * rate as usize;
        let (seconds, failed) = run(&store, clients, count, false).await;
        // Where there are too few clients, they are what limits it.
        let possible = f64::from(rate).min(clients as f64 * 1000.0 / round_trip as f64);
        let used = count as f64 / seconds / possible;
        let refused = store.refused.get() as f64 / store.asked.get() as f64;
        assert_eq!(failed, 0, "{clients} {rate} {round_trip}");
        assert!(used >= 0.9 && refused <= most, "{clients} {rate} {round_trip}: {used} used, {refused} refused");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_door_a_crowd_is_refused_more_often_than_it_tries() {
    let store = Pretend::new(steady(200, 30));
    let (_, failed) = run(&store, 256, 2000, true).await;
    assert!(failed > 0, "then it is of no use");
    let store = Pretend::new(steady(200, 30));
    let (seconds, failed) = run(&store, 256, 2000, false).await;
    assert!(failed == 0 && seconds < 10.0 / 0.85, "{failed} failed in {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_all_is_asked_by_all() {
    for refuses in [0, 50] {
        let store = Pretend::new(Nature { refuses, ..steady(1_000_000, 30) });
        let (seconds, failed) = run(&store, 64, 6400, false).await;
        assert_eq!((failed, store.most.get()), (0, 64));
        // A client that is refused pauses, and the others go on.
        assert!(seconds < 3.7, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_more_again_gets_more() {
    let rates = vec![(300, Duration::from_secs(5)), (2000, Duration::from_secs(60))];
    let store = Pretend::new(Nature { rates, ..steady(1, 30) });
    let (seconds, failed) = run(&store, 64, 5 * 2300, false).await;
    assert!(failed == 0 && seconds < 12.0, "{failed} failed in {seconds} s");
}

fn nature() -> impl Strategy<Value = Nature> {
    let rates = proptest::collection::vec((100u32..3000, 200u64..3000), 1..4);
    (1u64..150, rates, prop_oneof![Just(0), 20usize..100], any::<bool>()).prop_map(
        |(round_trip, rates, refuses, says)| {
            let rates = rates.into_iter().map(|(rate, time)| (rate, Duration::from_millis(time))).collect();
            Nature { round_trip: Duration::from_millis(round_trip), rates, refuses, says_after: says }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the store is like: no request is lost, one in a hundred at the most fails for good, and a fifth of what it takes at its
    /// slowest is used at the least; less where it wants to be left alone for a second each time.
    #[test]
    fn all_is_done_at_any_store(nature in nature(), clients in 1usize..200) {
        let run = async {
            let store = Pretend::new(nature.clone());
            let done = run(&store, clients, 2000, false).await;
            (done, store.asked.get(), store.refused.get(), store.under_way.get())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let ((seconds, failed), asked, refused, under_way) = runtime.expect("a runtime").block_on(run);
        prop_assert_eq!((asked, under_way), (2000 + refused - failed, 0));
        prop_assert!(failed <= 20, "{} failed", failed);
        let slowest = nature.rates.iter().map(|(rate, _)| *rate).min().expect("one");
        let possible = f64::from(slowest).min(clients as f64 / nature.round_trip.as_secs_f64());
        // Some seconds for the pauses of the last ones.
        let least = if nature.says_after { 0.05 } else { 0.2 };
        prop_assert!(2000.0 / seconds > least * possible || seconds < 10.0, "{} s, {} possible", seconds, possible);
    }
}
