//! The modules that are fuzzed. The package would bring its stores along, built anew for the fuzzer; these need little.
#![allow(dead_code, unused_imports)]

// What the gateway uses of the stores is found here, too.
extern crate self as remotes;

#[path = "../../src/annex"]
pub mod annex {
    pub mod backend;
    pub mod export {
        pub mod exportable;
        pub mod pointer;
    }
    pub mod fuzz;
    pub mod git {
        pub mod object;
    }
    pub mod key;
    pub mod layout;
    pub mod log;
}
#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "failure.rs"]
pub mod failure;
/// Of the gateway, what receives uploads.
#[path = "../../src/gateway"]
pub mod gateway {
    #[path = "receive/fuzz.rs"]
    pub mod fuzz;
    #[path = "receive/memory.rs"]
    mod memory;
    mod receive;

    pub use crate::failure::{Failure, FailureKind};
    pub(crate) use crate::pool::blocking;
    use receive::{Fan, FanLeg, Savepoints, Settled, Sink, States, Upload};

    /// Room within quotas. There are none here.
    mod room {
        pub(in crate::gateway) struct Room;
    }

    /// A limit of `annex-bwlimit`. There is none here.
    pub enum Pace {}

    impl Pace {
        pub fn piece(&self) -> usize {
            match *self {}
        }
        pub async fn turn(&self, _: usize) {
            match *self {}
        }
        pub fn give_back(&self, _: usize) {
            match *self {}
        }
    }
}
#[path = "../../src/name/mod.rs"]
pub mod name;
#[path = "../../src/pool.rs"]
mod pool;
#[path = "../../src/proto/mod.rs"]
pub mod proto;
/// Of the stores, the memory that all transfers share.
#[path = "../../remotes/src/budget.rs"]
pub mod budget;
pub mod retry {
    /// Nothing is tried again here.
    pub async fn while_others_wait<T>(f: impl Future<Output = T>) -> T {
        f.await
    }
}
#[path = "../../src/sim/mod.rs"]
pub mod sim;
#[path = "../../src/wanted/mod.rs"]
pub mod wanted;
