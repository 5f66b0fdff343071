//! SQLite databases that several processes write: with a write-ahead log.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Error, ErrorCode};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Has `connection` use a write-ahead log; waits up to `limit` for others. Blocks.
///
/// SQLite itself waits for whoever reads and writes, but not always for one that opens or closes the database, or that was killed in
/// it: then it says at once that it is locked.
///
/// # Errors
///
/// Those of SQLite; that it is locked only after `limit`.
pub fn begin(connection: &Connection, limit: Duration) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())) {
            Err(Error::SqliteFailure(e, _)) if e.code == ErrorCode::DatabaseBusy && begun.elapsed() < limit => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_locked_for_a_moment_is_waited_for_and_no_longer_than_allowed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("db");
        let first = Connection::open(&path).expect("opened");
        first.execute_batch("CREATE TABLE t (x); BEGIN EXCLUSIVE").expect("locked");
        let second = Connection::open(&path).expect("opened");
        second.busy_timeout(Duration::ZERO).expect("set");
        let error = begin(&second, Duration::from_millis(20)).expect_err("it is locked");
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        let waits = std::thread::spawn(move || begin(&second, Duration::from_secs(60)));
        first.execute_batch("COMMIT").expect("free");
        waits.join().expect("no panic").expect("it was waited for");
    }
}
