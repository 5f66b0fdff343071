//! `info`: the repositories that are known, and what is configured of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use annex_types::size;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::known::{Known, plain};
use super::{here, told};
use crate::annex::log::cluster::ClusterLog;
use crate::annex::log::proxy::ProxyLog;
use crate::annex::log::{CLUSTER_LOG, MINCOPIES_LOG, PROXY_LOG, single};
use crate::annex::remote::{RemoteKind, Way, proxied, ways};
use crate::annex::repository::Repository;
use crate::gateway::wanted::{Counted, Policies, Sizes};
use crate::name::Uuid;
use crate::wanted::{self, Policy};

pub(super) const EXAMPLES: &str = "\
  git-annex-remote-stream info           what is known, as text
  git-annex-remote-stream info --json    for a program
  git-annex-remote-stream info --fast    without sizes, which take a second for a hundred thousand keys

The words are those of git annex info where it has them. Sizes are of what is recorded, as in git annex maxsize.";

#[derive(Args)]
pub(super) struct Info {
    /// Leave the sizes out.
    #[arg(long, short = 'F')]
    fast: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// One repository.
#[derive(Serialize)]
struct Row {
    uuid: String,
    description: String,
    here: bool,
    #[serde(skip)]
    trust: wanted::Trust,
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxsize: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxied: Option<String>,
    cluster: bool,
    /// What git config calls a cluster here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// Of a cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeRow>,
    /// Who else offers a cluster, by description; and the remote through which it is reached from here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<String>,
}

/// A node of a cluster.
#[derive(Serialize)]
struct NodeRow {
    uuid: String,
    description: String,
    /// What the cheapest way to it is called here, and costs; `null` where there is none.
    remote: Option<String>,
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxsize: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// Prints it. Fails where a log cannot be read.
pub(super) fn main(args: &Info) -> ExitCode {
    match info(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("git-annex-remote-stream: {why}");
            ExitCode::FAILURE
        }
    }
}

fn info(args: &Info) -> Result<(), String> {
    let repository = Arc::new(here::repository()?);
    repository.branch().take_all();
    let known = Known::read(&repository)?;
    let policy = Policies::default().current(&repository).map_err(|e| e.to_string())?;
    let rows = rows(&repository, &known, &policy, !args.fast)?;
    let mincopies = repository.branch().read(MINCOPIES_LOG).map_err(|e| e.to_string())?;
    let mincopies = single(&mincopies, crate::gateway::wanted::copies).unwrap_or(1);
    if args.json {
        let shown = json(&rows, &policy, &known, mincopies);
        println!("{}", serde_json::to_string_pretty(&shown).expect("strings and numbers"));
    } else {
        print!("{}", text(&rows, &policy, &known, mincopies));
    }
    Ok(())
}

/// Everybody that is known or that a log names, by uuid.
fn rows(repository: &Arc<Repository>, known: &Known, policy: &Policy, counts: bool) -> Result<Vec<Row>, String> {
    let proxies = proxied(repository).map_err(|e| e.to_string())?;
    let sizes = Counted::new(repository);
    let clusters = Clusters::read(repository, known)?;
    let mut all = known.all();
    all.extend(clusters.log.clusters().filter(|uuid| Known::is_cluster(uuid)).cloned());
    all.extend(policy.repos().map(|repo| policy.uuid(repo).clone()));
    let row = |uuid: Uuid| {
        let settings = policy.repo(&uuid).map(|repo| policy.settings(repo));
        let bytes = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let set = |text: &Option<Box<[u8]>>| text.as_deref().filter(|text| !text.trim_ascii().is_empty()).map(bytes);
        let cluster = Known::is_cluster(&uuid);
        Ok(Row {
            description: known.title(&uuid).trim_end_matches(" [here]").to_string(),
            here: known.is_here(&uuid),
            trust: settings.map_or(wanted::Trust::default(), |settings| settings.trust),
            groups: settings.map_or(Vec::new(), |settings| settings.groups.iter().map(|group| bytes(group)).collect()),
            wanted: settings.and_then(|settings| set(&settings.wanted)),
            required: settings.and_then(|settings| set(&settings.required)),
            maxsize: settings.and_then(|settings| settings.maxsize),
            size: (counts && !cluster).then(|| sizes.used(&uuid)).transpose()?,
            remote: known.remote(&uuid),
            proxied: proxies.get(&uuid).map(|remote| how(&remote.kind)),
            cluster,
            names: known.cluster_names(&uuid),
            nodes: Vec::new(),
            gateways: clusters.gateways(&uuid, repository.uuid()),
            uuid: uuid.to_string(),
        })
    };
    let mut rows: Vec<Row> = all.into_iter().map(row).collect::<Result<_, String>>()?;
    let sizes: BTreeMap<String, (Option<u64>, Option<u64>)> =
        rows.iter().map(|row| (row.uuid.clone(), (row.size, row.maxsize))).collect();
    for row in rows.iter_mut().filter(|row| row.cluster) {
        if let Ok(cluster) = Uuid::parse(row.uuid.as_bytes()) {
            row.nodes = clusters.log.nodes(&cluster).iter().map(|node| clusters.node(node, &sizes)).collect();
        }
    }
    Ok(rows)
}

/// What is recorded of clusters.
struct Clusters<'a> {
    known: &'a Known,
    log: ClusterLog,
    proxies: ProxyLog,
    ways: BTreeMap<Uuid, Vec<Way>>,
}

impl<'a> Clusters<'a> {
    fn read(repository: &Repository, known: &'a Known) -> Result<Self, String> {
        let read = |file| repository.branch().read(file).map_err(|e| e.to_string());
        let (log, proxies) = (ClusterLog::parse(&read(CLUSTER_LOG)?), ProxyLog::parse(&read(PROXY_LOG)?));
        Ok(Self { known, log, proxies, ways: ways(repository).map_err(|e| e.to_string())? })
    }

    fn called(&self, uuid: &Uuid) -> String {
        let title = self.known.title(uuid);
        if title.is_empty() { uuid.to_string() } else { title }
    }

    fn node(&self, uuid: &Uuid, sizes: &BTreeMap<String, (Option<u64>, Option<u64>)>) -> NodeRow {
        let way = self.ways.get(uuid).and_then(|ways| ways.first());
        let (size, maxsize) = sizes.get(&uuid.to_string()).copied().unwrap_or_default();
        NodeRow {
            uuid: uuid.to_string(),
            description: self.called(uuid),
            remote: way.map(|way| plain(&way.name)),
            cost: way.map(|way| way.cost),
            maxsize,
            size,
        }
    }

    /// Who else offers a cluster.
    fn gateways(&self, cluster: &Uuid, own: &Uuid) -> Vec<String> {
        let others = self.proxies.proxies_of(cluster).filter(|gateway| *gateway != own);
        others.filter(|_| Known::is_cluster(cluster)).map(|gateway| self.called(gateway)).collect()
    }
}

impl NodeRow {
    fn line(&self) -> String {
        let mut parts = vec![self.description.clone()];
        parts.push(match (&self.remote, self.cost) {
            (Some(remote), Some(cost)) => format!("{remote}, cost {cost}"),
            _ => "no remote here leads to it".to_string(),
        });
        match (self.size, self.maxsize) {
            (Some(size), Some(max)) => parts.push(format!("{} of {}", size::show(size), size::show(max))),
            (None, Some(max)) => parts.push(format!("at most {}", size::show(max))),
            (Some(size), None) => parts.push(size::show(size)),
            (None, None) => {}
        }
        parts.join(", ")
    }
}

/// How a proxied remote is reached, in the words of its type.
fn how(kind: &RemoteKind) -> String {
    match kind {
        RemoteKind::Git(git) => format!("git repository at {}", plain(&git.url)),
        RemoteKind::Special(special) => {
            let of = |name: &[u8]| special.config.get(name).map(|value| plain(value));
            let kind = of(b"type").unwrap_or_else(|| "unknown".to_string());
            let kind = of(b"externaltype").map_or(kind.clone(), |external| format!("{kind} {external}"));
            let tree = if of(b"exporttree").as_deref() == Some("yes") { ", holds an exported tree" } else { "" };
            format!("special remote of type {kind}{tree}")
        }
    }
}

fn json(rows: &[Row], policy: &Policy, known: &Known, mincopies: u64) -> Value {
    let mut shown = Map::new();
    for trust in LEVELS {
        let of: Vec<&Row> = rows.iter().filter(|row| row.trust == trust).collect();
        shown.insert(format!("{} repositories", trust.word()), json!(of));
    }
    shown.insert("numcopies".into(), json!(policy.numcopies()));
    shown.insert("mincopies".into(), json!(mincopies));
    let groups = policy.groupwanted().map(|(group, text)| (plain(group), json!(String::from_utf8_lossy(text))));
    shown.insert("groupwanted".into(), Value::Object(groups.collect()));
    if let Some(total) = total(rows) {
        shown.insert("combined annex size of all repositories".into(), json!(total));
    }
    shown.insert("problems".into(), json!(told::all(policy, known, &|_| true)));
    Value::Object(shown)
}

const LEVELS: [wanted::Trust; 4] =
    [wanted::Trust::Trusted, wanted::Trust::Semitrusted, wanted::Trust::Untrusted, wanted::Trust::Dead];

/// `None` where nobody was counted.
fn total(rows: &[Row]) -> Option<u64> {
    rows.iter().filter_map(|row| row.size).reduce(u64::saturating_add)
}

fn text(rows: &[Row], policy: &Policy, known: &Known, mincopies: u64) -> String {
    let mut text = String::new();
    for trust in LEVELS {
        let of: Vec<&Row> = rows.iter().filter(|row| row.trust == trust).collect();
        text += &format!("{} repositories: {}\n", trust.word(), of.len());
        for row in of {
            let here = if row.here { " [here]" } else { "" };
            let here = if row.description == "[here]" { "" } else { here };
            text += &format!("\t{} -- {}{here}\n", row.uuid, row.description);
            details(row, &mut text);
        }
    }
    text += &format!("numcopies: {}\nmincopies: {mincopies}\n", policy.numcopies());
    for (group, expression) in policy.groupwanted() {
        text += &format!("groupwanted {}: {}\n", plain(group), plain(expression));
    }
    if let Some(total) = total(rows) {
        text += &format!("combined annex size of all repositories: {}\n", size::show(total));
    }
    for problem in told::all(policy, known, &|_| true) {
        text += &format!("! {problem}\n");
    }
    text
}

/// What is configured of one, a line for each.
fn details(row: &Row, text: &mut String) {
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            *text += &format!("\t\t{name}: {}\n", plain(value.as_bytes()));
        }
    };
    line("groups", Some(row.groups.join(" ")));
    line("wanted", row.wanted.clone());
    line("required", row.required.clone());
    line("maxsize", row.maxsize.map(size::show));
    line("remote annex size", row.size.filter(|size| *size > 0 || row.maxsize.is_some()).map(size::show));
    line("proxied", row.proxied.clone());
    line("cluster", row.cluster.then(|| "true".to_string()));
    line("name here", Some(row.names.join(", ")));
    row.nodes.iter().for_each(|node| line("node", Some(node.line())));
    line("gateway to cluster", Some(row.gateways.join(", ")));
}
