//! Nodes of a cluster on servers that stall, ask for a pause or die within a request: the other node does it, doubt is never
//! "absent", and nothing is recorded that is not so.

use testbed::annex::content;
use testbed::cluster::Cluster;
use testbed::faulty::{At, Faulty, How, What};
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::proxy::Behind;
use testbed::way::{Outcome, Way};
use testbed::wire::key_of;

/// Seconds for which a node may be silent.
const TIMEOUT: &str = "4";

const MIB: usize = 1 << 20;
const PAUSE: How = How::Say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

/// What a client asks while the node fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Put,
    Get,
    Check,
    Remove,
}

/// What fails, where in the request, and how.
#[derive(Debug, Clone, Copy)]
struct Case(Ask, What, At, How);

const CASES: &[Case] = {
    use {Ask::*, At::*, How::*};
    &[
        // Before the content comes: the node is looked at.
        Case(Put, What::Look, Sent, Stall),
        Case(Put, What::Look, Sent, Die),
        Case(Put, What::Put, Sending(MIB), Stall),
        Case(Put, What::Put, Sending(MIB), Die),
        Case(Put, What::Put, Sent, PAUSE),
        Case(Put, What::Put, Done, Reset),
        Case(Get, What::Get, Sent, Stall),
        Case(Get, What::Get, Sent, PAUSE),
        Case(Get, What::Get, Answering(MIB), Stall),
        Case(Get, What::Get, Answering(MIB), Die),
        Case(Check, What::Look, Sent, Stall),
        Case(Check, What::Look, Sent, PAUSE),
        Case(Check, What::Look, Sent, Die),
        Case(Remove, What::Remove, Sent, Stall),
        Case(Remove, What::Remove, Sent, PAUSE),
        Case(Remove, What::Remove, Sent, Die),
        Case(Remove, What::Remove, Done, Reset),
    ]
};

impl Case {
    /// Whether the node may have done it although it could not say so.
    fn is_in_doubt(self) -> bool {
        self.2 == At::Done
    }
}

/// A node that may fail, which is asked first, and a directory.
struct Lab {
    cluster: Cluster,
    server: Gateway,
    faulty: Faulty,
}

impl Lab {
    fn new(place: &Place, further: &[&str]) -> Lab {
        let faulty = Faulty::start(place.port());
        let first = Behind::Special(place.through(faulty.port), Whose::Ours);
        let second = Behind::Special(Place::fs(), Whose::Ours);
        let cluster = Cluster::with(vec![(first, further), (second, &[])]);
        cluster.repo.git(&["config", "remote.m0.annex-cost", "10"]).ok();
        let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet", "--timeout", TIMEOUT]);
        Lab { cluster, server, faulty }
    }

    fn way(&self, by_stdio: bool) -> Way<'_> {
        if by_stdio { Way::Stdio(&self.cluster.repo, TIMEOUT) } else { Way::Http(&self.server) }
    }

    /// Whether a node has it, once it can tell.
    fn has(&self, nth: usize, key: &str) -> bool {
        let mut has = false;
        eventually("the node can tell", || match self.way(true).check(&self.cluster.uuids[nth], key) {
            Outcome::Yes => {
                has = true;
                true
            }
            told => told == Outcome::No,
        });
        has
    }

    fn run(&self, case: Case, way: Way<'_>, seed: u64) {
        let (uuid, ask) = (&self.cluster.uuid, case.0);
        let body = content(seed, 3 * MIB);
        let key = key_of(&body);
        if ask != Ask::Put {
            eventually("both nodes take it", || {
                way.put(uuid, &key, &body) == Outcome::Yes && self.cluster.holders(&key) == [0, 1]
            });
        }
        // A server leaves out nodes that are down; it looks again by and by.
        eventually("both nodes can tell", || way.check(uuid, &key_of(&body[1..])) == Outcome::No);
        self.faulty.fail("", case.1, case.2, case.3, 99);
        match ask {
            Ask::Put => assert_eq!(way.put(uuid, &key, &body), Outcome::Yes, "{case:?}"),
            Ask::Get => assert_eq!(way.get(uuid, &key), Outcome::Content(body.clone()), "{case:?}"),
            Ask::Check => {
                assert_eq!(way.check(uuid, &key), Outcome::Yes, "{case:?}");
                let nowhere = way.check(uuid, &key_of(&body[1..]));
                assert!(matches!(nowhere, Outcome::Failed(_)), "{case:?}: {nowhere:?}");
            }
            Ask::Remove => {
                let told = way.remove(uuid, &key);
                assert!(matches!(told, Outcome::No | Outcome::Failed(_)), "{case:?}: {told:?}");
            }
        }
        // Before an upload, a server does not look at a node that it heard from lately.
        let may_trust = matches!((case.0, case.1, way), (Ask::Put, What::Look, Way::Http(_)));
        assert!(may_trust || self.faulty.met("") > 0, "{case:?}: nothing failed");
        self.faulty.heal();
        let there: Vec<usize> = (0..2).filter(|nth| self.has(*nth, &key)).collect();
        let recorded = self.cluster.holders(&key);
        let sure = |nodes: &[usize]| nodes.iter().copied().filter(|nth| *nth != 0 || !case.is_in_doubt()).collect();
        let (there, recorded): (Vec<usize>, Vec<usize>) = (sure(&there), sure(&recorded));
        assert_eq!(recorded, there, "{case:?}: what is recorded, and what is there");
        assert_eq!(there.contains(&1), ask != Ask::Remove, "{case:?}: the node that is well");
        eventually("it is removed", || way.remove(uuid, &key) == Outcome::Yes);
    }

    fn run_all(&self, by_stdio: bool) {
        for (seed, case) in CASES.iter().enumerate() {
            self.run(*case, self.way(by_stdio), seed as u64);
        }
    }
}

#[test]
fn an_s3_that_fails_stops_nobody_over_http() {
    Lab::new(&Place::weed(), &[]).run_all(false);
}

#[test]
fn an_s3_that_fails_stops_nobody_over_stdio() {
    Lab::new(&Place::weed(), &[]).run_all(true);
}

#[test]
fn a_webdav_that_fails_stops_nobody_over_http() {
    Lab::new(&Place::webdav(), &[]).run_all(false);
}

#[test]
fn a_webdav_that_fails_stops_nobody_over_stdio() {
    Lab::new(&Place::webdav(), &[]).run_all(true);
}

#[test]
fn a_tree_that_fails_stops_nobody() {
    let lab = Lab::new(&Place::weed(), &["exporttree=yes", "annexobjects=yes"]);
    for (seed, case) in CASES.iter().enumerate() {
        lab.run(*case, lab.way(seed % 2 == 0), seed as u64);
    }
}
