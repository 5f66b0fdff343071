//! The command line. git-annex starts this without arguments, often and in a hurry: nothing is set up for that case.

use std::process::ExitCode;

use git_annex_remote_stream::{cli, serve};

fn main() -> ExitCode {
    if cli::is_shell() {
        return cli::shell(std::env::args_os().skip(1).collect());
    }
    if cli::is_git_annex() {
        return cli::git_annex(std::env::args_os().skip(1).collect());
    }
    if cli::is_hook() {
        return serve::unite::main();
    }
    if std::env::args_os().len() < 2 {
        return serve::special::main();
    }
    cli::main()
}
