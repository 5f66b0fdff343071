//! Trees that are exported to a remote: the records of them, and the steps from one tree to another.
//!
//! For remotes with `exporttree=yes annexobjects=yes`.
//! Here is what needs no network: [`tree`] reads trees, [`plan`] makes a list of steps, and [`record`] writes down what
//! was done, so that git-annex may go on from there, and we from where it stopped.

pub mod apart;
pub mod check;
pub mod db;
mod doubt;
mod error;
pub mod exportable;
mod history;
pub mod look;
pub mod names;
pub mod plan;
pub mod pointer;
pub mod proofs;
pub mod record;
pub mod stage;
pub mod stored;
pub mod tracking;
pub mod tree;
pub mod turn;
pub mod work;

pub use error::WorkError;
