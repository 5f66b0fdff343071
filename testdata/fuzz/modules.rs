//! The modules that are fuzzed. The package would bring its stores along, built anew for the fuzzer; these need little.
#![allow(dead_code, unused_imports)]

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
#[path = "../../src/name/mod.rs"]
pub mod name;
#[path = "../../src/proto/mod.rs"]
pub mod proto;
#[path = "../../src/wanted/mod.rs"]
pub mod wanted;
