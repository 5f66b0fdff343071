//! The command line for people.

use std::process::ExitCode;

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
