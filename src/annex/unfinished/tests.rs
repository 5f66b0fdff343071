use proptest::prelude::*;

use super::*;

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).expect("a uuid")
}

fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).expect("a key")
}

fn free(ledgers: &Ledgers, of: &str) -> Ledger {
    match ledgers.take(&uuid("r-1"), &key(of)).expect("readable") {
        Taken::Free(ledger) => ledger,
        Taken::Busy => panic!("{of} is busy"),
    }
}

fn is_busy(ledgers: &Ledgers, of: &str) -> bool {
    matches!(ledgers.take(&uuid("r-1"), &key(of)).expect("readable"), Taken::Busy)
}

fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join("stream/uploads")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_upload_is_remembered_by_the_next_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    let mut ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun(), None);
    assert!(files(dir.path()).is_empty(), "nothing is made before it must be");
    ledger.begin(b"o/b j", 100, b"tok\0en", 8).expect("begun");
    ledger.mark(8, b"\"etag1\"", b"state1").expect("marked");
    ledger.mark(24, b"\"etag2\"", b"state22").expect("marked");
    let before = ledger.begun().cloned().expect("begun");
    drop(ledger);
    let mut ledger = free(&ledgers, "WORM--x");
    let begun = ledger.begun().cloned().expect("still there");
    assert_eq!(begun, before);
    assert_eq!((begun.len, begun.step, begun.reached()), (100, 8, 24));
    assert_eq!((begun.object.as_slice(), begun.token.as_slice()), (&b"o/b j"[..], &b"tok\0en"[..]));
    assert_eq!(begun.digest, b"state22");
    ledger.mark(100, b"", b"").expect("goes on");
    drop(ledger);
    let mut ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun().map(|begun| begun.marks.len()), Some(3));
    ledger.begin(b"other", 5, b"t2", 0).expect("in its place");
    drop(ledger);
    let ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun().map(|begun| (begun.token.clone(), begun.marks.len())), Some((b"t2".to_vec(), 0)));
    ledger.remove().expect("removed");
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
    assert_eq!(free(&ledgers, "WORM--x").begun(), None);
}

#[test]
fn a_key_is_uploaded_to_a_remote_by_one_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ledgers, others) = (Ledgers::new(dir.path()), Ledgers::new(dir.path()));
    let one = free(&ledgers, "WORM--x");
    assert!(is_busy(&others, "WORM--x"));
    let _two = free(&others, "WORM--y");
    assert!(matches!(others.take(&uuid("r-2"), &key("WORM--x")), Ok(Taken::Free(_))));
    drop(one);
    assert!(!is_busy(&others, "WORM--x"));
}

/// Locks the ledger of a key in another process until its stdin ends.
fn other_process(dir: &Path, of: &str) -> std::process::Child {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let lock = dir.join("stream/uploads").join(record::file_name(&uuid("r-1"), &key(of))).with_extension("lck");
    let code = "import fcntl,sys\nf=open(sys.argv[1],'a+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\nsys.stdin.read()";
    let mut command = Command::new("python3");
    let mut child =
        command.arg("-c").arg(code).arg(lock).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
    assert_eq!(line, "held\n");
    child
}

#[test]
fn an_upload_of_another_process_is_not_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    free(&ledgers, "WORM--x").begin(b"o", 5, b"t", 1).expect("begun");
    let mut other = other_process(dir.path(), "WORM--x");
    assert!(is_busy(&ledgers, "WORM--x"));
    let mut late = free(&ledgers, "WORM--y");
    let mut another = other_process(dir.path(), "WORM--y");
    let refused = late.begin(b"o", 5, b"t", 1).expect_err("the other was first");
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    for child in [&mut other, &mut another] {
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }
    assert_eq!(free(&ledgers, "WORM--x").begun().map(|begun| begun.len), Some(5));
    late.begin(b"o", 5, b"t", 1).expect("free now");
}

#[test]
fn what_makes_no_sense_is_nothing_begun_but_is_told_of() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    free(&ledgers, "WORM--x").begin(b"o", 5, b"t", 1).expect("begun");
    let path = dir.path().join("stream/uploads").join(record::file_name(&uuid("r-1"), &key("WORM--x")));
    std::fs::write(&path, "junk").expect("written");
    let mut ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun(), None);
    let corrupt = |entries: &[Entry]| entries.iter().filter(|entry| matches!(entry, Entry::Corrupt { .. })).count();
    assert_eq!(corrupt(&ledgers.list().expect("listed")), 1);
    ledger.begin(b"o", 7, b"t", 1).expect("begun over it");
    let entries = ledgers.list().expect("listed");
    assert_eq!((entries.len(), corrupt(&entries)), (2, 1), "{entries:?}");
    ledger.remove().expect("removed");
    for entry in ledgers.list().expect("listed") {
        let Entry::Corrupt { file, touched } = entry else { panic!("{entry:?}") };
        assert!(touched > 0);
        ledgers.discard(&file).expect("removed");
        ledgers.discard(&file).expect("gone already");
        assert!(ledgers.discard(Path::new("/etc/passwd")).is_err());
    }
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
}

#[test]
fn a_file_of_another_upload_is_not_taken_for_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    free(&ledgers, "WORM--x").begin(b"o", 5, b"t", 1).expect("begun");
    let name = |of: &str| dir.path().join("stream/uploads").join(record::file_name(&uuid("r-1"), &key(of)));
    std::fs::copy(name("WORM--x"), name("WORM--y")).expect("copied");
    assert_eq!(free(&ledgers, "WORM--y").begun(), None);
    assert!(free(&ledgers, "WORM--x").begun().is_some());
}

#[test]
fn all_uploads_are_listed_with_any_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    assert!(ledgers.list().expect("nothing there").is_empty());
    let long = format!("URL--{}", "/%&x".repeat(500));
    for (of, reached) in [("WORM--x", 0), (long.as_str(), 4)] {
        let mut ledger = free(&ledgers, of);
        ledger.begin(b"o", 5, b"t", 1).expect("begun");
        if reached > 0 {
            ledger.mark(reached, b"", b"").expect("marked");
        }
    }
    let mut listed: Vec<(String, u64)> = ledgers
        .list()
        .expect("listed")
        .into_iter()
        .map(|entry| match entry {
            Entry::Upload { remote, key, begun, .. } => {
                assert_eq!(remote, uuid("r-1"));
                (String::from_utf8_lossy(key.as_bytes()).into_owned(), begun.reached())
            }
            Entry::Corrupt { .. } => panic!("{entry:?}"),
        })
        .collect();
    listed.sort();
    assert_eq!(listed, [(long, 4), ("WORM--x".to_string(), 0)]);
}

#[test]
fn a_mark_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    let mut ledger = free(&ledgers, "WORM--x");
    assert!(ledger.mark(1, b"", b"").is_err(), "nothing was begun");
    assert!(ledger.begin(b"o", 5, &[0; 4097], 1).is_err());
    assert_eq!(ledger.begun(), None);
    ledger.begin(b"o", 5, &[0; 4096], 1).expect("begun");
    ledger.mark(3, &[1; 128], &[2; 512]).expect("the longest");
    for (end, tag, digest) in [(3, 0, 0), (2, 0, 0), (6, 0, 0), (4, 129, 0), (4, 0, 513)] {
        assert!(ledger.mark(end, &vec![0; tag], &vec![0; digest]).is_err(), "{end} {tag} {digest}");
    }
    drop(ledger);
    assert_eq!(free(&ledgers, "WORM--x").begun().map(Begun::reached), Some(3));
}

/// The bytes of a ledger with three marks.
fn written() -> Vec<u8> {
    let (remote, key) = (uuid("r-1"), key("WORM--x"));
    let header =
        record::Header { remote: &remote, key: &key, object: b"ob", token: b"token", len: 90, step: 8, created: 7 };
    let (mut bytes, mut chain) = header.to_bytes().expect("short names");
    for end in [10, 20, 30] {
        let (mark, sum) =
            record::mark(chain, end, 8, format!("tag{end}").as_bytes(), &[end as u8; 100]).expect("short");
        bytes.extend(mark);
        chain = sum;
    }
    bytes
}

/// Whether what was read is what was written, or less of it.
fn is_part(image: &Image) -> bool {
    let Begun { object, len, token, step, created, marks, digest, .. } = &image.begun;
    let last = marks.len() as u8 * 10;
    image.remote == uuid("r-1")
        && image.key == key("WORM--x")
        && (object.as_slice(), token.as_slice(), *len, *step, *created) == (&b"ob"[..], &b"token"[..], 90, 8, 7)
        && marks.len() <= 3
        && marks
            .iter()
            .zip([10u64, 20, 30])
            .all(|((end, tag), was)| *end == was && *tag == format!("tag{was}").as_bytes())
        && *digest == if last == 0 { Vec::new() } else { vec![last; 100] }
}

#[test]
fn every_prefix_and_every_flipped_byte_gives_only_marks_that_were_written() {
    let whole = written();
    assert_eq!(record::parse(&whole).map(|image| image.begun.marks.len()), Some(3));
    for len in 0..whole.len() {
        if let Some(image) = record::parse(&whole[..len]) {
            assert!(is_part(&image) && image.begun.marks.len() < 3, "{len}");
            assert!(image.at <= len as u64);
        }
    }
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            if let Some(image) = record::parse(&bytes) {
                assert!(is_part(&image) && image.begun.marks.len() < 3, "{at} {flip}");
            }
        }
    }
}

#[test]
fn marks_of_another_upload_or_in_another_order_are_cut_off() {
    let whole = written();
    let start = whole.len() - 3 * record::MARK;
    let mark = |nth: usize| whole[start + nth * record::MARK..][..record::MARK].to_vec();
    let reached = |marks: &[Vec<u8>]| {
        record::parse(&[&whole[..start], &marks.concat()].concat()).map(|image| image.begun.reached())
    };
    assert_eq!(reached(&[mark(0), mark(1)]), Some(20));
    assert_eq!(reached(&[mark(0), mark(2)]), Some(10));
    assert_eq!(reached(&[mark(1), mark(2)]), Some(0));
    assert_eq!(reached(&[mark(0), mark(0)]), Some(10));
}

#[test]
fn a_torn_tail_is_cut_off_before_anything_is_appended() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    let path = dir.path().join("stream/uploads").join(record::file_name(&uuid("r-1"), &key("WORM--x")));
    std::fs::create_dir_all(path.parent().expect("a file")).expect("a directory");
    let whole = written();
    std::fs::write(&path, &whole[..whole.len() - 5]).expect("written");
    let mut ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun().map(Begun::reached), Some(20));
    ledger.mark(25, b"t", b"d").expect("marked");
    drop(ledger);
    let ledger = free(&ledgers, "WORM--x");
    let begun = ledger.begun().expect("still there");
    assert_eq!((begun.reached(), begun.marks.len(), begun.digest.as_slice()), (25, 3, &b"d"[..]));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0usize..2400, cut in 0usize..2400) {
        let _ = record::parse(&bytes);
        // And spliced into a real one.
        let mut whole = written();
        whole.truncate(cut);
        let at = at.min(whole.len());
        whole.splice(at.., bytes);
        if let Some(image) = record::parse(&whole) {
            prop_assert!(is_part(&image));
        }
    }
}

/// What `ledger` says now, as if the process had ended before it became the ledger.
fn leave(dir: &Path, ledger: &Ledger) -> PathBuf {
    let left = ledger.path.with_added_extension(format!("{:032x}.new", files(dir).len()));
    std::fs::copy(&ledger.path, &left).expect("copied");
    left
}

#[test]
fn what_a_killed_process_was_about_to_remember_is_remembered_or_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let ledgers = Ledgers::new(dir.path());
    // Killed before anything was begun in the store, and before it knew what the store calls it.
    let mut ledger = free(&ledgers, "WORM--x");
    ledger.begin(b"x", 100, b"", 0).expect("begun");
    leave(dir.path(), &ledger);
    ledger.remove().expect("nothing was begun");
    let mut ledger = free(&ledgers, "WORM--x");
    ledger.begin(b"x", 100, b"named", 8).expect("begun");
    assert_eq!(ledgers.list().expect("read").len(), 1, "what was left is gone: {:?}", files(dir.path()));
    let left = leave(dir.path(), &ledger);
    ledger.begin(b"x", 100, b"", 0).expect("begun");
    assert!(!left.exists(), "and whoever begins leaves nothing of the others");
    // Killed when it knew: nothing else tells how to undo it.
    drop(ledger);
    let mut ledger = free(&ledgers, "WORM--x");
    let unnamed = std::fs::read(&ledger.path).expect("read");
    ledger.begin(b"x", 100, b"named", 8).expect("begun");
    leave(dir.path(), &ledger);
    std::fs::write(&ledger.path, unnamed).expect("as it was");
    let torn = ledger.path.with_added_extension("ff.new");
    std::fs::write(&torn, b"torn").expect("written");
    drop(ledger);
    let ledger = free(&ledgers, "WORM--x");
    assert_eq!(ledger.begun().map(|begun| begun.token.clone()), Some(b"named".to_vec()));
    assert_eq!(ledgers.list().expect("read").len(), 1, "{:?}", files(dir.path()));
    ledger.remove().expect("removed");
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
}
