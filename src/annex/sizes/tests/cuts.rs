//! Where things end early: processes that are killed, databases that are damaged, disks that are full.

use std::cell::Cell;
use std::fs;
use std::process::Command;

use super::*;

/// What the process of a test does, and its directory.
const ROLE: &str = "STREAM_TEST_SIZES_ROLE";

/// How many logs it counts, or uploads it reserves room for, before it kills itself.
const CUT: &str = "STREAM_TEST_SIZES_CUT";

/// Runs the process below in `dir`, which kills itself.
fn killed(dir: &Path, role: &str, cut: usize) {
    let own = std::env::current_exe().expect("the tests have a path");
    let mut command = Command::new(own);
    command.args(["--exact", "--ignored", "--nocapture", "annex::sizes::tests::cuts::a_process_that_is_killed"]);
    command.env(ROLE, role).env(CUT, cut.to_string()).current_dir(dir);
    let done = command.output().expect("it starts");
    use std::os::unix::process::ExitStatusExt;
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.signal(), Some(9), "{role} {cut}: {text} {}", String::from_utf8_lossy(&done.stderr));
}

fn kill_me() -> ! {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("it may");
    unreachable!("nobody survives that")
}

#[test]
#[ignore = "other tests run it in a process of its own, which it kills"]
fn a_process_that_is_killed() {
    let cut: usize = std::env::var(CUT).expect("where to end").parse().expect("a number");
    let dir = std::env::current_dir().expect("there is one");
    let sizes = Arc::new(Sizes::in_batches(open(&dir), 3));
    let a = [uuid("a")];
    let mut room = Vec::new();
    match std::env::var(ROLE).expect("what to do").as_str() {
        "count" => {
            let logs = Cell::new(0);
            let counted = sizes.count(&|| if logs.replace(logs.get() + 1) == cut { kill_me() } else { false });
            panic!("it was to be killed at log {cut}: {counted:?}");
        }
        "choose" => {
            for n in 0..=cut {
                let choose = &mut |_: &Usage| if n == cut { kill_me() } else { a.to_vec() };
                room.push(sizes.reserve(&key(100 + n, 10), 10, &a, choose).unwrap_or_else(|e| panic!("{e}")));
            }
        }
        "upload" => {
            for n in 0..cut {
                let reserved = sizes.reserve(&key(100 + n, 10), 10, &a, &mut |_| a.to_vec());
                room.push(reserved.unwrap_or_else(|e| panic!("{e}")));
                // Every other one is done, and it is killed before it can say so.
                if n % 2 == 0 {
                    record(&sizes.repository, &[(&key(100 + n, 10), &a[0], Presence::Present)]);
                }
            }
        }
        role => panic!("{role}"),
    }
    kill_me();
}

#[test]
fn a_count_that_is_killed_at_any_log_goes_on_and_comes_out_right() {
    let (dir, repository) = scratch();
    let keys: Vec<Key> = (0..16).map(|n| key(n, 1 << n)).collect();
    let (a, b) = (uuid("a"), uuid("b"));
    record(&repository, &keys[..12].iter().map(|key| (key, &a, Presence::Present)).collect::<Vec<_>>());
    commit(&repository);
    for cut in 0..12 {
        let _ = fs::remove_dir_all(dir.path().join(".git/annex/stream/sizes"));
        killed(dir.path(), "count", cut);
        if cut % 3 == 2 {
            // The branch moves on before the next one counts.
            let n = 12 + cut / 3;
            record(&repository, &[(&keys[n], &b, Presence::Present), (&keys[cut], &a, Presence::Missing)]);
            commit(&repository);
        }
        if cut >= 3 {
            killed(dir.path(), "count", 1);
        }
        let sizes = Sizes::in_batches(Arc::clone(&repository), 3);
        assert_eq!(recorded(&sizes), by_reading(&repository, &keys), "cut at {cut}");
    }
}

#[test]
fn room_of_a_process_that_was_killed_is_free_and_what_it_recorded_counts() {
    for (role, cut, used) in
        [("choose", 0, 5), ("choose", 2, 5), ("upload", 1, 15), ("upload", 4, 25), ("upload", 5, 35)]
    {
        let (dir, repository) = scratch();
        let a = [uuid("a")];
        record(&repository, &[(&key(1, 5), &a[0], Presence::Present)]);
        commit(&repository);
        killed(dir.path(), role, cut);
        let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
        for turn in ["in the journal", "committed"] {
            let room = sizes.usage(&key(2, 1), 1, &a).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(room.used(&a[0]), Some(used), "{role} {cut}, {turn}");
            commit(&repository);
        }
        let owners = fs::read_dir(dir.path().join(".git/annex/stream/sizes/owners")).expect("a directory").count();
        assert_eq!(owners, 1, "{role} {cut}: the lock file of who was killed is gone");
    }
}

#[test]
fn a_damaged_database_is_begun_anew_and_keeps_what_is_under_way() {
    let (dir, repository) = scratch();
    let a = [uuid("a")];
    let keys: Vec<Key> = (0..40).map(|n| key(n, 1)).collect();
    record(&repository, &keys.iter().map(|key| (key, &a[0], Presence::Present)).collect::<Vec<_>>());
    commit(&repository);
    let folder = dir.path().join(".git/annex/stream/sizes");
    let database = || folder.join(fs::read_to_string(folder.join("current")).expect("a name"));
    let without_log = || {
        for ending in ["-wal", "-shm"] {
            let mut file = database().into_os_string();
            file.push(ending);
            let _ = fs::remove_file(file);
        }
    };
    type Damage<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let damages: [Damage<'_>; 6] = [
        ("no database", Box::new(|| fs::write(database(), "no database at all ".repeat(200)).expect("written"))),
        (
            "zeros inside",
            Box::new(|| {
                let mut bytes = fs::read(database()).expect("readable");
                let len = bytes.len();
                bytes[4096..len].fill(0);
                fs::write(database(), bytes).expect("written");
            }),
        ),
        (
            "cut short",
            Box::new(|| {
                let bytes = fs::read(database()).expect("readable");
                fs::write(database(), &bytes[..5000]).expect("written");
            }),
        ),
        ("empty", Box::new(|| fs::write(database(), "").expect("written"))),
        ("gone", Box::new(|| fs::remove_file(database()).expect("removed"))),
        ("another name", Box::new(|| fs::write(folder.join("current"), "../../config").expect("written"))),
    ];
    for (what, damage) in &damages {
        let sizes = Arc::new(Sizes::new(open(dir.path())));
        assert_eq!(recorded(&sizes)[&a[0]].keys, 40, "{what}");
        // All of it is in one file once the last one closes it.
        drop(sizes);
        without_log();
        damage();
        let sizes = Arc::new(Sizes::new(open(dir.path())));
        assert_eq!(recorded(&sizes)[&a[0]].keys, 40, "{what}");
        assert_eq!(
            fs::read_dir(&folder)
                .expect("listed")
                .filter(|file| {
                    let name = file.as_ref().expect("listed").file_name();
                    name.to_string_lossy().starts_with("db.") && !name.to_string_lossy().contains('-')
                })
                .count(),
            1,
            "{what}: the damaged one is gone"
        );
    }
    // Another process replaces it while an upload is under way here.
    let (one, other) = (Arc::new(Sizes::new(open(dir.path()))), Arc::new(Sizes::new(open(dir.path()))));
    let held = one.reserve(&key(50, 7), 7, &a, &mut |_| a.to_vec()).unwrap_or_else(|e| panic!("{e}"));
    fs::write(folder.join("current"), "db.00").expect("written");
    assert_eq!(recorded(&other)[&a[0]].keys, 40);
    let used = |of: &Arc<Sizes>| of.usage(&key(51, 1), 1, &a).unwrap_or_else(|e| panic!("{e}")).used(&a[0]);
    assert_eq!((used(&one), used(&other)), (Some(47), Some(47)));
    drop(held);
    assert_eq!((used(&one), used(&other)), (Some(40), Some(40)));
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_lost() {
    let (_dir, repository) = scratch();
    let a = [uuid("a")];
    record(&repository, &[(&key(1, 5), &a[0], Presence::Present)]);
    commit(&repository);
    let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
    let reserve = |n| sizes.reserve(&key(n, 1), 1, &a, &mut |_| a.to_vec());
    let mut held: Vec<Reservation> = (100..110).map(|n| reserve(n).unwrap_or_else(|e| panic!("{e}"))).collect();
    // No page more than there are; SQLite takes a limit that is too low for what there is.
    sizes.desk().db().limit_pages(Some(1));
    let full = (110..1000).find_map(|n| match reserve(n) {
        Ok(more) => {
            held.push(more);
            None
        }
        Err(e) => Some(e),
    });
    let full = full.expect("pages end");
    assert!(full.is_full() && full.to_string().contains("full"), "{full}");
    sizes.desk().db().limit_pages(Some(1 << 20));
    let used = || sizes.usage(&key(2, 1), 1, &a).unwrap_or_else(|e| panic!("{e}")).used(&a[0]);
    assert_eq!(used(), Some(5 + held.len() as u64));
    drop(held);
    assert_eq!((used(), recorded(&sizes)[&a[0]].bytes), (Some(5), 5));
}
