//! `explain`: why each repository wants content or not, term by term, and where an upload would go.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::known::{Known, plain};
use super::placed::{Placed, Room, Uploads};
use super::subject::Subject;
use super::{here, told};
use crate::gateway::wanted::{Counted, FactSource, KeyFacts, Policies};
use crate::name::Uuid;
use crate::wanted::{Answer, Assumed, Explanation, Facts, Joint, Part, Policy, Question, Repo, Repository, Unknown};

pub(super) const EXAMPLES: &str = "\
Who wants this file, and why?

  git-annex-remote-stream explain music/song.mp3

Only one repository, and a key that no file is of:

  git-annex-remote-stream explain SHA256E-s3--2cf2.mp3 usb

Where would an upload of it to the cluster \"mycluster\" go now?

  git-annex-remote-stream explain music/song.mp3 mycluster

A term is followed by what it answered; `-` stands where the answer was known without it. Of a repository that has the
content it is said whether it keeps it: its own copy does not count then. Answers are those of git annex find
--want-get-by and --want-drop-by. The exit status is 1 if one of them could not be told, such as for a log that cannot be
read.";

#[derive(Args)]
pub(super) struct Explain {
    /// An annexed file, or a key.
    what: OsString,
    /// A repository or cluster: here, a remote, the name of a cluster, a uuid or a description. Default: all that are known.
    repo: Option<OsString>,
    /// The file from the top of the work tree that a key is asked about.
    #[arg(long)]
    file: Option<OsString>,
    /// Answer as with git annex satisfy --rebalance.
    #[arg(long)]
    rebalance: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Everything that is told.
#[derive(Serialize)]
struct Shown {
    key: String,
    file: Option<String>,
    clusters: Vec<Placed>,
    repositories: Vec<Row>,
}

/// One repository. What could not be told is `null`, with the reason in `error`.
#[derive(Serialize)]
struct Row {
    uuid: String,
    description: String,
    here: bool,
    trust: &'static str,
    groups: Vec<String>,
    present: Option<bool>,
    /// Whether it fits within the limit of the repository, and the bytes that are free there, where it has one.
    fits: Option<bool>,
    room: Option<u64>,
    /// Whether anything is configured.
    configured: bool,
    #[serde(rename = "want-get")]
    want_get: Option<bool>,
    #[serde(rename = "want-drop")]
    want_drop: Option<bool>,
    wanted: Option<String>,
    required: Option<String>,
    terms: Option<Node>,
    problems: Vec<String>,
    error: Option<String>,
}

/// A part of an expression.
#[derive(Serialize)]
struct Node {
    /// `and` or `or`, where it is joined to what stands before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    joint: Option<&'static str>,
    /// A term, `not`, `standard`, `groupwanted`, or a parenthesis.
    what: String,
    /// `yes`, `no`, `unknown`, or `not needed`.
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Node>,
}

/// Tells it. Fails where something could not be told.
pub(super) fn main(args: &Explain) -> ExitCode {
    match explain(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn explain(args: &Explain) -> Result<bool, String> {
    let repository = Arc::new(here::repository()?);
    // Nobody waits for this process.
    repository.branch().take_all();
    let known = Known::read(&repository)?;
    let only = args.repo.as_ref().map(|name| known.find(name.as_bytes())).transpose()?;
    let mut subject = Subject::find(&repository, &args.what)?;
    subject.file = args.file.clone().map(OsString::into_vec).or(subject.file);
    let policy = Policies::new(args.rebalance).current(&repository).map_err(|e| e.to_string())?;
    let sizes = Counted::new(&repository);
    let source = FactSource::new(&repository, &sizes);
    let facts = source.about(subject.key.clone(), subject.file.clone());
    let question = policy.about(&facts);
    let uploads = Uploads::new(&repository, &policy, &known, &sizes, &facts)?;
    let asked = Asked { policy: &policy, facts: &facts, question: &question, known: &known, uploads: &uploads };
    let is_asked = |uuid: &Uuid| match &only {
        Some(only) => uuid == only || uploads.nodes(only).contains(uuid),
        None => true,
    };
    let chosen = policy.repos().filter(|repo| is_asked(policy.uuid(*repo)));
    let mut rows: Vec<Row> = chosen.map(|repo| asked.row(repo)).collect();
    rows.sort_by(|a, b| (!a.here, &a.description, &a.uuid).cmp(&(!b.here, &b.description, &b.uuid)));
    let clusters = uploads.clusters().into_iter().filter(|uuid| only.as_ref().is_none_or(|only| uuid == only));
    let clusters: Vec<Placed> = clusters.map(|uuid| uploads.placed(&uuid, &question)).collect();
    if let (Some(uuid), true) = (&only, rows.is_empty() && clusters.is_empty()) {
        let why = if Known::is_cluster(uuid) { "is a cluster without nodes" } else { "has no record in the logs" };
        return Err(format!("{} {why}", known.title(uuid)));
    }
    let told = rows.iter().all(|row| row.error.is_none()) && clusters.iter().all(Placed::is_told);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (key, file) = (text(subject.key.as_bytes()), subject.file.as_deref().map(text));
    let shown = Shown { key, file, clusters, repositories: rows };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&shown).expect("strings and truth values"));
    } else {
        let numcopies = question.numcopies().unwrap_or(policy.numcopies());
        print!("{}", text_of(&shown, &known, numcopies));
    }
    Ok(told)
}

struct Asked<'a> {
    policy: &'a Policy,
    facts: &'a KeyFacts<'a>,
    question: &'a Question<'a, KeyFacts<'a>>,
    known: &'a Known,
    uploads: &'a Uploads<'a>,
}

impl Asked<'_> {
    fn row(&self, repo: Repo) -> Row {
        let (uuid, settings) = (self.policy.uuid(repo), self.policy.settings(repo));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let configured = self.policy.is_configured(repo);
        let present = self.present(repo, uuid);
        let (get, keep) = (self.question.wants(repo, Assumed::NOTHING), self.question.keeps(repo, Assumed::NOTHING));
        let explanation = match present {
            Ok(true) => self.question.explain_keeps(repo, Assumed::NOTHING),
            _ => self.question.explain_wants(repo, Assumed::NOTHING),
        };
        let unknown = [present.as_ref().err(), get.as_ref().err(), keep.as_ref().err()].into_iter().flatten().next();
        let room = self.uploads.room(repo);
        Row {
            uuid: uuid.to_string(),
            description: self.known.title(uuid).trim_end_matches(" [here]").to_string(),
            here: self.known.is_here(uuid),
            trust: settings.trust.word(),
            groups: settings.groups.iter().map(|group| text(group)).collect(),
            error: unknown.map(ToString::to_string).or_else(|| room.as_ref().err().cloned()),
            fits: room.as_ref().ok().map(|room| room.fits),
            room: room.ok().and_then(|room| room.free),
            present: present.ok(),
            configured,
            want_get: get.ok().map(|wants| wants && configured),
            want_drop: keep.ok().map(|keeps| !keeps),
            wanted: settings.wanted.as_deref().map(text),
            required: settings.required.as_deref().map(text),
            terms: explanation.as_ref().map(|explanation| named(settings, node(None, &explanation.tree, true))),
            problems: self.problems(uuid, &settings.groups, explanation.as_ref()),
        }
    }

    fn present(&self, repo: Repo, uuid: &Uuid) -> Result<bool, Unknown> {
        if let Some(present) = self.facts.present(repo, uuid)? {
            return Ok(present);
        }
        let mut present = false;
        self.facts.holders(&mut |holder| present |= holder == uuid)?;
        Ok(present)
    }

    /// What is the matter with the expressions that the answer came from.
    fn problems(&self, uuid: &Uuid, groups: &[Box<[u8]>], explanation: Option<&Explanation>) -> Vec<String> {
        use crate::wanted::Origin;
        let asks_group = explanation.is_some_and(|explanation| has_groupwanted(&explanation.tree));
        let concerns = |of: &Origin| match of {
            Origin::Wanted(of) | Origin::Required(of) => of == uuid,
            Origin::GroupWanted(group) => asks_group && groups.contains(group),
        };
        told::all(self.policy, self.known, &concerns)
    }
}

fn has_groupwanted(part: &Part) -> bool {
    match part {
        Part::Term { .. } => false,
        Part::Not(inner) => has_groupwanted(inner),
        Part::Expanded { word, into } => &**word == b"groupwanted" || has_groupwanted(into),
        Part::Sequence(list) => list.iter().any(|(_, part)| has_groupwanted(part)),
    }
}

/// What is shown for several parts that are one.
const PARENTHESIS: &str = "(...)";

/// Two expressions are one that matches where either does: each part gets its name.
fn named(settings: &Repository, mut node: Node) -> Node {
    let is_set = |text: &Option<Box<[u8]>>| text.as_ref().is_some_and(|text| !text.trim_ascii().is_empty());
    if is_set(&settings.wanted) && is_set(&settings.required) && node.parts.len() == 2 {
        for (part, name) in node.parts.iter_mut().zip(["wanted", "required"]) {
            let whole = part.what == PARENTHESIS;
            let (joint, answer, error) = (part.joint, part.answer, part.error.clone());
            let old = std::mem::replace(part, Node { joint, what: name.to_string(), answer, error, parts: Vec::new() });
            part.parts = if whole { old.parts } else { vec![Node { joint: None, ..old }] };
        }
    }
    node
}

/// A part, of which nothing was asked unless it was `needed`.
fn node(joint: Option<Joint>, part: &Part, needed: bool) -> Node {
    let (what, parts) = match part {
        Part::Term { word, .. } => (plain(word), Vec::new()),
        Part::Not(inner) => ("not".to_string(), vec![node(None, inner, needed)]),
        Part::Expanded { word, into } => (plain(word), parts(into, needed)),
        Part::Sequence(list) => match &list[..] {
            // A parenthesis around one thing says nothing.
            [(Joint::And, only)] => return node(joint, only, needed),
            _ => (PARENTHESIS.to_string(), parts(part, needed)),
        },
    };
    let (answer, error) = match part.answer() {
        _ if !needed => ("not needed", None),
        Answer::Yes => ("yes", None),
        Answer::No => ("no", None),
        Answer::NotNeeded => ("not needed", None),
        Answer::Unknown(unknown) => ("unknown", Some(unknown.to_string())),
    };
    let joint = joint.map(|joint| if joint == Joint::And { "and" } else { "or" });
    Node { joint, what, answer, error, parts }
}

/// What stands in a parenthesis, or what a word stands for.
fn parts(part: &Part, needed: bool) -> Vec<Node> {
    let Part::Sequence(list) = part else { return vec![node(None, part, needed)] };
    let (mut nodes, mut left) = (Vec::new(), Answer::Yes);
    for (at, (joint, part)) in list.iter().enumerate() {
        let says = at > 0 || *joint == Joint::Or;
        nodes.push(node(says.then_some(*joint), part, needed && !left.decides(*joint)));
        left = left.joined(*joint, part);
    }
    nodes
}

fn text_of(shown: &Shown, known: &Known, numcopies: i64) -> String {
    let file = shown.file.as_ref().map_or(String::new(), |file| format!("{}: ", plain(file.as_bytes())));
    let mut text = format!("{file}{}\n", plain(shown.key.as_bytes()));
    shown.clusters.iter().for_each(|placed| text += &placed.text(numcopies));
    for row in &shown.repositories {
        let title = Uuid::parse(row.uuid.as_bytes()).map(|uuid| known.title(&uuid)).unwrap_or_default();
        let title = if title.is_empty() { row.uuid.clone() } else { title };
        text += &format!("\n{title}: {}\n", verdict(row));
        for (name, expression) in [("wanted", &row.wanted), ("required", &row.required)] {
            if let Some(expression) = expression.as_ref().filter(|expression| !expression.trim().is_empty()) {
                text += &format!("  {name}: {}\n", plain(expression.as_bytes()));
            }
        }
        if let (Some(fits), Some(_)) = (row.fits, row.room) {
            text += &format!("  upload: {}\n", Room { fits, free: row.room }.text());
        }
        for problem in &row.problems {
            text += &format!("  ! {problem}\n");
        }
        if let Some(terms) = &row.terms {
            match &terms.parts[..] {
                parts if terms.what == PARENTHESIS => parts.iter().for_each(|part| lines(part, 2, &mut text)),
                _ => lines(terms, 2, &mut text),
            }
        }
    }
    text
}

/// What a repository does about the content, in a sentence.
fn verdict(row: &Row) -> String {
    if let Some(error) = &row.error {
        return format!("cannot tell: {error}");
    }
    let has = if row.present == Some(true) { "has it" } else { "does not have it" };
    let does = match (row.configured, row.present, row.want_get, row.want_drop) {
        (false, Some(true), ..) => "; nothing is configured, so it may be dropped as far as numcopies allows",
        (false, ..) => "; nothing is configured, so everything is wanted",
        (_, Some(true), _, Some(false)) => ", and keeps it",
        (_, Some(true), ..) => ", and does not want to keep it",
        (_, _, Some(true), _) => ", and wants it",
        _ => ", and does not want it",
    };
    format!("{has}{does}")
}

/// A line for each term, what is below it further in.
fn lines(node: &Node, indent: usize, text: &mut String) {
    let joint = node.joint.map_or(String::new(), |joint| format!("{joint} "));
    let answer = if node.answer == "not needed" { "-" } else { node.answer };
    let why = node.error.as_ref().filter(|_| node.parts.is_empty()).map_or(String::new(), |why| format!(" ({why})"));
    *text += &format!(
        "{:indent$}{:<width$}{answer}{why}\n",
        "",
        format!("{joint}{} ", node.what),
        width = 40_usize.saturating_sub(indent)
    );
    node.parts.iter().for_each(|part| lines(part, indent + 2, text));
}
