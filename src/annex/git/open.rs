//! Git's repositories, opened with a limit on the memory that reading an object may take.

use std::path::Path;

use super::error::one_line;

/// Most bytes that are taken to read one object, with all that it is packed as a difference from. Whoever pushes can make few
/// bytes unpack to any number of them.
pub(in crate::annex) const MOST_UNPACKED: u64 = 128 << 20;

pub(in crate::annex) fn options(most: u64) -> gix::open::Options {
    // The number of packs is fixed by this when opening; git and we make more of them while we run.
    let slots = gix::odb::store::init::Slots::AsNeededByDiskState { multiplier: 2.0, minimum: 1024 };
    let limit = format!("gitoxide.objects.allocLimit={most}");
    gix::open::Options::default().object_store_slots(slots).config_overrides([limit]).bail_if_untrusted(true)
}

/// Opens the git directory `path` again, with `most` bytes to read an object.
pub(in crate::annex) fn open_with(path: &Path, most: u64) -> Result<gix::ThreadSafeRepository, String> {
    gix::ThreadSafeRepository::open_opts(path, options(most)).map_err(|e| one_line(&e))
}
