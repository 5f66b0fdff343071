//! Trees of small files exported through git-annex, and by the gateway after a push: all of them new, then each under
//! another name.

use super::{local, served};
use crate::annex::{Remote, Repo};
use crate::lab::{Lab, fill};
use crate::rows::{Case, Sample, Table, interleave};
use crate::servers::{Kind, Server};
use crate::usage::Usage;
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
            let export = || repo.annex(&["export", "--quiet", "HEAD", "--to", &name]);
            let samples = twice(lab, &repo, remote.served().then_some(server), export, || Ok(()))?;
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
            let export = || repo.run("git-annex-remote-stream", &["post-receive"]);
            let is_whole = || match repo.ask("git-annex-remote-stream", &["post-receive"])? {
                told if told.ends_with(": ok") => Ok(()),
                told => Err(io::Error::other(format!("the tree was not exported at once: {told}"))),
            };
            let samples = twice(lab, &repo, remote.served().then_some(server), export, is_whole)?;
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

/// Measures `export` of the tree, and of the same under another name, each of which must leave the remote whole.
fn twice(
    lab: &Lab,
    repo: &Repo<'_>,
    server: Option<&Server>,
    export: impl Fn() -> io::Result<Usage>,
    is_whole: impl Fn() -> io::Result<()>,
) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for rename in [false, true] {
        if rename {
            repo.run("git", &["mv", "tree", "moved"])?;
            repo.run("git", &["commit", "-q", "-m", "moved"])?;
        }
        lab.settle()?;
        samples.push(match server {
            Some(server) => served(server, &export)?,
            None => export().map(local)?,
        });
        is_whole()?;
    }
    Ok(samples)
}
