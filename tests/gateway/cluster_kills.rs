//! The gateway of a cluster is killed at random bytes of an upload: no node shows a part of it, every record has its content, and
//! the next upload resumes behind what the node with the least has.
//!
//! A failure names its seed. `STREAM_TEST_SEED` begins there, and `STREAM_TEST_KILLS` says how many there are for each wire.
//! `make faults` does 50.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git_annex_remote_stream::annex::unfinished::{Entry, Ledgers};
use testbed::annex::{Repo, content};
use testbed::clients::partial;
use testbed::cluster::Cluster;
use testbed::draw::Draw;
use testbed::gateway::{Gateway, eventually, within};
use testbed::http::{Client, post_head};
use testbed::p2p::Session;
use testbed::place::{Place, Whose, files_below};
use testbed::proxy::Behind;
use testbed::rest::annex_dir;
use testbed::way::{Outcome, Way};
use testbed::wire::{CLIENT, key_of, length};

const MIB: usize = 1 << 20;

/// Two parts of the smallest size on S3, and some of a third.
const LEN: usize = 11 * MIB + 4_321;

/// Beyond the step in which a directory keeps what it has.
const LONG: usize = 36 * MIB + 321;

/// Seconds for which a node may be silent.
const TIMEOUT: &str = "20";

/// How many kills there are where nobody says it.
const FEW: u64 = 6;

/// A cluster, and the server that is its gateway.
struct Lab {
    cluster: Cluster,
    server: Option<Gateway>,
}

/// An upload on its way. Dropped, its client is gone.
enum Sending {
    Http(Client),
    Stdio(Session),
}

impl Lab {
    fn new(nodes: Vec<(Behind, &[&str])>) -> Lab {
        let mut lab = Lab { cluster: Cluster::with(nodes), server: None };
        lab.serve();
        lab
    }

    /// A directory, an S3, a WebDAV and a git repository.
    fn of_all_kinds() -> Lab {
        let special = |place| Behind::Special(place, Whose::Ours);
        Lab::new(vec![
            (special(Place::fs()), &[]),
            (special(Place::weed()), &["partsize=5MiB"]),
            (special(Place::webdav()), &[]),
            (Behind::Path(Repo::new()), &[]),
        ])
    }

    /// Those that keep what they have of an upload.
    fn of_those_that_keep() -> Lab {
        let special = |place| Behind::Special(place, Whose::Ours);
        Lab::new(vec![
            (special(Place::fs()), &[]),
            (special(Place::weed()), &["partsize=5MiB"]),
            (Behind::Path(Repo::bare()), &[]),
        ])
    }

    fn serve(&mut self) {
        self.server = Some(Gateway::serve(&self.cluster.repo, &["--wideopen", "--quiet", "--timeout", TIMEOUT]));
    }

    fn server(&self) -> &Gateway {
        self.server.as_ref().expect("it runs")
    }

    fn way(&self) -> Way<'_> {
        Way::Http(self.server())
    }

    fn session(&self) -> Session {
        let mut command = self.cluster.repo.command(Path::new(env!("CARGO_BIN_EXE_git-annex-remote-stream")));
        command.env("STREAM_TIMEOUT", TIMEOUT);
        Session::greeted(command, &self.cluster.repo.dir(), &self.cluster.uuid)
    }

    /// Where an upload to `uuid` resumes; `None` where all of it is there.
    #[track_caller]
    fn offset(&self, uuid: &str, key: &str) -> Option<usize> {
        let path = format!("/git-annex/{uuid}/v4/putoffset?clientuuid={CLIENT}&key={key}");
        let answer = self.server().connect().post(&path, &[], b"");
        let told = answer.text();
        let offset = told.strip_prefix("{\"offset\":").and_then(|rest| rest.strip_suffix('}'));
        let offset = offset.and_then(|offset| offset.parse().ok());
        assert!(offset.is_some() || told.starts_with("{\"alreadyhave\":true"), "{} {told}", answer.status);
        offset
    }

    /// Sends `body` from `offset` up to byte `at`.
    #[track_caller]
    fn send(&self, by_stdio: bool, key: &str, body: &[u8], offset: usize, at: usize) -> Sending {
        let (rest, sent) = (body.len() - offset, &body[offset..at.max(offset)]);
        if by_stdio {
            let mut session = self.session();
            assert_eq!(session.ask(&format!("PUT  {key}")), format!("PUT-FROM {offset}"));
            session.send(&[format!("DATA {rest}\n").as_bytes(), sent].concat());
            if at == body.len() {
                session.send(b"VALID\n");
            }
            return Sending::Stdio(session);
        }
        let path = format!("/git-annex/{}/v4/put?clientuuid={CLIENT}&key={key}&offset={offset}", self.cluster.uuid);
        let mut client = self.server().connect();
        client.send(post_head(&path, &[&length(rest)], rest as u64));
        let _ = client.try_send(sent);
        Sending::Http(client)
    }

    /// The gateway is killed as by a power cut, and started again.
    fn kill(&mut self, sending: Sending) {
        match sending {
            Sending::Stdio(mut session) => session.kill(),
            Sending::Http(client) => {
                self.server.take().expect("it runs").kill();
                drop(client);
                self.serve();
            }
        }
    }

    /// What a node shows of `key`, as others than this program see it.
    fn shown(&self, nth: usize, key: &str) -> Option<Vec<u8>> {
        let files = match &self.cluster.nodes[nth] {
            Behind::Special(place, _) => place.files(),
            Behind::Path(far) => {
                let dir = far.dir();
                let bare = dir.join("annex");
                let objects = if bare.exists() { bare } else { dir.join(".git/annex") }.join("objects");
                if objects.exists() { files_below(&objects) } else { return None }
            }
            _ => panic!("no such node here"),
        };
        let is_it = |name: &[u8]| {
            !name.starts_with(b"tmp/") && name.rsplit(|byte| *byte == b'/').next() == Some(key.as_bytes())
        };
        files.into_iter().find(|(name, _)| is_it(name)).map(|(_, content)| content)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.cluster.nodes.len()).collect()
    }

    /// The nodes that show `key`, none of them in part.
    #[track_caller]
    fn holding(&self, key: &str, body: &[u8], how: &str) -> Vec<usize> {
        let holds = |nth: &usize| {
            let shown = self.shown(*nth, key);
            let len = shown.as_ref().map(Vec::len);
            assert!(
                shown.as_ref().is_none_or(|shown| shown == body),
                "{how}: m{nth} shows {len:?} of {} bytes",
                body.len()
            );
            shown.is_some()
        };
        self.all().into_iter().filter(holds).collect()
    }

    /// The nodes that say they have it.
    #[track_caller]
    fn present(&self, key: &str, how: &str) -> Vec<usize> {
        let says = |nth: &usize| match self.way().check(&self.cluster.uuids[*nth], key) {
            Outcome::Yes => true,
            Outcome::No => false,
            told => panic!("{how}: m{nth} says {told:?}"),
        };
        self.all().into_iter().filter(says).collect()
    }

    /// After a kill: nothing is shown in part, every record has its content, and the nodes say what they show. Those that have it.
    #[track_caller]
    fn is_true(&self, key: &str, body: &[u8], how: &str) -> Vec<usize> {
        // A request that was sent before the kill may be carried out until now: so a node may have it that did not before.
        let has_all = |more: &[usize], less: &[usize]| less.iter().all(|nth| more.contains(nth));
        let recorded = self.cluster.holders(key);
        let before = self.holding(key, body, how);
        assert!(has_all(&before, &recorded), "{how}: recorded on {recorded:?}, there on {before:?}");
        let present = self.present(key, how);
        let after = self.holding(key, body, how);
        assert!(has_all(&present, &before) && has_all(&after, &present), "{how}: {before:?}, {present:?}, {after:?}");
        let whole = self.way().check(&self.cluster.uuid, key);
        assert!(
            whole == Outcome::Yes || (whole == Outcome::No && present.is_empty()),
            "{how}: {present:?}, and {whole:?}"
        );
        let got = self.way().get(&self.cluster.uuid, key);
        match whole {
            Outcome::Yes => assert_eq!(got, Outcome::Content(body.to_vec()), "{how}"),
            _ => assert!(matches!(got, Outcome::No | Outcome::Content(_)), "{how}: {got:?}"),
        }
        after
    }

    /// The next upload resumes behind what the node with the least has, and completes on all nodes.
    #[track_caller]
    fn completes(&self, by_stdio: bool, key: &str, body: &[u8], how: &str) -> usize {
        let offsets: Vec<Option<usize>> = self.cluster.uuids.iter().map(|uuid| self.offset(uuid, key)).collect();
        let offset = self.offset(&self.cluster.uuid, key);
        if let Some(least) = offsets.iter().flatten().min() {
            assert_eq!(offset, Some(*least), "{how}: where it resumes, of {offsets:?}");
        }
        // Where all of them show it and the gateway was killed before it had recorded that, a store is not asked before it is sent
        // the content again.
        if let Some(offset) = offset {
            match self.send(by_stdio, key, body, offset, body.len()) {
                Sending::Stdio(mut session) => {
                    let told = session.line().unwrap_or_default();
                    assert!(told.starts_with("SUCCESS-PLUS "), "{how}: {told}");
                    session.close();
                    session.ended();
                }
                Sending::Http(mut client) => {
                    let told = client.answer(false).text();
                    assert!(told.contains("\"stored\":true"), "{how}: {told}");
                }
            }
        }
        assert_eq!(self.holding(key, body, how), self.all(), "{how}");
        assert_eq!(self.present(key, how), self.all(), "{how}");
        eventually("all of them are recorded", || self.cluster.holders(key) == self.all());
        assert_eq!(self.way().get(&self.cluster.uuid, key), Outcome::Content(body.to_vec()), "{how}");
        offset.unwrap_or(0)
    }

    /// And is removed from all.
    #[track_caller]
    fn removes(&self, key: &str, body: &[u8], how: &str) {
        assert_eq!(self.way().remove(&self.cluster.uuid, key), Outcome::Yes, "{how}");
        assert_eq!(self.holding(key, body, how), [0; 0], "{how}");
        eventually("nobody is recorded", || self.cluster.holders(key).is_empty());
    }

    /// One upload, killed once or several times.
    fn round(&mut self, by_stdio: bool, seed: u64) {
        let mut draw = Draw::of(seed);
        let body = content(seed + 1, LEN);
        let key = key_of(&body);
        for kill in 0..1 + draw.below(3) {
            let kind = draw.below(5);
            let at = if kind < 3 { draw.below(LEN) } else { LEN };
            let looks = draw.below(12);
            let how = format!("seed {seed}, kill {kill} of kind {kind} at byte {at}, {looks} looks");
            let offset = self.offset(&self.cluster.uuid, &key).expect("no node has it");
            let sending = self.send(by_stdio, &key, &body, offset, at.max(offset));
            // From "nothing was read yet" to "the nodes show it", by what is there and by no clock.
            match kind {
                0 => {}
                2 => {
                    let Behind::Path(far) = &self.cluster.nodes[3] else { panic!("it is a repository") };
                    let least = at.saturating_sub(3 * MIB).max(1) as u64;
                    within(std::time::Duration::from_secs(5), || partial(far) >= least);
                }
                // The last as content is proven, and shown by one after the other.
                1 | 3 => (0..looks).for_each(|_| {
                    self.server().held();
                }),
                _ => {
                    let quick = [0, 3];
                    eventually("a node shows it", || quick.iter().any(|nth| self.shown(*nth, &key).is_some()));
                }
            }
            self.kill(sending);
            let there = self.is_true(&key, &body, &how);
            if std::env::var_os("STREAM_TEST_TELL").is_some() {
                eprintln!("{how}: resumes at {:?}, there on {there:?}", self.offset(&self.cluster.uuid, &key));
            }
            // What a node shows is not sent again from here: an upload that is left to do is done below.
            if !there.is_empty() {
                break;
            }
        }
        let how = format!("seed {seed}, after the kills");
        self.completes(by_stdio, &key, &body, &how);
        self.removes(&key, &body, &how);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

fn rounds(by_stdio: bool) {
    let (first, many) = (number("STREAM_TEST_SEED").unwrap_or(1), number("STREAM_TEST_KILLS").unwrap_or(FEW));
    let mut lab = Lab::of_all_kinds();
    for seed in first..first + many {
        lab.round(by_stdio, seed);
    }
}

#[test]
fn a_killed_gateway_leaves_nothing_in_part_on_any_node_over_http() {
    rounds(false);
}

#[test]
fn a_killed_gateway_leaves_nothing_in_part_on_any_node_over_stdio() {
    rounds(true);
}

/// What the others look for is found: a part that is shown, and a record without its content.
#[test]
fn a_part_that_is_shown_and_a_record_that_is_not_true_are_seen() {
    let directory = || (Behind::Special(Place::fs(), Whose::Ours), &[][..]);
    let lab = Lab::new(vec![directory(), directory()]);
    let body = content(9, 20_000);
    let key = key_of(&body);
    assert_eq!(lab.way().put(&lab.cluster.uuid, &key, &body), Outcome::Yes);
    assert_eq!(lab.is_true(&key, &body, "as it is"), [0, 1]);
    let panics = |what: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).is_err();
    let dir = lab.cluster.dir(1);
    let name = files_below(&dir).into_keys().find(|name| name.ends_with(key.as_bytes())).expect("it is there");
    let file = dir.join(std::ffi::OsStr::from_bytes(&name));
    let _ = std::fs::remove_file(&file);
    assert!(panics(&|| drop(lab.is_true(&key, &body, "it is gone"))));
    std::fs::write(&file, &body[..10_000]).expect("written");
    assert!(panics(&|| drop(lab.holding(&key, &body, "a part"))));
}

/// A gateway that was killed between what its nodes show and the record of it: the next upload records it.
#[test]
fn what_nodes_have_unrecorded_is_recorded_with_the_next_upload() {
    let directory = || (Behind::Special(Place::fs(), Whose::Ours), &[][..]);
    let lab = Lab::new(vec![directory(), directory()]);
    let body = content(10, 20_000);
    let key = key_of(&body);
    assert_eq!(lab.way().put(&lab.cluster.uuid, &key, &body), Outcome::Yes);
    eventually("both are recorded", || lab.cluster.holders(&key) == lab.all());
    for uuid in &lab.cluster.uuids {
        lab.cluster.repo.annex(&["setpresentkey", &key, uuid, "0"]).ok();
    }
    assert_eq!(lab.cluster.holders(&key), [0; 0]);
    lab.completes(false, &key, &body, "nothing is recorded");
}

/// Each node has something: the directory its step, S3 its parts, the repository what came.
fn goes_on(by_stdio: bool) {
    let mut lab = Lab::of_those_that_keep();
    for seed in [101, 102] {
        let body = content(seed, LONG);
        let key = key_of(&body);
        let at = LONG - 1 - Draw::of(seed).below(2 * MIB);
        let sending = lab.send(by_stdio, &key, &body, 0, at);
        let Behind::Path(far) = &lab.cluster.nodes[2] else { panic!("it is a repository") };
        eventually("all of them keep some of it", || {
            partial(far) > 32 * MIB as u64 && (0..2).all(|nth| ledger(&lab, nth, &key) >= 30 * MIB as u64)
        });
        lab.kill(sending);
        let how = format!("seed {seed}, killed at byte {at}");
        assert_eq!(lab.is_true(&key, &body, &how), [0; 0], "{how}");
        let offset = lab.completes(by_stdio, &key, &body, &how);
        assert!((30 * MIB..=at).contains(&offset), "{how}: it resumes at {offset}");
        lab.removes(&key, &body, &how);
    }
}

/// Bytes that a store keeps of `key`, as the gateway remembers it.
fn ledger(lab: &Lab, nth: usize, key: &str) -> u64 {
    let listed = Ledgers::new(&annex_dir(&lab.cluster.repo)).list().expect("it can be read");
    let reached = |entry| match entry {
        Entry::Upload { begun, remote, key: of, .. } => {
            let is_it = remote.to_string() == lab.cluster.uuids[nth] && of.to_string() == key;
            is_it.then(|| begun.reached())
        }
        entry => panic!("{entry:?}"),
    };
    listed.into_iter().filter_map(reached).max().unwrap_or(0)
}

#[test]
fn an_upload_to_nodes_that_keep_what_they_have_resumes_behind_the_least_over_http() {
    goes_on(false);
}

#[test]
fn an_upload_to_nodes_that_keep_what_they_have_resumes_behind_the_least_over_stdio() {
    goes_on(true);
}
