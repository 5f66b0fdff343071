//! Clusters: which nodes an upload goes to, which node is asked for content, and what moves between nodes.
//!
//! Nothing here reads a file or a clock. What nodes want is asked of [`wanted`](crate::wanted); what they cost, how full they
//! are and how they are doing are arguments, so a gateway, `explain` and a plan of moves ask the same question.
//!
//! ```text
//! Question (a key, a file, what is recorded) --\
//! Candidates (cost, room, recorded or not)  ----- place() --> Put(nodes), Has(nodes), NoRoom
//! Holders (cost, hops, what they serve now) ----- order() --> whom to ask, best first
//! Nodes (the same, whether up or drained) ------- moves() --> who gets it, who drops it, who should and does not
//! Net, lines (other gateways)               ----- routes() --> Leg: what goes over which line, and whom it leaves out
//! ```

mod draw;
pub mod fuzz;
mod ledger;
mod moves;
mod order;
mod place;
mod route;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod tests;
mod wishes;

pub use ledger::{Ledger, Traffic};
pub use moves::{Copies, Moves, Node, Stay, moves};
pub use order::{HOP, Holder, order};
pub use place::{Candidate, Pick, Placement, Why, place};
pub use route::{Leg, Line, Net, Offer, Route, Routes, routes};
pub use wishes::Wishes;
