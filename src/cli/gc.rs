//! `gc`: lists the uploads that were not finished, and undoes old ones.

use annex_types::size;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use remotes::{Context, sys};
use serde::Serialize;

use super::here;
use super::meter::Meter;
use crate::annex::unfinished::{duration, keep};
use crate::gateway::node::store::unfinished::{Fate, Leftover, Sweep, sweep};
use crate::resolve::environment;

pub(super) const EXAMPLES: &str = "\
An interrupted upload through this repository to a special remote stays in the store. It can be resumed there, and costs
space. The server undoes uploads that nothing was added to for a week; this does it now, and lists what there is.

  git-annex-remote-stream gc --dry-run            only list
  git-annex-remote-stream gc                      undo uploads older than annex.stream.keep (a week)
  git-annex-remote-stream gc --older-than 12h     undo uploads older than that
  git-annex-remote-stream gc --all                undo all that are not in progress

The exit status is 1 if an upload that should have been undone could not be.";

#[derive(Args)]
pub(super) struct Gc {
    /// Undo uploads that have not grown for this long: 7d, 12h, 30m. Default: git config annex.stream.keep, or a week.
    #[arg(long, value_name = "DURATION", value_parser = parse, conflicts_with = "all")]
    older_than: Option<Duration>,
    /// Undo uploads of any age. Uploads in progress are left alone.
    #[arg(long)]
    all: bool,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Forget what cannot be undone because its remote is gone or its ledger is malformed. Its parts may stay in the store.
    #[arg(long)]
    force: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One upload, for JSON. Bytes that are no text are shown as U+FFFD.
#[derive(Serialize)]
struct Shown {
    remote: Option<String>,
    uuid: Option<String>,
    key: Option<String>,
    object: Option<String>,
    file: String,
    reached: Option<u64>,
    total: Option<u64>,
    age_seconds: u64,
    state: &'static str,
    error: Option<String>,
}

/// Does it. Fails where something should have been undone and was not.
pub(super) fn main(args: &Gc) -> ExitCode {
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Gc) -> Result<bool, String> {
    let repository = here::repository()?;
    let older_than = match (args.all, args.older_than) {
        (true, _) => Duration::ZERO,
        (false, Some(given)) => given,
        (false, None) => keep(&repository)?,
    };
    let how = Sweep { older_than, dry_run: args.dry_run, force: args.force };
    let context = Context::default();
    let meter = Meter::new();
    let far = |done: usize, all: usize| meter.step(|| format!("{done} of {all} unfinished uploads seen to"));
    let swept = sys::run(false, sweep(&repository, how, environment, &context, &far)).map_err(|e| e.to_string())?;
    meter.clear();
    let leftovers = swept.map_err(|e| e.to_string())?;
    let shown: Vec<Shown> = leftovers.iter().map(Shown::of).collect();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&shown).expect("strings and numbers"));
    } else {
        print!("{}", table(&shown));
    }
    Ok(!leftovers.iter().any(|leftover| matches!(leftover.fate, Fate::Stays(_))))
}

impl Shown {
    fn of(leftover: &Leftover) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let upload = leftover.upload.as_ref();
        let (state, error) = match &leftover.fate {
            Fate::Kept => ("kept", None),
            Fate::UnderWay => ("under way", None),
            Fate::Due => ("would be undone", None),
            Fate::Undone => ("undone", None),
            Fate::Forgotten => ("forgotten", None),
            Fate::Stays(why) => ("stays", Some(why.clone())),
        };
        Self {
            remote: upload.and_then(|upload| upload.remote.as_deref()).map(text),
            uuid: upload.map(|upload| text(upload.uuid.as_bytes())),
            key: upload.map(|upload| text(upload.key.as_bytes())),
            object: upload.map(|upload| text(&upload.begun.object)),
            file: text(std::os::unix::ffi::OsStrExt::as_bytes(leftover.file.as_os_str())),
            reached: upload.map(|upload| upload.begun.reached()),
            total: upload.map(|upload| upload.begun.len),
            age_seconds: leftover.age.as_secs(),
            state,
            error,
        }
    }
}

/// A line for each upload, oldest first.
fn table(shown: &[Shown]) -> String {
    if shown.is_empty() {
        return "No unfinished uploads.\n".into();
    }
    let lines = shown.iter().map(|one| {
        let whose = one.remote.as_ref().or(one.uuid.as_ref()).map_or("?", String::as_str);
        let what = one.key.as_ref().unwrap_or(&one.file);
        let (reached, total) = (one.reached.map(size::show), one.total.map(size::show));
        let far = match (reached, total) {
            (Some(reached), Some(total)) => format!("{reached} of {total}"),
            _ => "?".into(),
        };
        let why = one.error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let line = format!("{whose}  {what}  {far}  {} old  {}{why}", age(one.age_seconds), one.state);
        // A key may hold anything, and this goes to a terminal.
        let line: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        line + "\n"
    });
    lines.collect()
}

/// An age in its largest unit.
fn age(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

fn parse(text: &str) -> Result<Duration, String> {
    duration(text.as_bytes()).ok_or_else(|| "a duration is like 7d, 12h or 1h30m".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_upload_whatever_its_key_holds() {
        let one = |remote: Option<&str>, key: Option<&str>, error: Option<&str>| Shown {
            remote: remote.map(str::to_string),
            uuid: key.map(|_| "u-1".into()),
            key: key.map(str::to_string),
            object: None,
            file: "/x/f.bad0".into(),
            reached: key.map(|_| 8 << 20),
            total: key.map(|_| 1 << 30),
            age_seconds: 90_000,
            state: "stays",
            error: error.map(str::to_string),
        };
        let text =
            table(&[one(Some("s3"), Some("K\n\x1b"), None), one(None, Some("K"), Some("gone")), one(None, None, None)]);
        assert_eq!(
            text,
            "s3  K??  8 MiB of 1 GiB  1d old  stays\nu-1  K  8 MiB of 1 GiB  1d old  stays: gone\n\
             ?  /x/f.bad0  ?  1d old  stays\n"
        );
        assert_eq!(table(&[]), "No unfinished uploads.\n");
        assert_eq!([age(59), age(60), age(7200)], ["59s", "1m", "2h"]);
    }
}
