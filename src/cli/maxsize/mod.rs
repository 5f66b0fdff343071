//! `maxsize`: how much repositories hold and may hold, as `git annex maxsize` shows and sets it.

mod show;

use std::cmp::Ordering;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use annex_types::size;
use serde_json::{Value, json};

use super::here;
use crate::annex::branch::{BranchError, Edit};
use crate::annex::log::uuid::UuidLog;
use crate::annex::log::{MAXSIZE_LOG, MaxSizeLog, TRUST_LOG};
use crate::annex::remote::Names;
use crate::annex::repository::Repository;
use crate::annex::sizes::Sizes;
use crate::name::Uuid;
use show::Row;

pub(super) const EXAMPLES: &str = "\
How full the repositories are that are known here:

  git-annex-remote-stream maxsize

Let the remote \"usb\" be filled up to 500 GB, and see what is set:

  git-annex-remote-stream maxsize usb 500gb
  git-annex-remote-stream maxsize usb

Sizes are those of git-annex: gb is 1000 to the third, GiB 1024 to the third. The same is recorded as by git annex maxsize,
and the sums are the same. A repository is a remote, a uuid, a description, or here.";

/// The arguments of `maxsize`.
#[derive(clap::Args)]
pub(super) struct Maxsize {
    /// A remote, a uuid, a description, or here. Without it, all repositories are listed.
    repository: Option<String>,
    /// The most that it may hold, such as 500gb. Without it, the current value is printed.
    size: Option<String>,
    /// Show bytes rather than larger units.
    #[arg(long)]
    bytes: bool,
    /// Print JSON.
    #[arg(long, short)]
    json: bool,
}

/// Shows or sets it. Fails where the repository is not known or cannot be read or written, and for what is no size.
pub(super) fn main(args: &Maxsize) -> ExitCode {
    let done = here::repository().and_then(|repository| match (&args.repository, &args.size) {
        (None, _) => list(repository, args),
        (Some(name), None) => get(&repository, name, args),
        (Some(name), Some(size)) => set(&repository, name, size, args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn list(repository: Repository, args: &Maxsize) -> Result<(), String> {
    // git-annex merges first, and what is not merged does not count.
    if let Err(e) = repository.branch().merge_arrived() {
        eprintln!("git-annex-remote-stream: pushed branches are not merged yet and do not count: {e}");
    }
    let repository = Arc::new(repository);
    let rows = rows(&repository)?;
    let text = match args.json {
        true => line(&report(&[], [("repositories", Value::Array(rows.iter().map(Row::json).collect()))], true)),
        false => show::table(&rows, args.bytes),
    };
    print(&text)
}

/// The repositories that are known and not dead, those first that may hold most.
fn rows(repository: &Arc<Repository>) -> Result<Vec<Row>, String> {
    let branch = repository.branch();
    let told = |e: BranchError| e.to_string();
    let sizes = Sizes::new(Arc::clone(repository)).recorded().map_err(|e| e.to_string())?;
    let limits = MaxSizeLog::parse(&branch.read(MAXSIZE_LOG).map_err(told)?);
    let trust = UuidLog::parse(&branch.read(TRUST_LOG).map_err(told)?);
    let names = Names::of(repository).map_err(|e| e.to_string())?;
    let mut uuids: Vec<&Uuid> = names.described().chain(limits.uuids()).chain(sizes.keys()).collect();
    uuids.sort_unstable();
    uuids.dedup();
    let is_dead = |uuid: &Uuid| trust.value(uuid) == Some(b"X");
    let row = |uuid: &Uuid| Row {
        uuid: uuid.clone(),
        description: names.shown(uuid),
        is_here: uuid == names.own(),
        size: sizes.get(uuid).map_or(0, |amount| amount.bytes),
        max_size: limits.recorded(uuid),
    };
    let mut rows: Vec<Row> = uuids.into_iter().filter(|uuid| !is_dead(uuid)).map(row).collect();
    rows.sort_by(by_room);
    Ok(rows)
}

/// The order of git-annex: who may hold most comes first, then who holds most.
fn by_room(a: &Row, b: &Row) -> Ordering {
    (b.max_size, b.size, &b.uuid).cmp(&(a.max_size, a.size, &a.uuid))
}

fn get(repository: &Repository, name: &str, args: &Maxsize) -> Result<(), String> {
    let uuid = find(repository, name)?;
    let log = repository.branch().read(MAXSIZE_LOG).map_err(|e| e.to_string())?;
    let set = MaxSizeLog::parse(&log).recorded(&uuid);
    let text = match (args.json, set) {
        (true, set) => line(&report(&[name], [("maxsize", show::number(set))], true)),
        (false, None) => "\n".to_string(),
        (false, Some(set)) if args.bytes => format!("{set}\n"),
        (false, Some(set)) => format!("{}\n", show::exact(set)),
    };
    print(&text)
}

fn set(repository: &Repository, name: &str, text: &str, args: &Maxsize) -> Result<(), String> {
    let uuid = find(repository, name)?;
    let begun = format!("maxsize {name} ");
    let Some(bytes) = size::parse_large(text) else {
        print(&match args.json {
            true => line(&report(&[name, text], [], false)),
            false => format!("{begun}\nfailed\n"),
        })?;
        return Err(format!("{text:?} is not a size; give a number and a unit, such as 500gb, 1.5 TB or 100 GiB"));
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let edit = Edit::new(MAXSIZE_LOG.to_vec(), move |have| {
        let mut log = MaxSizeLog::parse(have);
        log.set(&uuid, bytes, now);
        Some(log.to_bytes())
    });
    let commits = repository.config_bool("annex.alwayscommit") != Some(false);
    let record = || {
        repository.branch().change(vec![edit])?;
        if commits { repository.branch().commit("update").map(drop) } else { Ok(()) }
    };
    record().map_err(|e: BranchError| e.to_string())?;
    print(&match args.json {
        true => line(&report(&[name, text], [], true)),
        false => format!("{begun}ok\n{}", if commits { "(recording state in git...)\n" } else { "" }),
    })
}

fn find(repository: &Repository, name: &str) -> Result<Uuid, String> {
    let names = Names::of(repository).map_err(|e| e.to_string())?;
    names.find(name.as_bytes()).map_err(|e| e.to_string())
}

/// What git-annex says of a command in JSON; the names come in the order of the alphabet.
fn report<const N: usize>(input: &[&str], more: [(&str, Value); N], success: bool) -> Value {
    let mut report = json!({"command": "maxsize", "error-messages": [], "input": input, "success": success});
    for (name, value) in more {
        report[name] = value;
    }
    report
}

fn line(json: &Value) -> String {
    format!("{json}\n")
}

/// Prints it as a whole; whoever reads it may have had enough.
fn print(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("stdout: {e}")),
        _ => Ok(()),
    }
}
