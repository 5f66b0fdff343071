//! Nodes of a cluster that are gone, lose content or die: what clients are told, and what is recorded.

use testbed::annex::{Repo, content};
use testbed::clients::partial;
use testbed::cluster::Cluster;
use testbed::gateway::{Gateway, eventually};
use testbed::p2p::Session;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::Behind;
use testbed::way::{Outcome, Way};
use testbed::wire::key_of;

/// Seconds for which a node may be silent.
const TIMEOUT: &str = "4";

struct Lab {
    cluster: Cluster,
    server: Gateway,
}

impl Lab {
    fn new(nodes: Vec<Behind>) -> Lab {
        let cluster = Cluster::new(nodes);
        let server = Gateway::serve(&cluster.repo, &["--wideopen", "--quiet", "--timeout", TIMEOUT]);
        Lab { cluster, server }
    }

    /// Two directories and a repository.
    fn of_disks() -> Lab {
        let directory = || Behind::Special(Place::fs(), Whose::Theirs);
        Lab::new(vec![directory(), directory(), Behind::Path(Repo::new())])
    }

    fn ways(&self) -> [Way<'_>; 2] {
        [Way::Http(&self.server), Way::Stdio(&self.cluster.repo, TIMEOUT)]
    }

    fn session(&self) -> Session {
        let mut command = self.cluster.repo.command(product());
        command.env("STREAM_TIMEOUT", TIMEOUT);
        Session::greeted(command, &self.cluster.repo.dir(), &self.cluster.uuid)
    }

    /// The uuids of nodes as answers have them.
    fn falling(&self, nths: &[usize]) -> String {
        let mut uuids: Vec<&str> = nths.iter().map(|nth| &*self.cluster.uuids[*nth]).collect();
        uuids.sort_unstable();
        uuids.reverse();
        uuids.join(" ")
    }
}

/// One after the other is gone from its disk; in git-annex a repository that is gone ends every request of the cluster.
#[test]
fn a_disk_that_is_not_mounted_stops_nobody_and_loses_nothing() {
    let lab = Lab::of_disks();
    let uuid = &lab.cluster.uuid;
    for gone in 0..3 {
        for (nth, way) in lab.ways().into_iter().enumerate() {
            let body = content((gone * 2 + nth) as u64, 300_000);
            let (old, new) = (key_of(&body), key_of(&body[1..]));
            assert_eq!(way.put(uuid, &old, &body), Outcome::Yes);
            lab.cluster.unplug(gone, true);
            let rest: Vec<usize> = (0..3).filter(|nth| *nth != gone).collect();
            assert_eq!(way.put(uuid, &new, &body[1..]), Outcome::Yes, "without m{gone}");
            assert_eq!(way.check(uuid, &new), Outcome::Yes);
            assert_eq!(way.get(uuid, &new), Outcome::Content(body[1..].to_vec()));
            assert_eq!(way.get(uuid, &old), Outcome::Content(body.clone()));
            eventually("only the rest is recorded", || lab.cluster.holders(&new) == rest);
            // It is not said to be gone, and not recorded so.
            assert!(matches!(way.check(uuid, &key_of(b"nowhere")), Outcome::Failed(_)), "it may be on m{gone}");
            assert_eq!(way.remove(uuid, &old), Outcome::No, "it is still on m{gone}");
            eventually("it is recorded there alone", || lab.cluster.holders(&old) == [gone]);
            assert_eq!(way.remove(uuid, &new), Outcome::Yes, "it never was on m{gone}");
            lab.cluster.unplug(gone, false);
            eventually("it is asked again", || way.check(uuid, &key_of(b"nowhere")) == Outcome::No);
            assert_eq!(way.get(uuid, &old), Outcome::Content(body.clone()));
            assert_eq!(way.remove(uuid, &old), Outcome::Yes);
        }
    }
}

#[test]
fn what_a_node_says_sets_the_log_right() {
    let lab = Lab::of_disks();
    let uuid = &lab.cluster.uuid;
    for (nth, way) in lab.ways().into_iter().enumerate() {
        let body = content(nth as u64, 100_000);
        let key = key_of(&body);
        assert_eq!(way.put(uuid, &key, &body), Outcome::Yes);
        lab.cluster.lose(0, &key);
        lab.cluster.lose(1, &key);
        assert_eq!(way.check(uuid, &key), Outcome::Yes);
        assert_eq!(way.get(uuid, &key), Outcome::Content(body.clone()));
        lab.cluster.lose(2, &key);
        assert_eq!(way.check(uuid, &key), Outcome::No);
        eventually("nobody is recorded", || lab.cluster.holders(&key).is_empty());
        assert_eq!(way.get(uuid, &key), Outcome::No);
        // Put there by another way, which nobody recorded here.
        std::fs::write(lab.cluster.repo.dir().join("scratch"), &body).expect("a file");
        let Behind::Path(far) = &lab.cluster.nodes[2] else { panic!("it is a repository") };
        std::fs::write(far.dir().join("scratch"), &body).expect("a file");
        far.annex(&["setkey", "--quiet", &key, "scratch"]).ok();
        assert_eq!(way.check(uuid, &key), Outcome::Yes);
        eventually("it is recorded", || lab.cluster.holders(&key) == [2]);
        assert_eq!(way.remove(uuid, &key), Outcome::Yes);
    }
}

#[test]
fn answers_name_exactly_the_nodes() {
    let lab = Lab::of_disks();
    let body = content(7, 200_000);
    let key = key_of(&body);
    let mut session = lab.session();
    assert_eq!(session.put(&key, &body), format!("SUCCESS-PLUS {}", lab.falling(&[0, 1, 2])));
    assert_eq!(session.ask(&format!("LOCKCONTENT {key}")), "FAILURE");
    lab.cluster.unplug(0, true);
    assert_eq!(session.ask(&format!("REMOVE {key}")), format!("FAILURE-PLUS {}", lab.falling(&[1, 2])));
    lab.cluster.unplug(0, false);
    assert_eq!(session.ask(&format!("REMOVE {key}")), format!("SUCCESS-PLUS {}", lab.falling(&[0, 1, 2])));
    let mut wrong = body.clone();
    wrong[7] ^= 1;
    assert_eq!(session.put(&key, &wrong), "FAILURE");
    assert_eq!(session.ask(&format!("CHECKPRESENT {key}")), "FAILURE");
    session.close();
    session.ended();
}

/// Three disks with room for two contents each, and nine that come at once over both wires.
#[test]
fn uploads_at_one_time_leave_no_node_beyond_its_maxsize() {
    const LEN: usize = 10_000;
    let lab = Lab::of_disks();
    for name in ["m0", "m1", "m2"] {
        lab.cluster.repo.annex(&["maxsize", name, &format!("{}B", 2 * LEN + LEN / 2)]).ok();
        lab.cluster.repo.annex(&["wanted", name, "nothing"]).ok();
    }
    let one = |nth: usize| {
        let body = content(nth as u64, LEN);
        (key_of(&body), lab.ways()[nth % 2].put(&lab.cluster.uuid, &key_of(&body), &body))
    };
    let told: Vec<(String, Outcome)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..9).map(|nth| scope.spawn(move || one(nth))).collect();
        all.into_iter().map(|one| one.join().expect("it is told")).collect()
    });
    let (stored, refused): (Vec<_>, Vec<_>) = told.into_iter().partition(|(_, told)| *told == Outcome::Yes);
    assert_eq!((stored.len(), refused.len()), (6, 3), "{refused:?}");
    for (_, told) in &refused {
        let says_so =
            |why: &str| why.contains("has room for it") && (why.starts_with("507") || why.starts_with("ERROR"));
        assert!(matches!(told, Outcome::Failed(why) if says_so(why)), "{told:?}");
    }
    let mut held = [0; 3];
    for (key, _) in &stored {
        eventually("it is recorded", || !lab.cluster.holders(key).is_empty());
        lab.cluster.holders(key).into_iter().for_each(|nth| held[nth] += 1);
    }
    assert_eq!(held, [2, 2, 2]);
}

/// A repository behind HTTP is stopped: it takes nothing and says nothing.
#[test]
fn a_node_that_hangs_is_left_out_of_an_upload() {
    let lab = Lab::new(vec![Behind::http(), Behind::Special(Place::fs(), Whose::Theirs), Behind::Path(Repo::new())]);
    let Behind::Http(far, hanging) = &lab.cluster.nodes[0] else { panic!("it is behind HTTP") };
    let body = content(4, 48 << 20);
    let key = key_of(&body);
    let mut session = lab.session();
    assert_eq!(session.ask(&format!("PUT  {key}")), "PUT-FROM 0");
    session.send(format!("DATA {}\n", body.len()).as_bytes());
    session.send(&body[..8 << 20]);
    eventually("it comes", || partial(far) > 0);
    hanging.signal(rustix::process::Signal::STOP);
    session.send(&body[8 << 20..]);
    assert_eq!(session.ask("VALID"), format!("SUCCESS-PLUS {}", lab.falling(&[1, 2])));
    assert_eq!(session.ask(&format!("CHECKPRESENT {key}")), "SUCCESS");
    hanging.signal(rustix::process::Signal::CONT);
    session.close();
    session.ended();
    assert_eq!(lab.cluster.holders(&key), [1, 2]);
}

#[test]
fn an_upload_is_resumed_on_all_nodes_after_the_gateway_was_killed() {
    let lab = Lab::new(vec![Behind::Path(Repo::new()), Behind::Path(Repo::bare())]);
    let body = content(5, 24 << 20);
    let key = key_of(&body);
    let mut session = lab.session();
    assert_eq!(session.ask(&format!("PUT  {key}")), "PUT-FROM 0");
    session.send(format!("DATA {}\n", body.len()).as_bytes());
    session.send(&body[..16 << 20]);
    let far = |nth: usize| match &lab.cluster.nodes[nth] {
        Behind::Path(far) => far,
        _ => panic!("it is a repository"),
    };
    eventually("both have some of it", || (0..2).all(|nth| partial(far(nth)) >= 2 << 20));
    session.kill();
    assert!(lab.cluster.holders(&key).is_empty());
    let mut again = lab.session();
    assert_eq!(again.ask(&format!("CHECKPRESENT {key}")), "FAILURE", "nothing is visible in part");
    let offer = again.ask(&format!("PUT  {key}"));
    let from: usize = offer.strip_prefix("PUT-FROM ").expect("it may be sent").parse().expect("an offset");
    assert!((2 << 20..=16 << 20).contains(&from), "{offer}");
    again.send(&[format!("DATA {}\n", body.len() - from).as_bytes(), &body[from..]].concat());
    assert_eq!(again.ask("VALID"), format!("SUCCESS-PLUS {}", lab.falling(&[0, 1])));
    again.close();
    again.ended();
    assert_eq!(lab.cluster.holders(&key), [0, 1]);
    for nth in 0..2 {
        far(nth).annex(&["fsck", "--quiet", "--key", &key]).ok();
    }
}

/// A repository behind HTTP is killed while it sends.
#[test]
fn a_download_goes_on_from_another_node() {
    let mut lab = Lab::new(vec![Behind::http(), Behind::Special(Place::fs(), Whose::Theirs)]);
    let body = content(3, 32 << 20);
    let key = key_of(&body);
    let (uuid, m0) = (lab.cluster.uuid.clone(), 0);
    lab.cluster.repo.git(&["config", "remote.m0.annex-cost", "10"]).ok();
    assert_eq!(Way::Http(&lab.server).put(&uuid, &key, &body), Outcome::Yes);
    let mut session = lab.session();
    session.send(format!("GET 0  {key}\n").as_bytes());
    assert_eq!(session.line(), Some(format!("DATA {}", body.len())));
    // The pipe holds much less than that.
    let mut came = session.bytes(1 << 20);
    let Behind::Http(_, gateway) = lab.cluster.nodes.remove(m0) else { panic!("it is behind HTTP") };
    gateway.kill();
    came.extend(session.bytes(body.len() - came.len()));
    assert!(came == body, "{} of {} bytes", came.len(), body.len());
    assert_eq!(session.line().as_deref(), Some("VALID"));
    session.send(b"SUCCESS\n");
    session.close();
    session.ended();
}
