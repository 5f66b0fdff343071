//! A repository with directories to export to, and our export to one of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use git_annex_remote_stream::annex::branch::Edit;
use git_annex_remote_stream::annex::export::check::Check;
use git_annex_remote_stream::annex::export::db::{ExportDb, Note};
use git_annex_remote_stream::annex::export::look::Found;
use git_annex_remote_stream::annex::export::plan::{Place, Step};
use git_annex_remote_stream::annex::export::record;
use git_annex_remote_stream::annex::export::tree::exportable;
use git_annex_remote_stream::annex::export::work::Work;
use git_annex_remote_stream::annex::layout;
use git_annex_remote_stream::annex::log::{LocationLog, LogHashing, Presence, location_file};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::name::{Key, Uuid};

use testbed::annex::{LIMIT, Repo};
use testbed::run::run;

/// A repository with a season of commits ahead of it.
pub struct Lab {
    pub repo: Repo,
    pub places: tempfile::TempDir,
}

impl Lab {
    pub fn new(remotes: &[&str]) -> Lab {
        Lab::of(Repo::new(), remotes)
    }

    /// The same in this repository.
    pub fn of(repo: Repo, remotes: &[&str]) -> Lab {
        let places = tempfile::tempdir().expect("a directory");
        for (name, value) in [("user.name", "T"), ("user.email", "t@example.org"), ("annex.thin", "false")] {
            repo.git(&["config", name, value]).ok();
        }
        for name in remotes {
            let dir = places.path().join(name);
            fs::create_dir(&dir).expect("a directory");
            let dir = format!("directory={}", dir.display());
            let words = ["exporttree=yes", "annexobjects=yes", "encryption=none", "type=directory", &dir];
            repo.annex(&[&["initremote", name], &words[..]].concat()).ok();
        }
        Lab { repo, places }
    }

    pub fn commit(&self, script: &str) {
        let script = format!("set -e\n{script}\ngit annex add -q .\ngit commit -qm x");
        let mut command = self.repo.command(Path::new("sh"));
        run(command.arg("-c").arg(&script), LIMIT).ok();
    }

    pub fn dir(&self, remote: &str) -> PathBuf {
        self.places.path().join(remote)
    }

    pub fn uuid(&self, remote: &str) -> Uuid {
        let name = format!("remote.{remote}.annex-uuid");
        let uuid = self.repo.git(&["config", &name]).ok().stdout;
        Uuid::parse(uuid.trim().as_bytes()).expect("a uuid")
    }

    pub fn repository(&self) -> Repository {
        Repository::open(&self.repo.dir()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The files of the remote's tree, without those outside it.
    pub fn tree(&self, remote: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let top = self.dir(remote);
        let mut files = BTreeMap::new();
        let mut dirs = vec![top.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(&top).expect("below it").to_path_buf();
                // git-annex 10.20261026 leaves its own temporary file beside a name that is no UTF-8, now and then.
                if name == Path::new(".git") || name.extension().is_some_and(|ending| ending == "tmp") {
                    continue;
                }
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.insert(name, fs::read(path).expect("a file"));
                }
            }
        }
        files
    }

    /// What git-annex says on its export of main, but for the lines of progress.
    #[track_caller]
    pub fn theirs(&self, remote: &str) -> String {
        self.repo.annex(&["export", "main", "--to", remote]).ok().stdout.replace("(recording state in git...)", "")
    }

    /// Our export of main to a directory; of its steps only `most`. Returns how many there were.
    pub fn ours(&self, remote: &str, most: usize) -> usize {
        self.ours_below(remote, b"", most)
    }

    /// The same of a directory in main.
    pub fn ours_below(&self, remote: &str, below: &[u8], most: usize) -> usize {
        let repository = self.repository();
        let (uuid, top) = (self.uuid(remote), self.dir(remote));
        let branch = repository.branch();
        let followed = branch.followed_tree(b"refs/heads/main", None, below).expect("readable");
        let tree = followed.tree.expect("there is one");
        let known = record::remembered(&repository, &uuid);
        let what = exportable(branch, tree, known.as_ref()).unwrap_or_else(|e| panic!("{e}"));
        let mut db = ExportDb::open(repository.annex_dir(), &uuid).unwrap_or_else(|e| panic!("{e}"));
        let lock = db.lock(LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let mut work = Work::of(&repository, &mut db, &uuid, what.tree, false).unwrap_or_else(|e| panic!("{e}"));
        let questions: Vec<Vec<u8>> = work.questions().map(<[u8]>::to_vec).collect();
        for name in questions {
            let found = match fs::symlink_metadata(at(&top, &name)) {
                Ok(found) if found.is_file() => Found::Present(Some(found.len())),
                _ => Found::Absent,
            };
            work.answer(&name, found);
        }
        let unknown: Vec<(Vec<u8>, Vec<Key>)> =
            work.unknown().map(|(name, keys)| (name.to_vec(), keys.into_iter().cloned().collect())).collect();
        for (name, keys) in unknown {
            let content = fs::read(at(&top, &name)).expect("it was there");
            let is_of = |key: &&Key| {
                Check::of(key, content.len() as u64).is_some_and(|mut check| {
                    check.update(&content);
                    check.finish()
                })
            };
            work.answer(&name, keys.iter().find(is_of).map_or(Found::Other, |key| Found::Verified(key.clone())));
        }
        let noted = db.note(&lock, &work.notes()).and_then(|()| db.settle()).and_then(|()| work.noted(&mut db));
        noted.unwrap_or_else(|e| panic!("{e}"));
        record::remember(&repository, &uuid, &what).expect("written");
        record::mark(&repository, &uuid, what.tree).expect("marked");
        record::begin(&repository, &uuid, what.tree).unwrap_or_else(|e| panic!("{e}"));
        let steps = work.steps();
        let complete = |db: &mut ExportDb| {
            record::complete(&repository, &uuid, what.tree, work.over().clone()).unwrap_or_else(|e| panic!("{e}"));
            work.finish(&repository, db).unwrap_or_else(|e| panic!("{e}"));
        };
        for step in steps.iter().take(most) {
            let mut notes = step.notes();
            match step {
                Step::Settle => {
                    db.settle().unwrap_or_else(|e| panic!("{e}"));
                    complete(&mut db);
                }
                Step::NeedKey { key, to } => {
                    let content = local(&repository, key);
                    for name in to.iter().filter(|_| content.is_some()) {
                        put(&at(&top, name), content.as_deref().unwrap_or_default());
                        notes.push(Note { name: name.clone(), key: key.clone(), holds: true });
                    }
                    if content.is_some() {
                        present(&repository, &uuid, key);
                    }
                }
                step => act(&repository, &top, step),
            }
            db.note(&lock, &notes).unwrap_or_else(|e| panic!("{e}"));
        }
        if most >= steps.len() {
            complete(&mut db);
            db.settle().unwrap_or_else(|e| panic!("{e}"));
            record::unmark(&repository, &uuid).expect("unmarked");
        }
        steps.len()
    }
}

fn at(top: &Path, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    top.join(std::ffi::OsStr::from_bytes(name))
}

fn put(path: &Path, content: &[u8]) {
    assert!(fs::symlink_metadata(path).is_err(), "{} is written over", path.display());
    fs::create_dir_all(path.parent().expect("below the top")).expect("its directory");
    fs::write(path, content).expect("written");
}

fn act(repository: &Repository, top: &Path, step: &Step) {
    let place = |place: &Place, key: &Key| at(top, &place.name(key));
    match step {
        Step::Rename { key, from, to } => {
            let (from, to) = (place(from, key), place(to, key));
            assert!(fs::symlink_metadata(&to).is_err(), "{} is written over", to.display());
            fs::create_dir_all(to.parent().expect("below the top")).expect("its directory");
            fs::rename(from, to).expect("renamed");
        }
        Step::Copy { key, from, to } => put(&place(to, key), &fs::read(place(from, key)).expect("it is there")),
        Step::StoreBlob { blob, to, .. } => {
            put(&at(top, to), &repository.branch().blob(*blob, 1 << 20).unwrap_or_else(|e| panic!("{e}")));
        }
        Step::Remove { key, at, .. } => fs::remove_file(place(at, key)).expect("removed"),
        Step::SetAside { path } => fs::remove_file(at(top, path)).expect("removed"),
        Step::RemoveEmptyDirectory { path } => drop(fs::remove_dir(at(top, path))),
        other => panic!("{other:?}"),
    }
}

/// The content of `key` in the repository itself.
fn local(repository: &Repository, key: &Key) -> Option<Vec<u8>> {
    let places = layout::objects_candidates(key.as_bytes(), layout::Hashing::default());
    places.iter().find_map(|place| fs::read(at(repository.annex_dir(), place)).ok())
}

/// Records that the remote has `key`, as the gateway does of anything stored.
fn present(repository: &Repository, uuid: &Uuid, key: &Key) {
    let who = uuid.clone();
    let edit = Edit::new(location_file(key, LogHashing::TwoLevels), move |log| {
        let mut log = LocationLog::parse(log);
        log.set(&who, Presence::Present, 1).then(|| log.to_bytes())
    });
    repository.branch().change(vec![edit]).and_then(|()| repository.branch().commit("update")).expect("recorded");
}
