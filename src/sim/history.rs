//! The log of a sim: what was commanded, and what came of it.

use std::collections::HashMap;

use super::script::Name;

/// Lines in the order in which they came, small where there are many.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: Vec<Entry>,
    names: Vec<Name>,
    index: HashMap<Name, u32>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// As it is.
    Text(Name),
    /// A file that there is, with its key, and who has it: two lines, of which nothing is kept that is not kept anyway.
    Known {
        /// The number of the file.
        file: u32,
        /// The number of the event that the first of them has it.
        first: u32,
        /// How many have it.
        holders: u32,
    },
    /// A repository got a file, or lost it.
    Did {
        /// The name that it was reached by: a number for [`History::name`].
        via: u32,
        /// The number of the file.
        file: u32,
        /// Whether it has it now.
        present: bool,
    },
}

impl History {
    /// Adds a line.
    pub fn text(&mut self, line: &[u8]) {
        self.entries.push(Entry::Text(line.into()));
    }

    /// Adds a file that there is, which `holders` have by as many events from number `first` on.
    pub fn known(&mut self, file: u32, first: u32, holders: u32) {
        self.entries.push(Entry::Known { file, first, holders });
    }

    /// Adds what a transfer or a drop came to.
    pub fn did(&mut self, via: &Name, file: u32, present: bool) {
        let via = match self.index.get(via) {
            Some(known) => *known,
            None => {
                let new = self.names.len() as u32;
                self.names.push(via.clone());
                self.index.insert(via.clone(), new);
                new
            }
        };
        self.entries.push(Entry::Did { via, file, present });
    }

    /// The lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name with this number.
    pub fn name(&self, via: u32) -> &Name {
        &self.names[via as usize]
    }
}
