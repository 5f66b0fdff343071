//! `initcluster`: makes this repository the gateway of a new cluster, as `git annex initcluster` does.

use std::process::ExitCode;

use super::here;
use crate::annex::remote::init_cluster;

pub(super) const EXAMPLES: &str = "\
Make one remote of several for the clients of this repository: what they upload to \"mycluster\" goes to those nodes that want it.

  git-annex-remote-stream initcluster mycluster
  git config remote.disk1.annex-cluster-node mycluster
  git config remote.disk2.annex-cluster-node mycluster
  git-annex-remote-stream updatecluster

Which node wants what is said with git annex wanted, group and maxsize, as for any repository. After their next git pull,
clients that reach this repository over ssh or annex+http have a remote named after both, such as origin-mycluster.

The name is one that a git remote may have; what stands behind its last dot has letters, digits and \"-\" alone, and counts the
same in upper and lower case. A cluster of this name that is there stays as it is.";

/// The arguments of `initcluster`.
#[derive(clap::Args)]
pub(super) struct Initcluster {
    /// Its name, and a description where it is to have another one than "cluster NAME".
    #[arg(value_name = "NAME [DESCRIPTION]")]
    words: Vec<String>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Makes it. Fails where the name will not do, or the repository cannot be read or written.
pub(super) fn main(args: &Initcluster) -> ExitCode {
    let (name, description) = match &args.words[..] {
        [name] => (name, None),
        [name, description] => (name, Some(description.as_str())),
        _ => {
            eprintln!("git-annex-remote-stream: initcluster takes a name and optionally a description");
            return ExitCode::FAILURE;
        }
    };
    let done = here::repository().and_then(|repository| {
        let is_new = init_cluster(&repository, name, description).map_err(|e| e.to_string())?;
        Ok(is_new && repository.config_bool("annex.alwayscommit") != Some(false))
    });
    if !args.quiet {
        let end = match done {
            Ok(true) => "ok\n(recording state in git...)",
            Ok(false) => "ok",
            Err(_) => "\nfailed",
        };
        println!("initcluster {name} {end}");
    }
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}
