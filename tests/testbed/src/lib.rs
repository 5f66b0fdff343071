//! What the tests against real programs share.
//!
//! Servers, git-annex repositories, a protocol driver, stalling relays, a gateway of ours, and HTTP spoken by hand.
//! Everything panics where a test would have to fail anyway, and says why.
// `new` sets up repositories and starts programs here, which no default should do.
#![allow(clippy::new_without_default)]

pub mod annex;
pub mod clients;
pub mod cluster;
pub mod draw;
pub mod driver;
pub mod faulty;
pub mod gateway;
pub mod gateways;
pub mod hook;
pub mod http;
pub mod lab;
pub mod neighbour;
pub mod nginx;
pub mod p2p;
pub mod place;
mod product;
pub mod proxy;
pub mod recorded;
pub mod relay;
pub mod rest;
pub mod run;
pub mod season;
pub mod slow;
pub mod ssh;
pub mod tracked;
pub mod trees;
pub mod trickle;
pub mod watch;
pub mod way;
pub mod web;
pub mod wire;

pub use product::product;
pub use servers;
