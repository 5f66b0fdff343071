//! Counting sizes: the whole branch the first time, and differences between commits later.
//!
//! Differences are counted in batches. Each batch is one transaction that also notes how far it came, so whoever is killed
//! loses one batch at most, and the next goes on from there. A batch counts only where nobody else changed anything since
//! it was begun.

use std::ops::ControlFlow;

use rusqlite::TransactionBehavior::Immediate;

use super::db::Db;
use super::error::SizesError;
use super::tables::{self, Counted, Progress, Table};
use crate::annex::branch::{Branch, BranchError, Side};
use crate::annex::sizes::amount::Amounts;

/// What one batch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Batch {
    /// The sums are of the commit that the branch was at when it was looked at.
    Arrived(Counted),
    /// There is more to be counted.
    More,
}

/// Most location logs of a batch: some tenths of a second.
pub(super) const BATCH: usize = 20_000;

/// Most repositories that a batch holds in memory. A pusher can name a new one in each log.
const MOST_UUIDS: usize = 20_000;

/// Most entries of directories on the way from one commit to another: those of a branch of some 50 million keys. Trees can hold
/// themselves, and then have no end.
const MOST_ENTRIES: u64 = 200_000_000;

/// Counts one batch of at most `batch` logs.
///
/// # Errors
///
/// What was counted before stays.
pub(super) fn step(db: &mut Db, branch: &Branch, batch: usize, stop: &dyn Fn() -> bool) -> Result<Batch, SizesError> {
    let state = db.with(&mut |db| tables::state(db))?;
    let tip = branch.tip()?;
    let (target, after, before) = match &state.counting {
        Some(Progress { target, after, entries }) => (*target, after.as_slice(), *entries),
        None if state.at == tip => return Ok(Batch::Arrived(state)),
        None => (tip, &[][..], 0),
    };
    let (mut counted, mut logs, mut last, mut stopped) = (Amounts::default(), 0, Vec::new(), false);
    let walked = branch.location_changes(state.at, target, after, &mut |change| {
        stopped = stop();
        if stopped {
            return ControlFlow::Break(());
        }
        counted.change(change.key, change.old, change.new);
        logs += 1;
        if logs < batch && counted.count() < MOST_UUIDS {
            return ControlFlow::Continue(());
        }
        last = change.file.to_vec();
        ControlFlow::Break(())
    });
    let walked = match walked {
        Ok(_) if stopped => return Err(SizesError::Stopped),
        Ok(walked) => walked,
        Err((Side::Old, e)) => {
            tracing::warn!("the sizes of repositories are counted again: {e}");
            change(db, &state, &mut |db| tables::begin_anew(db))?;
            return Ok(Batch::More);
        }
        // The branch was rewritten since.
        Err((Side::New, _)) if target != tip => {
            change(db, &state, &mut |db| tables::set_progress(db, None))?;
            return Ok(Batch::More);
        }
        Err((Side::New, e)) => return Err(e.into()),
    };
    let entries = before + walked.entries;
    if entries > MOST_ENTRIES {
        return Err(BranchError::TooMuch("its trees hold more files than anybody could have recorded").into());
    }
    let progress = Progress { target, after: last, entries };
    change(db, &state, &mut |db| {
        if !walked.is_whole {
            tables::add(db, Table::Part, &counted)?;
            return tables::set_progress(db, Some(&progress));
        }
        tables::add(db, Table::Sum, &tables::amounts(db, Table::Part)?)?;
        tables::add(db, Table::Sum, &counted)?;
        tables::arrive(db, target)
    })?;
    Ok(Batch::More)
}

/// Does `f` in one transaction, where the state is still what it was; else nothing.
fn change(
    db: &mut Db,
    state: &Counted,
    f: &mut dyn FnMut(&rusqlite::Connection) -> rusqlite::Result<()>,
) -> Result<(), SizesError> {
    db.with(&mut |db| {
        let change = db.transaction_with_behavior(Immediate)?;
        if tables::state(&change)? == *state {
            f(&change)?;
            change.commit()?;
        }
        Ok(())
    })
}
