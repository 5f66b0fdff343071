//! A model of far stores in pretend time: reading ahead is driven through rates that change, cuts, stalls and refusals.
//!
//! Nothing sleeps: the clock of the runtime goes on by itself when all wait. So what is proved here is the reading itself, with the
//! controller in it, and a machine that is slow changes nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Ahead, Ranges, Width};
use crate::budget::Budget;
use crate::connections::Connections;
use crate::pump::{Blocks, Source};
use crate::{Capabilities, Context, Error, Get, Kind, ObjectName, Op, Put, Range, Result, Stat, Store, Until, Write};

const MIB: u64 = 1 << 20;

/// Bytes that a connection gives at once.
const CHUNK: u64 = 128 << 10;

/// Faults in a row of a range that brings nothing, after which it goes well: a store that is broken for good is another matter.
const PATIENT: u32 = 3;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    /// It breaks after so many bytes.
    Cut(u64),
    /// It gives no more after so many bytes, and does not end.
    Stall(u64),
    /// 503, and perhaps for how many seconds the store wants to be left alone.
    Refused(Option<u64>),
}

/// What a store is like.
#[derive(Debug, Clone)]
struct Nature {
    round_trip: Duration,
    /// Bytes a second of a connection, and of all together, and for how long that is so; again from the beginning after the last.
    rates: Vec<(u64, u64, Duration)>,
    /// Of one connection after the other, and again from the first.
    fates: Vec<Fate>,
}

/// A store at the end of a line.
struct FarStore {
    nature: Nature,
    len: u64,
    begun: Instant,
    /// When all connections together may give more.
    due: Cell<Instant>,
    opened: Cell<usize>,
    faults: Cell<u32>,
    under_way: Rc<Cell<usize>>,
    most_under_way: Cell<usize>,
    /// Faults of ranges of a client that begin at a byte, and until when that client is not to ask for them.
    faults_at: RefCell<HashMap<(u64, u64), (u32, Instant)>>,
    wrong: RefCell<Vec<String>>,
}

/// The store as one of its clients sees it.
struct View {
    store: Rc<FarStore>,
    client: u64,
}

/// Counts a connection for as long as it is there.
struct UnderWay(Rc<Cell<usize>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The bytes of one connection.
struct Giving {
    store: Rc<FarStore>,
    at: u64,
    end: u64,
    due: Instant,
    fate: Fate,
    given: u64,
    _under_way: UnderWay,
}

impl FarStore {
    fn new(nature: Nature, len: u64) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            nature,
            len,
            begun: now,
            due: Cell::new(now),
            opened: Cell::new(0),
            faults: Cell::new(0),
            under_way: Rc::default(),
            most_under_way: Cell::new(0),
            faults_at: RefCell::default(),
            wrong: RefCell::default(),
        })
    }

    /// Bytes a second of a connection and of all, now.
    fn rates(&self) -> (u64, u64) {
        let rates = &self.nature.rates;
        let round: Duration = rates.iter().map(|(.., time)| *time).sum();
        let mut at = Duration::from_nanos((self.begun.elapsed().as_nanos() % round.as_nanos()) as u64);
        let now = rates.iter().find(|(.., time)| {
            let is_now = at < *time;
            at = at.saturating_sub(*time);
            is_now
        });
        now.map_or((rates[0].0, rates[0].1), |(each, all, _)| (*each, *all))
    }

    /// The fate of a connection of `client` for the bytes from `from` on.
    fn fate(&self, client: u64, from: u64) -> Fate {
        let mut faults_at = self.faults_at.borrow_mut();
        let (faults, not_before) = faults_at.entry((client, from)).or_insert((0, self.begun));
        if Instant::now() < *not_before {
            self.wrong.borrow_mut().push(format!("byte {from} was asked for too soon after a refusal"));
        }
        let fate = self.nature.fates[self.opened.get() % self.nature.fates.len()];
        self.opened.set(self.opened.get() + 1);
        if matches!(fate, Fate::Fine) || *faults == PATIENT {
            return Fate::Fine;
        }
        *faults += 1;
        if let Fate::Refused(Some(seconds)) = fate {
            *not_before = Instant::now() + Duration::from_secs(seconds);
        }
        fate
    }

    fn fault(&self) {
        self.faults.set(self.faults.get() + 1);
    }
}

#[async_trait(?Send)]
impl Blocks for Giving {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.fate {
            Fate::Cut(after) if self.given >= after => {
                self.store.fault();
                return Err(Error::new(Op::Get, Kind::Reset, "cut"));
            }
            Fate::Stall(after) if self.given >= after => {
                self.store.fault();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let len = CHUNK.min(self.end - self.at);
        if len == 0 {
            return Ok(None);
        }
        let (each, all) = self.store.rates();
        let time = |rate: u64| Duration::from_secs_f64(len as f64 / rate as f64);
        self.due = self.due.max(Instant::now()) + time(each);
        self.store.due.set(self.store.due.get().max(Instant::now()) + time(all));
        sleep_until(self.due.max(self.store.due.get())).await;
        let bytes = content(self.at, len);
        self.at += len;
        self.given += len;
        Ok(Some(bytes))
    }
}

#[async_trait(?Send)]
impl Store for View {
    fn label(&self) -> &str {
        "far"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { write: Write::ReadOnly, ranges: true, local: false, width: 4 }
    }

    fn info(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn locate(&self, _: &ObjectName) -> Option<String> {
        None
    }

    async fn prove(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn stat(&self, _: &ObjectName) -> Result<Option<Stat>> {
        Ok(None)
    }

    async fn get(&self, _: &ObjectName, range: Range) -> Result<Get> {
        let store = Rc::clone(&self.store);
        store.under_way.set(store.under_way.get() + 1);
        let under_way = UnderWay(Rc::clone(&store.under_way));
        store.most_under_way.set(store.most_under_way.get().max(store.under_way.get()));
        let fate = store.fate(self.client, range.from);
        sleep(store.nature.round_trip).await;
        if let Fate::Refused(seconds) = fate {
            store.fault();
            let refused = Error::new(Op::Get, Kind::Throttled, "503");
            return Err(refused.retried_after(seconds.map(Duration::from_secs)));
        }
        let total = store.len;
        let len = range.len.unwrap_or(total).min(total - range.from);
        let due = Instant::now();
        let giving =
            Giving { store, at: range.from, end: range.from + len, due, fate, given: 0, _under_way: under_way };
        Ok(Get { len, total, tag: Some("tag".into()), source: Source::Stream(Box::new(giving)) })
    }

    async fn put(&self, _: &ObjectName, _: u64) -> Result<Box<dyn Put>> {
        Err(Error::new(Op::Put, Kind::ReadOnly, "it is only read"))
    }

    async fn remove_until(&self, _: &ObjectName, _: &Until) -> Result<()> {
        Err(Error::new(Op::Remove, Kind::ReadOnly, "it is only read"))
    }
}

/// The bytes of the object from `at` on, as far as no border of [`CHUNK`] is passed.
fn content(at: u64, len: u64) -> Bytes {
    // So many chunks are made, and come again and again.
    const MADE: u64 = 61;
    static ALL: OnceLock<Bytes> = OnceLock::new();
    let from = (at % (MADE * CHUNK)) as usize;
    let make = || (0..MADE * CHUNK).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    ALL.get_or_init(make).slice(from..from + len as usize)
}

/// Whether `block` is what the object has from `at` on.
fn is_right(at: u64, block: &[u8]) -> bool {
    let pieces = block.chunks(CHUNK as usize).zip(0..);
    pieces.into_iter().all(|(piece, nth)| content(at + nth * CHUNK, piece.len() as u64) == piece)
}

/// Runs `work` in pretend time.
fn pretend<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), work)
}

/// Somebody who reads an object.
#[derive(Debug, Clone, Copy)]
struct Client {
    number: u64,
    /// Bytes a second that it takes; as they come for 0.
    rate: u64,
}

/// What a transfer needs at the most beyond half of the budget: the range in front.
const FRONT: u64 = 2 * MIB;

/// Reads all of it, and looks at what comes, and at the memory it takes meanwhile.
async fn read(store: &Rc<FarStore>, context: &Context, client: Client, among: u64) -> std::result::Result<(), String> {
    let object = ObjectName::new("k").expect("a name");
    let of = Ranges {
        store: Rc::new(View { store: Rc::clone(store), client: client.number }),
        object,
        tag: Some("tag".into()),
        context: context.clone(),
    };
    let transfer = Rc::new(context.connections.enter());
    let len = store.len;
    let mut ahead = Ahead::between(of, 0, len, Width::new(1), transfer);
    ahead.prefetch();
    let mut at = 0;
    while let Some(block) = ahead.next().await.map_err(|e| e.to_string())? {
        if !is_right(at, &block) {
            return Err(format!("other bytes from {at} on"));
        }
        at += block.len() as u64;
        let used = context.budget.total() - context.budget.free();
        if used > context.budget.total() / 2 + among * FRONT {
            return Err(format!("{used} bytes of memory are used"));
        }
        if client.rate > 0 {
            sleep(Duration::from_secs_f64(block.len() as f64 / client.rate as f64)).await;
        }
    }
    if at == len { Ok(()) } else { Err(format!("{at} of {len} bytes")) }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Fine),
        2 => (0..3 * MIB).prop_map(Fate::Cut),
        1 => (0..2 * MIB).prop_map(Fate::Stall),
        2 => prop::option::of(1..4u64).prop_map(Fate::Refused),
    ];
    prop::collection::vec(fate, 1..12)
}

fn natures() -> impl Strategy<Value = Nature> {
    let rates = prop::collection::vec((1..100u64, 1..400u64, 50..2000u64), 1..4);
    (0..200u64, rates, fates()).prop_map(|(round_trip, rates, fates)| Nature {
        round_trip: Duration::from_millis(round_trip),
        rates: rates.into_iter().map(|(each, all, ms)| (each * MIB, all * MIB, Duration::from_millis(ms))).collect(),
        fates,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever a store is like, all of an object arrives in order, in bounded memory, by no more connections than are allowed, and
    /// in no more time than the store's rates and faults account for.
    #[test]
    fn all_arrives_in_order_in_bounded_memory_and_in_time(
        nature in natures(),
        len in 1..24u64,
        budget in 4..32u64,
        most in 1..24usize,
        rates in prop::collection::vec(0..60u64, 1..4),
    ) {
        let clients: Vec<Client> =
            rates.iter().zip(0..).map(|(mib, number)| Client { number, rate: mib * MIB }).collect();
        let slowest = |of: fn(&(u64, u64, Duration)) -> u64| nature.rates.iter().map(of).min().expect("one") as f64;
        let (each, all) = (slowest(|(each, ..)| *each), slowest(|(_, all, _)| *all));
        let bytes = (len * MIB) as f64;
        let taken = clients.iter().filter(|client| client.rate > 0).map(|client| bytes / client.rate as f64).sum::<f64>();
        let ranges = len as f64 * nature.round_trip.as_secs_f64();
        let moving = (bytes / each + bytes / all + ranges) * clients.len() as f64 + taken;
        let (done, took, store, context) = pretend(async {
            let store = FarStore::new(nature, len * MIB);
            let context = Context {
                budget: Budget::new(budget * MIB),
                connections: std::sync::Arc::new(Connections::new(most)),
                idle: Duration::from_secs(5),
                ..Context::default()
            };
            let among = clients.len() as u64;
            let all = join_all(clients.iter().map(|client| read(&store, &context, *client, among)));
            // Longer than any fault accounts for: what comes after it never would.
            let done = timeout(Duration::from_secs(100_000), all).await;
            let took = store.begun.elapsed().as_secs_f64();
            // What was given up is closed by then.
            tokio::task::yield_now().await;
            (done, took, store, context)
        });
        let done = done.map_err(|_| TestCaseError::fail("nothing moves any more"))?;
        prop_assert_eq!(done.into_iter().collect::<std::result::Result<Vec<()>, String>>(), Ok(vec![(); clients.len()]));
        prop_assert_eq!(&*store.wrong.borrow(), &Vec::<String>::new());
        prop_assert!(store.most_under_way.get() <= most.max(clients.len()), "{} connections", store.most_under_way.get());
        prop_assert_eq!((context.budget.free(), store.under_way.get()), (context.budget.total(), 0));
        // A stall is waited for until the limit, and a refusal is tried again after what it asks for and a pause.
        let faults = f64::from(store.faults.get()) * (5.0 + 4.0 + 3.2);
        prop_assert!(took <= 1.0 + moving + faults, "{took} s, of which {moving} for bytes and {faults} for faults");
    }
}

/// The line of the bench: what a store that cuts every tenth connection and refuses one request in fifty costs.
#[test]
fn refusals_and_cuts_leave_most_of_the_rate() {
    let seconds = |fates: &[Fate]| {
        pretend(async {
            let rates = vec![(60_000_000, 1_000_000_000, Duration::from_secs(1))];
            let nature = Nature { round_trip: Duration::from_millis(30), rates, fates: fates.to_vec() };
            let store = FarStore::new(nature, 1024 * MIB);
            let context = Context::default();
            read(&store, &context, Client { number: 0, rate: 0 }, 1).await.expect("read");
            store.begun.elapsed().as_secs_f64()
        })
    };
    let mut troubled = [Fate::Fine; 50];
    (0..50).step_by(10).for_each(|n| troubled[n + 3] = Fate::Cut((1 + n as u64 % 7) * MIB));
    troubled[25] = Fate::Refused(None);
    let (undisturbed, troubled) = (seconds(&[Fate::Fine]), seconds(&troubled));
    assert!(undisturbed / troubled >= 0.7, "{undisturbed} s undisturbed, {troubled} s with trouble");
}
