//! The command line. git-annex starts this without arguments, often and in a hurry: nothing is set up for that case.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        return git_annex_remote_stream::serve::special::main();
    }
    git_annex_remote_stream::cli::main()
}
