//! Git as this program needs it: names and bytes of objects, packs of new ones, and what others wrote within limits.
//!
//! | file | what |
//! |---|---|
//! | `error` | what can go wrong |
//! | `allowance` | how much may be read of what others wrote |
//! | `object` | names of objects, and the files of a tree as git writes them; needs no repository |
//! | `id` | from and to the names that gix has |
//! | `config` | git config, as one reading of it |
//! | `open` | repositories opened, with a limit on memory |
//! | `read` | objects and references, read within limits |
//! | `tree` | trees of files, as users commit them |
//! | `pack` | many new objects as one pack |

pub(in crate::annex) mod allowance;
pub(in crate::annex) mod config;
pub(in crate::annex) mod error;
pub(in crate::annex) mod id;
pub mod object;
pub(in crate::annex) mod open;
pub(in crate::annex) mod pack;
pub(in crate::annex) mod read;
pub(in crate::annex) mod tree;

pub use error::BranchError;
pub use object::{FileKind, GitId, TreeFile};
pub use tree::{Room, TreeChange};
