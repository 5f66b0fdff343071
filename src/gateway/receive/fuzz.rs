//! The body of a fuzz target in `testdata/fuzz/`, here so that plain tests can run it too.
//!
//! It panics when a promise of uploads to many places is broken. Time is pretended, so that whoever would wait for ever is found.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use remotes::budget::{BLOCK, Budget};

use super::memory::{Kept, Manner, MemorySink, content, key_of, run};
use super::{Fan, FanLeg, Settled, Upload};
use crate::gateway::Failure;
use crate::name::{Key, Uuid};

/// Bytes of a content: more than is kept in memory until the end, or less.
const LEN: [usize; 2] = [320 << 10, 96 << 10];

/// For how long a place may take nothing while others wait.
const IDLE: Duration = Duration::from_secs(60);

/// Longer than all of it can take: each of the places stalls once in each of the attempts.
const ENOUGH: Duration = Duration::from_secs(24 * 3600);

/// Attempts of an upload, the first of which fail or are broken off.
const ATTEMPTS: usize = 6;

/// Most that one client does before it sends the rest.
const STEPS: usize = 64;

/// Bytes that say how one place is.
const SAID: usize = 3;

/// What the client of an upload does next.
enum Step {
    /// Sends so many bytes.
    Send(usize),
    /// Sends nothing for a while, so that memory is let go of.
    Pause(Duration),
    /// Ends in the middle, and comes again. What came is kept, or was, where the server itself ended without a word.
    Again { is_kept: bool },
}

/// Uploads at once over little memory, each to places of its own. The first byte says how many of both, which of the uploads are
/// of other content than their key's, and how long they are; the next ones how each place is; the rest, dealt out in turn, what
/// the clients do.
///
/// What a place commits is the content. Places that are well commit, whatever the others do. What is told is what was committed,
/// and that nobody has it only where nobody does. All uploads end, and all memory comes back.
pub fn fan(data: &[u8]) {
    let Some((head, rest)) = data.split_first() else { return };
    let (places, uploads) = (usize::from(head & 3) + 1, usize::from(head >> 2 & 3) + 1);
    let Some((said, steps)) = rest.split_at_checked(places * SAID) else { return };
    let len = LEN[usize::from(head >> 7)];
    let manners: Vec<Manner> = said.chunks(SAID).map(|said| manner(said, len)).collect();
    let budget = Budget::new(0);
    let client = |nth: usize| {
        let body = content(len - nth);
        let mut sent = body.clone();
        // Of the first three.
        let is_right = head >> 4 & 7 & 1 << nth == 0;
        if !is_right {
            sent[len / 2] ^= 1;
        }
        let steps = steps.iter().skip(nth).step_by(uploads).take(STEPS).map(|byte| step(*byte, len)).collect();
        Client { key: key_of(&body), body, sent, is_right, budget: budget.clone(), steps }
    };
    run(async {
        let all = join_all((0..uploads).map(|nth| upload(client(nth), &manners)));
        tokio::time::timeout(ENOUGH, all).await.expect("an upload waits for ever");
    });
    assert_eq!(budget.free(), budget.total(), "memory is lost");
}

/// One who uploads.
struct Client {
    key: Key,
    body: Vec<u8>,
    /// What it sends.
    sent: Vec<u8>,
    is_right: bool,
    budget: Budget,
    steps: Vec<Step>,
}

fn step(byte: u8, len: usize) -> Step {
    let much = usize::from(byte >> 3);
    match byte & 7 {
        0..=4 => Step::Send((much + 1) * (len / 48)),
        5 => Step::Pause(Duration::from_secs(much as u64 * 7)),
        nth => Step::Again { is_kept: nth == 6 },
    }
}

fn manner(said: &[u8], len: usize) -> Manner {
    let at = usize::from(said[1]) * len / 250;
    let step = match said[2] {
        0..=99 => 0,
        byte => u64::from(byte) * 1000,
    };
    let manner = Manner { step, ..Manner::default() };
    match said[0] & 7 {
        0 => Manner { room: at, ..manner },
        1 => Manner { breaks: at, ..manner },
        2 => Manner { stalls: at, ..manner },
        3 => Manner { fails: true, ..manner },
        4 => Manner { slow: Duration::from_millis(at as u64 / 10), ..manner },
        5 => Manner { keeps: true, ..manner },
        _ => manner,
    }
}

fn is_well(manner: &Manner) -> bool {
    [manner.room, manner.breaks, manner.stalls] == [usize::MAX; 3] && !manner.fails
}

fn uuid(nth: usize) -> Uuid {
    Uuid::parse(format!("n{nth}").as_bytes()).expect("a uuid")
}

/// How an attempt ended.
enum Ended {
    Whole,
    Again { is_kept: bool },
}

/// Uploads until it ends. In each attempt the places change their manners among them.
async fn upload(client: Client, manners: &[Manner]) {
    let places: Vec<Rc<RefCell<Kept>>> = manners.iter().map(|_| Rc::default()).collect();
    let mut steps = client.steps.iter();
    for attempt in 0..ATTEMPTS {
        // A place saves states at the same steps always.
        let at = |nth: usize| Manner { step: manners[nth].step, ..manners[(nth + attempt) % manners.len()] };
        let manners: Vec<Manner> = (0..manners.len()).map(at).collect();
        let mut upload = open(&client, &manners, &places);
        match send(&client, &mut upload, &mut steps).await {
            Ok(Ended::Whole) => return judge(&client, &manners, &places, upload.finish().await),
            // What cannot be kept comes again.
            Ok(Ended::Again { is_kept: true }) => drop(upload.keep().await),
            Ok(Ended::Again { is_kept: false }) => drop(upload),
            Err(failure) => {
                assert!(!manners.iter().any(is_well), "places that are well were let go: {failure}");
                drop(upload);
            }
        }
        assert!(committed(&places).is_empty(), "committed before the end");
        // Until all legs have heard of it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn open(client: &Client, manners: &[Manner], places: &[Rc<RefCell<Kept>>]) -> Upload {
    let place = |(nth, (place, manner)): (usize, (&Rc<RefCell<Kept>>, &Manner))| {
        place.borrow_mut().ended = None;
        let sink = MemorySink { key: client.key.clone(), place: Rc::clone(place), manner: *manner };
        FanLeg {
            uuid: uuid(nth),
            name: format!("n{nth}"),
            sink: Box::new(sink),
            pace: None,
            hops: 0,
            is_place: true,
            rests_on: Box::new(()),
        }
    };
    let legs = places.iter().zip(manners).enumerate().map(place).collect();
    Upload::new(&client.key, Fan::new(&client.key, legs, &client.budget, IDLE, Rc::new(|_, _| {})))
}

/// One attempt: what the client still wants to do, and then the rest of the content.
async fn send(client: &Client, upload: &mut Upload, steps: &mut std::slice::Iter<'_, Step>) -> Result<Ended, Failure> {
    let mut at = usize::try_from(upload.offset()).expect("a short content");
    assert!(at <= client.body.len(), "more lies there than was sent");
    assert!(upload.begin(at as u64, (client.body.len() - at) as u64).await?, "it does not begin where it ended");
    while at < client.body.len() {
        let bytes = match steps.next() {
            Some(Step::Send(bytes)) => *bytes,
            Some(Step::Pause(time)) => {
                upload.pause().await?;
                tokio::time::sleep(*time).await;
                continue;
            }
            Some(Step::Again { is_kept }) => return Ok(Ended::Again { is_kept: *is_kept }),
            None => client.body.len() / 3,
        };
        let end = (at + bytes).min(client.body.len());
        // As the wires do: memory is let go of before it is waited for.
        let lease = match client.budget.try_lease(BLOCK as u64) {
            Some(lease) => lease,
            None => {
                upload.pause().await?;
                client.budget.lease(BLOCK as u64).await
            }
        };
        let mut block = client.budget.block().under(&Arc::new(lease));
        block.push(&client.sent[at..end]);
        upload.write(block.freeze()).await?;
        at = end;
    }
    Ok(Ended::Whole)
}

fn committed(places: &[Rc<RefCell<Kept>>]) -> Vec<usize> {
    (0..places.len()).filter(|nth| places[*nth].borrow().ended == Some("committed")).collect()
}

/// Whether what is told is what became of it.
fn judge(client: &Client, manners: &[Manner], places: &[Rc<RefCell<Kept>>], told: Result<Settled, Failure>) {
    let committed = committed(places);
    for nth in &committed {
        assert!(places[*nth].borrow().content == client.body, "n{nth} has other content");
    }
    if !client.is_right {
        assert!(committed.is_empty() && !matches!(told, Ok(Settled::Stored(_))), "other content: {told:?}");
        return;
    }
    let mut well = (0..places.len()).filter(|nth| is_well(&manners[*nth]));
    assert!(well.all(|nth| committed.contains(&nth)), "{committed:?} of {manners:?}: {told:?}");
    match told {
        Ok(Settled::Stored(uuids)) => {
            assert_eq!(uuids, committed.iter().rev().map(|nth| uuid(*nth)).collect::<Vec<_>>());
        }
        Ok(Settled::Wrong) => panic!("the content is right"),
        Err(failure) => assert!(committed.is_empty(), "{committed:?} have it: {failure}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Whole, and with bytes replaced.
    #[test]
    fn the_fuzz_target_survives_its_seeds_and_small_changes() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz/corpus/upload_fan");
        let seeds: Vec<_> = std::fs::read_dir(directory).expect("the seeds are part of the source").collect();
        assert!(seeds.len() >= 5, "seeds are missing");
        for seed in seeds {
            let seed = std::fs::read(seed.expect("a readable directory").path()).expect("a readable seed");
            super::fan(&seed);
            for (at, byte) in (0..seed.len()).step_by(2).zip(b"\x0e\x02\xff\0\x5f\x07".iter().cycle()) {
                let mut input = seed.clone();
                input[at] = *byte;
                super::fan(&input);
            }
        }
    }
}
