//! One large file through git-annex itself: `copy --to` and `get`.

use super::protocol::ready;
use super::{local, served};
use crate::annex::{Remote, Repo};
use crate::lab::Lab;
use crate::rows::{Case, Table, interleave};
use crate::servers::{Kind, Server};
use std::fs;
use std::io;

/// Rows of all remotes, the S3 ones on SeaweedFS.
pub fn large(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Kind::SeaweedFs)?;
    let repo = Repo::create(lab, &server, "repo-large")?;
    fs::copy(lab.large()?, repo.dir().join("file"))?;
    repo.add_all()?;
    let size = lab.size >> 20;
    let tables = vec![
        Table::new("annex/copy", format!("git annex copy --to, one file of {size} MiB"), lab.size, "git-annex S3"),
        Table::new("annex/get", format!("git annex get --from, one file of {size} MiB"), lab.size, "git-annex S3"),
    ];
    let case = |remote: Remote| {
        let (server, repo) = (&server, &repo);
        Case::new(remote.subject(), move |round| {
            let name = format!("{remote:?}");
            if round == 0 {
                repo.init_remote(remote, server, &name, &name)?;
            }
            let timed = |args: &[&str]| {
                ready(lab, Some(server))?;
                if remote.served() { served(server, || repo.annex(args)) } else { repo.annex(args).map(local) }
            };
            let copy = timed(&["copy", "--to", &name, "file"])?;
            // Real removals, so that what is fetched is what the remote has.
            repo.annex(&["drop", "file"])?;
            let get = timed(&["get", "--from", &name, "file"])?;
            repo.annex(&["drop", "--from", &name, "file"])?;
            Ok(vec![copy, get])
        })
    };
    let tables = interleave(tables, Remote::ALL.map(case).into(), lab.args.runs());
    repo.delete()?;
    Ok(tables)
}
