//! The database of sizes: `.git/annex/stream/sizes/`, or below `annex.dbdir` in place of `.git/annex`.
//!
//! The file `current` names the database that is in use. One that is damaged is not repaired but replaced by an empty one
//! under another name, from which all is counted anew: SQLite removes files by their names when it closes, so a name must
//! never mean two databases. Whoever reads or writes holds the file `lock` shared, and whoever replaces it holds it alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::error::SizesError;
use super::tables::{self, Upload};
use crate::annex::fresh;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::wal;

/// The database, opened as often as it was replaced.
pub(super) struct Db {
    dir: PathBuf,
    open: Option<Open>,
    /// Uploads of this process that are under way, for a database that does not know of them.
    mine: BTreeMap<u64, Upload>,
    /// Most pages of a database that is made, for tests of a full disk.
    most_pages: Option<u32>,
}

struct Open {
    name: String,
    path: PathBuf,
    connection: Connection,
}

/// `state` has one row, whose first `turn` is no other database's. `at` is the commit that `sum`
/// is of, empty for a branch that is not there; `turn` changes with it. Where `target` is set, somebody counts from `at` to that commit: `part` is the difference up to the file `after`.
const SCHEMA: &str = "
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), turn INTEGER NOT NULL, at BLOB NOT NULL, target BLOB,
                    after BLOB NOT NULL, entries INTEGER NOT NULL);
INSERT INTO state VALUES (1, random() >> 2, x'', NULL, x'', 0);
CREATE TABLE sum (uuid BLOB PRIMARY KEY, bytes BLOB NOT NULL, keys INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE part (uuid BLOB PRIMARY KEY, bytes BLOB NOT NULL, keys INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE upload (owner TEXT NOT NULL, serial INTEGER NOT NULL, uuid BLOB NOT NULL, key BLOB NOT NULL,
                     bytes INTEGER NOT NULL, ended INTEGER NOT NULL, PRIMARY KEY (owner, serial)) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// Longest wait for another process to finish a write.
const LIMIT: Duration = Duration::from_secs(30);

/// Longest name of a database that `current` may hold.
const LONGEST_NAME: usize = 100;

impl Db {
    /// The database in `dir`, which is made with the first use.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, open: None, mine: BTreeMap::new(), most_pages: None }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Uploads of this process that are under way, by their serial numbers. They are put into a database that takes the place of
    /// a damaged one, when this process uses it first.
    pub(super) fn mine(&mut self) -> &mut BTreeMap<u64, Upload> {
        &mut self.mine
    }

    /// Does `f` with the database. Where that is damaged, once more with an empty one.
    ///
    /// # Errors
    ///
    /// Nothing was changed that `f` did not commit.
    pub(super) fn with<T>(
        &mut self,
        f: &mut dyn FnMut(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, SizesError> {
        let mut is_second = false;
        loop {
            let lock = self.lock(LockKind::Shared)?;
            let done = self.current().and_then(|open| Ok(f(&mut open.connection)?));
            drop(lock);
            match done {
                Ok(done) => return Ok(done),
                Err(Failed::Sqlite(e)) if !is_second && is_damage(&e) => {
                    is_second = true;
                    self.replace(&e)?;
                }
                Err(Failed::Missing) if !is_second => {
                    is_second = true;
                    self.make(None)?;
                }
                Err(failed) => return Err(failed.told(self)),
            }
        }
    }

    fn lock(&self, kind: LockKind) -> Result<LockFile, SizesError> {
        let path = self.dir.join("lock");
        match LockFile::wait(&path, kind, 0o666, LIMIT) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.dir).map_err(SizesError::io("make", &self.dir))?;
                LockFile::wait(&path, kind, 0o666, LIMIT).map_err(SizesError::io("lock", &path))
            }
            lock => lock.map_err(SizesError::io("lock", &path)),
        }
    }

    /// The database that is in use now.
    fn current(&mut self) -> Result<&mut Open, Failed> {
        let name = self.name()?.ok_or(Failed::Missing)?;
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            self.open = None;
            let path = self.dir.join(&name);
            if !path.try_exists().map_err(|e| Failed::Io("look at", path.clone(), e))? {
                return Err(Failed::Missing);
            }
            let connection = Connection::open(&path)?;
            connection.busy_timeout(LIMIT)?;
            wal::begin(&connection, LIMIT)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            if let Some(most) = self.most_pages {
                connection.query_row(&format!("PRAGMA max_page_count={most}"), [], |_| Ok(()))?;
            }
            // Another version made it, which knew other tables.
            if connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? != 1 {
                return Err(Failed::Missing);
            }
            self.mine.values().try_for_each(|upload| tables::put_upload(&connection, upload))?;
            self.open = Some(Open { name, path, connection });
        }
        self.open.as_mut().ok_or(Failed::Missing)
    }

    /// The name in `current`.
    fn name(&self) -> Result<Option<String>, Failed> {
        let path = self.dir.join("current");
        let name = match fs::read(&path) {
            Ok(name) => name,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failed::Io("read", path, e)),
        };
        let name = String::from_utf8(name).unwrap_or_default();
        let is_ours = name.len() <= LONGEST_NAME
            && name.strip_prefix("db.").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Ok(is_ours.then_some(name))
    }

    fn replace(&mut self, why: &rusqlite::Error) -> Result<(), SizesError> {
        let damaged = self.open.take().map(|open| open.name);
        let damaged = damaged.map_or_else(|| self.name().map_err(|e| e.told(self)), |name| Ok(Some(name)))?;
        tracing::warn!("{}: {why}; the sizes of repositories are counted again", self.dir.display());
        self.make(damaged)
    }

    /// Makes an empty database and puts it in the place of `old`, or of one that is missing, unless another process did.
    fn make(&mut self, old: Option<String>) -> Result<(), SizesError> {
        let _alone = self.lock(LockKind::Exclusive)?;
        self.open = None;
        let current = self.name().map_err(|e| e.told(self))?;
        if let Some(current) = &current
            && old.as_ref() != Some(current)
            && is_whole(&self.dir.join(current))
        {
            return Ok(());
        }
        let name = fresh::name("db").map_err(SizesError::io("make", &self.dir))?;
        let path = self.dir.join(&name);
        let make = || {
            let connection = Connection::open(&path)?;
            connection.execute_batch(SCHEMA)?;
            connection.close().map_err(|(_, e)| e)
        };
        let placed = make().map_err(SizesError::db(&path)).and_then(|()| {
            let temporary = fresh::name("current").map_err(SizesError::io("make", &path))?;
            let (current, temporary) = (self.dir.join("current"), self.dir.join(temporary));
            fresh::replace(&current, name.as_bytes(), &temporary, 0o666, fresh::Durability::Machine)
                .map_err(SizesError::io("write", &current))
        });
        if let Err(e) = placed {
            // What is left of it, the next one that is made sweeps away.
            let _ = fs::remove_file(&path);
            return Err(e);
        }
        self.sweep(&name);
        Ok(())
    }

    /// Removes all databases but `name`. Who has one of them open closes it only.
    fn sweep(&self, name: &str) {
        let Ok(files) = fs::read_dir(&self.dir) else { return };
        for file in files.flatten() {
            let found = file.file_name();
            let found = found.to_string_lossy();
            if found.starts_with("db.")
                && !found.starts_with(name)
                && let Err(e) = fs::remove_file(file.path())
            {
                tracing::debug!("{}: {e}", file.path().display());
            }
        }
    }

    /// Databases take no more than so many pages from now on.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, most: Option<u32>) {
        (self.open, self.most_pages) = (None, most);
    }
}

/// Why something was not done with the database.
enum Failed {
    Sqlite(rusqlite::Error),
    Io(&'static str, PathBuf, io::Error),
    /// There is none, or one of another version.
    Missing,
}

impl Failed {
    fn told(self, db: &Db) -> SizesError {
        let path = db.open.as_ref().map_or(db.dir.as_path(), |open| open.path.as_path());
        match self {
            Self::Sqlite(e) => SizesError::db(path)(e),
            Self::Io(what, path, e) => SizesError::io(what, &path)(e),
            Self::Missing => SizesError::io("find", path)(io::ErrorKind::NotFound.into()),
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

/// Whether a database of this version is at `path`. One that is damaged further inside is found out by whoever reads that.
fn is_whole(path: &Path) -> bool {
    let version = || Connection::open(path)?.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    path.exists() && version().is_ok_and(|version| version == 1)
}

fn is_damage(e: &rusqlite::Error) -> bool {
    match e {
        rusqlite::Error::SqliteFailure(inner, message) => {
            matches!(inner.code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
                || message.as_ref().is_some_and(|message| message.starts_with("no such table"))
        }
        // A value of another type than any that was written.
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}
