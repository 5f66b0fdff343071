//! What was proven of content on a remote, by what the store calls it: a table of our own beside git-annex's database.
//!
//! A store gives what it keeps an identity that changes with the content: the ETag, or inode, length and time of a file. Where
//! content was written here, or read and digested, its identity is kept with its key; while the store tells the same
//! identity, it need not be read again. A row that is missing costs a reading and nothing else, so nothing is synced, and
//! whoever is killed between storing content and keeping its identity leaves content that is not proven.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::db::DbError;
use super::record;
use crate::annex::repository::Repository;
use crate::annex::wal;
use crate::name::{Key, Uuid};

/// The table of one remote.
pub struct Proofs {
    connection: Connection,
    path: PathBuf,
}

/// What is kept of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What the store calls the content.
    pub identity: String,
    /// A key.
    pub key: Key,
    /// Whether it is the content of that key, or was read and is not.
    pub is: bool,
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS proof (identity TEXT NOT NULL, key BLOB NOT NULL, \"is\" INTEGER NOT NULL, \
                      PRIMARY KEY (identity, key)) WITHOUT ROWID; \
                      CREATE INDEX IF NOT EXISTS proof_of_key ON proof (key);";

/// Longest wait for another process to finish a write.
const LIMIT: Duration = Duration::from_secs(30);

impl Proofs {
    /// Opens the table of `remote`, and makes it where there is none. One that cannot be read is begun anew.
    pub fn open(repository: &Repository, remote: &Uuid) -> Result<Self, DbError> {
        let path =
            record::proofs(repository, remote).map_err(|e| DbError::new("open", &PathBuf::new(), e.to_string()))?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|e| DbError::new("open", &path, e.to_string()))?;
        }
        let open = || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(LIMIT)?;
            wal::begin(&connection, LIMIT)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection = match open() {
            Err(rusqlite::Error::SqliteFailure(e, _)) if e.code == rusqlite::ErrorCode::NotADatabase => {
                fs::remove_file(&path).map_err(|e| DbError::new("open", &path, e.to_string()))?;
                open()
            }
            opened => opened,
        };
        let connection = connection.map_err(|e: rusqlite::Error| DbError::new("open", &path, e.to_string()))?;
        Ok(Self { connection, path })
    }

    /// What is kept of `identities`: for each the keys whose content it is, and those whose content it is not.
    pub fn of(&self, identities: &[String]) -> Result<BTreeMap<String, ProvenKeys>, DbError> {
        let read = || {
            let mut found: BTreeMap<String, ProvenKeys> = BTreeMap::new();
            let mut asked = self.connection.prepare_cached("SELECT key, \"is\" FROM proof WHERE identity=?1")?;
            for identity in identities {
                let mut rows = asked.query([identity])?;
                while let Some(row) = rows.next()? {
                    let Ok(key) = Key::parse(&row.get::<_, Vec<u8>>(0)?) else { continue };
                    let of = found.entry(identity.clone()).or_default();
                    if row.get(1)? { &mut of.is } else { &mut of.is_not }.insert(key);
                }
            }
            Ok(found)
        };
        read().map_err(|e: rusqlite::Error| DbError::new("read", &self.path, e.to_string()))
    }

    /// Whether content was proven to be that of `key`, and none that the store calls `identity`.
    pub fn is_another(&self, identity: &str, key: &Key) -> Result<bool, DbError> {
        let read = || {
            let mut asked = self.connection.prepare_cached("SELECT identity, \"is\" FROM proof WHERE key=?1")?;
            let mut rows = asked.query([key.as_bytes()])?;
            let mut others = false;
            while let Some(row) = rows.next()? {
                let is: bool = row.get(1)?;
                if row.get::<_, String>(0)? == identity {
                    return Ok(!is);
                }
                others |= is;
            }
            Ok(others)
        };
        read().map_err(|e: rusqlite::Error| DbError::new("read", &self.path, e.to_string()))
    }

    /// Keeps `proofs`, all or none.
    pub fn keep(&mut self, proofs: &[Proof]) -> Result<(), DbError> {
        let write = |connection: &mut Connection| {
            let change = connection.transaction()?;
            for Proof { identity, key, is } in proofs {
                let into = "INSERT OR REPLACE INTO proof (identity, key, \"is\") VALUES (?1, ?2, ?3)";
                change.prepare_cached(into)?.execute(params![identity, key.as_bytes(), is])?;
            }
            change.commit()
        };
        let path = &self.path;
        write(&mut self.connection).map_err(|e: rusqlite::Error| DbError::new("write", path, e.to_string()))
    }

    /// Forgets all of `key`, which the remote has no longer.
    pub fn forget(&mut self, key: &Key) -> Result<(), DbError> {
        let done = self.connection.execute("DELETE FROM proof WHERE key=?1", [key.as_bytes()]);
        done.map(drop).map_err(|e| DbError::new("write", &self.path, e.to_string()))
    }
}

/// What is kept of one identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProvenKeys {
    /// The keys whose content it is.
    pub is: BTreeSet<Key>,
    /// Keys whose content it is not.
    pub is_not: BTreeSet<Key>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::make;

    #[test]
    fn what_was_proven_is_kept_and_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let remote = Uuid::parse(b"x").expect("a uuid");
        let key = |n: u8| Key::parse(format!("SHA256-s1--{n}").as_bytes()).expect("a key");
        let proof = |identity: &str, n, is| Proof { identity: identity.into(), key: key(n), is };
        let mut proofs = Proofs::open(&repository, &remote).unwrap_or_else(|e| panic!("{e}"));
        proofs
            .keep(&[proof("a", 1, true), proof("a", 2, false), proof("b", 2, true)])
            .unwrap_or_else(|e| panic!("{e}"));
        drop(proofs);
        let mut proofs = Proofs::open(&repository, &remote).unwrap_or_else(|e| panic!("{e}"));
        let of = |proofs: &Proofs| proofs.of(&["a".into(), "b".into(), "c".into()]).unwrap_or_else(|e| panic!("{e}"));
        let found = of(&proofs);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found["a"], ProvenKeys { is: [key(1)].into(), is_not: [key(2)].into() });
        for (identity, n, another) in
            [("a", 1, false), ("a", 2, true), ("b", 2, false), ("c", 1, true), ("c", 2, true), ("c", 3, false)]
        {
            assert_eq!(
                proofs.is_another(identity, &key(n)).unwrap_or_else(|e| panic!("{e}")),
                another,
                "{identity} {n}"
            );
        }
        proofs.forget(&key(2)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(of(&proofs).keys().collect::<Vec<_>>(), ["a"]);
        drop(proofs);
        let path = record::proofs(&repository, &remote).expect("a path");
        fs::write(&path, "no database, and long enough to be taken for one".repeat(9)).expect("written");
        let _ = fs::remove_file(path.with_extension("proofs-wal"));
        let proofs = Proofs::open(&repository, &remote).unwrap_or_else(|e| panic!("{e}"));
        assert!(of(&proofs).is_empty(), "what cannot be read proves nothing");
    }
}
