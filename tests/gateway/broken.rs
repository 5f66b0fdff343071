//! Uploads through the gateway that break: nothing of them is ever seen, and the right content is taken afterwards.

use git_annex_remote_stream::annex::unfinished::{Entry, Ledgers};
use testbed::annex::content;
use testbed::gateway::{Gateway, eventually};
use testbed::http::Client;
use testbed::place::{Place, Whose};
use testbed::proxy::{Behind, NAME, Proxy};
use testbed::rest::annex_dir;
use testbed::wire::{Wire, key_of, length};

const MIB: usize = 1 << 20;

/// Uploads broken off on each store in each way.
const TRIES: u64 = 50;

/// An upload, wide enough for three parts of the smallest size.
const LEN: usize = 11 * MIB + 12_345;

/// A store behind a gateway that runs.
struct Lab {
    wire: Wire,
    behind: Behind,
}

impl Lab {
    fn new(place: Place, more: &[&str]) -> Lab {
        let proxy = Proxy::with(Behind::Special(place, Whose::Ours), more);
        let uuid = proxy.uuid();
        let Proxy { repo, behind } = proxy;
        let server = Gateway::serve(&repo, FLAGS);
        Lab { wire: Wire::behind(repo, server, uuid), behind }
    }

    fn place(&self) -> &Place {
        match &self.behind {
            Behind::Special(place, _) => place,
            _ => panic!("a special remote"),
        }
    }

    /// Objects in the store, but for what marks it as one.
    fn objects(&self) -> Vec<String> {
        let marks = |name: &String| name.ends_with("annex-uuid") || name.contains("stream-upload-");
        self.place().names().into_iter().filter(|name| !marks(name)).collect()
    }

    /// The gateway is killed as by a power cut, and started again.
    fn kill(self) -> Lab {
        let Lab { wire, behind } = self;
        let (repo, uuid) = wire.killed();
        let server = Gateway::serve(&repo, FLAGS);
        Lab { wire: Wire::behind(repo, server, uuid), behind }
    }

    /// Nothing is to be seen of an upload that broke.
    #[track_caller]
    fn nothing_is_seen(&self, key: &str, thoroughly: bool, how: &str) {
        eventually("the upload is over", || self.wire.server.metric("uploads") == 0);
        assert_eq!(self.wire.ask("checkpresent", key), r#"{"present":false}"#, "{how}");
        if thoroughly {
            assert_eq!(self.objects(), Vec::<String>::new(), "{how}");
        }
    }

    /// The content is taken from where the upload can be gone on with, and nothing is left over.
    #[track_caller]
    fn the_right_content_is_taken(&self, key: &str, body: &[u8]) {
        let offset = self.wire.offset(key);
        let answer = self.wire.put_from(key, body, offset);
        assert_eq!((answer.status, answer.text().contains("\"stored\":true")), (200, true), "{}", answer.text());
        let mut client = self.wire.server.connect();
        let got = client.ask(&self.wire.get(key));
        assert!(got.body == body, "{} bytes of {} came back", got.body.len(), body.len());
        assert_eq!(self.objects().len(), 1, "{:?}", self.objects());
        assert_eq!(self.unfinished(), [0u64; 0], "uploads that are over");
        if matches!(self.place(), Place::S3(..)) {
            // Whose id a killed gateway never learned has no parts, and may be somebody else's; docs/semantics.md tells of it.
            let begun = self.place().begun_uploads();
            let costly: Vec<_> = begun.iter().filter(|upload| self.place().has_parts(upload)).collect();
            assert!(costly.is_empty(), "{costly:?}");
        }
        assert_eq!(self.wire.ask("remove", key), r#"{"plusuuids":[],"removed":true}"#);
    }

    /// How far each unfinished upload is that the gateway knows of.
    fn unfinished(&self) -> Vec<u64> {
        let listed = Ledgers::new(&annex_dir(&self.wire.repo)).list().expect("it can be read");
        let reached = |entry| match entry {
            Entry::Upload { begun, .. } => begun.reached(),
            entry => panic!("{entry:?}"),
        };
        listed.into_iter().map(reached).collect()
    }

    /// Sends all but the last byte, and leaves once `least` bytes are in the store for good.
    fn leave_unfinished(&self, key: &str, body: &[u8], least: usize) {
        let mut client = self.wire.server.connect();
        client.send(self.wire.put_head(key, body.len()));
        client.send(&body[..body.len() - 1]);
        eventually("the ledger tells of it", || self.unfinished().iter().any(|reached| *reached >= least as u64));
        client.vanish();
        eventually("the upload is over", || self.wire.server.metric("uploads") == 0);
    }
}

const FLAGS: &[&str] = &["--wideopen", "--quiet", "--timeout", "20"];

/// A number that follows from `n` alone, below `limit`.
fn somewhere(n: u64, limit: usize) -> usize {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from((mixed ^ mixed >> 29) % limit as u64).expect("it is below a usize")
}

/// Uploads that are cut, are short, or are not the content.
fn broken_uploads_are_never_seen(place: Place, more: &[&str]) {
    let lab = Lab::new(place, more);
    let body = content(77, LEN);
    let key = key_of(&body);
    for n in 0..TRIES {
        let at = somewhere(n, LEN);
        let mut client: Client = lab.wire.server.connect();
        let how = match n % 4 {
            0 => {
                client.send(lab.wire.put_head(&key, LEN));
                let _ = client.try_send(&body[..at]);
                client.vanish();
                "reset"
            }
            1 => {
                client.send(lab.wire.put_head(&key, LEN));
                let _ = client.try_send(&body[..at]);
                client.finish();
                drop(client);
                "closed"
            }
            2 => {
                let mut wrong = body.clone();
                wrong[at] ^= 1;
                client.send(lab.wire.put_head(&key, LEN));
                client.send(&wrong);
                assert_eq!(client.answer(false).text(), r#"{"plusuuids":[],"stored":false}"#);
                "wrong"
            }
            _ => {
                client.send(lab.wire.put_chunk(&key, LEN, &body[..at]));
                client.send("\r\n0\r\n\r\n");
                assert_eq!(client.answer(false).text(), r#"{"plusuuids":[],"stored":false}"#);
                "short"
            }
        };
        lab.nothing_is_seen(&key, n % 5 == 0, &format!("{how} at byte {at}"));
    }
    lab.the_right_content_is_taken(&key, &body);
    lab.wire.server.stop();
}

#[test]
fn broken_uploads_to_a_directory_are_never_seen() {
    broken_uploads_are_never_seen(Place::fs(), &[]);
}

#[test]
fn broken_uploads_to_s3_in_parts_are_never_seen() {
    broken_uploads_are_never_seen(Place::weed(), &["partsize=5MiB"]);
}

#[test]
fn broken_uploads_to_s3_in_one_put_are_never_seen() {
    broken_uploads_are_never_seen(Place::weed(), &[]);
}

#[test]
fn broken_uploads_to_another_s3_are_never_seen() {
    broken_uploads_are_never_seen(Place::rclone_s3(), &["partsize=5MiB"]);
}

#[test]
fn broken_uploads_to_webdav_are_never_seen() {
    broken_uploads_are_never_seen(Place::webdav(), &[]);
}

/// The gateway is killed in the middle of uploads, which some gateways can go on with from the first `part` on.
fn killed_gateways_leave_nothing_to_be_seen(place: Place, more: &[&str], part: Option<usize>) {
    let mut lab = Lab::new(place, more);
    let body = content(78, LEN);
    let key = key_of(&body);
    for n in 0..TRIES {
        let awaited = part.filter(|_| n % 4 == 2);
        let mut client: Client = lab.wire.server.connect();
        let offset = if n % 2 == 0 { lab.wire.offset(&key) } else { 0 };
        let at = somewhere(n, LEN);
        let at = awaited.map_or(at, |part| at.max(offset).max(part + 1));
        let offset = offset.min(at);
        let path = format!("{}&offset={offset}", lab.wire.path("put", &key));
        client.send(testbed::http::post_head(&path, &[&length(LEN - offset)], (LEN - offset) as u64));
        let _ = client.try_send(&body[offset..at]);
        // From "nothing was read yet" to "all that was sent is in the store", by what the gateway does and by no clock.
        match (n % 4, awaited) {
            (_, Some(part)) => {
                eventually("a part is there", || lab.unfinished().iter().any(|reached| *reached >= part as u64));
            }
            (0, None) => {}
            (1, None) => eventually("the upload is begun", || lab.wire.server.metric("uploads") == 1),
            (_, None) => {
                for _ in 0..n % 8 {
                    lab.wire.server.held();
                }
            }
        }
        lab = lab.kill();
        drop(client);
        lab.nothing_is_seen(&key, n % 5 == 0, &format!("killed at byte {at}"));
        let reached = lab.wire.offset(&key);
        assert!(awaited.is_none_or(|part| reached >= part), "the part is lost, there are {reached} bytes");
    }
    lab.the_right_content_is_taken(&key, &body);
    lab.wire.server.stop();
}

#[test]
fn a_killed_gateway_leaves_nothing_to_be_seen_in_a_directory() {
    killed_gateways_leave_nothing_to_be_seen(Place::fs(), &[], None);
}

#[test]
fn a_killed_gateway_leaves_nothing_to_be_seen_in_s3() {
    killed_gateways_leave_nothing_to_be_seen(Place::weed(), &["partsize=5MiB"], Some(5 * MIB));
}

#[test]
fn a_killed_gateway_leaves_nothing_to_be_seen_over_webdav() {
    killed_gateways_leave_nothing_to_be_seen(Place::webdav(), &[], None);
}

/// An upload that got far goes on where it was, though the gateway was killed, and not from the start.
fn an_upload_goes_on_after_a_kill(place: Place, more: &[&str], len: usize, least: usize) {
    let lab = Lab::new(place, more);
    let body = content(79, len);
    let key = key_of(&body);
    lab.leave_unfinished(&key, &body, least);
    let lab = lab.kill();
    let offset = lab.wire.offset(&key);
    assert!(offset >= least && offset < len, "{offset}");
    lab.the_right_content_is_taken(&key, &body);
    lab.wire.server.stop();
}

#[test]
fn an_upload_to_s3_goes_on_after_a_kill() {
    an_upload_goes_on_after_a_kill(Place::weed(), &["partsize=5MiB"], LEN, 10 * MIB);
}

#[test]
fn an_upload_to_another_s3_goes_on_after_a_kill() {
    an_upload_goes_on_after_a_kill(Place::rclone_s3(), &["partsize=5MiB"], LEN, 10 * MIB);
}

#[test]
fn an_upload_to_a_directory_goes_on_after_a_kill() {
    an_upload_goes_on_after_a_kill(Place::fs(), &[], 70 * MIB, 64 * MIB);
}

#[test]
fn gc_lists_what_is_unfinished_and_leaves_nothing_of_it() {
    let lab = Lab::new(Place::weed(), &["partsize=5MiB"]);
    let body = content(80, LEN);
    let key = key_of(&body);
    lab.leave_unfinished(&key, &body, 10 * MIB);
    let listed = testbed::proxy::stream(&lab.wire.repo, &["gc", "--dry-run", "--all"]).ok();
    assert!(listed.all().contains(&key) && listed.all().contains(NAME), "{}", listed.all());
    let kept = testbed::proxy::stream(&lab.wire.repo, &["gc"]).ok();
    assert_eq!(lab.unfinished().len(), 1, "a week has not passed: {}", kept.all());
    testbed::proxy::stream(&lab.wire.repo, &["gc", "--all"]).ok();
    assert_eq!(lab.unfinished(), [0u64; 0]);
    assert!(!lab.place().uploads().contains("UploadId"), "{}", lab.place().uploads());
    assert_eq!(lab.wire.offset(&key), 0);
    lab.wire.server.stop();
}
