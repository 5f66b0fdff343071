//! Choosing and reserving against a model: no repository is ever filled beyond what it may hold, and all see the same.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What happens. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    /// One of two processes reserves room for a key wherever it fits.
    Reserve {
        process: usize,
        key: usize,
    },
    /// An upload is recorded, at some of its places, and ends.
    Done {
        upload: usize,
        places: usize,
    },
    /// An upload is given up.
    GiveUp {
        upload: usize,
    },
    /// A key is dropped somewhere.
    Drop {
        key: usize,
        place: usize,
    },
    Commit,
    /// A process is gone, and another comes in its place.
    Die {
        process: usize,
    },
}

const KEYS: usize = 8;
const PLACES: [(&str, u64); 3] = [("a", 40), ("b", 25), ("c", 0)];

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..2usize, 0..KEYS).prop_map(|(process, key)| Op::Reserve { process, key }),
        4 => (any::<usize>(), 0..8usize).prop_map(|(upload, places)| Op::Done { upload, places }),
        1 => any::<usize>().prop_map(|upload| Op::GiveUp { upload }),
        2 => (0..KEYS, 0..3usize).prop_map(|(key, place)| Op::Drop { key, place }),
        2 => Just(Op::Commit),
        1 => (0..2usize).prop_map(|process| Op::Die { process }),
    ]
}

fn bytes(key: usize) -> u64 {
    (key as u64 * 3) % 14
}

struct World {
    dir: tempfile::TempDir,
    repository: Arc<Repository>,
    processes: [Arc<Sizes>; 2],
    uploads: Vec<(usize, usize, BTreeSet<usize>, Reservation)>,
    /// Who has what: key and place.
    recorded: BTreeSet<(usize, usize)>,
}

impl World {
    fn new() -> Self {
        let (dir, repository) = scratch();
        let process = || Arc::new(Sizes::new(open(dir.path())));
        let processes = [process(), process()];
        Self { dir, repository, processes, uploads: Vec::new(), recorded: BTreeSet::new() }
    }

    fn uuids() -> Vec<Uuid> {
        PLACES.iter().map(|(name, _)| uuid(name)).collect()
    }

    /// Each key and place that takes room: recorded, or on its way.
    fn counted(&self) -> BTreeSet<(usize, usize)> {
        let under_way = self.uploads.iter().flat_map(|(_, key, places, _)| places.iter().map(|place| (*key, *place)));
        self.recorded.iter().copied().chain(under_way).collect()
    }

    fn used(&self, place: usize) -> u64 {
        self.counted().iter().filter(|(_, of)| *of == place).map(|(key, _)| bytes(*key)).sum()
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Reserve { process, key: n } => {
                let expected: BTreeSet<usize> = (0..PLACES.len())
                    .filter(|place| {
                        let more = if self.counted().contains(&(n, *place)) { 0 } else { bytes(n) };
                        self.used(*place) + more <= PLACES[*place].1
                    })
                    .collect();
                let mut choose = |room: &Usage| {
                    let fits = PLACES.iter().filter(|(name, max)| room.fits(&uuid(name), *max));
                    fits.map(|(name, _)| uuid(name)).collect()
                };
                let reserved =
                    self.processes[process].reserve(&key(n, bytes(n)), bytes(n), &Self::uuids(), &mut choose);
                let reserved = reserved.unwrap_or_else(|e| panic!("{e}"));
                let chosen: BTreeSet<usize> = (0..PLACES.len())
                    .filter(|place| reserved.chosen().any(|chosen| *chosen == uuid(PLACES[*place].0)))
                    .collect();
                assert_eq!(chosen, expected, "where {n} fits");
                self.uploads.push((process, n, chosen, reserved));
            }
            Op::Done { upload, places } if !self.uploads.is_empty() => {
                let (_, n, chosen, reserved) = self.uploads.remove(upload % self.uploads.len());
                let stored = chosen.into_iter().filter(|place| places & (1 << place) != 0);
                for place in stored {
                    record(&self.repository, &[(&key(n, bytes(n)), &uuid(PLACES[place].0), Presence::Present)]);
                    self.recorded.insert((n, place));
                }
                drop(reserved);
            }
            Op::GiveUp { upload } if !self.uploads.is_empty() => {
                drop(self.uploads.remove(upload % self.uploads.len()));
            }
            Op::Drop { key: n, place } => {
                record(&self.repository, &[(&key(n, bytes(n)), &uuid(PLACES[place].0), Presence::Missing)]);
                self.recorded.remove(&(n, place));
            }
            Op::Commit => commit(&self.repository),
            Op::Die { process } => {
                // Its lock file is let go by the system, and nothing else is done.
                self.processes[process].desk().die();
                let (dead, left) = std::mem::take(&mut self.uploads).into_iter().partition(|(of, ..)| *of == process);
                self.uploads = left;
                drop::<Vec<_>>(dead);
                self.processes[process] = Arc::new(Sizes::new(open(self.dir.path())));
            }
            Op::Done { .. } | Op::GiveUp { .. } => {}
        }
    }

    fn check(&self) {
        for process in &self.processes {
            process.desk().look_for_gone_now();
            // A key that is nowhere.
            let room = process.usage(&key(99, 1), 1, &Self::uuids()).unwrap_or_else(|e| panic!("{e}"));
            for (place, (name, max)) in PLACES.iter().enumerate() {
                let used = room.used(&uuid(name)).expect("a candidate");
                assert_eq!(used, self.used(place), "{name}");
                assert!(used <= *max, "{name} is filled beyond {max}");
            }
        }
        let mut sums: BTreeMap<Uuid, Amount> = BTreeMap::new();
        for (key, place) in &self.recorded {
            let more = Amount { bytes: bytes(*key).into(), keys: 1 };
            sums.entry(uuid(PLACES[*place].0)).or_default().add(more);
        }
        assert_eq!(recorded(&self.processes[0]), sums);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_repository_is_filled_beyond_what_it_may_hold(ops in prop::collection::vec(op(), 1..30)) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
            world.check();
        }
    }
}

/// Threads with a connection each, as processes have; those that are processes are in `tests/repository`.
#[test]
fn many_who_reserve_at_once_never_pass_what_a_repository_may_hold() {
    let (dir, repository) = scratch();
    const MAX: u64 = 60;
    let a = [uuid("a")];
    record(&repository, &[(&key(0, 10), &a[0], Presence::Present)]);
    commit(&repository);
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4usize)
            .map(|thread| {
                let (a, dir) = (&a, dir.path());
                scope.spawn(move || {
                    let sizes = Arc::new(Sizes::new(open(dir)));
                    let mut stored = 0;
                    for n in 0..8 {
                        let content = key(1 + thread * 100 + n, 5);
                        let mut fits = |room: &Usage| if room.fits(&a[0], MAX) { a.to_vec() } else { Vec::new() };
                        let reserved = sizes.reserve(&content, 5, a, &mut fits).unwrap_or_else(|e| panic!("{e}"));
                        if reserved.chosen().next().is_none() {
                            continue;
                        }
                        if n % 3 != 2 {
                            record(&sizes.repository, &[(&content, &a[0], Presence::Present)]);
                            stored += 5;
                        }
                        drop(reserved);
                        if n % 4 == 3 {
                            commit(&sizes.repository);
                        }
                    }
                    stored
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
    });
    let sizes = Sizes::new(repository);
    assert_eq!(recorded(&sizes)[&a[0]].bytes, i128::from(10 + done));
    assert_eq!(done, MAX - 10, "it is filled to the last byte, and no further");
}
