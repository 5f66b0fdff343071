//! What the tests against real programs share: servers, git-annex repositories, a protocol driver, stalling relays,
//! a gateway of ours and HTTP spoken by hand.
//!
//! `servers` needs nothing but std, so that tests of other crates can use it by path.
// Every test binary compiles this whole and uses its own part.
#![allow(dead_code)]

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
pub mod p2p;
pub mod place;
pub mod proxy;
pub mod relay;
pub mod rest;
pub mod run;
pub mod season;
pub mod servers;
pub mod slow;
pub mod ssh;
pub mod tracked;
pub mod trees;
pub mod trickle;
pub mod watch;
pub mod way;
pub mod web;
pub mod wire;
