//! Trees of small files exported through git-annex: all of them new, then each under another name.

use super::{local, served};
use crate::annex::{Remote, Repo};
use crate::lab::{Lab, fill};
use crate::rows::{Case, Table, interleave};
use crate::servers::{Kind, Server};
use std::io;

const LEN: u64 = 10 << 10;

/// Those git-annex can export to.
const REMOTES: [Remote; 4] = [Remote::OursS3, Remote::AnnexS3, Remote::OursFs, Remote::AnnexDirectory];

/// Rows of all remotes, the S3 ones on SeaweedFS. Every run works in a fresh copy of one repository, with a fresh remote.
pub fn exports(lab: &Lab) -> io::Result<Vec<Table>> {
    let server = Server::start(lab, Kind::SeaweedFs)?;
    let template = Repo::create(lab, &server, "repo-trees")?;
    let files = lab.args.files();
    std::fs::create_dir(template.dir().join("tree"))?;
    for index in 0..files {
        fill(&template.dir().join(format!("tree/file{index:05}")), LEN, 0x02f6_e2b1 + index as u64 * 104_729)?;
    }
    template.add_all()?;
    let bytes = LEN * files as u64;
    let table = |what: &str, words: &str| {
        let title = format!("{words}, {files} files of 10 KiB");
        Table::new(format!("trees/{what}"), title, bytes, "git-annex S3")
    };
    let tables = vec![table("export", "git annex export"), table("rename", "git annex export of renamed files")];
    let case = |remote: Remote| {
        let (server, template) = (&server, &template);
        Case::new(remote.subject(), move |round| {
            let repo = template.duplicate("repo-trees-copy")?;
            let name = format!("{remote:?}");
            let place = format!("tree-{name}-{round}");
            repo.init_remote_with(remote, server.port, &name, &place, &["exporttree=yes"])?;
            let mut samples = Vec::new();
            for rename in [false, true] {
                if rename {
                    repo.run("git", &["mv", "tree", "moved"])?;
                    repo.run("git", &["commit", "-q", "-m", "moved"])?;
                }
                lab.settle()?;
                let export = || repo.annex(&["export", "--quiet", "HEAD", "--to", &name]);
                samples.push(if remote.served() { served(server, export)? } else { export().map(local)? });
            }
            repo.delete()?;
            Ok(samples)
        })
    };
    let tables = interleave(tables, REMOTES.map(case).into(), lab.args.runs());
    template.delete()?;
    Ok(tables)
}
