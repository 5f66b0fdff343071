//! How full repositories are, as far as that can change who wants a file.
//!
//! Sizes change with every transfer. But whether a file fits is all that a balanced choice asks, as long as it does not go by free
//! room; and while there is room for the largest file, it asks in vain.

use super::world::World;

/// What it is about fullness that can change an answer.
#[derive(Debug, Clone, Copy)]
pub struct Rooms {
    /// Whether each byte counts, and not only whether something fits.
    is_exact: bool,
    /// Of the files there are.
    smallest: u64,
    largest: u64,
}

/// How much room a repository has, as far as that can matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// For any file.
    Any,
    /// For none but those that are there.
    None,
    /// Not even for those.
    Exceeded,
    /// For some: this much is used.
    Some(u64),
}

impl Rooms {
    /// That of a sim that is compiled.
    pub fn of(world: &World) -> Self {
        let sizes = || world.files.current().map(|file| world.files.size(file));
        Self {
            is_exact: world.look().policy.reads_fullness(),
            smallest: sizes().min().unwrap_or(0),
            largest: sizes().max().unwrap_or(0),
        }
    }

    /// What `viewer` takes for the room of each repository that has a maximum.
    pub fn seen<'a>(&'a self, world: &'a World, viewer: usize) -> impl Iterator<Item = Room> + 'a {
        let used = world.knowledge.used(viewer);
        world.network.members.iter().zip(used).filter_map(|(member, used)| Some(self.room(member.maxsize?, *used)))
    }

    fn room(&self, max: u64, used: u64) -> Room {
        match max.checked_sub(used) {
            _ if self.is_exact => Room::Some(used),
            None => Room::Exceeded,
            Some(free) if free >= self.largest => Room::Any,
            Some(free) if free < self.smallest => Room::None,
            Some(_) => Room::Some(used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_another_only_where_some_file_fits_otherwise() {
        let rooms = Rooms { is_exact: false, smallest: 10, largest: 30 };
        let of = |used| rooms.room(100, used);
        assert_eq!((of(0), of(70), of(71)), (Room::Any, Room::Any, Room::Some(71)));
        assert_eq!((of(90), of(91), of(100)), (Room::Some(90), Room::None, Room::None));
        assert_eq!((of(101), of(900)), (Room::Exceeded, Room::Exceeded));
        let exact = Rooms { is_exact: true, ..rooms };
        assert_ne!(exact.room(100, 0), exact.room(100, 1));
    }
}
