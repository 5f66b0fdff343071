//! What is told of moves: a line for each, how far it is, and what it came to.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;

use annex_types::size;
use serde_json::{Value, json};

use crate::cli::known::{Known, plain};
use crate::cli::meter::Meter;
use crate::cluster::Stay;
use crate::gateway::balance::{Balanced, Event, NodeBalance, Onlooker, What};
use crate::name::Uuid;

/// Where it is told.
pub(super) struct Show<'a> {
    known: &'a Known,
    is_json: bool,
    is_quiet: bool,
    is_dry: bool,
    meter: Meter,
    failures: Cell<u64>,
    lost: Cell<u64>,
}

/// Failures that are told one by one.
const MOST_FAILURES: u64 = 100;

impl<'a> Show<'a> {
    pub(super) fn new(known: &'a Known, is_json: bool, is_quiet: bool, is_dry: bool) -> Self {
        Self { known, is_json, is_quiet, is_dry, meter: Meter::new(), failures: Cell::new(0), lost: Cell::new(0) }
    }

    fn called(&self, uuid: &Uuid) -> String {
        self.known.remote(uuid).unwrap_or_else(|| uuid.to_string())
    }

    /// A line, and whether it goes to stderr.
    fn line(&self, event: &Event<'_>) -> Option<(String, bool)> {
        let what = event.files.first().map_or_else(|| plain(event.key.as_bytes()), |file| plain(file));
        let names = |uuids: &[Uuid]| uuids.iter().map(|uuid| self.called(uuid)).collect::<Vec<_>>().join(", ");
        let words = match &event.what {
            What::Copy(to) => format!("copy {what} (to {})", names(to)),
            What::Drop(from) => format!("drop {what} (from {})", self.called(from)),
            What::Absent(on) => format!("check {what}: {} has it not", self.called(on)),
            What::Look(on) => format!("check {what} (on {})", self.called(on)),
            What::Plan => format!("balance {what}"),
            What::Lost => {
                self.lost.set(self.lost.get() + 1);
                return match self.lost.get() {
                    told if told <= MOST_FAILURES => Some((format!("{what}: no copy is recorded anywhere"), true)),
                    told if told == MOST_FAILURES + 1 => {
                        Some(("further lost files are only counted".to_string(), true))
                    }
                    _ => None,
                };
            }
        };
        match event.failure {
            Some(failure) => {
                self.failures.set(self.failures.get() + 1);
                match self.failures.get() {
                    told if told <= MOST_FAILURES => Some((format!("{words} failed: {failure}"), true)),
                    told if told == MOST_FAILURES + 1 => Some(("further failures are only counted".to_string(), true)),
                    _ => None,
                }
            }
            None if self.is_quiet || self.is_dry && !matches!(event.what, What::Absent(_)) => None,
            None if matches!(event.what, What::Absent(_)) => Some((words, false)),
            None => Some((format!("{words} ok"), false)),
        }
    }

    fn json(&self, event: &Event<'_>) -> Value {
        let (command, nodes): (&str, Vec<&Uuid>) = match &event.what {
            What::Copy(to) => ("copy", to.iter().collect()),
            What::Drop(from) => ("drop", vec![from]),
            What::Absent(on) => ("absent", vec![on]),
            What::Look(on) => ("check", vec![on]),
            What::Plan => ("balance", Vec::new()),
            What::Lost => ("lost", Vec::new()),
        };
        let node = |uuid: &&Uuid| json!({ "uuid": uuid.to_string(), "name": self.called(uuid) });
        json!({
            "command": command,
            "key": String::from_utf8_lossy(event.key.as_bytes()),
            "file": event.files.first().map(|file| String::from_utf8_lossy(file)),
            "nodes": nodes.iter().map(node).collect::<Vec<_>>(),
            "bytes": event.bytes,
            "dry-run": self.is_dry,
            "success": event.failure.is_none() && event.what != What::Lost,
            "error-messages": event.failure.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    /// What it came to. `elsewhere` are nodes that are left alone since they are not behind this gateway.
    pub(super) fn end(&self, done: &Balanced, elsewhere: &[Uuid]) {
        self.meter.clear();
        if self.is_json {
            let node = |node: &NodeBalance| {
                let stays: BTreeMap<&str, u64> = node.stays.iter().map(|(stay, count)| (word(*stay), *count)).collect();
                json!({
                    "uuid": node.uuid.to_string(), "name": node.name,
                    "files-in": node.traffic.files_in, "bytes-in": node.traffic.bytes_in,
                    "files-out": node.traffic.files_out, "bytes-out": node.traffic.bytes_out,
                    "files-lacking": node.lacks.files, "bytes-lacking": node.lacks.bytes,
                    "stays": stays, "down": node.down, "dead": node.is_dead,
                })
            };
            let shown = json!({
                "command": "total",
                "dry-run": self.is_dry,
                "keys": done.keys,
                "failed": done.failed,
                "lost": done.lost,
                "out-of-reach": done.out_of_reach.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "ended-early": done.is_cut,
                "nodes": done.nodes.iter().map(node).collect::<Vec<_>>(),
                "elsewhere": elsewhere.iter().map(ToString::to_string).collect::<Vec<_>>(),
            });
            say(&shown.to_string());
            return;
        }
        for line in text(done, self.is_dry) {
            say(&line);
        }
        for uuid in elsewhere {
            say(&format!("{}: no way leads to it from here, left alone", self.known.title(uuid)));
        }
        if !done.out_of_reach.is_empty() {
            let titled = |uuid: &Uuid| Some(self.known.title(uuid)).filter(|title| !title.is_empty());
            let who = done.out_of_reach.iter().map(|uuid| titled(uuid).unwrap_or_else(|| uuid.to_string()));
            let who: Vec<String> = who.collect();
            say(&format!("what nodes lack is recorded only of {}, which this cannot read from", who.join(", ")));
        }
        if done.lost > 0 {
            let (count, s) = (done.lost, if done.lost == 1 { "" } else { "s" });
            say(&format!(
                "{count} file{s} of the branch lost: no copy is recorded anywhere; a clone that has it can copy it here"
            ));
        }
    }
}

impl Onlooker for Show<'_> {
    fn event(&self, event: Event<'_>) {
        self.meter.clear();
        if self.is_json {
            say(&self.json(&event).to_string());
            return;
        }
        match self.line(&event) {
            Some((line, true)) => drop(writeln!(std::io::stderr(), "{line}")),
            Some((line, false)) => say(&line),
            None => {}
        }
    }

    fn far(&self, keys: u64, done: u64) {
        self.meter.show(|| format!("{keys} keys seen to, {done} contents moved"));
    }
}

/// What it came to, in lines.
fn text(done: &Balanced, is_dry: bool) -> Vec<String> {
    let files = |count: u64, bytes: u64| match count {
        0 => "nothing".to_string(),
        1 => format!("1 file ({})", size::show(bytes)),
        _ => format!("{count} files ({})", size::show(bytes)),
    };
    let mut lines = Vec::new();
    for node in &done.nodes {
        let traffic = &node.traffic;
        let name = plain(node.name.as_bytes());
        let mut line = match &node.down {
            Some(_) if node.is_dead => format!("{name}: left alone, it is dead"),
            Some(why) => format!("{name}: left alone, it cannot be reached: {why}"),
            None => format!(
                "{name}: in {}, out {}",
                files(traffic.files_in, traffic.bytes_in),
                files(traffic.files_out, traffic.bytes_out)
            ),
        };
        let stays: Vec<String> = node.stays.iter().map(|(stay, count)| format!("{count} {}", reason(*stay))).collect();
        if node.lacks.files > 0 {
            line += &format!("; lacking {}", files(node.lacks.files, node.lacks.bytes));
        }
        if !stays.is_empty() {
            line += &format!("; not wanted and kept: {}", stays.join(", "));
        }
        lines.push(line);
    }
    let (keys, failed) = (done.keys, done.failed);
    let mut last = format!("{keys} key{} looked at", if keys == 1 { "" } else { "s" });
    if is_dry {
        last += ", nothing was moved: --dry-run";
    }
    if failed > 0 {
        last += &format!(", {failed} failed");
    }
    if done.is_cut {
        last += "; told to end before it was done, run it again to go on";
    }
    lines.push(last);
    lines
}

fn word(stay: Stay) -> &'static str {
    match stay {
        Stay::Required => "required",
        Stay::Copies => "copies",
        Stay::Last => "last",
        Stay::ReadOnly => "readonly",
        Stay::Down => "down",
        Stay::Elsewhere => "elsewhere",
        Stay::Unsettled => "unsettled",
    }
}

fn reason(stay: Stay) -> &'static str {
    match stay {
        Stay::Required => "required there",
        Stay::Copies => "for numcopies or mincopies",
        Stay::Last => "that no other node has",
        Stay::ReadOnly => "where nothing may be removed",
        Stay::Down => "that cannot be reached",
        Stay::Elsewhere => "for its own gateway to drop",
        Stay::Unsettled => "that nodes would pass on to each other for ever",
    }
}

/// Whoever reads it may have gone.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Traffic;
    use crate::gateway::balance::Lack;

    #[test]
    fn what_it_came_to_is_told_in_lines() {
        let node = |name: &str, traffic, down: Option<&str>, stays: &[(Stay, u64)]| NodeBalance {
            uuid: Uuid::parse(b"u-1").expect("a uuid"),
            name: name.to_string(),
            traffic,
            down: down.map(str::to_string),
            is_dead: name == "disk3",
            lacks: if stays.is_empty() { Lack::default() } else { Lack { files: 1, bytes: 2048 } },
            stays: stays.iter().copied().collect(),
        };
        let traffic = Traffic { files_in: 1, bytes_in: 1 << 20, files_out: 3, bytes_out: 5 << 30 };
        let nodes = vec![
            node("disk1", traffic, None, &[(Stay::Copies, 2), (Stay::Required, 1)]),
            node("disk2\n", Traffic::default(), Some("it is gone"), &[]),
            node("disk3", Traffic::default(), Some("it is gone"), &[]),
        ];
        let out_of_reach = std::collections::BTreeSet::new();
        let done = Balanced { keys: 1, nodes, failed: 2, lost: 0, out_of_reach, is_cut: true };
        assert_eq!(
            text(&done, true),
            [
                "disk1: in 1 file (1 MiB), out 3 files (5 GiB); lacking 1 file (2 KiB); not wanted and kept: 1 required there, 2 \
                 for numcopies or mincopies",
                "disk2?: left alone, it cannot be reached: it is gone",
                "disk3: left alone, it is dead",
                "1 key looked at, nothing was moved: --dry-run, 2 failed; told to end before it was done, run it again to go on",
            ]
        );
    }
}
