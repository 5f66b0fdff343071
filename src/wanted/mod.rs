//! What a repository wants: git-annex's preferred content, from an expression and facts to an answer.
//!
//! Nothing here reads a file or a clock. What is configured becomes a [`Policy`] once; what is known of a key is asked
//! through [`Facts`], and only what an answer depends on. A fact that cannot be told is an error, never "not wanted".
//!
//! ```text
//! Expression --\
//!               Policy --about(Facts)--> Question --wants(Repo, Assumed)--> yes, no, or Unknown
//! groups, trust /                                 \--explain(..)-----------> the same, term by term
//! ```
//!
//! What is assumed is an argument: placing a key on one repository after another, dropping, and simulating ask the same
//! question with another [`Assumed`].
//!
//! ```
//! use git_annex_remote_stream::name::{Key, Uuid};
//! use git_annex_remote_stream::wanted::{Assumed, Configuration, Facts, Policy, Repo, Repository, Unknown};
//!
//! struct Song(Key);
//!
//! impl Facts for Song {
//!     fn key(&self) -> Result<&Key, Unknown> {
//!         Ok(&self.0)
//!     }
//!     fn file(&self) -> Result<Option<&[u8]>, Unknown> {
//!         Ok(Some(b"music/song.mp3"))
//!     }
//!     fn holders(&self, _: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
//!         Ok(())
//!     }
//!     // ...
//! #    fn used(&self, _: Repo, _: &Uuid) -> Result<u64, Unknown> { Ok(0) }
//! #    fn numcopies(&self) -> Result<Option<u64>, Unknown> { Ok(None) }
//! #    fn metadata(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> { Ok(()) }
//! #    fn urls(&self, _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> { Ok(()) }
//! #    fn unused(&self) -> Result<bool, Unknown> { Ok(false) }
//! }
//!
//! let mut usb = Repository::new(Uuid::parse(b"00000000-0000-4000-8000-00000000d001").unwrap());
//! usb.wanted = Some(b"include=*.mp3 and not copies=1"[..].into());
//! let policy = Policy::new(Configuration { repositories: vec![usb], ..Configuration::default() });
//! let usb = policy.repos().next().unwrap();
//!
//! let song = Song(Key::parse(b"SHA256-s5--2cf2").unwrap());
//! let question = policy.about(&song);
//! assert_eq!(question.wants(usb, Assumed::NOTHING), Ok(true));
//! let placed = Assumed { has: [usb].into_iter().collect(), ..Assumed::default() };
//! assert_eq!(question.wants(usb, &placed), Ok(false));
//! ```
//!
//! The language is that of git-annex 10.20261026. Where its manual and what it does differ, it is what it does.

mod ast;
mod balanced;
mod compile;
mod depend;
mod eval;
mod explain;
mod facts;
mod fixed;
pub mod fuzz;
mod glob;
mod groups;
mod lex;
mod nobody;
mod number;
mod parse;
mod plan;
mod policy;
mod problem;
mod question;
mod repos;
mod set;
mod size;
mod stable;
mod terms;
mod trust;
mod warn;

#[cfg(test)]
pub(crate) mod tests;

pub use ast::{Expression, Joint};
pub use depend::Dependency;
pub use explain::{Answer, Explanation, Part};
pub use facts::{Assumed, Fact, Facts, Mime, UNKEPT, Unknown};
pub use fixed::{Balancing, Fixed, FixedKind};
pub use glob::{BadGlob, Glob};
pub use groups::{STANDARD_GROUPS, standard};
pub use nobody::{Absent, Nobody};
pub(crate) use number::whole as whole_number;
pub use plan::{Plan, Unstable};
pub use policy::is_cluster;
pub use policy::{Configuration, Policy, Repository};
pub use problem::{Matter, Origin, Problem};
pub use question::Question;
pub use repos::{Repo, RepoSet};
pub use terms::Vocabulary;
pub use trust::Trust;
pub use warn::{Fault, Oddity, ParseError, Warning};
