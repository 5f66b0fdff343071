//! The content of invented repositories. `tests/repository/content_annex.rs` does the same beside git-annex.

use std::fs::Permissions;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::annex::backend::Verifier;
use crate::name::Uuid;

struct Place {
    dir: tempfile::TempDir,
    content: Content,
}

impl Place {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ContentConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join(".git/annex")).expect("an annex");
        let mut config = ContentConfig::new(dir.path().join(".git"), false);
        config.reserve = 0;
        change(&mut config);
        Self { dir, content: Content::new(config) }
    }

    fn incoming(&self, key: &Key) -> Incoming {
        match self.content.receive(key, &uuid()).expect("it can be received") {
            Receive::Incoming(incoming) => incoming,
            Receive::AlreadyHave => panic!("{key} is here already"),
        }
    }

    fn put(&self, key: &Key, bytes: &[u8]) {
        let incoming = self.incoming(key);
        incoming.file().write_all_at(bytes, 0).expect("it is written");
        incoming.commit(bytes.len() as u64).expect("it is committed");
    }

    fn object(&self, key: &Key) -> PathBuf {
        object::places(self.content.config(), key)[0].clone()
    }

    /// All that is below the annex, but directories.
    fn files(&self) -> Vec<String> {
        let mut dirs = vec![self.content.config().annex_dir.clone()];
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => dirs.push(path),
                    false => files.push(path.file_name().expect("a name").display().to_string()),
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Frozen directories cannot be emptied by an ordinary user.
        let mut dirs = vec![self.dir.path().to_path_buf()];
        while let Some(dir) = dirs.pop() {
            let _ = std::fs::set_permissions(&dir, Permissions::from_mode(0o755));
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            dirs.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()));
        }
    }
}

fn key_of(bytes: &[u8]) -> Key {
    use sha2::{Digest, Sha256};
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    key(&format!("SHA256-s{}--{digest}", bytes.len()))
}

fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).expect("a key")
}

fn uuid() -> Uuid {
    Uuid::parse(b"00000000-0000-4000-8000-00000000c001").expect("a uuid")
}

fn thaw(path: &std::path::Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is thawed");
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn what_was_received_is_there_frozen_and_alone() {
    let place = Place::new();
    let key = key_of(b"hello content");
    assert!(!place.content.present(&key).expect("absent"));
    place.put(&key, b"hello content");
    assert!(place.content.present(&key).expect("present"));
    assert_eq!(place.content.glance(&key).expect("present"), Glance::Present);
    assert!(matches!(place.content.receive(&key, &uuid()), Ok(Receive::AlreadyHave)));
    let object = place.object(&key);
    assert_eq!(mode(&object) & 0o222, 0);
    assert_eq!(mode(object.parent().expect("a directory")) & 0o222, 0);
    assert_eq!(place.files(), [key.to_string()], "no partial file and no lock file is left");
    let open = place.content.open(&key).expect("it opens").expect("it is here");
    assert_eq!((open.len, open.stable), (13, true));
    assert_eq!(std::io::read_to_string(&open.file).expect("it is read"), "hello content");
    place.content.remove(&key, || true).expect("it is removed");
    assert!(open.unchanged().expect("it can be asked"), "a removal does not spoil what is being sent");
    assert!(!place.content.present(&key).expect("absent"));
    assert_eq!(place.files(), Vec::<String>::new());
    assert!(!object.ancestors().nth(3).expect("objects/XX").exists(), "empty directories are gone");
    place.content.remove(&key, || panic!("not asked about what is absent")).expect("absent is success");
}

#[test]
fn a_partial_file_is_kept_for_the_next_transfer() {
    let place = Place::new();
    let key = key_of(b"hello content");
    let incoming = place.incoming(&key);
    assert!(incoming.offset() == 0 && incoming.resumable());
    incoming.file().write_all_at(b"hello", 0).expect("it is written");
    incoming.keep();
    assert_eq!(place.files(), [key.to_string()], "transfer locks are gone, the partial file is not");
    let incoming = place.incoming(&key);
    assert_eq!(incoming.offset(), 5);
    let mut verifier = Verifier::for_key(&key).expect("it has a digest");
    incoming.verify_prefix(&mut verifier).expect("it is read");
    incoming.file().write_all_at(b" content", 5).expect("it is written");
    verifier.update(b" content");
    assert!(verifier.finish());
    incoming.commit(13).expect("it is committed");
    assert!(place.content.present(&key).expect("present"));
}

#[test]
fn nothing_is_left_of_what_is_discarded_empty_or_too_long() {
    let place = Place::new();
    let key = key_of(b"hello content");
    let incoming = place.incoming(&key);
    incoming.file().write_all_at(b"nonsense", 0).expect("it is written");
    incoming.discard();
    place.incoming(&key).keep();
    assert_eq!(place.files(), Vec::<String>::new());
    let incoming = place.incoming(&key);
    incoming.file().write_all_at(b"much more than the key tells", 0).expect("it is written");
    incoming.keep();
    assert_eq!(place.incoming(&key).offset(), 0, "more than the key tells cannot be a beginning of it");
    let incoming = place.incoming(&key);
    incoming.file().write_all_at(b"hello", 0).expect("it is written");
    let error = incoming.commit(5).expect_err("it is too short");
    assert!(matches!(error, ContentError::WrongLength { expected: 13, got: 5 }), "{error}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn two_transfers_of_a_key_do_not_meet() {
    let place = Place::new();
    let key = key_of(b"hello content");
    let (one, two) = (place.incoming(&key), place.incoming(&key));
    assert!(one.resumable() && !two.resumable());
    one.file().write_all_at(b"hello", 0).expect("it is written");
    two.file().write_all_at(b"hello content", 0).expect("it is written");
    two.commit(13).expect("the second is first");
    assert!(place.content.present(&key).expect("present"));
    one.file().write_all_at(b"hello content", 0).expect("it is written");
    one.commit(13).expect("the content is there, which is all one can ask");
    assert_eq!(place.files(), [key.to_string(), "othertmp.lck".to_string()]);
    let third = place.incoming(&key_of(b"third"));
    assert!(third.resumable(), "the locks are free again");
}

#[test]
fn locked_content_stays() {
    let place = Place::new();
    let key = key_of(b"hello content");
    assert!(place.content.lock(&key).expect("it can be told").is_none());
    place.put(&key, b"hello content");
    let one = place.content.lock(&key).expect("it locks").expect("it is here");
    let two = place.content.lock(&key).expect("it locks").expect("it is here");
    let names: Vec<_> = ["", ".lck", ".rtl", ".rtm"].iter().map(|end| format!("{key}{end}")).collect();
    assert_eq!(&place.files()[..4], names);
    assert_eq!(mode(place.object(&key).parent().expect("a directory")) & 0o222, 0);
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::Locked)));
    drop(one);
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::Locked)), "the second one holds");
    drop(two);
    assert_eq!(&place.files()[..1], &names[..1]);
    assert!(!place.files().contains(&names[3]), "a clean end leaves no time to wait for");
    place.content.remove(&key, || true).expect("it is removed");
}

#[test]
fn a_lock_left_behind_holds_until_its_time() {
    let place = Place::new();
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    place.content.lock(&key).expect("it locks").expect("it is here").leave();
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::Locked)));
    let time = PathBuf::from(format!("{}.rtm", place.object(&key).display()));
    assert!(time.exists(), "a removal in vain leaves the time");
    std::fs::write(&time, "10.5s").expect("its time has passed");
    place.content.remove(&key, || true).expect("it is removed");
    assert!(!time.exists());
}

#[test]
fn a_clean_end_takes_back_nobody_elses_time() {
    let place = Place::new();
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    let time = PathBuf::from(format!("{}.rtm", place.object(&key).display()));
    // Of a process that was killed.
    thaw(place.object(&key).parent().expect("a directory"));
    std::fs::write(&time, "99999999999.5s").expect("written");
    drop(place.content.lock(&key).expect("it locks").expect("it is here"));
    assert_eq!(std::fs::read_to_string(&time).expect("it is there"), "99999999999.5s");
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::Locked)));
    thaw(place.object(&key).parent().expect("a directory"));
    std::fs::write(&time, "10s").expect("it has passed");
    // Of a client of this process that vanished, while another one ended well.
    let one = place.content.lock(&key).expect("it locks").expect("it is here");
    let two = place.content.lock(&key).expect("it locks").expect("it is here");
    one.leave();
    drop(two);
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::Locked)));
    assert!(time.exists());
}

#[test]
fn what_comes_too_late_removes_nothing() {
    let place = Place::new();
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    assert!(matches!(place.content.remove(&key, || false), Err(ContentError::TooLate)));
    assert!(place.content.present(&key).expect("present"));
    assert_eq!(place.files(), [key.to_string()]);
    assert_eq!(mode(place.object(&key).parent().expect("a directory")) & 0o222, 0);
}

/// What runs around a removal may take its time: the limit is asked again when nothing is between it and the content.
#[test]
fn what_becomes_too_late_on_the_way_removes_nothing() {
    let asks = std::cell::Cell::new(0);
    let until = |most: u32| {
        asks.set(0);
        let asks = &asks;
        move || {
            asks.set(asks.get() + 1);
            asks.get() <= most
        }
    };
    for erase in [None, Some("true".to_string())] {
        let erases = erase.is_some();
        let place = Place::with(|config| config.hooks.erase = erase);
        let key = key_of(b"hello content");
        place.put(&key, b"hello content");
        for most in 0..2 {
            assert!(matches!(place.content.remove(&key, until(most)), Err(ContentError::TooLate)), "{most}");
            assert!(place.content.present(&key).expect("present"));
            assert_eq!(place.files(), [key.to_string()]);
            assert_eq!(mode(&place.object(&key)) & 0o222, 0);
            assert_eq!(mode(place.object(&key).parent().expect("a directory")) & 0o222, 0);
        }
        // Once it is erased it is gone, whatever the time.
        place.content.remove(&key, until(2)).expect("in time");
        assert_eq!(asks.get(), 2, "erased: {erases}");
        assert!(!place.content.present(&key).expect("absent"));
    }
}

#[test]
fn absent_and_unknown_differ() {
    let place = Place::new();
    let key = key_of(b"hello content");
    assert!(!place.content.present(&key).expect("absent"));
    // Something that is there, and no content.
    let object = place.object(&key);
    std::fs::create_dir_all(object.parent().expect("a directory")).expect("made");
    std::os::unix::fs::symlink("/etc/hostname", &object).expect("a link");
    assert!(place.content.present(&key).is_err() && place.content.open(&key).is_err());
    assert!(place.content.receive(&key, &uuid()).is_err() && place.content.lock(&key).is_err());
    // An annex that is not there at all, as when a disk is not mounted.
    let gone = Content::new(ContentConfig::new(place.dir.path().join("gone/.git"), false));
    assert!(gone.present(&key).is_err() && gone.open(&key).is_err() && gone.remove(&key, || true).is_err());
}

#[test]
fn a_repository_that_git_annex_never_wrote_to_is_empty_and_not_unknown() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("bare.git")).expect("a repository");
    let content = Content::new(ContentConfig::new(dir.path().join("bare.git"), true));
    let key = key("WORM-s4--four");
    assert!(content.present(&key).is_err());
    content.prepare().expect("the annex is made");
    assert!(!content.present(&key).expect("known"));
    // An annex on a disk that is not mounted.
    std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("annex")).expect("a link");
    let elsewhere = Content::new(ContentConfig::new(dir.path(), true));
    let _ = elsewhere.prepare();
    assert!(elsewhere.present(&key).is_err());
}

#[test]
fn an_object_of_another_length_is_not_the_content_and_is_set_aside() {
    let place = Place::new();
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    std::fs::set_permissions(place.object(&key), Permissions::from_mode(0o644)).expect("thawed");
    std::fs::write(place.object(&key), "cut").expect("written");
    assert!(!place.content.present(&key).expect("absent"));
    place.put(&key, b"hello content");
    assert!(place.content.present(&key).expect("present"));
    let bad = place.content.config().annex_dir.join("bad").join(key.to_string());
    assert_eq!(std::fs::read(bad).expect("it is kept"), b"cut");
}

#[test]
fn an_object_that_may_have_been_changed_is_read_once_a_change() {
    let place = Place::new();
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    let object = place.object(&key);
    std::fs::set_permissions(&object, Permissions::from_mode(0o644)).expect("unlocked");
    assert_eq!(place.content.glance(&key).expect("there"), Glance::Unproven);
    assert!(matches!(place.content.open_at_once(&key).expect("there"), Opening::Unproven));
    assert!(place.content.present(&key).expect("read and found right"));
    assert_eq!(place.content.glance(&key).expect("there"), Glance::Unproven, "it was touched a moment ago");
    let open = place.content.open(&key).expect("opened").expect("here");
    assert!(!open.stable && open.unchanged().expect("asked"));
    std::fs::write(&object, "hellO content").expect("written");
    assert!(!open.unchanged().expect("asked"));
    assert!(!place.content.present(&key).expect("read and found wrong"));
    assert!(place.content.open(&key).expect("read").is_none());
    assert!(place.content.lock(&key).expect("read").is_none(), "what is not here cannot be locked");
    assert!(!place.files().iter().any(|name| name.ends_with(".lck") && name.starts_with("SHA")));
    place.content.remove(&key, || true).expect("there is no content");
    assert_eq!(std::fs::read(&object).expect("it is there"), b"hellO content", "somebody's changes are no content");
}

#[test]
fn hard_links_count_only_where_annex_thin_is_set() {
    for (thin, glance) in [(false, Glance::Present), (true, Glance::Unproven)] {
        let place = Place::with(|config| config.thin = thin);
        let key = key_of(b"hello content");
        place.put(&key, b"hello content");
        std::fs::hard_link(place.object(&key), place.dir.path().join("file")).expect("a link");
        assert_eq!(place.content.glance(&key).expect("there"), glance);
    }
}

#[test]
fn keys_that_could_be_anything_are_refused_where_the_user_wants_proof() {
    let place = Place::with(|config| config.secure_hashes_only = true);
    for text in ["WORM-s1--x", "SHA1-s1--x", "MD5E-s1--x.y", "XYZ--foo", "URL--http&c%%x"] {
        let error = place.content.receive(&key(text), &uuid()).expect_err(text);
        assert!(matches!(error, ContentError::Insecure { .. }), "{text}: {error}");
    }
    let error = Place::new().content.receive(&key("SKEIN256-s1--x"), &uuid()).expect_err("it cannot be proven");
    assert!(matches!(error, ContentError::Unverifiable { .. }), "{error}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn a_reserve_that_would_be_touched_is_an_error_that_says_so() {
    let place = Place::with(|config| config.reserve = u64::MAX / 2);
    let error = place.content.receive(&key_of(b"hello content"), &uuid()).expect_err("there is no room");
    assert!(matches!(error, ContentError::Reserve { need: 13, reserve, .. } if reserve == u64::MAX / 2), "{error}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn content_that_cannot_be_erased_is_not_removed() {
    let place = Place::with(|config| config.hooks.erase = Some("test -w %file && exit 3".to_string()));
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    let error = place.content.remove(&key, || true).expect_err("it says that it failed");
    assert!(error.to_string().contains("exit status: 3"), "{error}");
    assert_eq!(place.content.glance(&key).expect("there"), Glance::Present, "and write-protected again");
    assert_eq!(place.files(), [key.to_string()]);
}

#[test]
fn content_that_was_erased_halfway_is_no_copy() {
    let place = Place::with(|config| config.hooks.erase = Some("printf HELLO 1<>%file; exit 3".to_string()));
    let digest = key_of(b"hello content");
    let unproven = Key::parse(b"WORM-s13-m1--hello").expect("a key");
    for key in [&digest, &unproven] {
        place.put(key, b"hello content");
        let error = place.content.remove(key, || true).expect_err("it says that it failed").to_string();
        assert!(error.contains("exit status: 3") && error.contains("annex/bad/"), "{error}");
        assert!(!place.content.present(key).expect("looked"), "{key}: it must not count");
        let bad = std::fs::read(place.content.config().annex_dir.join("bad").join(key.to_string()));
        assert_eq!(bad.expect("kept"), b"HELLO content");
        place.put(key, b"hello content");
        place.content.remove(key, || true).expect_err("again");
        let second = place.content.config().annex_dir.join("bad").join(format!("{key}.1"));
        assert!(second.exists(), "what was put aside before stays");
    }
    // A tool that ends badly before it has done anything costs nobody a copy, where that can be proven.
    let place = Place::with(|config| config.hooks.erase = Some("exit 3".to_string()));
    for (key, stays) in [(&digest, true), (&unproven, false)] {
        place.put(key, b"hello content");
        place.content.remove(key, || true).expect_err("it fails");
        assert_eq!(place.content.present(key).expect("looked"), stays, "{key}");
    }
}

#[test]
fn programs_that_fail_to_freeze_or_thaw_stop_nothing() {
    let place = Place::with(|config| {
        config.hooks.freeze = Some("false".to_string());
        config.hooks.thaw = Some("false".to_string());
    });
    let key = key_of(b"hello content");
    place.put(&key, b"hello content");
    place.content.remove(&key, || true).expect("it is removed");
}

#[test]
fn nothing_is_locked_or_removed_where_git_annex_would_not_see_our_locks() {
    let place = Place::with(|config| config.lock_files = false);
    let key = key_of(b"hello content");
    place.content.remove(&key, || true).expect("absent is success");
    place.put(&key, b"hello content");
    assert!(matches!(place.content.remove(&key, || true), Err(ContentError::OldVersion)));
    assert!(matches!(place.content.lock(&key), Err(ContentError::OldVersion)));
    assert_eq!(place.files(), [key.to_string()]);
}

#[test]
fn content_can_be_used_from_any_thread() {
    fn any<T: Send + Sync>() {}
    any::<Content>();
    any::<ContentLock>();
    any::<Incoming>();
    any::<OpenContent>();
    any::<Verifier>();
}

#[test]
fn threads_that_put_lock_and_remove_one_key_leave_nothing_odd() {
    let place = Place::new();
    let key = key_of(b"hello content");
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (place, key) = (&place, &key);
            scope.spawn(move || {
                for _ in 0..40 {
                    match thread % 3 {
                        0 => match place.content.receive(key, &uuid()).expect("received") {
                            Receive::AlreadyHave => {}
                            Receive::Incoming(incoming) => {
                                incoming.file().write_all_at(b"hello content", 0).expect("written");
                                incoming.commit(13).expect("committed");
                            }
                        },
                        1 => match place.content.lock(key) {
                            Ok(Some(lock)) => {
                                assert!(place.content.present(key).expect("asked"), "locked content is there");
                                drop(lock);
                            }
                            Ok(None) | Err(ContentError::Locked) => {}
                            Err(e) => panic!("{e}"),
                        },
                        _ => match place.content.remove(key, || true) {
                            Ok(()) | Err(ContentError::Locked) => {}
                            Err(e) => panic!("{e}"),
                        },
                    }
                }
            });
        }
    });
    place.content.remove(&key, || true).expect("nobody holds it any more");
    let left = place.files().into_iter().filter(|name| name != "othertmp.lck");
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn what_others_left_in_othertmp_is_never_written_to() {
    let place = Place::new();
    let content = b"content".as_slice();
    let key = key_of(content);
    let first = place.incoming(&key);
    // As a server that was killed leaves it, which had the number that this process has now, and every count.
    let othertmp = place.content.config().annex_dir.join("othertmp");
    std::fs::create_dir_all(&othertmp).expect("made");
    for count in 0..200 {
        let name = format!("receive.{}.{count}", std::process::id());
        std::fs::write(othertmp.join(name), "somebody else's").expect("written");
    }
    let second = place.incoming(&key);
    assert_eq!((second.offset(), second.file().metadata().expect("there").len()), (0, 0));
    let third = place.incoming(&key);
    assert_ne!(second.staged.path, third.staged.path);
    drop((first, second, third));
    let odd: Vec<_> = std::fs::read_dir(&othertmp).expect("there").flatten().map(|entry| entry.path()).collect();
    assert!(odd.iter().all(|path| std::fs::read(path).expect("there") == b"somebody else's"));
}

/// Locks that hold nobody off, and somebody who tidies up: what lies where the file was is not what was hashed.
#[test]
fn only_the_file_that_was_hashed_is_moved_into_place() {
    let place = Place::new();
    let content = b"content".as_slice();
    let key = key_of(content);
    for private in [false, true] {
        let _other = private.then(|| place.incoming(&key));
        let incoming = place.incoming(&key);
        incoming.file().write_all_at(content, 0).expect("it is written");
        let path = incoming.staged.path.clone();
        std::fs::remove_file(&path).expect("it was there");
        std::fs::write(&path, "another").expect("written");
        let error = incoming.commit(7).expect_err("it is another file");
        assert!(error.to_string().contains("another file"), "{error}");
        assert!(!place.content.present(&key).expect("it can be told"));
        assert_eq!(std::fs::read(&path).expect("it is not ours to remove"), b"another");
        std::fs::remove_file(&path).expect("there");
    }
}

/// The names of what was synced on the way to an object, from it up.
fn synced(place: &Place, key: &Key) -> Vec<bool> {
    let synced = lasting::tests::synced();
    let annex = &place.content.config().annex_dir;
    let object = place.object(key);
    object.ancestors().take_while(|path| path.starts_with(annex)).map(|path| synced.iter().any(|s| s == path)).collect()
}

#[test]
fn content_that_is_already_there_is_synced_with_all_that_leads_to_it() {
    let place = Place::new();
    let content = b"content".as_slice();
    let key = key_of(content);
    // Somebody else put it there a moment ago, and may not have synced anything yet.
    let object = place.object(&key);
    std::fs::create_dir_all(object.parent().expect("a directory")).expect("made");
    std::fs::write(&object, content).expect("written");
    std::fs::set_permissions(&object, Permissions::from_mode(0o444)).expect("set");
    assert!(place.content.present(&key).expect("it can be told"));
    assert_eq!(synced(&place, &key), [false; 6], "who only looks waits for nothing");
    assert!(matches!(place.content.receive(&key, &uuid()).expect("told"), Receive::AlreadyHave));
    assert_eq!(synced(&place, &key), [true; 6]);
    // The second time the directories above are known to last.
    assert!(place.content.has_for_good(&key).expect("told"));
    assert_eq!(synced(&place, &key), [true, true, false, false, false, false]);
}

#[test]
fn content_that_came_another_way_meanwhile_is_synced_before_success() {
    let place = Place::new();
    let content = b"content".as_slice();
    let key = key_of(content);
    let incoming = place.incoming(&key);
    incoming.file().write_all_at(content, 0).expect("it is written");
    let object = place.object(&key);
    std::fs::create_dir_all(object.parent().expect("a directory")).expect("made");
    std::fs::write(&object, content).expect("written");
    std::fs::set_permissions(&object, Permissions::from_mode(0o444)).expect("set");
    lasting::tests::synced();
    incoming.commit(7).expect("it is there");
    assert_eq!(synced(&place, &key), [true; 6]);
}

#[test]
fn directories_that_another_made_on_the_way_are_synced_too() {
    let place = Place::new();
    let content = b"content".as_slice();
    let key = key_of(content);
    let incoming = place.incoming(&key);
    incoming.file().write_all_at(content, 0).expect("it is written");
    std::fs::create_dir_all(place.object(&key).parent().expect("a directory")).expect("made");
    lasting::tests::synced();
    incoming.commit(7).expect("it is stored");
    assert_eq!(synced(&place, &key)[1..], [true; 5], "and the content was synced before it was moved");
}
