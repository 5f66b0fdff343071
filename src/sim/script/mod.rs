//! The language of sim files: lines become commands, and commands the lines of a log.
//!
//! It is that of `git annex sim` of git-annex 10.20261026, quirks included: what it refuses is refused in its words. What is
//! ours alone stands in lines that begin with `--stream`, which git-annex takes for comments.
//!
//! ```
//! use git_annex_remote_stream::sim::script::parse;
//!
//! let line = parse(b"maxsize  usb 1500mb").expect("a command");
//! assert_eq!(line.to_string(), "maxsize usb 1.5GB");
//! ```

mod amount;
mod chain;
mod command;
mod name;
mod parse;
mod problem;
mod show;
mod stream;

pub use amount::amount;
pub use chain::{Arrow, Chain};
pub use command::{Action, Change, Command, Line, Random, What};
pub use name::Name;
pub use parse::{parse, parse_words};
pub use problem::Problem;
pub use stream::{Placement, Stream};
