//! Trees of small files exported through git-annex, and by the gateway after a push: all of them new, then each under
//! another name.

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
    // What a push to a gateway starts, in a repository that has the content.
    let hook = |remote: Remote, subject: &str| {
        let (server, template) = (&server, &template);
        Case::new(subject, move |round| {
            let repo = template.duplicate("repo-trees-copy")?;
            let place = format!("tree-hook-{remote:?}-{round}");
            repo.init_remote_with(remote, server.port, "hooked", &place, &["exporttree=yes", "annexobjects=yes"])?;
            let branch = repo.ask("git", &["symbolic-ref", "--short", "HEAD"])?;
            repo.run("git", &["config", "remote.hooked.annex-tracking-branch", &branch])?;
            repo.run("git", &["config", "remote.hooked.annex-proxy", "true"])?;
            repo.run("git-annex-remote-stream", &["updateproxy"])?;
            let mut samples = Vec::new();
            for rename in [false, true] {
                if rename {
                    repo.run("git", &["mv", "tree", "moved"])?;
                    repo.run("git", &["commit", "-q", "-m", "moved"])?;
                }
                lab.settle()?;
                let export = || repo.run("git-annex-remote-stream", &["post-receive"]);
                samples.push(if remote.served() { served(server, export)? } else { export().map(local)? });
                let told = repo.ask("git-annex-remote-stream", &["post-receive"])?;
                if !told.ends_with(": ok") {
                    return Err(io::Error::other(format!("the tree was not exported at once: {told}")));
                }
            }
            repo.delete()?;
            Ok(samples)
        })
    };
    let mut cases: Vec<Case<'_>> = REMOTES.map(case).into();
    cases.push(hook(Remote::OursS3, "post-receive s3"));
    cases.push(hook(Remote::OursFs, "post-receive fs"));
    let tables = interleave(tables, cases, lab.args.runs());
    template.delete()?;
    Ok(tables)
}
