//! The names of objects, as gix has them and as all else has them.

use gix::ObjectId;

use super::GitId;

pub(super) fn id_of(id: &gix::oid) -> Option<GitId> {
    Some(GitId::from_bytes(id.as_bytes().try_into().ok()?))
}

pub(super) fn object_id(id: GitId) -> ObjectId {
    ObjectId::Sha1(id.to_bytes())
}
