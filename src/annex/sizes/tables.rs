//! The tables of the database, and what they hold.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::amount::{Amount, Amounts};
use crate::annex::branch::GitId;
use crate::name::{Key, Uuid};

/// Which commit the sums are of, and how far somebody has come who counts to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    /// Another one whenever `at` changes, and whenever uploads that have ended are forgotten.
    pub(super) turn: i64,
    /// `None` is a branch that is not there.
    pub(super) at: Option<GitId>,
    pub(super) counting: Option<Progress>,
}

/// How far counting has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// `None` is a branch that is not there.
    pub(super) target: Option<GitId>,
    /// The last file that was counted.
    pub(super) after: Vec<u8>,
    /// Entries of directories that were looked at.
    pub(super) entries: u64,
}

/// An upload that room was reserved for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) owner: String,
    pub(super) serial: u64,
    pub(super) uuid: Uuid,
    pub(super) key: Key,
    pub(super) bytes: u64,
    /// From when it has ended, what is recorded tells what became of it.
    pub(super) ended: bool,
}

/// A table of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// What repositories hold.
    Sum,
    /// What is counted of a difference so far.
    Part,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Part => "part",
        }
    }
}

pub(super) fn state(db: &Connection) -> rusqlite::Result<Counted> {
    let mut asked = db.prepare_cached("SELECT turn, at, target, after, entries FROM state")?;
    asked.query_row([], |row| {
        let at: Vec<u8> = row.get(1)?;
        let target: Option<Vec<u8>> = row.get(2)?;
        let id = |column, bytes: &[u8]| match bytes {
            [] => Ok(None),
            bytes => GitId::from_bytes(bytes).map(Some).ok_or_else(|| wrong(column)),
        };
        let counting = match target {
            Some(target) => {
                let entries = row.get::<_, i64>(4)?.cast_unsigned();
                Some(Progress { target: id(2, &target)?, after: row.get(3)?, entries })
            }
            None => None,
        };
        Ok(Counted { turn: row.get(0)?, at: id(1, &at)?, counting })
    })
}

/// Notes how far counting has come; `None` gives up what was counted of a difference.
pub(super) fn set_progress(db: &Connection, progress: Option<&Progress>) -> rusqlite::Result<()> {
    let Some(Progress { target, after, entries }) = progress else {
        db.execute("DELETE FROM part", [])?;
        return db.execute("UPDATE state SET target=NULL, after=x'', entries=0", []).map(drop);
    };
    let values = params![blob(target.as_ref()), after, entries.cast_signed()];
    db.execute("UPDATE state SET target=?1, after=?2, entries=?3", values).map(drop)
}

/// Notes that the sums are of the commit `at` from now on. All readings that were begun before are begun again, so uploads
/// that have ended are told by what is recorded.
pub(super) fn arrive(db: &Connection, at: Option<GitId>) -> rusqlite::Result<()> {
    set_progress(db, None)?;
    db.execute("UPDATE state SET turn=turn+1, at=?1", [blob(at.as_ref())])?;
    forget_ended(db)
}

/// The same with the sums as they are.
pub(super) fn turn(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE state SET turn=turn+1", [])?;
    forget_ended(db)
}

fn forget_ended(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM upload WHERE ended=1", []).map(drop)
}

/// Forgets all that was counted.
pub(super) fn begin_anew(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM sum", [])?;
    arrive(db, None)
}

pub(super) fn amounts(db: &Connection, table: Table) -> rusqlite::Result<Amounts> {
    let mut found = Amounts::default();
    let mut asked = db.prepare_cached(&format!("SELECT uuid, bytes, keys FROM {}", table.name()))?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        found.add(&uuid(row, 0)?, amount(row, 1)?);
    }
    Ok(found)
}

/// What is summed up of `uuid`.
pub(super) fn sum(db: &Connection, uuid: &Uuid) -> rusqlite::Result<Amount> {
    amount_in(db, Table::Sum, uuid)
}

fn amount_in(db: &Connection, table: Table, uuid: &Uuid) -> rusqlite::Result<Amount> {
    let mut asked = db.prepare_cached(&format!("SELECT bytes, keys FROM {} WHERE uuid=?1", table.name()))?;
    Ok(asked.query_row([uuid.as_bytes()], |row| amount(row, 0)).optional()?.unwrap_or_default())
}

pub(super) fn add(db: &Connection, table: Table, more: &Amounts) -> rusqlite::Result<()> {
    let name = table.name();
    let mut put =
        db.prepare_cached(&format!("INSERT OR REPLACE INTO {name} (uuid, bytes, keys) VALUES (?1, ?2, ?3)"))?;
    let mut clear = db.prepare_cached(&format!("DELETE FROM {name} WHERE uuid=?1"))?;
    for (uuid, more) in more.iter() {
        let mut amount = amount_in(db, table, uuid)?;
        amount.add(more);
        if amount == Amount::default() {
            clear.execute([uuid.as_bytes()])?;
        } else {
            put.execute(params![uuid.as_bytes(), amount.bytes.to_be_bytes(), amount.keys])?;
        }
    }
    Ok(())
}

/// All uploads that room is reserved for, or was.
pub(super) fn uploads(db: &Connection) -> rusqlite::Result<Vec<Upload>> {
    let mut asked = db.prepare_cached("SELECT owner, serial, uuid, key, bytes, ended FROM upload")?;
    let mut rows = asked.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = Key::parse(&row.get::<_, Vec<u8>>(3)?).map_err(|_| wrong(3))?;
        found.push(Upload {
            owner: row.get(0)?,
            serial: row.get::<_, i64>(1)?.cast_unsigned(),
            uuid: uuid(row, 2)?,
            key,
            bytes: row.get::<_, i64>(4)?.cast_unsigned(),
            ended: row.get(5)?,
        });
    }
    Ok(found)
}

pub(super) fn put_upload(db: &Connection, upload: &Upload) -> rusqlite::Result<()> {
    let Upload { owner, serial, uuid, key, bytes, ended } = upload;
    let put = "INSERT OR REPLACE INTO upload (owner, serial, uuid, key, bytes, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (serial, bytes) = (serial.cast_signed(), bytes.cast_signed());
    db.prepare_cached(put)?.execute(params![owner, serial, uuid.as_bytes(), key.as_bytes(), bytes, ended]).map(drop)
}

/// Notes that an upload has ended.
pub(super) fn end_upload(db: &Connection, owner: &str, serial: u64) -> rusqlite::Result<()> {
    let mut end = db.prepare_cached("UPDATE upload SET ended=1 WHERE owner=?1 AND serial=?2")?;
    end.execute(params![owner, serial.cast_signed()]).map(drop)
}

/// Notes that all uploads of a process have ended.
pub(super) fn end_uploads_of(db: &Connection, owner: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE upload SET ended=1 WHERE owner=?1", [owner]).map(drop)
}

fn blob(commit: Option<&GitId>) -> &[u8] {
    commit.map_or(&[], GitId::as_bytes)
}

fn uuid(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    Uuid::parse(&row.get::<_, Vec<u8>>(column)?).map_err(|_| wrong(column))
}

/// An amount in this column and the next.
fn amount(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Amount> {
    Ok(Amount { bytes: i128::from_be_bytes(row.get(column)?), keys: row.get(column + 1)? })
}

/// That a column holds what was never written there.
fn wrong(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "bytes".to_string(), Type::Blob)
}
