//! Uploads to several nodes of a cluster at once, and what it costs that one of them stalls or dies.

pub mod fan;
pub mod faults;
pub mod get;
pub mod many;
pub mod stores;

use crate::clients;
use crate::gateway::{Gateway, target};
use crate::lab::Lab;
use crate::null::{Keys, Pattern};
use std::cell::Cell;
use std::io;
use std::time::Instant;

/// Contents that are made up as they are sent, each another one.
struct Contents {
    pattern: Pattern,
    keys: Keys,
    next: Cell<usize>,
}

impl Contents {
    fn of(len: u64) -> Self {
        let pattern = Pattern::new();
        Self { keys: pattern.keys(len), pattern, next: Cell::new(0) }
    }

    /// Seconds to put the next one into `uuid`, and its key. Errors: it is not stored.
    fn put(&self, gateway: &Gateway, uuid: &str) -> io::Result<(f64, String)> {
        let number = self.next.replace(self.next.get() + 1);
        let key = self.keys.key(number);
        let begin = Instant::now();
        clients::put(gateway.port, &target(uuid, "put", &key), &self.pattern, &self.keys, number)?;
        Ok((begin.elapsed().as_secs_f64(), key))
    }
}

fn mib(lab: &Lab) -> u64 {
    lab.size >> 20
}
