//! The plan of a cluster's moves: `balance --dry-run` of a large branch, from start to exit.

use super::local;
use crate::groups::serve_check::generated;
use crate::lab::Lab;
use crate::rows::{Case, Table, interleave};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Nodes of the cluster; four of them are the repositories that the branch has records of.
const NODES: usize = 8;

/// What each of them wants.
const WANTED: &str = "balanced=nodes:2";

/// Rows of the plan, as it stands and with `--rebalance`, where nearly every key is to move.
pub fn plan(lab: &Lab) -> io::Result<Vec<Table>> {
    let keys = lab.args.keys();
    let what = format!("{keys} keys, {NODES} nodes with {WANTED}, from start to exit");
    let tables = vec![
        Table::new("balance/plan", format!("balance --dry-run: {what}"), 0, "ours"),
        Table::new("balance/rebalance", format!("balance --dry-run --rebalance: {what}"), 0, "ours"),
    ];
    let dir = cluster(lab, keys, "balance")?;
    let ours = Case::new("ours", |_| {
        let run = |more: &[&str]| {
            let mut command = lab.command("git-annex-remote-stream");
            command.args(["balance", "bench", "--dry-run"]).args(more).current_dir(&dir);
            lab.run(&mut command).map(local)
        };
        Ok(vec![run(&[])?, run(&["--rebalance"])?])
    });
    let tables = interleave(tables, vec![ours], lab.args.runs());
    fs::remove_dir_all(&dir)?;
    Ok(tables)
}

fn uuid(number: usize) -> String {
    // As testdata/gen-branch.py names its four.
    let end = ["aa", "bb", "cc", "dd"].get(number).map_or_else(|| format!("{number:02}"), ToString::to_string);
    format!("00000000-0000-4000-8000-0000000000{end}")
}

/// A copy of a branch of many keys that is the gateway of a cluster of directories, with their configuration in its journal. The sizes
/// of repositories are counted, as on a gateway that runs.
pub(super) fn cluster(lab: &Lab, keys: usize, called: &str) -> io::Result<PathBuf> {
    let dir = lab.at(called);
    lab.run(lab.command("cp").arg("-a").arg(generated(lab, keys)?).arg(&dir))?;
    let git = |words: &[&str]| lab.run(lab.command("git").arg("-C").arg(&dir).args(words)).map(drop);
    let cluster = "acbe0000-0000-8000-8000-000000000001";
    git(&["config", "annex.uuid", "00000000-0000-4000-8000-0000000000ff"])?;
    git(&["config", "annex.cluster.bench", cluster])?;
    let mut remote_log = String::new();
    for number in 0..NODES {
        let (name, uuid) = (format!("n{number}"), uuid(number));
        let place = lab.at(&format!("{called}-{name}"));
        fs::create_dir_all(&place)?;
        for (key, value) in [
            ("annex-uuid", &*uuid),
            ("annex-cluster-node", "bench"),
            ("annex-externaltype", "stream"),
            ("annex-verified", "true"),
        ] {
            git(&["config", &format!("remote.{name}.{key}"), value])?;
        }
        remote_log += &format!(
            "{uuid} directory={} encryption=none externaltype=stream name={name} scheme=fs type=external timestamp=1s\n",
            place.display()
        );
    }
    journal(&dir.join("annex"), cluster, &remote_log)?;
    // Somebody looked at them.
    fs::write(dir.join("annex/verified-remote.log"), remote_log)?;
    lab.run(lab.command("git-annex-remote-stream").arg("maxsize").current_dir(&dir))?;
    Ok(dir)
}

fn journal(annex: &Path, cluster: &str, remote_log: &str) -> io::Result<()> {
    let dir = annex.join("journal");
    fs::create_dir_all(&dir)?;
    let of_each =
        |line: &dyn Fn(String) -> String| (0..NODES).map(|number| line(uuid(number)) + "\n").collect::<String>();
    fs::write(dir.join("remote.log"), remote_log)?;
    fs::write(dir.join("group.log"), of_each(&|uuid| format!("{uuid} nodes timestamp=1s")))?;
    fs::write(dir.join("preferred-content.log"), of_each(&|uuid| format!("{uuid} {WANTED} timestamp=1s")))?;
    fs::write(dir.join("uuid.log"), of_each(&|uuid| format!("{uuid} node timestamp=1s")))?;
    let nodes: Vec<String> = (0..NODES).map(uuid).collect();
    fs::write(dir.join("cluster.log"), format!("1s {cluster} {}\n", nodes.join(" ")))?;
    let own = "00000000-0000-4000-8000-0000000000ff";
    let proxied: Vec<String> = (0..NODES).map(|number| format!("{}:n{number}", uuid(number))).collect();
    fs::write(dir.join("proxy.log"), format!("1s {own} {} {cluster}:bench\n", proxied.join(" ")))
}
