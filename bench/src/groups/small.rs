//! Many files of 10 KiB through git-annex, one job and four.

use super::{local, served};
use crate::annex::{Remote, Repo};
use crate::lab::{Lab, fill};
use crate::rows::{Case, Table, interleave};
use crate::servers::{Kind, Server};
use std::io;

const LEN: u64 = 10 << 10;

/// Rows of all remotes, the S3 ones on SeaweedFS.
///
/// Every run works in a fresh copy of one repository and with a fresh remote: no run finds logs, objects or
/// directories that an earlier one left.
pub fn many(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Kind::SeaweedFs)?;
    let template = Repo::create(lab, &server, "repo-small")?;
    let files = lab.args.files();
    for index in 0..files {
        fill(&template.dir().join(format!("file{index:05}")), LEN, 0x51ed_270b + index as u64 * 7919)?;
    }
    template.add_all()?;
    let bytes = LEN * files as u64;
    let table = |what: &str, words: &str| {
        let title = format!("{words}, {files} files of 10 KiB");
        Table::new(format!("small/{what}"), title, bytes, "git-annex directory")
    };
    let tables = vec![
        table("copy-J1", "git annex copy --to -J1"),
        table("copy-J4", "git annex copy --to -J4"),
        table("get-J4", "git annex get --from -J4"),
    ];
    let case = |remote: Remote| {
        let (server, template) = (&server, &template);
        Case::new(remote.subject(), move |round| {
            let repo = template.duplicate("repo-small-copy")?;
            let mut samples = Vec::new();
            let timed = |args: &[&str]| {
                lab.settle()?;
                if remote.served() { served(server, || repo.annex(args)) } else { repo.annex(args).map(local) }
            };
            for jobs in ["-J1", "-J4"] {
                let name = format!("{remote:?}{jobs}");
                repo.init_remote(remote, server, &name, &format!("{name}-{round}"))?;
                samples.push(timed(&["copy", "--to", &name, jobs, "."])?);
            }
            repo.annex(&["drop", "--force", "--quiet", "."])?;
            samples.push(timed(&["get", "--from", &format!("{remote:?}-J4"), "-J4", "."])?);
            repo.delete()?;
            Ok(samples)
        })
    };
    let tables = interleave(tables, Remote::ALL.map(case).into(), lab.args.runs());
    template.delete()?;
    Ok(tables)
}
