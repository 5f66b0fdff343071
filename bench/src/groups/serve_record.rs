//! Many small contents into the gateway, each recorded in the git-annex branch.

use super::content::{Content, contents, put};
use super::serve_check::committed;
use crate::annex::Repo;
use crate::gateway::{Gateway, Kind};
use crate::http::Client;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

const CONNECTIONS: usize = 16;

/// git-annex puts a tenth as many, and its times are multiplied: all of them would take minutes in each run.
const TENTH: usize = 10;

/// Rows of ours and git-annex, each run in a fresh copy of one repository.
pub fn puts(lab: &Lab) -> io::Result<Vec<Table>> {
    let template = Repo::plain(lab, "repo-record")?;
    std::fs::write(template.dir().join("file"), b"here")?;
    template.add_all()?;
    let count = lab.args.puts();
    let fewer = count / TENTH;
    let what = format!(
        "{count} PUTs of 1 KiB through {CONNECTIONS} connections (git-annex: {fewer} PUTs, its figures but RSS and commits \
         times {TENTH}); CPU is the server's"
    );
    let tables = vec![
        Table::new("serve-record/puts", format!("{what}; to the last answer"), 0, "git-annex p2phttp")
            .counting(count as u64),
        Table::new("serve-record/committed", format!("{what}; to the last commit"), 0, "git-annex p2phttp")
            .counting(count as u64),
    ];
    let case = |kind: Kind| {
        let template = &template;
        Case::new(kind.subject(), move |round| {
            let times = if kind == Kind::GitAnnex { TENTH } else { 1 };
            let repo = template.duplicate("repo-record-copy")?;
            let fresh = contents(count / times, &format!("{kind:?} {round}"));
            let [answered, settled] = record(lab, kind, &repo, &fresh)?;
            repo.delete()?;
            // The pause before the last commit does not grow with the number of puts.
            let scaled = |s: Sample| Sample {
                wall: s.wall + answered.wall * (times - 1) as f64,
                cpu: s.cpu + answered.cpu * (times - 1) as f64,
                ..s
            };
            Ok(vec![scaled(answered), scaled(settled)])
        })
    };
    let tables = interleave(tables, vec![case(Kind::Ours), case(Kind::GitAnnex)], lab.args.runs());
    template.delete()?;
    Ok(tables)
}

/// Puts `fresh` into `repo` and looks at what was recorded: until the last answer, and until the last commit.
fn record(lab: &Lab, kind: Kind, repo: &Repo, fresh: &[Content]) -> io::Result<[Sample; 2]> {
    let uuid = repo.uuid()?;
    let commits = || -> io::Result<u64> {
        let text = repo.ask("git", &["rev-list", "--count", "git-annex"])?;
        text.parse().map_err(|_| io::Error::other(format!("git counts {text}")))
    };
    let before = commits()?;
    let gateway = Gateway::start(lab, kind, repo.dir(), &uuid)?;
    let clients = (0..CONNECTIONS).map(|_| Client::connect(gateway.port)).collect::<io::Result<Vec<_>>>()?;
    lab.settle()?;
    let used = gateway.cpu()?;
    let begin = Instant::now();
    let sample = || -> io::Result<Sample> {
        let (wall, cpu) = (begin.elapsed().as_secs_f64(), gateway.cpu()? - used);
        Ok(Sample { wall, cpu, rss: gateway.rss(), ..Sample::default() })
    };
    std::thread::scope(|scope| {
        let threads = clients.into_iter().zip(fresh.chunks(fresh.len().div_ceil(CONNECTIONS)));
        let threads: Vec<_> = threads
            .map(|(mut client, share)| {
                let gateway = &gateway;
                scope.spawn(move || share.iter().try_for_each(|content| put(&mut client, gateway, content)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a client returns its errors"))
    })?;
    let answered = sample()?;
    committed(&repo.dir().join(".git/annex/journal"))?;
    let settled = sample()?;
    gateway.stop()?;
    right(repo, &uuid, fresh)?;
    let commits = Some(commits()? - before);
    Ok([answered, settled].map(|sample| Sample { commits, ..sample }))
}

/// Errors: the branch does not say of each content that it is here, and nothing else of it.
fn right(repo: &Repo, uuid: &str, fresh: &[Content]) -> io::Result<()> {
    // Lines such as 100644 blob BLOB<tab>aaa/bbb/KEY.log; blobs are few, since the time in them is in seconds.
    let tree = repo.ask("git", &["ls-tree", "-r", "git-annex"])?;
    let keys: BTreeSet<&str> = fresh.iter().map(|content| content.key.as_str()).collect();
    let mut known = std::collections::BTreeMap::new();
    let mut seen = 0;
    for line in tree.lines() {
        let Some((left, path)) = line.split_once('\t') else { continue };
        let key = path.rsplit('/').next().and_then(|name| name.strip_suffix(".log"));
        if !key.is_some_and(|key| keys.contains(key)) {
            continue;
        }
        let blob = left.rsplit(' ').next().unwrap_or_default();
        if !known.contains_key(blob) {
            let log = repo.ask("git", &["cat-file", "blob", blob])?;
            let words: Vec<&str> = log.split(' ').collect();
            let good = words.len() == 3 && words[0].ends_with('s') && words[1..] == ["1", uuid];
            known.insert(blob, if good { Ok(()) } else { Err(log) });
        }
        match &known[blob] {
            Ok(()) => seen += 1,
            Err(log) => return Err(io::Error::other(format!("{path} in the branch is {log:?}"))),
        }
    }
    if seen == keys.len() {
        return Ok(());
    }
    Err(io::Error::other(format!("the branch has {seen} right log lines of {}", keys.len())))
}
