//! Users in a file: their passwords, their tokens, and what they may do where.
//!
//! ```text
//! alice:$2y$12$...                                         name and password, as htpasswd writes them
//!
//! [tokens]
//! # name   user   rights      repositories  expires     digest
//! laptop   alice  full        *             2027-06-30  sha256:...
//! robot    -      appendonly  inbox/        never       sha256:...
//!
//! [rights]
//! # who      rights      repositories
//! anonymous  readonly    public/
//! alice      full        *
//! bob        readonly    photos
//!
//! [quotas]
//! # repositories  all together  largest
//! org/            500GB         20GB
//! ```
//!
//! A file that is not understood to its last line is not taken at all.

pub mod edit;
pub mod file;
pub mod fuzz;
pub mod hash;
mod lines;
pub mod quota;
pub mod rights;
pub mod token;
