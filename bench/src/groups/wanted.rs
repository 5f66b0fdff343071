//! Preferred content: how often it can be decided which of 16 repositories want a key.
//!
//! The evaluator is called as the product calls it, in this process; git-annex is asked by the command that people have.

use crate::annex::Repo;
use crate::groups::serve_check::generated;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use git_annex_remote_stream::annex::repository::Repository as Opened;
use git_annex_remote_stream::gateway::wanted::{FactSource, Policies, Sizes};
use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::wanted::{Assumed, Configuration, Facts, Policy, Repo as Member, Repository, Unknown};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

/// Members of the group.
const MEMBERS: usize = 16;

/// What each of them wants.
const WANTED: &str = "balanced=nodes:2";

/// Room of each, and what is used of it, in bytes: none is full.
const MAXSIZE: u64 = 1 << 40;
const USED: u64 = 1 << 39;

/// Files that git-annex decides about.
const FILES: usize = 1000;

/// Rows from memory and from a branch.
pub fn decisions(lab: &Lab) -> io::Result<Vec<Table>> {
    let (count, keys) = (if lab.args.quick { 2_000 } else { 200_000 }, lab.args.keys());
    let title = |what: &str| format!("Which of {MEMBERS} repositories with {WANTED} want a key, one core, {what}");
    let memory = Table::new(
        "wanted/memory",
        title("facts in memory; git-annex: one of them, of files in a work tree"),
        0,
        "git-annex",
    );
    let policy = Policy::new(configuration());
    let ours = Case::new("ours", move |_| {
        let begin = Instant::now();
        let mut chosen = 0;
        for number in 0..count {
            chosen += wanting(&policy, &Song(key(number)));
        }
        timed(begin, FILES as f64 / count as f64, chosen)
    });
    let repo = files(lab)?;
    let theirs = Case::new("git-annex", |_| {
        let usage = repo.annex(&["find", &format!("--want-get-by={}", uuid(0))])?;
        Ok(vec![Sample { wall: usage.wall, cpu: usage.cpu, rss: usage.rss, ..Sample::default() }])
    })
    .at_most(3);
    let mut tables = interleave(vec![memory.counting(FILES as u64)], vec![ours, theirs], lab.args.runs());
    repo.delete()?;
    let dir = branch(lab, keys)?;
    let branch = Table::new("wanted/branch", title(&format!("location logs from a branch of {keys} keys")), 0, "ours");
    let opened = Opened::open(&dir).map_err(|e| io::Error::other(e.to_string()))?;
    let ours = Case::new("ours", |round| {
        let begin = Instant::now();
        let policy = Policies::default().current(&opened).map_err(|e| io::Error::other(e.to_string()))?;
        let source = FactSource::new(&opened, &HalfFull);
        let many = count / 10;
        let mut chosen = 0;
        for number in 0..many {
            // Spread over the whole branch, other keys in each round.
            let number = (number + round * many).wrapping_mul(7_919_317) % keys;
            chosen += wanting(&policy, &source.about(key(number), None));
        }
        timed(begin, FILES as f64 / many as f64, chosen)
    });
    tables.extend(interleave(vec![branch.counting(FILES as u64)], vec![ours], lab.args.runs()));
    fs::remove_dir_all(&dir)?;
    Ok(tables)
}

/// A sample of so much of what was done since `begin`. Errors: nobody wanted anything, and so nothing was decided.
fn timed(begin: Instant, share: f64, chosen: usize) -> io::Result<Vec<Sample>> {
    let wall = begin.elapsed().as_secs_f64() * share;
    if chosen == 0 {
        return Err(io::Error::other("nobody wants anything"));
    }
    Ok(vec![Sample { wall, ..Sample::default() }])
}

/// How many repositories want a key, each asked.
fn wanting(policy: &Policy, facts: &impl Facts) -> usize {
    let question = policy.about(facts);
    policy.repos().filter(|repo| question.wants(*repo, Assumed::NOTHING) == Ok(true)).count()
}

fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-0000000001{number:02x}")
}

/// As testdata/gen-branch.py names them.
fn key(number: usize) -> Key {
    Key::parse(format!("SHA256E-s1024--{number:064x}").as_bytes()).expect("a key")
}

fn configuration() -> Configuration {
    let member = |number| Repository {
        groups: vec![b"nodes"[..].into()],
        wanted: Some(WANTED.as_bytes().into()),
        maxsize: Some(MAXSIZE),
        ..Repository::new(Uuid::parse(uuid(number).as_bytes()).expect("a uuid"))
    };
    Configuration { repositories: (0..MEMBERS).map(member).collect(), ..Configuration::default() }
}

/// A key that nobody has.
struct Song(Key);

impl Facts for Song {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(&self.0)
    }
    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok(None)
    }
    fn holders(&self, _: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        Ok(())
    }
    fn used(&self, _: Member, _: &Uuid) -> Result<u64, Unknown> {
        Ok(USED)
    }
    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        Ok(None)
    }
    fn metadata(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }
    fn urls(&self, _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }
    fn unused(&self) -> Result<bool, Unknown> {
        Ok(false)
    }
}

/// Every repository is half full: what counting costs belongs to another row.
struct HalfFull;

impl Sizes for HalfFull {
    fn used(&self, _: &Uuid) -> Result<u64, String> {
        Ok(USED)
    }
}

/// Files of the journal that say of the members what `configuration` does.
fn journal(annex: &Path) -> io::Result<()> {
    let dir = annex.join("journal");
    fs::create_dir_all(&dir)?;
    let of_each =
        |line: &dyn Fn(String) -> String| (0..MEMBERS).map(|number| line(uuid(number)) + "\n").collect::<String>();
    fs::write(dir.join("group.log"), of_each(&|uuid| format!("{uuid} nodes timestamp=1s")))?;
    fs::write(dir.join("preferred-content.log"), of_each(&|uuid| format!("{uuid} {WANTED} timestamp=1s")))?;
    fs::write(dir.join("maxsize.log"), of_each(&|uuid| format!("1s {uuid} {MAXSIZE}")))?;
    fs::write(dir.join("uuid.log"), of_each(&|uuid| format!("{uuid} node timestamp=1s")))
}

/// A repository of git-annex's with so many files, none of which anybody has.
fn files(lab: &Lab) -> io::Result<Repo<'_>> {
    let repo = Repo::plain(lab, "repo-wanted")?;
    for number in 0..FILES {
        let key = String::from_utf8(key(number).as_bytes().to_vec()).expect("text");
        std::os::unix::fs::symlink(
            format!(".git/annex/objects/xx/yy/{key}/{key}"),
            repo.dir().join(format!("f{number}")),
        )?;
    }
    repo.run("git", &["add", "."])?;
    journal(&repo.dir().join(".git/annex"))?;
    Ok(repo)
}

/// A copy of a branch of many keys, with the members in its journal.
fn branch(lab: &Lab, keys: usize) -> io::Result<std::path::PathBuf> {
    let (kept, copy) = (generated(lab, keys)?, lab.at("branch-wanted"));
    lab.run(lab.command("cp").arg("-a").arg(kept).arg(&copy))?;
    journal(&copy.join("annex"))?;
    Ok(copy)
}
