//! The files of a sim: their names, keys and metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::script::{Change, Name};
use crate::name::Key;

/// Values of metadata by field, which is in lower case.
pub type Fields = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

/// Files by number, in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Sizes stand by themselves: most of what is asked of a file needs neither its name nor its key, and a million of sizes stay in
    /// the caches.
    sizes: Vec<u64>,
    names: Vec<Name>,
    keys: Vec<Key>,
    index: HashMap<Name, u32>,
    metadata: HashMap<u32, Fields>,
}

impl Files {
    /// The most files there can be.
    pub const MOST: usize = 1 << 31;

    /// Adds one. A name that is there already is that of the new one from now on.
    pub fn add(&mut self, name: Name, key: Key) -> u32 {
        let number = self.sizes.len() as u32;
        self.sizes.push(key.size().unwrap_or(0));
        self.index.insert(name.clone(), number);
        self.names.push(name);
        self.keys.push(key);
        number
    }

    /// The number of the file that has this name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Whether its name is still its own.
    pub fn is_current(&self, file: u32) -> bool {
        // Most often no name was given twice.
        self.index.len() == self.sizes.len() || self.find(self.name(file)) == Some(file)
    }

    /// Those that still have their name.
    pub fn current(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.sizes.len() as u32).filter(|file| self.is_current(*file))
    }

    /// What it is called.
    pub fn name(&self, file: u32) -> &Name {
        &self.names[file as usize]
    }

    /// Its key.
    pub fn key(&self, file: u32) -> &Key {
        &self.keys[file as usize]
    }

    /// Bytes of its content, as its key tells.
    pub fn size(&self, file: u32) -> u64 {
        self.sizes[file as usize]
    }

    /// Its metadata.
    pub fn metadata(&self, file: u32) -> Option<&Fields> {
        self.metadata.get(&file)
    }

    /// Changes it, as `git annex metadata --set` does. In `git annex sim`, `field-=value` takes nothing away (recorded):
    /// `takes_away` says whether it does.
    pub fn change(&mut self, file: u32, change: &Change, takes_away: bool) {
        let (field, mark, value) = change.parts();
        let values = self.metadata.entry(file).or_default().entry(field).or_default();
        match mark {
            b'-' if !takes_away => {}
            b'-' => {
                values.remove(value);
            }
            b'+' => {
                values.insert(value.to_vec());
            }
            b'?' if !values.is_empty() => {}
            _ => *values = BTreeSet::from([value.to_vec()]),
        }
    }

    /// Gives a field one more value.
    pub fn add_value(&mut self, file: u32, field: &[u8], value: &[u8]) {
        let values = self.metadata.entry(file).or_default().entry(field.to_ascii_lowercase()).or_default();
        values.insert(value.to_vec());
    }

    /// Its metadata are these.
    pub fn set_metadata(&mut self, file: u32, fields: Fields) {
        if fields.is_empty() {
            self.metadata.remove(&file);
        } else {
            self.metadata.insert(file, fields);
        }
    }
}
