//! `extendcluster`: makes this repository another gateway of a cluster, as `git annex extendcluster` does.

use std::process::ExitCode;

use super::{here, updatecluster};
use crate::annex::remote::extend_cluster;

pub(super) const EXAMPLES: &str = "\
The remote \"paris\" is a gateway of the cluster \"mycluster\"; make this repository one, too, with a node of its own:

  git annex sync --no-content paris
  git-annex-remote-stream extendcluster paris mycluster
  git config remote.disk3.annex-cluster-node mycluster
  git-annex-remote-stream updatecluster

Then, at paris, the same with a remote that leads here, so that each gateway reaches the nodes of the other:

  git annex sync --no-content lyon
  git-annex-remote-stream extendcluster lyon mycluster

The remote is a git remote over ssh or annex+http. Set are annex.cluster.NAME and remote.GATEWAY.annex-cluster-gateway, and what
updatecluster records is recorded.";

/// The arguments of `extendcluster`.
#[derive(clap::Args)]
pub(super) struct Extendcluster {
    /// A remote that is a gateway of the cluster, and the name that it has for the cluster.
    #[arg(value_name = "GATEWAY NAME")]
    words: Vec<String>,
    /// Print the changes alone.
    #[arg(long, short)]
    quiet: bool,
}

/// Makes it one. Fails where the remote offers no such cluster, or the repository cannot be read or written.
pub(super) fn main(args: &Extendcluster) -> ExitCode {
    let [gateway, name] = &args.words[..] else {
        eprintln!("git-annex-remote-stream: extendcluster takes a remote that is a gateway, and the name of a cluster");
        return ExitCode::FAILURE;
    };
    let done = here::repository().and_then(|repository| {
        repository.branch().take_all();
        extend_cluster(&repository, gateway, name).map_err(|e| e.to_string())?;
        if !args.quiet {
            println!("extendcluster {name} ok");
        }
        updatecluster::update(&repository)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}
