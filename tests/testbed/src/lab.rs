//! A store that fails on order behind a gateway, and what is asked of it meanwhile.

use std::time::{Duration, Instant};

use super::annex::content;
use super::faulty::{At, Faulty, How, What};
use super::gateway::{Gateway, Held, eventually};
use super::place::{Place, Whose};
use super::proxy::{Behind, Proxy};
use super::trickle::Trickle;
use super::way::{Outcome, Way};
use super::wire::key_of;

const MIB: usize = 1 << 20;

/// Seconds for which a store may be silent.
pub const TIMEOUT: &str = "4";

/// Longest that any answer may take: the limit above, once more where what was tried again is silent too, and slack for a
/// machine that has other things to do. Five tries of four seconds each and the pauses between them would be longer.
pub const LIMIT: Duration = Duration::from_secs(16);

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// CHECKPRESENT.
    Check,
    /// GET.
    Get,
    /// PUT.
    Put,
    /// REMOVE.
    Remove,
}

/// What the client may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The truth: nothing was lost that could not be tried again.
    Right,
    /// An error.
    Failed,
    /// One of these.
    Either,
}

/// A fault, `usize` times in a row, and what is asked meanwhile of content that long.
#[derive(Clone, Copy, Debug)]
pub struct Case(pub Ask, pub usize, pub What, pub At, pub How, pub usize, pub Told);

/// A store that fails on order, and a gateway that has it for a remote.
pub struct Lab {
    /// The repository of the gateway.
    pub proxy: Proxy,
    /// What stands before the store, and fails.
    pub faulty: Faulty,
    /// Serves the repository over HTTP.
    pub server: Gateway,
    /// The store itself.
    pub place: Place,
    /// The uuid of the remote.
    pub uuid: String,
    /// Between the store and what fails, where the store is far away.
    pub line: Option<Trickle>,
}

impl Lab {
    /// Sets all of it up, with more options for the remote.
    pub fn new(place: Place, more: &[&str]) -> Lab {
        Lab::with(place, more, None)
    }

    /// The same, with a store that gives each connection `rate` bytes a second.
    pub fn far(place: Place, more: &[&str], rate: u64) -> Lab {
        let line = Trickle::start(place.port(), rate);
        Lab::with(place, more, Some(line))
    }

    fn with(place: Place, more: &[&str], line: Option<Trickle>) -> Lab {
        let faulty = Faulty::start(line.as_ref().map_or(place.port(), |line| line.port));
        let proxy = Proxy::with(Behind::Special(place.through(faulty.port), Whose::Ours), more);
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet", "--timeout", TIMEOUT]);
        let uuid = proxy.uuid();
        Lab { proxy, faulty, server, place, uuid, line }
    }

    /// Both wires.
    pub fn ways(&self) -> [Way<'_>; 2] {
        [Way::Http(&self.server), Way::Stdio(&self.proxy.repo, TIMEOUT)]
    }

    /// Asks for `key`, which `body` is the content of where it is put.
    pub fn ask(&self, way: Way<'_>, ask: Ask, key: &str, body: &[u8]) -> Outcome {
        let begun = Instant::now();
        let outcome = match ask {
            Ask::Check => way.check(&self.uuid, key),
            Ask::Get => way.get(&self.uuid, key),
            Ask::Put => way.put(&self.uuid, key, body),
            Ask::Remove => way.remove(&self.uuid, key),
        };
        if std::env::var_os("STREAM_TEST_TELL").is_some() {
            eprintln!("{ask:?}: {outcome:?} after {:?}", begun.elapsed());
        }
        outcome
    }

    /// Objects in the store, but for what marks it as one, and what could not be removed because the store was gone.
    pub fn objects(&self) -> Vec<String> {
        let marks = |name: &String| name.ends_with("annex-uuid") || name.starts_with("tmp/");
        self.place.names().into_iter().filter(|name| !marks(name)).collect()
    }

    /// What was asked once, so that what stays open is open.
    pub fn warm_up(&self) -> Held {
        for (n, len) in [100, 12 * MIB].into_iter().enumerate() {
            self.all_is_well(Way::Http(&self.server), &content(900 + n as u64, len));
        }
        self.at_rest()
    }

    /// What the server may hold once nobody is connected.
    pub fn at_rest(&self) -> Held {
        eventually("nobody is connected", || self.server.metric("connections") == 0);
        // Connections to the store are kept for a while, some for each thread and kind of request.
        let held = self.server.held();
        Held { threads: 64, descriptors: held.descriptors + 16, ..held }
    }

    /// Puts `body`, gets it, looks for it and removes it, and each is answered as it should be.
    #[track_caller]
    pub fn all_is_well(&self, way: Way<'_>, body: &[u8]) {
        let (uuid, key) = (&self.uuid, &*key_of(body));
        let _ = uuid;
        for (ask, outcome) in [
            (Ask::Put, Outcome::Yes),
            (Ask::Get, Outcome::Content(body.to_vec())),
            (Ask::Check, Outcome::Yes),
            (Ask::Remove, Outcome::Yes),
            (Ask::Check, Outcome::No),
            (Ask::Get, Outcome::No),
        ] {
            assert_eq!(self.ask(way, ask, key, body), outcome, "{ask:?} of {key}");
        }
    }

    /// Asks under a fault; every wrong thing is a line.
    pub fn under(&self, way: Way<'_>, case: Case, about: &str, key: &str, body: &[u8]) -> (Outcome, Vec<String>) {
        let Case(ask, len, what, at, how, times, mut told) = case;
        // A process has little memory, and may have let go of what it would send again.
        if matches!(way, Way::Stdio(..)) && ask == Ask::Put && len > 5 * MIB && told == Told::Right {
            told = Told::Either;
        }
        self.faulty.fail(about, what, at, how, times);
        let begun = Instant::now();
        let outcome = self.ask(way, ask, key, body);
        let took = begun.elapsed();
        let right = match ask {
            Ask::Get => Outcome::Content(body.to_vec()),
            _ => Outcome::Yes,
        };
        let mut wrong = Vec::new();
        let over = match way {
            Way::Http(_) => "http",
            Way::Stdio(..) => "stdio",
        };
        let mut complain = |what: &str| wrong.push(format!("{over} {case:?}: {what}: {outcome:?} after {took:?}"));
        if took > LIMIT {
            complain("too late");
        }
        match (&outcome, told) {
            (Outcome::Failed(_), Told::Failed | Told::Either) => {}
            (outcome, Told::Right | Told::Either) if *outcome == right => {}
            _ => complain("told wrongly"),
        }
        if self.faulty.met(about) == 0 {
            complain("the fault never happened");
        }
        if std::env::var_os("STREAM_TEST_TELL").is_some() {
            eprintln!("{over} {case:?}: {outcome:?} after {took:?}");
        }
        (outcome, wrong)
    }

    /// The store is well again: what was said is so, and everything can be done.
    pub fn afterwards(&self, way: Way<'_>, case: Case, outcome: &Outcome, body: &[u8]) -> Vec<String> {
        let (uuid, key, mut wrong) = (&self.uuid, &*key_of(body), Vec::new());
        let there = way.check(uuid, key);
        let expected = match (case.0, outcome) {
            (Ask::Put, Outcome::Yes) | (Ask::Check | Ask::Get, _) => Some(Outcome::Yes),
            (Ask::Remove, Outcome::Yes) => Some(Outcome::No),
            _ => None,
        };
        if expected.as_ref().is_some_and(|expected| there != *expected) || matches!(there, Outcome::Failed(_)) {
            wrong.push(format!("{case:?} ended with {outcome:?}, and afterwards {there:?}"));
        }
        if there == Outcome::Yes && way.get(uuid, key) != Outcome::Content(body.to_vec()) {
            wrong.push(format!("{case:?} ended with {outcome:?}, and what is there is not the content"));
        }
        wrong
    }

    /// Nothing is left of all this, and all that was held is given back.
    pub fn nothing_is_left(&self, before: Held) {
        assert_eq!(self.objects(), Vec::<String>::new());
        if matches!(self.place, Place::S3(..)) {
            eventually("no upload is left", || !self.place.uploads().contains("UploadId"));
        }
        eventually("what was held is given back", || {
            let now = self.server.held();
            now.no_more_than(&before)
        });
    }
}

/// Cases side by side, each on a key of its own.
pub fn faults_side_by_side(lab: &Lab, way: Way<'_>, cases: &[Case]) {
    let bodies: Vec<Vec<u8>> = cases.iter().enumerate().map(|(n, case)| content(n as u64, case.1)).collect();
    for (case, body) in cases.iter().zip(&bodies).filter(|(case, _)| case.0 != Ask::Put) {
        assert_eq!(way.put(&lab.uuid, &key_of(body), body), Outcome::Yes, "{case:?}");
    }
    let done: Vec<_> = std::thread::scope(|scope| {
        let all = cases.iter().zip(&bodies);
        let asked: Vec<_> = all
            .map(|(case, body)| scope.spawn(move || lab.under(way, *case, &key_of(body), &key_of(body), body)))
            .collect();
        asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    lab.faulty.heal();
    let mut wrong = Vec::new();
    for ((case, body), (outcome, complaints)) in cases.iter().zip(&bodies).zip(done) {
        wrong.extend(complaints);
        wrong.extend(lab.afterwards(way, *case, &outcome, body));
        match case.0 {
            Ask::Put => lab.all_is_well(way, body),
            _ => assert_eq!(way.remove(&lab.uuid, &key_of(body)), Outcome::Yes),
        }
    }
    lab.all_is_well(way, &content(77, 6 * MIB));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
