//! The dashboard and the alert rules name metrics that are there, and Prometheus understands them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use testbed::annex::{LIMIT, Repo, content};
use testbed::gateway::{Gateway, eventually};
use testbed::http::Client;
use testbed::run::run;
use testbed::servers::top;
use testbed::wire::{Wire, key_of};

/// What all names of ours begin with.
const PREFIX: &str = "git_annex_stream_";

/// The names in `text`.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(PREFIX).map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect()).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_there() {
    let server = Gateway::serve(&Repo::new(), &["--wideopen", "--git"]);
    let text = Client::connect(&server.admin).ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text();
    let there: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| names(line.split(['{', ' ']).next().unwrap_or_default()))
        .collect();
    for file in ["docs/monitoring/grafana.json", "docs/monitoring/alerts.yml"] {
        let named = names(&std::fs::read_to_string(top().join(file)).expect("it is there"));
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty() && named.len() > 5, "{file}: {missing:?} of {named:?}");
    }
    // And the page tells of each.
    let page = std::fs::read_to_string(top().join("docs/server.md")).expect("it is there");
    for name in &there {
        let name = name.strip_prefix(PREFIX).expect("it begins so");
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/server.md");
    }
    let dashboard = std::fs::read_to_string(top().join("docs/monitoring/grafana.json")).expect("it is there");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 5));
    server.stop();
}

/// As text where it is no terminal, and as JSON; while something moves, and of nobody.
#[test]
fn top_shows_what_moves() {
    let wire = Wire::open(Repo::new(), &[]);
    let top = |words: &[&str]| {
        let mut command = wire.repo.command(testbed::product());
        run(command.arg("top").args(words), LIMIT)
    };
    let admin = &*wire.server.admin;
    let body = content(1, 300_000);
    let key = key_of(&body);
    let mut client = wire.server.connect();
    client.send(wire.put_head(&key, body.len()));
    client.send(&body[..200_000]);
    eventually("it is under way", || wire.server.metric("uploads") == 1);
    let shown: serde_json::Value = serde_json::from_str(&top(&["--json", "--admin", admin]).ok().stdout).expect("JSON");
    let one = &shown["transfers"][0];
    assert_eq!((one["op"].as_str(), one["key"].as_str()), (Some("put"), Some(&*key)), "{shown}");
    assert_eq!((one["total"].as_u64(), one["address"].as_str()), (Some(300_000), Some("127.0.0.1")), "{shown}");
    let text = top(&["--admin", admin]).ok().stdout;
    assert!(text.contains("1 uploads, 0 downloads") && text.contains(&key), "{text}");
    client.send(&body[200_000..]);
    assert_eq!(client.answer(false).status, 200);
    let text = top(&["--once", "--admin", admin]).ok().stdout;
    assert!(text.contains("0 uploads, 0 downloads") && !text.contains(&key), "{text}");
    wire.server.stop();
    let said = top(&["--once", "--admin", "127.0.0.1:1"]).failed().stderr;
    assert!(said.contains("--admin 127.0.0.1:1"), "{said}");
}

/// By promtool, which `make services` has.
#[test]
fn prometheus_understands_the_alerts() {
    let Some(promtool) = testbed::servers::promtool() else { return };
    let promtool = |words: &[&str]| {
        let mut command = Command::new(&promtool);
        run(command.args(words).current_dir(top().join(Path::new("docs/monitoring"))), LIMIT).ok()
    };
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
}
