//! How much repositories hold: all location logs counted for the first time, and brought forward by some changes.

use super::local;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use crate::usage::Usage;
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Keys that change between two counts.
const CHANGES: usize = 1_000;

// What testdata/gen-branch.py calls the repository.
const GENERATED: &str = "00000000-0000-4000-8000-0000000000aa";

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    Ours,
    GitAnnex,
}

impl Counter {
    fn subject(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::GitAnnex => "git-annex",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Ours => "git-annex-remote-stream",
            Self::GitAnnex => "git-annex",
        }
    }

    /// What it keeps in a repository.
    fn kept(self, repo: &Path) -> PathBuf {
        repo.join(match self {
            Self::Ours => "annex/stream/sizes",
            Self::GitAnnex => "annex/reposize",
        })
    }
}

/// Rows of `maxsize`, ours and git-annex's, each in a copy of one repository of its own.
pub fn count(lab: &Lab) -> io::Result<Vec<Table>> {
    let keys = lab.args.keys();
    let what = format!("a git-annex branch of {keys} keys, each with a log of its own, maxsize from start to exit");
    let tables = vec![
        Table::new("sizes/first", format!("Sizes counted for the first time: {what}"), 0, "git-annex"),
        Table::new("sizes/changes", format!("Sizes after {CHANGES} changes in one commit: {what}"), 0, "git-annex"),
    ];
    let template = generated(lab, keys)?;
    let said: Cell<Option<u64>> = Cell::new(None);
    let case = |counter: Counter| {
        let (template, said) = (&template, &said);
        let mut copy = None;
        Case::new(counter.subject(), move |round| {
            if copy.is_none() {
                let dir = lab.at(&format!("sizes-{counter:?}"));
                lab.run(lab.command("cp").arg("-a").arg(template).arg(&dir))?;
                copy = Some(dir);
            }
            let repo = copy.as_ref().expect("just copied");
            // All rounds are of the same branch.
            let begun = ask(lab, repo, "git", &["rev-parse", "git-annex"])?;
            let _ = fs::remove_dir_all(counter.kept(repo));
            lab.settle()?;
            let first = maxsize(lab, counter, repo)?;
            change(lab, repo, round * CHANGES % keys)?;
            let later = maxsize(lab, counter, repo)?;
            // Both programs say the same, or neither is a row.
            let digest = digest(&ask(lab, repo, counter.program(), &["maxsize", "--bytes"])?);
            if counter == Counter::Ours {
                said.set(Some(digest));
            } else if said.get().is_some_and(|other| other != digest) {
                return Err(io::Error::other("the two programs count differently"));
            }
            lab.run(lab.command("git").arg("-C").arg(repo).args(["update-ref", "refs/heads/git-annex", &begun]))?;
            Ok(vec![first, later])
        })
    };
    let tables = interleave(tables, vec![case(Counter::Ours), case(Counter::GitAnnex)], lab.args.runs());
    for counter in [Counter::Ours, Counter::GitAnnex] {
        let _ = fs::remove_dir_all(lab.at(&format!("sizes-{counter:?}")));
    }
    Ok(tables)
}

fn maxsize(lab: &Lab, counter: Counter, repo: &Path) -> io::Result<Sample> {
    let used: Usage = lab.run(lab.command(counter.program()).arg("maxsize").current_dir(repo))?;
    Ok(local(used))
}

fn ask(lab: &Lab, repo: &Path, program: &str, args: &[&str]) -> io::Result<String> {
    let done = lab.command(program).args(args).current_dir(repo).output()?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr).trim().replace('\n', " | ");
        return Err(io::Error::other(format!("{program} {}: {words}", args.join(" "))));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_string())
}

/// Tells two tables apart.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One commit on the branch, by git.
fn change(lab: &Lab, repo: &Path, first: usize) -> io::Result<()> {
    let (changes, first) = (CHANGES.to_string(), first.to_string());
    import(lab, repo, &["--change", &changes, "--first", &first])
}

/// A bare repository whose git-annex branch has `keys` keys with a log of their own; made once and kept.
fn generated(lab: &Lab, keys: usize) -> io::Result<PathBuf> {
    let dir = lab.kept()?.join(format!("own-logs-{keys}"));
    if dir.exists() {
        return Ok(dir);
    }
    let making = lab.at(&format!("making-own-logs-{keys}"));
    lab.run(lab.command("git").args(["init", "-q", "--bare"]).arg(&making))?;
    import(lab, &making, &["--keys", &keys.to_string()])?;
    for (name, value) in [("annex.uuid", GENERATED), ("annex.version", "10")] {
        lab.run(lab.command("git").arg("-C").arg(&making).args(["config", name, value]))?;
    }
    fs::create_dir(making.join("annex"))?;
    fs::rename(making, &dir)?;
    Ok(dir)
}

fn import(lab: &Lab, repo: &Path, words: &[&str]) -> io::Result<()> {
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/gen-branch.py");
    let mut stream = lab.command("python3");
    stream.arg(generator).args(["--own-logs", "--uuid", GENERATED]).args(words);
    let mut stream = stream.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut import = lab.command("git");
    import.arg("-C").arg(repo).args(["fast-import", "--quiet", "--force"]);
    import.stdin(stream.stdout.take().expect("stdout piped"));
    let (imported, made) = (import.status()?, stream.wait()?);
    if imported.success() && made.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("gen-branch.py {}: git ended with {imported}, python3 with {made}", words.join(" "))))
}
