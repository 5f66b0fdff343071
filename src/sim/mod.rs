//! What a network of repositories will do, tried out: `git annex sim`, without moving content.
//!
//! Nothing here reads a file or a clock. A [script] says what repositories there are and what happens; a [`World`] is a sim as it
//! stands, and [`run`](run()) does the next line of a script to it. What repositories want is asked of
//! [`wanted`](crate::wanted), as when content really moves.
//!
//! ```text
//! line --script::parse--> Line --run--> World --> History (the log, a script again)
//!                           |             |
//!            Outside (use, addtree)       Network: who there is, what they want, who reaches whom
//!                                         Files: names, keys, metadata
//!                                         Knowledge: what each repository knows of where files are
//!                                         Look: what one of them can do about a file, as far as it knows
//! ```
//!
//! ```
//! use git_annex_remote_stream::sim::{self, script};
//!
//! struct Nowhere;
//! impl sim::Outside for Nowhere {
//!     fn say(&mut self, sentence: &str) {
//!         assert_eq!(sentence, "Simulation has stabilized after 1 steps.");
//!     }
//!     // ...
//! #    fn used(&mut self, _: &[u8], _: &[u8]) -> Result<sim::Used, script::Problem> { todo!() }
//! #    fn tree(&mut self, _: &[u8]) -> Result<Vec<sim::Found>, script::Problem> { todo!() }
//! }
//!
//! let lines = "seed 1\ninit laptop\ninit disk\nconnect laptop -> disk\nadd song 3mb laptop\nwanted laptop anything\nwanted disk anything\nstepstable 9";
//! let lines: Vec<_> = lines.lines().map(|line| script::parse(line.as_bytes()).unwrap()).collect();
//! let mut world = sim::begin(lines.first(), 0);
//! for line in &lines {
//!     sim::run(&mut world, line, &mut Nowhere).unwrap();
//! }
//! assert!(sim::log(&world).ends_with(b"stepstable 9\npresent disk song\n"));
//! ```

mod act;
mod copies;
mod files;
pub mod fuzz;
pub mod guess;
mod history;
mod knowledge;
mod log;
mod look;
mod network;
mod outside;
mod plan;
pub mod proof;
mod queue;
pub mod random;
mod room;
mod rows;
mod run;
pub mod script;
pub mod state;
mod step;
#[cfg(test)]
mod tests;
mod world;

pub use copies::{Course, Fewest, MOST as MOST_MOMENTS, Moment, course};
pub use files::Fields;
pub use log::{log, write_log};
pub use network::{Link, Member, Network};
pub use outside::{Found, Nowhere, Outside, Used};
pub use plan::{Filled, Part, Planned, plan};
pub use run::{begin, run};
pub use world::World;
