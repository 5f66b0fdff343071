//! Object names, converted to and from gix's.

use gix::ObjectId;

use super::error::BranchError;
use super::object::GitId;

pub(in crate::annex) fn id_of(id: &gix::oid) -> Option<GitId> {
    GitId::from_bytes(id.as_bytes())
}

/// The object of `git` that `id` names. Errors: its objects are named by another hash, so there can be none.
pub(in crate::annex) fn object_id(git: &gix::Repository, id: GitId) -> Result<ObjectId, BranchError> {
    if id == GitId::EMPTY_TREE {
        return Ok(ObjectId::empty_tree(git.object_hash()));
    }
    match ObjectId::try_from(id.as_bytes()) {
        Ok(object) if object.kind() == git.object_hash() => Ok(object),
        _ => Err(BranchError::Git {
            what: "find an object",
            why: format!("{id} is not a name by {}, by which this repository names its objects", git.object_hash()),
        }),
    }
}
