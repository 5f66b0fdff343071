//! The simulator: sim files beside `git annex sim`, large ones to stability, repositories as they are, and proofs.

use super::{balance, local};
use crate::annex::Repo;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

/// git-annex's standard groups.
const GROUPS: [&str; 10] = [
    "client",
    "transfer",
    "backup",
    "incrementalbackup",
    "smallarchive",
    "archive",
    "source",
    "manual",
    "public",
    "unwanted",
];

/// The most repositories of a network in which each standard group is proved.
const MOST: usize = 4;

/// Repositories of the large network that is proved.
const MANY: usize = 12;

/// Rows of all of it.
pub fn all(lab: &Lab) -> io::Result<Vec<Table>> {
    let repo = Repo::plain(lab, "sim")?;
    let mut tables = beside(lab, &repo)?;
    tables.extend(stable(lab, &repo)?);
    tables.extend(proofs(lab, &repo)?);
    tables.extend(show(lab, &repo)?);
    repo.delete()?;
    tables.extend(as_it_is(lab)?);
    Ok(tables)
}

/// A sim file of `files` in balanced repositories that are all connected.
fn balanced(files: usize, repositories: usize, maxsize: Option<u64>) -> String {
    let mut text = "seed 1\n".to_string();
    for at in 0..repositories {
        text += &format!("init r{at}\n");
    }
    for a in 0..repositories {
        for b in (0..repositories).filter(|b| *b != a) {
            text += &format!("connect r{a} -> r{b}\n");
        }
        text += &format!("group r{a} nodes\nwanted r{a} balanced=nodes:2\n");
        if let Some(bytes) = maxsize {
            text += &format!("maxsize r{a} {bytes}b\n");
        }
    }
    text + &format!("numcopies 2\naddmulti {files} f 100kb 1mb r0\nstep {}\n", files * repositories * 4)
}

fn write(repo: &Repo<'_>, text: &str) -> io::Result<()> {
    fs::write(repo.dir().join("bench.sim"), text)
}

fn ours(repo: &Repo<'_>, words: &[&str]) -> io::Result<Sample> {
    repo.run("git-annex-remote-stream", &[&["sim"], words].concat()).map(local)
}

/// The same file in both programs.
fn beside(lab: &Lab, repo: &Repo<'_>) -> io::Result<Vec<Table>> {
    let files = if lab.args.quick { 10 } else { 800 };
    let title = format!("{files} balanced files in four repositories, sim run to stability");
    write(repo, &balanced(files, 4, None))?;
    let cases = vec![
        Case::new("ours", |_| Ok(vec![ours(repo, &["run", "bench.sim"])?])),
        // A minute each.
        Case::new("git-annex", |_| Ok(vec![local(repo.annex(&["sim", "run", "bench.sim"])?)])).at_most(1),
    ];
    Ok(interleave(vec![Table::new("sim/beside", title, 0, "git-annex")], cases, lab.args.runs()))
}

/// Ever more files, balanced and sized.
fn stable(lab: &Lab, repo: &Repo<'_>) -> io::Result<Vec<Table>> {
    let sizes: &[usize] = if lab.args.quick { &[100, 1_000] } else { &[10_000, 100_000, 500_000, 1_000_000] };
    let table = Table::new(
        "sim/stable",
        "Balanced files in eight repositories with sizes, sim run to stability",
        0,
        "10000 files",
    );
    let case = |files: usize| {
        Case::new(format!("{files} files"), move |_| {
            write(repo, &balanced(files, 8, Some(files as u64 * 400_000)))?;
            Ok(vec![ours(repo, &["run", "bench.sim"])?])
        })
    };
    Ok(interleave(vec![table], sizes.iter().map(|files| case(*files)).collect(), lab.args.runs()))
}

/// Networks whose members are in different standard groups, each set of groups once; all are connected.
fn standard() -> Vec<String> {
    let mut all = Vec::new();
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..MOST {
        let more = |set: &Vec<usize>| {
            let first = set.last().map_or(0, |last| last + 1);
            (first..GROUPS.len()).map(|next| [&set[..], &[next]].concat()).collect::<Vec<_>>()
        };
        sets = sets.iter().flat_map(more).collect();
        all.extend(sets.iter().map(|set| {
            let mut text = String::new();
            for (at, group) in set.iter().enumerate() {
                text += &format!("init r{at}\ngroup r{at} {}\nwanted r{at} standard\n", GROUPS[*group]);
            }
            for a in 0..set.len() {
                text.extend((0..set.len()).filter(|b| *b != a).map(|b| format!("connect r{a} -> r{b}\n")));
            }
            text
        }));
    }
    all
}

/// Proofs, and how many of the networks of standard groups are proved: each is proved or refuted, and both are answers.
fn proofs(lab: &Lab, repo: &Repo<'_>) -> io::Result<Vec<Table>> {
    let mut networks = standard();
    if lab.args.quick {
        networks.truncate(GROUPS.len() + 2);
    }
    let count = networks.len();
    let tables = vec![
        Table::new(
            "sim/prove",
            format!("sim prove of the slowest of {count} networks of one to four standard groups"),
            0,
            "ours",
        ),
        Table::new("sim/prove-many", format!("sim prove of {MANY} repositories with copies= terms"), 0, "ours"),
    ];
    let prove = |text: &str| -> io::Result<Sample> {
        write(repo, text)?;
        let mut shell = lab.command("sh");
        let script = "git-annex-remote-stream sim prove bench.sim; echo $? > answer";
        shell.args(["-c", script]).current_dir(repo.dir());
        lab.run(&mut shell).map(local)
    };
    let answer = || -> io::Result<usize> {
        let said = fs::read_to_string(repo.dir().join("answer"))?;
        match said.trim() {
            "0" => Ok(0),
            "1" => Ok(1),
            other => Err(io::Error::other(format!("sim prove ended with {other}, and should prove or refute"))),
        }
    };
    let (answers, seconds) = (Cell::new([0, 0]), Cell::new(0.0));
    let many = if lab.args.quick { 6 } else { MANY };
    let mut text = "numcopies 2\n".to_string();
    for at in 0..many {
        text += &format!("init r{at}\ngroup r{at} {}\n", if at % 3 == 0 { "archive" } else { "work" });
    }
    for at in 0..many {
        text.extend((0..many).filter(|b| *b != at).map(|b| format!("connect r{at} -> r{b}\n")));
        let wanted = [
            "present or not copies=archive:2",
            "not copies=archive:2 and (present or not copies=work:3)",
            "not copies=archive:1",
        ][at % 3];
        text += &format!("wanted r{at} {wanted}\n");
    }
    let case = Case::new("ours", |_| {
        let (mut slowest, mut found) = (Sample::default(), [0, 0]);
        for network in &networks {
            let one = prove(network)?;
            found[answer()?] += 1;
            seconds.set(seconds.get() + one.wall);
            slowest = if one.wall > slowest.wall { one } else { slowest };
        }
        answers.set(found);
        Ok(vec![slowest, prove(&text)?])
    });
    let mut tables = interleave(tables, vec![case.at_most(1)], lab.args.runs());
    let [proved, refuted] = answers.get();
    tables[0].title += &format!(": {proved} proved, {refuted} refuted, all in {:.1} s", seconds.get());
    Ok(tables)
}

/// From start to exit.
fn show(lab: &Lab, repo: &Repo<'_>) -> io::Result<Vec<Table>> {
    write(repo, &balanced(10, 4, None))?;
    ours(repo, &["start", "bench.sim"])?;
    let runs = if lab.args.quick { 1 } else { lab.args.runs().max(25) };
    let case = Case::new("ours", |_| Ok(vec![ours(repo, &["show"])?]));
    let tables = interleave(vec![Table::new("sim/show", "sim show of a small sim", 0, "ours")], vec![case], runs);
    ours(repo, &["end"])?;
    Ok(tables)
}

/// A large branch as a sim, and what would move if a node were added.
fn as_it_is(lab: &Lab) -> io::Result<Vec<Table>> {
    let keys = lab.args.keys();
    let dir = balance::cluster(lab, keys, "sim-branch")?;
    let tables = vec![
        Table::new("sim/from-repository", format!("sim from-repository --all of {keys} keys"), 0, "ours"),
        Table::new("sim/whatif", format!("sim whatif of one more node, rebalanced, of {keys} keys"), 0, "ours"),
    ];
    let sim = |words: &[&str]| run(lab, &dir, words);
    let case = Case::new("ours", |_| {
        let read = sim(&["from-repository", "--all"])?;
        sim(&["end"])?;
        let change = ["whatif", "init new", "group new nodes", "wanted new balanced=nodes:2", "rebalance on"];
        Ok(vec![read, sim(&change)?])
    });
    let tables = interleave(tables, vec![case], lab.args.runs().min(2));
    fs::remove_dir_all(&dir)?;
    Ok(tables)
}

fn run(lab: &Lab, dir: &Path, words: &[&str]) -> io::Result<Sample> {
    lab.run(lab.command("git-annex-remote-stream").arg("sim").args(words).current_dir(dir)).map(local)
}
