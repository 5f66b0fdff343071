//! What the operating system offers: the data plane's runtime, files on it, and what this kernel can do.

mod chance;
mod engine;
mod file;
mod idle;
#[allow(unsafe_code)]
mod low_water;
mod pipe;
mod read_ahead;
#[allow(unsafe_code)]
mod unsent;
#[allow(unsafe_code)]
mod watch;
mod watchdog;

pub use chance::{chance, fraction, secret};
pub use engine::{Engine, STACK, run};
pub use file::DataFile;
pub use idle::Idle;
pub use low_water::wake_for;
pub use pipe::Pipe;
pub use read_ahead::ReadAhead;
pub use unsent::unsent;
pub use watch::watch;
pub use watchdog::{Watched, named, watched};

pub(crate) use file::on_a_thread;
