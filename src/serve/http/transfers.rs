//! Transfers that are under way, for `/transfers` on the address of `--admin`, and so for `top`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use remotes::pump::Meter;
use serde_json::{Value, json};

use crate::gateway::LocalRepository;

/// All of them.
#[derive(Default)]
pub(super) struct Transfers(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    known: BTreeMap<u64, Known>,
}

struct Known {
    what: Transfer,
    begun: Instant,
    meter: Meter,
}

/// One of them, as far as it is known when it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Transfer {
    pub(super) op: &'static str,
    pub(super) repository: Arc<[u8]>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) address: Option<IpAddr>,
    pub(super) key: Option<Vec<u8>>,
    /// How many bytes there are to move, where that is known.
    pub(super) total: Option<u64>,
    pub(super) req: Option<u64>,
}

/// A transfer is listed until this is dropped.
pub(super) struct Listed {
    transfers: Arc<Transfers>,
    number: u64,
    /// Counts the bytes that moved.
    pub(super) meter: Meter,
}

impl Transfers {
    /// Lists one.
    pub(super) fn list(self: &Arc<Self>, what: Transfer) -> Listed {
        let meter = Meter::new();
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.known.insert(number, Known { what, begun: Instant::now(), meter: meter.clone() });
        Listed { transfers: Arc::clone(self), number, meter }
    }

    /// All of them, the oldest first, and the nodes of clusters that are down.
    pub(super) fn render(&self, opened: &[Arc<LocalRepository>]) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let one = |known: &Known| {
            let what = &known.what;
            json!({
                "op": what.op,
                "repository": text(&what.repository),
                "user": what.user.as_deref().map(text),
                "address": what.address.map(|address| address.to_string()),
                "key": what.key.as_deref().map(text),
                "bytes": known.meter.bytes(),
                "total": what.total,
                "seconds": known.begun.elapsed().as_secs(),
                "req": what.req,
            })
        };
        let transfers: Vec<Value> = self.table().known.values().map(one).collect();
        let down = opened.iter().flat_map(|served| {
            let repository = served.uuid().to_string();
            let node = move |(uuid, why): (crate::name::Uuid, String)| {
                json!({"repository": repository, "node": uuid.to_string(), "why": why})
            };
            served.down_nodes().into_iter().map(node)
        });
        format!("{}\n", json!({"transfers": transfers, "down": down.collect::<Vec<Value>>()}))
    }

    /// Held for a few assignments.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.transfers.table().known.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_listed_and_no_longer() {
        let transfers = Arc::new(Transfers::default());
        let what =
            Transfer { op: "get", repository: b"a\xff".as_slice().into(), total: Some(9), ..Transfer::default() };
        let listed = transfers.list(what);
        listed.meter.add(7);
        let shown: Value = serde_json::from_str(&transfers.render(&[])).expect("JSON");
        let one = &shown["transfers"][0];
        assert_eq!((&one["bytes"], &one["total"], &one["repository"]), (&json!(7), &json!(9), &json!("a\u{fffd}")));
        assert_eq!(one["user"], Value::Null);
        drop(listed);
        assert_eq!(transfers.render(&[]), "{\"down\":[],\"transfers\":[]}\n");
    }
}
