//! A repository of many commits, cloned and pushed: ours beside `git http-backend` behind nginx, which reaches it by fcgiwrap.

use super::local;
use crate::gateway::{Gateway, Kind};
use crate::lab::{Lab, MISSING};
use crate::nginx::{Cgi, Nginx};
use crate::rows::{Case, Row, Table, interleave};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The rival.
const BACKEND: &str = "git http-backend behind nginx";

/// Who the served repository is.
const UUID: &str = "00000000-0000-4000-8000-000000000b17";

/// Serves an empty repository: its url, and what is to be dropped after the push.
type Serve<'a> = dyn Fn(&Path) -> io::Result<(String, Option<Gateway>)> + 'a;

/// Rows of clone and push.
pub fn http(lab: &Lab) -> io::Result<Vec<Table>> {
    let commits = if lab.args.quick { 200 } else { 100_000 };
    let title = |what: &str| format!("{what} of {commits} commits over HTTP, by git, from start to exit");
    let tables =
        vec![Table::new("git/clone", title("clone"), 0, BACKEND), Table::new("git/push", title("push"), 0, BACKEND)];
    let root = lab.at("git-served");
    fs::create_dir_all(&root)?;
    let full = repository(lab, &root.join("full.git"))?;
    fill(lab, &full, commits)?;
    let rival = match Cgi::start(lab).and_then(|cgi| Ok((Nginx::git(lab, &cgi, &root)?, cgi))) {
        Err(error) if error.to_string().starts_with(MISSING) => {
            return Ok(tables.into_iter().map(|table| without(table, &error)).collect());
        }
        started => started?,
    };
    let (nginx, full, root) = (&rival.0, &full, &root);
    // Each serves the same repository, and an empty one that is made anew for each push.
    let both = move |clone: &str, push: &Serve<'_>| {
        let target = lab.at("git-cloned");
        let mut git = lab.command("git");
        let cloned = lab.run(git.args(["clone", "--quiet", "--bare", clone]).arg(&target))?;
        fs::remove_dir_all(&target)?;
        let empty = repository(lab, &root.join("empty.git"))?;
        let (url, server) = push(&empty)?;
        lab.settle()?;
        let mut git = lab.command("git");
        let pushed = lab.run(git.arg("-C").arg(full).args(["push", "--quiet", &url, "main"]))?;
        drop(server);
        fs::remove_dir_all(&empty)?;
        Ok(vec![local(cloned), local(pushed)])
    };
    let serve = |dir: &Path| Gateway::start_with(lab, Kind::Ours, dir, UUID, &["--git"]);
    let mut ours = None;
    let cases = vec![
        Case::new("ours", move |_| {
            if ours.is_none() {
                ours = Some(serve(full)?);
            }
            let base = ours.as_ref().expect("just started").base();
            both(&format!("{base}/"), &|empty| {
                let server = serve(empty)?;
                Ok((format!("{}/", server.base()), Some(server)))
            })
        }),
        Case::new(BACKEND, move |_| {
            let base = format!("http://127.0.0.1:{}", nginx.port);
            both(&format!("{base}/full.git"), &|_| Ok((format!("{base}/empty.git"), None)))
        }),
    ];
    let tables = interleave(tables, cases, lab.args.runs());
    fs::remove_dir_all(root)?;
    Ok(tables)
}

/// What is shown where the rival is not there.
fn without(mut table: Table, error: &io::Error) -> Table {
    table.rows.push(Row { subject: BACKEND.into(), samples: Vec::new(), error: Some(error.to_string()) });
    table
}

/// An empty repository that both can serve.
fn repository(lab: &Lab, dir: &Path) -> io::Result<PathBuf> {
    lab.run(lab.command("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(dir))?;
    for (name, value) in [("annex.uuid", UUID), ("annex.version", "10"), ("http.receivepack", "true"), ("gc.auto", "0")]
    {
        lab.run(lab.command("git").arg("-C").arg(dir).args(["config", name, value]))?;
    }
    Ok(dir.to_path_buf())
}

/// Commits, each of which changes one file of a thousand, in one pack.
fn fill(lab: &Lab, dir: &Path, commits: usize) -> io::Result<()> {
    let path = lab.at("git-stream");
    let mut out = BufWriter::new(File::create(&path)?);
    for n in 0..commits {
        let (message, text) = (format!("change {n}\n"), format!("{n}\n{}\n", n * 7919 % 104_729));
        write!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@example.org> {} +0000\ndata {}\n{message}M 644 inline d{}/f{}\ndata {}\n{text}\n",
            1_700_000_000 + n,
            message.len(),
            n % 40,
            n % 1000,
            text.len()
        )?;
    }
    out.flush()?;
    drop(out);
    let mut import = lab.command("git");
    import.arg("-C").arg(dir).args(["fast-import", "--quiet"]).stdin(File::open(&path)?).stdout(Stdio::null());
    if !import.status()?.success() {
        return Err(io::Error::other("git fast-import failed"));
    }
    lab.run(lab.command("git").arg("-C").arg(dir).args(["repack", "-adq", "--write-bitmap-index"]))?;
    fs::remove_file(path)
}
