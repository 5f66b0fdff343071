//! git-annex's database of an export, `.git/annex/export/UUID/exportdb/db`, or below `annex.dbdir` in place of `.git/annex`: which names of the remote were filled with which
//! key, and which keys the exported tree has.
//!
//! git-annex makes the second anew from `export.log`, but not the first: without it, its next export asks the remote for
//! every file. So both are kept, in its own tables, under its own locks. Names and keys are blobs. Source: recorded.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::names::{directories, file_name};
use super::tree::Change;
use crate::annex::branch::GitId;
use crate::annex::fresh;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::wal;
use crate::name::{Key, Uuid};

/// The database of the exports to one remote.
pub struct ExportDb {
    connection: Connection,
    /// `exportdb`, to which `.lck` and `.upl` are appended.
    stem: PathBuf,
}

/// That nobody else exports to the remote.
pub struct ExportLock {
    _lock: LockFile,
}

/// The database, while nobody else here exports to the remote.
pub struct LockedDb {
    /// The database.
    pub db: ExportDb,
    /// What keeps the others out.
    pub lock: ExportLock,
}

/// What is to be noted of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The name on the remote.
    pub name: Vec<u8>,
    /// The key.
    pub key: Key,
    /// Whether the name holds the key, or does no longer.
    pub holds: bool,
}

/// Why the database could not be used. Shown on one line.
#[derive(Debug)]
pub struct DbError {
    what: &'static str,
    path: PathBuf,
    why: String,
}

/// As git-annex makes them; a column `id` that counts is what its library wants.
const SCHEMA: &str = r#"
CREATE TABLE IF NOT EXISTS "exported"("id" INTEGER PRIMARY KEY,"key" BLOB NOT NULL,"file" BLOB NOT NULL,CONSTRAINT "exported_index" UNIQUE ("key","file"));
CREATE TABLE IF NOT EXISTS "exported_directory"("id" INTEGER PRIMARY KEY,"subdir" BLOB NOT NULL,"file" BLOB NOT NULL,CONSTRAINT "exported_directory_index" UNIQUE ("subdir","file"));
CREATE TABLE IF NOT EXISTS "export_tree"("id" INTEGER PRIMARY KEY,"key" BLOB NOT NULL,"file" BLOB NOT NULL,CONSTRAINT "export_tree_key_file_index" UNIQUE ("key","file"),CONSTRAINT "export_tree_file_key_index" UNIQUE ("file","key"));
CREATE TABLE IF NOT EXISTS "export_tree_current"("id" INTEGER PRIMARY KEY,"tree" VARCHAR NOT NULL,CONSTRAINT "unique_tree" UNIQUE ("tree"));
"#;

/// Longest wait for git-annex to finish what it does to the database. It may be reading a tree of a million files.
const LIMIT: Duration = Duration::from_secs(120);

impl ExportDb {
    /// Opens the database of `remote` in the repository with this [`db_dir`](super::super::repository::Repository::db_dir);
    /// makes it where it is not there.
    pub fn open(db_dir: &Path, remote: &Uuid) -> Result<Self, DbError> {
        let dir = db_dir.join("export");
        let name = file_name(remote).map_err(|e| DbError { what: "open", path: dir.clone(), why: e.to_string() })?;
        let stem = dir.join(name).join("exportdb");
        let path = stem.join("db");
        if !path.exists() {
            // git-annex does not make it either: what is missing may be a file system that is not mounted.
            if let Some(above) = db_dir.parent().filter(|above| !above.is_dir()) {
                let why = "there is no such directory; see annex.dbdir in git config".to_string();
                return Err(DbError { what: "find", path: above.to_path_buf(), why });
            }
            make(&stem, &path)?;
        }
        let connection = Connection::open(&path).map_err(fails("open", &path))?;
        connection.busy_timeout(LIMIT).map_err(fails("open", &path))?;
        // A sync for each note would be slow; `settle` does it where it matters.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(fails("open", &path))?;
        Ok(Self { connection, stem })
    }

    /// The same where there is one already. `None` where nothing was exported to `remote` from here.
    pub fn existing(db_dir: &Path, remote: &Uuid) -> Result<Option<Self>, DbError> {
        let Ok(name) = file_name(remote) else { return Ok(None) };
        let path = db_dir.join("export").join(name).join("exportdb/db");
        match path.try_exists() {
            Ok(true) => Self::open(db_dir, remote).map(Some),
            Ok(false) => Ok(None),
            Err(e) => Err(DbError { what: "open", path, why: e.to_string() }),
        }
    }

    /// The [`lock`](Self::lock), where nobody else has it.
    pub fn try_lock(&self) -> Result<Option<ExportLock>, DbError> {
        let path = self.appended(".lck");
        let lock = LockFile::try_lock(&path, LockKind::Exclusive, 0o666);
        let lock = lock.map_err(|e| DbError { what: "lock", path, why: e.to_string() })?;
        Ok(lock.map(|lock| ExportLock { _lock: lock }))
    }

    /// Keeps git-annex, and others of this program, from exporting to this remote until it is dropped. Waits up to `limit`.
    pub fn lock(&self, limit: Duration) -> Result<ExportLock, DbError> {
        Ok(ExportLock { _lock: self.wait(".lck", limit)? })
    }

    /// What tells this database from one that is made anew in its place.
    pub(super) fn identity(&self) -> Result<String, DbError> {
        let path = self.stem.join("db");
        let meta = fs::metadata(&path).map_err(|e| DbError::new("look at", &path, e.to_string()))?;
        Ok(format!("{}:{}", meta.dev(), meta.ino()))
    }

    /// The tree whose keys [`in_tree`](Self::in_tree) tells. `None` where it was never told any.
    pub fn tree(&self) -> Result<Option<GitId>, DbError> {
        let told = "SELECT tree FROM export_tree_current ORDER BY id DESC LIMIT 1";
        let text: Option<String> =
            self.connection.query_row(told, [], |row| row.get(0)).optional().map_err(self.fails("read"))?;
        Ok(text.and_then(|text| GitId::parse(text.as_bytes())))
    }

    /// The paths at which the exported tree has `key`, whether they are filled or not; sorted.
    pub fn in_tree(&self, key: &Key) -> Result<Vec<Vec<u8>>, DbError> {
        self.files("SELECT file FROM export_tree WHERE key=?1 ORDER BY file", key)
    }

    /// The names noted to hold `key`, sorted; also those outside the tree.
    pub fn holding(&self, key: &Key) -> Result<Vec<Vec<u8>>, DbError> {
        self.files("SELECT file FROM exported WHERE key=?1 ORDER BY file", key)
    }

    /// Whether `name` is noted to hold `key`.
    pub fn holds(&self, name: &[u8], key: &Key) -> Result<bool, DbError> {
        let fail = self.fails("read");
        let asked = self.connection.prepare_cached("SELECT 1 FROM exported WHERE key=?1 AND file=?2");
        asked.and_then(|mut asked| asked.exists(params![key.as_bytes(), name])).map_err(fail)
    }

    /// All names that are noted to hold a key, in no order. What is no key is left out.
    pub fn all(&self, each: impl FnMut(Vec<u8>, Key)) -> Result<(), DbError> {
        self.pairs("SELECT file, key FROM exported", each)
    }

    /// The paths of [`tree`](Self::tree) that are not noted to hold their key, in no order.
    pub fn unfilled(&self, each: impl FnMut(Vec<u8>, Key)) -> Result<(), DbError> {
        self.pairs(
            "SELECT file, key FROM export_tree AS t \
             WHERE NOT EXISTS (SELECT 1 FROM exported AS e WHERE e.key=t.key AND e.file=t.file)",
            each,
        )
    }

    /// The paths of [`tree`](Self::tree) with their keys, in no order.
    pub fn tree_files(&self, each: impl FnMut(Vec<u8>, Key)) -> Result<(), DbError> {
        self.pairs("SELECT file, key FROM export_tree", each)
    }

    /// The keys of plain files of git that are noted to lie outside the tree, where an export that was cut left them.
    pub fn blobs_outside(&self, mut each: impl FnMut(Key)) -> Result<(), DbError> {
        let sql = "SELECT file, key FROM exported WHERE key >= CAST('GIT--' AS BLOB) AND key < CAST('GIT-.' AS BLOB) \
                   AND substr(file, 1, 5) = CAST('.git/' AS BLOB)";
        self.pairs(sql, |_, key| each(key))
    }

    /// Notes `notes`, in order, all or none. They outlive this process when this returns; after
    /// [`settle`](Self::settle) they outlive the machine.
    pub fn note(&mut self, _lock: &ExportLock, notes: &[Note]) -> Result<(), DbError> {
        if notes.is_empty() {
            return Ok(());
        }
        let path = self.stem.join("db");
        let fail = fails("write", &path);
        let write = |connection: &mut Connection| {
            let change = connection.transaction()?;
            for Note { name, key, holds } in notes {
                let pair = params![key.as_bytes(), name];
                if *holds {
                    change
                        .prepare_cached("INSERT OR IGNORE INTO exported (key, file) VALUES (?1, ?2)")?
                        .execute(pair)?;
                    let into = "INSERT OR IGNORE INTO exported_directory (subdir, file) VALUES (?1, ?2)";
                    for directory in directories(name) {
                        change.prepare_cached(into)?.execute(params![directory, name])?;
                    }
                } else {
                    change.prepare_cached("DELETE FROM exported WHERE key=?1 AND file=?2")?.execute(pair)?;
                    // Its index begins with the directory.
                    let from = "DELETE FROM exported_directory WHERE subdir=?1 AND file=?2";
                    for directory in directories(name) {
                        change.prepare_cached(from)?.execute(params![directory, name])?;
                    }
                }
            }
            change.commit()
        };
        write(&mut self.connection).map_err(fail)
    }

    /// Puts what was noted on the disk.
    pub fn settle(&self) -> Result<(), DbError> {
        let sync = |path: PathBuf| match fs::File::open(&path) {
            Ok(file) => file.sync_data().map_err(|e| (path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err((path, e)),
        };
        // Notes lie in the log until it is merged into the database, which syncs both.
        let both = sync(self.stem.join("db-wal")).and_then(|()| sync(self.stem.clone()));
        both.map_err(|(path, e)| DbError { what: "sync", path, why: e.to_string() })
    }

    /// Makes [`in_tree`](Self::in_tree) tell all of another tree, while [`tree`](Self::tree) stays: what is noted may be of that
    /// one still. To be called again until [`set_tree`](Self::set_tree) was.
    pub fn replace_tree(&mut self, all: &[Change]) -> Result<(), DbError> {
        self.update(|change| {
            change.execute("DELETE FROM export_tree", [])?;
            put_into_tree(change, all)
        })
    }

    /// Makes `tree` the exported one: `changes` lead to it from the one that is told.
    pub fn set_tree(&mut self, tree: GitId, changes: &[Change]) -> Result<(), DbError> {
        self.update(|change| {
            put_into_tree(change, changes)?;
            change.execute("DELETE FROM export_tree_current", [])?;
            change.execute("INSERT INTO export_tree_current (tree) VALUES (?1)", [tree.to_string()])?;
            Ok(())
        })
    }

    /// Changes what is told of the tree, all of it or nothing.
    fn update(&mut self, f: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), DbError> {
        let _update = self.wait(".upl", LIMIT)?;
        let path = self.stem.join("db");
        let write = |connection: &mut Connection| {
            let change = connection.transaction()?;
            f(&change)?;
            change.commit()
        };
        write(&mut self.connection).map_err(fails("write", &path))
    }

    fn pairs(&self, sql: &str, mut each: impl FnMut(Vec<u8>, Key)) -> Result<(), DbError> {
        let mut read = || {
            let mut asked = self.connection.prepare(sql)?;
            let mut rows = asked.query([])?;
            while let Some(row) = rows.next()? {
                if let Ok(key) = Key::parse(&row.get::<_, Vec<u8>>(1)?) {
                    each(row.get(0)?, key);
                }
            }
            Ok(())
        };
        read().map_err(self.fails("read"))
    }

    fn files(&self, sql: &str, key: &Key) -> Result<Vec<Vec<u8>>, DbError> {
        let read = || {
            let mut asked = self.connection.prepare_cached(sql)?;
            asked.query_map([key.as_bytes()], |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>, _>>()
        };
        read().map_err(self.fails("read"))
    }

    /// Takes one of git-annex's two locks: `.lck`, which its export holds from its beginning to its end, and `.upl`, which
    /// guards a change of the tree.
    fn wait(&self, ending: &str, limit: Duration) -> Result<LockFile, DbError> {
        let path = self.appended(ending);
        let lock = LockFile::wait(&path, LockKind::Exclusive, 0o666, limit);
        lock.map_err(|e| DbError { what: "lock", path, why: e.to_string() })
    }

    fn appended(&self, ending: &str) -> PathBuf {
        let mut path = self.stem.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    fn fails(&self, what: &'static str) -> impl FnOnce(rusqlite::Error) -> DbError + use<> {
        fails(what, &self.stem.join("db"))
    }
}

fn put_into_tree(change: &Transaction<'_>, changes: &[Change]) -> rusqlite::Result<()> {
    for Change { path, old, new } in changes {
        if let Some(key) = old {
            let mut gone = change.prepare_cached("DELETE FROM export_tree WHERE key=?1 AND file=?2")?;
            gone.execute(params![key.as_bytes(), path])?;
        }
        if let Some(key) = new {
            let into = "INSERT OR IGNORE INTO export_tree (key, file) VALUES (?1, ?2)";
            change.prepare_cached(into)?.execute(params![key.as_bytes(), path])?;
        }
    }
    Ok(())
}

/// Makes an empty database in one step: git-annex takes one that it finds for whole.
fn make(stem: &Path, path: &Path) -> Result<(), DbError> {
    let wrong = |e: std::io::Error| DbError { what: "make", path: path.to_path_buf(), why: e.to_string() };
    fs::create_dir_all(stem).map_err(wrong)?;
    let (new, _) = fresh::create(stem, "db.new", 0o644).map_err(wrong)?;
    let fail = || fails("make", path);
    let connection = Connection::open(&new).map_err(fail())?;
    wal::begin(&connection, LIMIT).map_err(fail())?;
    connection.execute_batch(SCHEMA).map_err(fail())?;
    connection.close().map_err(|(_, e)| fail()(e))?;
    let linked = match fs::hard_link(&new, path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(wrong(e)),
        _ => Ok(()),
    };
    fs::remove_file(&new).map_err(wrong)?;
    linked
}

fn fails(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> DbError + use<> {
    let path = path.to_path_buf();
    move |e| DbError { what, path, why: e.to_string() }
}

impl DbError {
    pub(super) fn new(what: &'static str, path: &Path, why: String) -> Self {
        Self { what, path: path.to_path_buf(), why }
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "export database: {} {}: {}", self.what, self.path.display(), self.why)
    }
}

impl std::error::Error for DbError {}
