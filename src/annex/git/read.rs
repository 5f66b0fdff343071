//! Objects and references that others wrote, read within limits.

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::CommitRefIter;
use gix::refs::TargetRef;

use crate::annex::git::error::BranchError;

/// Longest commit whose tree is looked for.
const LONGEST_COMMIT: u64 = 1 << 20;

/// How many references may each name the next one. Git follows five.
const MOST_NAMES: usize = 5;

/// The commit that `reference` is at; `None` where there is no such reference, or it names one that is not there, as `HEAD` does in a
/// repository without commits.
pub(in crate::annex) fn commit_at(git: &gix::Repository, reference: &[u8]) -> Result<Option<ObjectId>, BranchError> {
    let what = "read a reference";
    let mut name = reference.to_vec();
    for _ in 0..=MOST_NAMES {
        let found = git.try_find_reference(name.to_str().map_err(BranchError::git(what))?);
        let Some(mut found) = found.map_err(BranchError::git(what))? else { return Ok(None) };
        match found.target() {
            TargetRef::Symbolic(next) => name = next.as_bstr().to_vec(),
            TargetRef::Object(_) => return Ok(Some(found.peel_to_id().map_err(BranchError::git(what))?.detach())),
        }
    }
    Err(BranchError::Git { what, why: "each one names another".to_string() })
}

/// The top tree of `commit`.
pub(in crate::annex) fn tree_of(git: &gix::Repository, commit: ObjectId) -> Result<ObjectId, BranchError> {
    let data = object(git, commit, LONGEST_COMMIT)?;
    CommitRefIter::from_bytes(&data, git.object_hash()).tree_id().map_err(BranchError::git("read a commit"))
}

/// The bytes of an object, which is asked for its length before any of it is unpacked. Errors: it is longer than `most`, or not
/// there although it was named.
pub(in crate::annex) fn object(git: &gix::Repository, id: ObjectId, most: u64) -> Result<Vec<u8>, BranchError> {
    let len = len(git, id)?;
    if len > most {
        return Err(BranchError::too_long(id, len));
    }
    let mut object = git.find_object(id).map_err(BranchError::git("read an object"))?;
    Ok(std::mem::take(&mut object.data))
}

/// The length of an object in bytes.
pub(in crate::annex) fn len(git: &gix::Repository, id: ObjectId) -> Result<u64, BranchError> {
    Ok(git.find_header(id).map_err(BranchError::git("find an object"))?.size())
}
