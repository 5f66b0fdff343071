//! The command line for people. git-annex itself gives no arguments and never comes here.

mod balance;
mod beside;
mod count;
mod doctor;
mod explain;
mod extendcluster;
mod gc;
mod here;
mod info;
mod initcluster;
mod install_shell;
mod known;
mod matchexpression;
mod maxsize;
mod meter;
mod p2phttp;
mod placed;
mod post_receive;
mod sim;
mod subject;
mod told;
mod top;
mod updatecluster;
mod updateproxy;
mod users;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::serve::shell;

const EXAMPLES: &str = "\
Set up a remote, then use it like any other (copy --to, get, drop, fsck --from, whereis, info):

  git annex initremote usb type=external externaltype=stream encryption=none \\
      scheme=fs directory=/media/usb/annex

  AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... \\
  git annex initremote cloud type=external externaltype=stream encryption=none \\
      scheme=s3 bucket=photos host=s3.example.com protocol=https

  WEBDAV_USERNAME=... WEBDAV_PASSWORD=... \\
  git annex initremote box type=external externaltype=stream encryption=none \\
      scheme=webdav endpoint=https://box.example.com/annex

Options and what they mean: git annex initremote NAME type=external externaltype=stream --whatelse
Credentials are kept by git-annex, not in the git-annex branch (unless embedcreds=yes).

Environment:
  STREAM_MEMORY=SIZE      bytes in flight in all transfers together (256MiB)
  STREAM_STORE_CONNECTIONS=N  connections to a store that all transfers share (64)
  STREAM_TIMEOUT=SECONDS  longest time in which nothing moves (60)
  STREAM_ASYNC=no         let git-annex start a process for each job
  STREAM_URING=no         do not use io_uring
  STREAM_<OPTION>         value of a secret option, such as STREAM_PASSWORD";

/// Special remote for git-annex: fs, S3 and other storage, many jobs in one process, in bounded memory.
///
/// Without arguments it speaks the external special remote protocol on stdin and stdout; that is how git-annex starts it.
#[derive(Parser)]
#[command(name = "git-annex-remote-stream", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tries a place out: stores an object of its own, reads it, removes it, and reports what the place can do.
    ///
    /// Nothing is created or claimed (initremote does that), and nothing is left behind. A `no` is an ability that the place
    /// lacks and the remote can do without; FAILED means that a remote could not use the place, and sets the exit status to 1.
    Doctor {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
        /// Measure the line too: the round trip, and what one, four and sixteen connections give. Stores 32 MiB for as long as
        /// that takes, and reads 96 at the most.
        #[arg(long)]
        line: bool,
        /// With --line: read this object, which the place has, and store nothing for it.
        #[arg(long, value_name = "NAME", requires = "line")]
        object: Option<String>,
        /// Options as for initremote: scheme=s3 bucket=photos ...
        #[arg(required = true, value_name = "NAME=VALUE")]
        options: Vec<String>,
    },
    /// Serves git-annex repositories over HTTP, to git-annex clients and others.
    ///
    /// Takes the flags of git annex p2phttp and serves what it serves; git-annex may work in the same repositories meanwhile.
    #[command(after_help = p2phttp::EXAMPLES)]
    P2phttp(Box<p2phttp::P2pHttp>),
    /// Acts as git-annex-shell: serves repositories on this machine to git-annex clients that come over ssh.
    ///
    /// The program does the same when it is started under the name git-annex-shell, such as by a link. Environment:
    /// GIT_ANNEX_SHELL_READONLY, _APPENDONLY, _LIMITED and _DIRECTORY, as git-annex-shell reads them.
    #[command(disable_help_flag = true, after_help = SHELL)]
    Shell {
        /// As git-annex-shell takes them: p2pstdio DIRECTORY CLIENT [--uuid=UUID], or -c and a command line.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Makes the link by which this program is found as git-annex-shell.
    ///
    /// In the directory that is given. It may be run again, and replaces nothing but links to this program.
    #[command(after_help = install_shell::EXAMPLES)]
    InstallShell(install_shell::InstallShell),
    /// Lists uploads that were not finished, and undoes old ones.
    ///
    /// In the repository of the current directory. Uploads in progress are left alone.
    #[command(after_help = gc::EXAMPLES)]
    Gc(gc::Gc),
    /// Brings trees on special remotes up to date with the branches that were pushed: for the hook post-receive.
    ///
    /// For proxied remotes with exporttree=yes annexobjects=yes and remote.NAME.annex-tracking-branch, in the repository of the
    /// current directory. Reads what was pushed from stdin, as git gives it to the hook. With --repair it looks at every file of
    /// these trees, and repairs damaged ones.
    #[command(after_help = post_receive::EXAMPLES)]
    PostReceive(post_receive::PostReceive),
    /// Shows how much repositories hold and may hold, or sets how much one may.
    ///
    /// Does what git annex maxsize does, in the repository of the current directory.
    #[command(after_help = maxsize::EXAMPLES)]
    Maxsize(maxsize::Maxsize),
    /// Records which remotes this repository proxies, so that its clients find them.
    ///
    /// Does what git annex updateproxy does, in the repository of the current directory.
    #[command(after_help = updateproxy::EXAMPLES)]
    Updateproxy {
        /// Accepted, and changes nothing, as in git-annex.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Makes this repository the gateway of a new cluster.
    ///
    /// Does what git annex initcluster does, in the repository of the current directory. Without a description, the cluster is
    /// described as "cluster NAME".
    #[command(after_help = initcluster::EXAMPLES)]
    Initcluster(initcluster::Initcluster),
    /// Records which remotes are nodes of the clusters of this repository, and what it proxies.
    ///
    /// Does what git annex updatecluster does, in the repository of the current directory, and names what keeps a node from being
    /// used.
    #[command(after_help = updatecluster::EXAMPLES)]
    Updatecluster {
        /// Accepted, and changes nothing, as in git-annex.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Makes this repository another gateway of a cluster that a remote is a gateway of.
    ///
    /// Does what git annex extendcluster does, in the repository of the current directory.
    #[command(after_help = extendcluster::EXAMPLES)]
    Extendcluster(extendcluster::Extendcluster),
    /// Moves content between the nodes of a cluster until each has what it wants.
    ///
    /// In the repository of the current directory, the gateway of the cluster. By preferred and required content, numcopies,
    /// mincopies and maxsize; nothing is dropped before other copies were locked or looked at.
    #[command(after_help = balance::EXAMPLES)]
    Balance(balance::Balance),
    /// Tells why each repository wants the content of a file or key, or does not, and where an upload would go.
    ///
    /// By preferred and required content, in the repository of the current directory. Nothing is changed, and no repository is asked:
    /// it is what is recorded that counts.
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Explain),
    /// Shows the known repositories, with trust, groups, expressions, sizes, and what is proxied.
    ///
    /// In the repository of the current directory. No repository is asked: it is what is recorded.
    #[command(after_help = info::EXAMPLES)]
    Info(info::Info),
    /// Says by its exit status whether an expression matches a file, a key or a size.
    ///
    /// For preferred content, required content and annex.largefiles, as git annex matchexpression, in the repository of the current
    /// directory: copies, groups and the like are those recorded there. 0: it matches; 1: it does not; 42: it does not parse, or
    /// needs what was not given.
    #[command(name = "matchexpression", after_help = matchexpression::EXAMPLES)]
    Matchexpression(matchexpression::MatchExpression),
    /// Edits a file of users, tokens and rights, for p2phttp --users.
    #[command(after_help = users::EXAMPLES)]
    Users(users::Users),
    /// Tries out what a network of repositories will do, as git annex sim does, and proves that files come to rest in it.
    ///
    /// In the repository of the current directory. No content is moved, and no branch is touched.
    #[command(after_help = sim::EXAMPLES)]
    Sim(sim::Sim),
    /// Shows what a server is moving now: transfers with their rates and waits, nodes that are down, failures.
    ///
    /// It asks the address of p2phttp --admin, on this computer or elsewhere.
    #[command(after_help = top::EXAMPLES)]
    Top(top::Top),
    /// Prints a completion script for a shell.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one for each command into a directory.
    #[command(after_help = MAN)]
    Man {
        /// Where to write them.
        directory: Option<PathBuf>,
    },
}

const SHELL: &str = "\
Make it the git-annex-shell of this computer; clients that come over ssh then need no setting:

  git-annex-remote-stream install-shell /usr/local/bin

Let a key into one repository, to read. In ~/.ssh/authorized_keys, on one line:

  command=\"GIT_ANNEX_SHELL_DIRECTORY=/srv/annex/photos.git GIT_ANNEX_SHELL_READONLY=1 git-annex-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\",restrict ssh-ed25519 AAAA... bob

Try out what a client would do first; it prints the uuid of the repository:

  git-annex-remote-stream shell configlist /srv/annex/photos.git

What clients send: configlist, p2pstdio, notifychanges, inannex and dropkey. Everything else is for git-shell: git's own fetch and push.

Environment, of which any value but an empty one counts:
  GIT_ANNEX_SHELL_DIRECTORY=PATH     this repository only
  GIT_ANNEX_SHELL_READONLY=1         nothing is stored or removed; git may still push
  GIT_ANNEX_SHELL_APPENDONLY=1       nothing is removed
  GIT_ANNEX_SHELL_LIMITED=1          no git: neither fetch nor push";

const COMPLETIONS: &str = "\
For bash, from the next shell on:

  mkdir -p ~/.local/share/bash-completion/completions
  git-annex-remote-stream completions bash >~/.local/share/bash-completion/completions/git-annex-remote-stream

For zsh, in a directory of fpath; for fish:

  git-annex-remote-stream completions zsh >~/.zfunc/_git-annex-remote-stream
  git-annex-remote-stream completions fish >~/.config/fish/completions/git-annex-remote-stream.fish";

const MAN: &str = "\
Read one, or have man find them all:

  git-annex-remote-stream man | man -l -
  git-annex-remote-stream man ~/.local/share/man/man1";

/// The command line as clap has it: every subcommand and flag, for the tests that hold the documentation to it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Whether this was started under the name git-annex-shell.
pub fn is_shell() -> bool {
    is_called("git-annex-shell")
}

/// Whether git started this as a hook of a push that may only add.
pub fn is_hook() -> bool {
    is_called(crate::serve::http::UNITES)
}

/// Whether this was started under the name git-annex.
pub fn is_git_annex() -> bool {
    is_called("git-annex")
}

/// Serves where these arguments of git-annex say so, and else becomes the real git-annex.
pub fn git_annex(arguments: Vec<OsString>) -> ExitCode {
    if !beside::is_ours(&arguments) {
        return beside::hand_over(arguments);
    }
    let arguments = std::iter::once(OsString::from("git-annex-remote-stream")).chain(arguments);
    match Arguments::parse_from(arguments).command {
        Command::P2phttp(args) => p2phttp::main(*args),
        _ => ExitCode::FAILURE,
    }
}

fn is_called(name: &str) -> bool {
    std::env::args_os().next().is_some_and(|own| Path::new(&own).file_name().is_some_and(|own| own == name))
}

/// Runs as git-annex-shell with these arguments.
pub fn shell(arguments: Vec<OsString>) -> ExitCode {
    shell::main(arguments, &shell::LocalHost)
}

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    // Clients send `--` for their own ends; clap would take it for itself.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == "shell") {
        let arguments: Vec<OsString> = arguments.collect();
        return match &arguments[..] {
            [word] if word == "--help" || word == "-h" => shell_help(),
            _ => shell(arguments),
        };
    }
    let done = match Arguments::parse().command {
        Command::Doctor { json, line, object, options } => {
            return doctor::main(&options, json, line.then_some(doctor::Look { object }));
        }
        Command::P2phttp(args) => return p2phttp::main(*args),
        Command::Shell { arguments } => return shell(arguments),
        Command::Gc(args) => return gc::main(&args),
        Command::PostReceive(args) => return post_receive::main(&args),
        Command::Balance(args) => return balance::main(&args),
        Command::Explain(args) => return explain::main(&args),
        Command::Info(args) => return info::main(&args),
        Command::Matchexpression(args) => return matchexpression::main(&args),
        Command::Sim(args) => return sim::main(&args),
        Command::Maxsize(args) => return maxsize::main(&args),
        Command::Initcluster(args) => return initcluster::main(&args),
        Command::Updatecluster { quiet: _ } => return updatecluster::main(),
        Command::Extendcluster(args) => return extendcluster::main(&args),
        Command::Updateproxy { quiet: _ } => return updateproxy::main(),
        Command::Top(args) => top::main(&args),
        Command::Users(args) => users::main(&args),
        Command::InstallShell(args) => install_shell::main(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut command(), "git-annex-remote-stream", &mut io::stdout());
            Ok(())
        }
        Command::Man { directory: Some(directory) } => man_pages(&directory),
        Command::Man { directory: None } => clap_mangen::Man::new(command()).render(&mut io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("git-annex-remote-stream: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells people of `shell`, of whose arguments none is clap's.
fn shell_help() -> ExitCode {
    let mut all = command().bin_name("git-annex-remote-stream");
    all.build();
    let printed = all.find_subcommand_mut("shell").map_or(Ok(()), clap::Command::print_long_help);
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn man_pages(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command(), directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense_to_clap() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_a_manual_page() {
        let directory = tempfile::tempdir().expect("a directory");
        man_pages(directory.path()).expect("written");
        for name in ["git-annex-remote-stream.1", "git-annex-remote-stream-doctor.1"] {
            let page = std::fs::read_to_string(directory.path().join(name)).expect(name);
            assert!(page.contains(".TH"), "{name}");
        }
    }
}
