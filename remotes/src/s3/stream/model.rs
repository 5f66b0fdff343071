//! A model of uploads in parts to far stores, in pretend time: rates that change, cuts, stalls and refusals, and senders that take up
//! what broke from its last mark.
//!
//! Nothing sleeps, as in the model of downloads: the clock of the runtime goes on by itself when all wait.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::parts::{Parts, TakesParts, count};
use super::way::{Destination, Way};
use crate::budget::{BLOCK, Budget};
use crate::connections::Connections;
use crate::{Context, Error, Kind, Mark, Op, Result};

const MIB: u64 = 1 << 20;

/// Parts that are sent side by side where nothing else was found out.
const LEAST: usize = 3;

/// Faults of one part, after which it goes well: a store that is broken for good is another matter.
const PATIENT: u32 = 3;

const IDLE: Duration = Duration::from_secs(5);

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    /// Its connection breaks after so many bytes.
    Cut(u64),
    /// It takes no more after so many bytes, and does not end.
    Stall(u64),
    /// 503, and perhaps for how many seconds the store wants to be left alone.
    Refused(Option<u64>),
    /// All is taken, and the answer is lost: the part is there.
    Unanswered,
    /// 403, once all was sent.
    Denied,
}

/// What a store is like.
#[derive(Debug, Clone)]
struct Nature {
    round_trip: Duration,
    /// Bytes a second of a connection, and of all together, and for how long that is so; again from the beginning after the last.
    rates: Vec<(u64, u64, Duration)>,
    /// Of one request after the other, and again from the first.
    fates: Vec<Fate>,
}

/// A store at the end of a line.
struct FarStore {
    nature: Nature,
    begun: Instant,
    /// When all connections together may take more.
    due: Cell<Instant>,
    opened: Cell<usize>,
    faults: Cell<u32>,
    /// Connections that were used and are open.
    idle: Cell<usize>,
    under_way: Cell<usize>,
    most_under_way: Cell<usize>,
    /// Bytes of each part that is there, by the upload and the part's number.
    parts: RefCell<BTreeMap<(u64, usize), (u64, String)>>,
    /// Faults of each part.
    faults_at: RefCell<HashMap<(u64, usize), u32>>,
    wrong: RefCell<Vec<String>>,
}

/// One upload there.
struct FarUpload {
    store: Rc<FarStore>,
    number: u64,
    size: u64,
    /// Until when a part is not to be sent again. Not by the next upload: of several parts that failed its sender hears of one.
    not_before: RefCell<HashMap<usize, Instant>>,
}

/// Where one of its parts goes.
struct FarPart(Rc<FarUpload>, usize);

/// A request that carries a part.
struct Taking {
    upload: Rc<FarUpload>,
    part: usize,
    len: u64,
    taken: u64,
    due: Instant,
    fate: Fate,
}

impl FarStore {
    fn new(nature: Nature) -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            nature,
            begun: now,
            due: Cell::new(now),
            opened: Cell::new(0),
            faults: Cell::new(0),
            idle: Cell::new(0),
            under_way: Cell::new(0),
            most_under_way: Cell::new(0),
            parts: RefCell::default(),
            faults_at: RefCell::default(),
            wrong: RefCell::default(),
        })
    }

    fn wrong(&self, what: String) {
        self.wrong.borrow_mut().push(what);
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

    /// The fate of the next request for a part.
    fn fate(&self, part: (u64, usize)) -> Fate {
        let mut faults_at = self.faults_at.borrow_mut();
        let faults = faults_at.entry(part).or_default();
        let fate = self.nature.fates[self.opened.get() % self.nature.fates.len()];
        self.opened.set(self.opened.get() + 1);
        if matches!(fate, Fate::Fine) || *faults == PATIENT {
            return Fate::Fine;
        }
        *faults += 1;
        fate
    }

    fn fault<T>(&self, error: Error) -> Result<T> {
        self.faults.set(self.faults.get() + 1);
        Err(error)
    }
}

impl TakesParts for FarUpload {
    fn part(self: &Rc<Self>, number: usize) -> Rc<dyn Destination> {
        Rc::new(FarPart(Rc::clone(self), number))
    }
}

#[async_trait(?Send)]
impl Destination for FarPart {
    async fn connect(&self, len: u64, may_be_used: bool) -> Result<Box<dyn Way>> {
        let Self(upload, part) = self;
        let store = &upload.store;
        store.under_way.set(store.under_way.get() + 1);
        store.most_under_way.set(store.most_under_way.get().max(store.under_way.get()));
        let fate = store.fate((upload.number, *part));
        if upload.not_before.borrow().get(part).is_some_and(|time| Instant::now() < *time) {
            store.wrong(format!("part {part} was sent too soon after a refusal"));
        }
        if let Fate::Refused(Some(seconds)) = fate {
            upload.not_before.borrow_mut().insert(*part, Instant::now() + Duration::from_secs(seconds));
        }
        let (upload, part, due) = (Rc::clone(upload), *part, Instant::now());
        let taking = Taking { upload, part, len, taken: 0, due, fate };
        let store = &taking.upload.store;
        if may_be_used && store.idle.get() > 0 {
            store.idle.set(store.idle.get() - 1);
        } else {
            sleep(store.nature.round_trip).await;
        }
        Ok(Box::new(taking))
    }

    fn receipt(&self, tag: Option<String>) -> Result<String> {
        tag.ok_or_else(|| Error::new(Op::Put, Kind::Protocol, "no tag"))
    }

    fn may_come_late(&self, _: &Error) {}
}

impl Drop for Taking {
    fn drop(&mut self) {
        let under_way = &self.upload.store.under_way;
        under_way.set(under_way.get() - 1);
    }
}

#[async_trait(?Send)]
impl Way for Taking {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        let (store, len) = (Rc::clone(&self.upload.store), block.len() as u64);
        match self.fate {
            Fate::Cut(after) if self.taken >= after => {
                return store.fault(Error::new(Op::Put, Kind::Reset, "cut"));
            }
            Fate::Stall(after) if self.taken >= after => {
                sleep(IDLE).await;
                return store.fault(Error::new(Op::Put, Kind::Timeout, "stalled"));
            }
            // It is told as soon as somebody looks.
            Fate::Refused(seconds) if self.taken > 0 => {
                let refused = Error::new(Op::Put, Kind::Throttled, "503");
                return store.fault(refused.retried_after(seconds.map(Duration::from_secs)));
            }
            _ => {}
        }
        let begin = (self.part as u64 - 1) * self.upload.size + self.taken;
        if !is_right(self.upload.number, begin, &block) {
            store.wrong(format!("other bytes in part {} from {} on", self.part, self.taken));
        }
        let (each, all) = store.rates();
        let time = |rate: u64| Duration::from_secs_f64(len as f64 / rate as f64);
        self.due = self.due.max(Instant::now()) + time(each);
        store.due.set(store.due.get().max(Instant::now()) + time(all));
        sleep_until(self.due.max(store.due.get())).await;
        self.taken += len;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Option<String>> {
        let store = Rc::clone(&self.upload.store);
        if self.taken != self.len {
            store.wrong(format!("an answer for {} of {} bytes of part {}", self.taken, self.len, self.part));
        }
        if let Fate::Refused(seconds) = self.fate {
            let refused = Error::new(Op::Put, Kind::Throttled, "503");
            return store.fault(refused.retried_after(seconds.map(Duration::from_secs)));
        }
        if let Fate::Denied = self.fate {
            return store.fault(Error::new(Op::Put, Kind::Denied, "403"));
        }
        if let Fate::Cut(_) | Fate::Stall(_) = self.fate {
            return store.fault(Error::new(Op::Put, Kind::Reset, "cut"));
        }
        sleep(store.nature.round_trip).await;
        let tag = format!("{}-{}", self.part, store.opened.get());
        store.parts.borrow_mut().insert((self.upload.number, self.part), (self.len, tag.clone()));
        match self.fate {
            Fate::Unanswered => store.fault(Error::new(Op::Put, Kind::Reset, "no answer")),
            _ => {
                store.idle.set(store.idle.get() + 1);
                Ok(Some(tag))
            }
        }
    }
}

/// A byte of an upload's content for each word of it: content differs from place to place.
fn word(upload: u64, at: u64) -> u8 {
    ((at / 4096 + upload * 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8
}

/// Whether `block` is what the content has from `at` on.
fn is_right(upload: u64, at: u64, block: &[u8]) -> bool {
    (at..).step_by(4096).zip(block.chunks(4096)).all(|(at, piece)| {
        piece.first() == Some(&word(upload, at)) && piece.last() == Some(&word(upload, at + piece.len() as u64 - 1))
    })
}

/// Somebody who sends.
#[derive(Debug, Clone, Copy)]
struct Sender {
    number: u64,
    /// Bytes a second that it has; as fast as they are taken for 0.
    rate: u64,
}

/// Sends all of it as the gateway does: a block of memory is leased for each, marks are kept as they come, and what broke is taken up from
/// the last of them. Gives how often that was.
async fn send(
    store: &Rc<FarStore>,
    context: &Context,
    sender: Sender,
    len: u64,
    size: u64,
) -> std::result::Result<u32, String> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut again = 0;
    loop {
        let upload = FarUpload { store: Rc::clone(store), number: sender.number, size, not_before: RefCell::default() };
        let tags = marks.iter().map(|mark| String::from_utf8_lossy(&mark.tag).into_owned()).collect();
        let mut parts = Parts::new(context, upload, len, size).after(tags);
        let at = marks.last().map_or(0, |mark| mark.end);
        let error = match send_from(&mut parts, context, sender, at, len, &mut marks).await {
            Ok(()) => match parts.all_answered().await {
                Ok(()) => {
                    marks.extend(parts.take_marks());
                    hold(store, sender, &marks)?;
                    return if marks.len() == count(len, size) && marks.last().map(|mark| mark.end) == Some(len) {
                        Ok(again)
                    } else {
                        Err(format!("all was answered, and {} marks were given", marks.len()))
                    };
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !error.kind().retry() {
            return Err(error.to_string());
        }
        marks.extend(parts.suspend().await);
        hold(store, sender, &marks)?;
        again += 1;
    }
}

async fn send_from(
    parts: &mut Parts<FarUpload>,
    context: &Context,
    sender: Sender,
    mut at: u64,
    len: u64,
    marks: &mut Vec<Mark>,
) -> Result<()> {
    while at < len {
        let lease = match context.budget.try_lease(BLOCK as u64) {
            Some(lease) => lease,
            None => {
                parts.relax();
                context.budget.lease(BLOCK as u64).await
            }
        };
        let mut block = context.budget.block().under(&Arc::new(lease));
        // Blocks are as long as what came, and keep to no border of parts.
        let n = (BLOCK as u64 - at / 4096 % 3 * 4096).min(len - at);
        for at in (at..at + n).step_by(4096) {
            let piece = [word(sender.number, at); 4096];
            block.push(&piece[..4096.min((len - at) as usize)]);
        }
        if !context.budget.is_roomy() {
            parts.relax();
        }
        parts.write(block.freeze()).await?;
        at += n;
        marks.extend(parts.take_marks());
        if sender.rate > 0 {
            parts.relax();
            sleep(Duration::from_secs_f64(n as f64 / sender.rate as f64)).await;
        }
    }
    Ok(())
}

/// Marks are in order, without a hole, and of parts that the store has.
fn hold(store: &FarStore, sender: Sender, marks: &[Mark]) -> std::result::Result<(), String> {
    let parts = store.parts.borrow();
    let mut end = 0;
    for (mark, number) in marks.iter().zip(1..) {
        let Some((len, tag)) = parts.get(&(sender.number, number)) else {
            return Err(format!("a mark at {} of part {number}, which is not there", mark.end));
        };
        if mark.end != end + len || mark.tag != tag.as_bytes() {
            return Err(format!(
                "part {number} has {len} bytes and the tag {tag}, and its mark is {mark:?} after {end}"
            ));
        }
        end = mark.end;
    }
    Ok(())
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        8 => Just(Fate::Fine),
        2 => (0..3 * MIB).prop_map(Fate::Cut),
        1 => (0..2 * MIB).prop_map(Fate::Stall),
        2 => prop::option::of(1..4u64).prop_map(Fate::Refused),
        1 => Just(Fate::Unanswered),
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

/// Runs `work` in pretend time.
fn pretend<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever a store is like: its parts have the right bytes, marks are in order and of what is there, waiting parts leave others
    /// their half of the memory, no more connections are open than allowed, all leases come back, and it ends in no more time than
    /// the store's rates and faults account for.
    #[test]
    fn all_parts_arrive_in_bounded_memory_and_in_time(
        nature in natures(),
        len in 1..24 * MIB,
        size in 1..4u64,
        budget in 4..96u64,
        most in 1..24usize,
        rates in prop::collection::vec(0..60u64, 1..4),
    ) {
        let size = size * MIB;
        let senders: Vec<Sender> =
            rates.iter().zip(0..).map(|(mib, number)| Sender { number, rate: mib * MIB }).collect();
        let slowest = |of: fn(&(u64, u64, Duration)) -> u64| nature.rates.iter().map(of).min().expect("one") as f64;
        let (each, all) = (slowest(|(each, ..)| *each), slowest(|(_, all, _)| *all));
        let moving = |bytes: u64| bytes as f64 / each + bytes as f64 / all;
        let trips = 3.0 * (count(len, size) as f64 + 1.0) * nature.round_trip.as_secs_f64();
        let brought = |sender: &Sender| if sender.rate > 0 { len as f64 / sender.rate as f64 } else { 0.0 };
        let among = senders.len();
        let moves = (moving(len) + trips) * among as f64 + senders.iter().map(brought).sum::<f64>();
        let (done, took, store, context, used) = pretend(async {
            let store = FarStore::new(nature);
            let context = Context {
                budget: Budget::new(budget * MIB),
                connections: Arc::new(Connections::new(most)),
                idle: IDLE,
                ..Context::default()
            };
            let used = Cell::new(0);
            let watch = async {
                loop {
                    used.set(used.get().max(context.budget.total() - context.budget.free()));
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let all = join_all(senders.iter().map(|sender| send(&store, &context, *sender, len, size)));
            let done = tokio::select! {
                // Longer than any fault accounts for: what comes after it never would.
                done = timeout(Duration::from_secs(100_000), all) => done,
                () = watch => unreachable!("it watches for ever"),
            };
            let took = store.begun.elapsed().as_secs_f64();
            tokio::task::yield_now().await;
            let used = used.get();
            (done, took, store, context, used)
        });
        let done = done.map_err(|_| TestCaseError::fail("nothing moves any more"))?;
        let again = done.into_iter().sum::<std::result::Result<u32, String>>().map_err(TestCaseError::fail)?;
        prop_assert_eq!(&*store.wrong.borrow(), &Vec::<String>::new());
        prop_assert_eq!((context.budget.free(), store.under_way.get()), (context.budget.total(), 0));
        // The part that fills, the block that comes, and the one before it.
        let bound = context.budget.total() / 2 + among as u64 * (size + 2 * MIB);
        prop_assert!(used <= bound, "{used} bytes of memory were used, of {bound}");
        if again == 0 {
            prop_assert!(store.most_under_way.get() <= most.max(LEAST * among), "{} connections", store.most_under_way.get());
        }
        // A stall is waited for until the limit, a refusal is tried again after what it asks for and a pause, and what broke may have
        // to be sent again with all that was on its way.
        let on_the_way = size * most.max(LEAST) as u64;
        let faults = f64::from(store.faults.get()) * (5.0 + 4.0 + 3.2 + 2.0 + moving(on_the_way));
        prop_assert!(took <= 1.0 + moves + faults, "{took} s, of which {moves} for bytes and {faults} for faults");
    }
}

/// The line of the bench: several connections bring what they can, and trouble costs little of it.
#[test]
fn parts_take_what_the_line_gives_and_trouble_leaves_most_of_it() {
    let seconds = |fates: &[Fate]| {
        pretend(async {
            let rates = vec![(60_000_000, 1_000_000_000, Duration::from_secs(1))];
            let store = FarStore::new(Nature { round_trip: Duration::from_millis(30), rates, fates: fates.to_vec() });
            let again = send(&store, &Context::default(), Sender { number: 0, rate: 0 }, 1024 * MIB, 8 * MIB).await;
            (store.begun.elapsed().as_secs_f64(), again.expect("sent"))
        })
    };
    let mut troubled = [Fate::Fine; 50];
    (0..50).step_by(10).for_each(|n| troubled[n + 3] = Fate::Cut((1 + n as u64 % 7) * MIB));
    troubled[25] = Fate::Refused(None);
    let ((undisturbed, never), (troubled, again)) = (seconds(&[Fate::Fine]), seconds(&troubled));
    let one = 1024.0 * MIB as f64 / 60e6;
    // A part is stored once its answer came: here no socket holds what is on its way, as the bench and the world have.
    assert!(one / undisturbed >= 7.0, "{one} s by one connection, {undisturbed} s by several");
    assert!(undisturbed / troubled >= 0.7, "{undisturbed} s undisturbed, {troubled} s with trouble");
    assert_eq!((never, again), (0, 0), "what broke was mended without the sender");
}

/// Whoever asks for marks after each block met the failure of a part before the next block did: all the rest of the object was sent,
/// and what was told at its end was that a part is missing, which is worth trying again.
#[test]
fn a_part_that_failed_is_told_of_with_the_next_block_and_with_its_own_reason() {
    pretend(async {
        for is_last in [false, true] {
            let rates = vec![(MIB, MIB, Duration::from_secs(1))];
            let nature = Nature { round_trip: Duration::from_millis(30), rates, fates: vec![Fate::Denied] };
            let (store, context) = (FarStore::new(nature), Context::default());
            let upload = FarUpload { store, number: 0, size: MIB, not_before: RefCell::default() };
            let mut parts = Parts::new(&context, upload, if is_last { MIB } else { 2 * MIB }, MIB);
            let block: Bytes = (0..MIB).map(|at| word(0, at)).collect::<Vec<u8>>().into();
            parts.write(block.clone()).await.expect("taken");
            sleep(Duration::from_secs(1)).await;
            assert_eq!(parts.take_marks(), []);
            let told = if is_last { parts.all_answered().await } else { parts.write(block).await };
            assert_eq!(told.map_err(|e| e.kind()), Err(Kind::Denied), "last: {is_last}");
        }
    });
}
