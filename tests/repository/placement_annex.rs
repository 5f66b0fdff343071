//! `explain CLUSTER` and `info`, of a cluster that git-annex set up.

use serde_json::Value;

use testbed::annex::{LIMIT, Repo};
use testbed::run::{Done, run};

fn product(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(testbed::product()).args(words), LIMIT)
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", done.stdout, done.stderr))
}

/// A repository with three directories as nodes, in group archive, and a file of 1000 bytes.
fn cluster() -> (Repo, tempfile::TempDir) {
    let repo = Repo::new();
    let place = tempfile::tempdir().expect("a directory");
    repo.annex(&["initcluster", "myc"]).ok();
    for name in ["d1", "d2", "d3"] {
        let directory = format!("directory={}", place.path().display());
        repo.annex(&["initremote", name, "type=directory", &directory, "encryption=none"]).ok();
        repo.git(&["config", &format!("remote.{name}.annex-cluster-node"), "myc"]).ok();
        repo.annex(&["group", name, "archive"]).ok();
        repo.annex(&["wanted", name, "standard"]).ok();
    }
    repo.annex(&["updatecluster"]).ok();
    repo.add("f", 1, 1000);
    (repo, place)
}

/// What an upload does, and the nodes that it goes to.
fn goes(repo: &Repo) -> (String, Vec<String>) {
    let shown = json(&product(repo, &["explain", "f", "myc", "--json"]).ok());
    let clusters = shown["clusters"].as_array().expect("a list");
    assert_eq!(clusters.len(), 1, "{shown}");
    let nodes = clusters[0]["nodes"].as_array().expect("a list");
    assert_eq!((nodes.len(), shown["repositories"].as_array().expect("a list").len()), (3, 3), "{shown}");
    let chosen = nodes.iter().filter(|node| !node["chosen"].is_null());
    let chosen = chosen.map(|node| node["description"].as_str().expect("a name").trim_matches(['[', ']']).to_string());
    (clusters[0]["upload"].as_str().unwrap_or_default().to_string(), chosen.collect())
}

#[test]
fn explain_tells_where_an_upload_would_go() {
    let (repo, _place) = cluster();
    let (what, first) = goes(&repo);
    assert_eq!((&*what, first.len()), ("put", 1), "archive nodes get one copy");
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(text.contains(&format!("cluster myc: an upload goes to [{}]\n", first[0])), "{text}");
    assert!(text.contains(": cost 100, no limit, wants it\n"), "{text}");

    // Who is full, dead or read-only is passed over.
    repo.annex(&["maxsize", &first[0], "999"]).ok();
    let (what, second) = goes(&repo);
    assert!(what == "put" && second.len() == 1 && second != first, "{second:?}");
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(text.contains("it does not fit (999 B free), not asked"), "{text}");
    let alone = product(&repo, &["explain", "f", &first[0]]).ok().stdout;
    assert!(alone.contains("  upload: it does not fit (999 B free)\n"), "{alone}");
    repo.git(&["config", &format!("remote.{}.annex-readonly", second[0]), "true"]).ok();
    let (_, third) = goes(&repo);
    assert!(third.len() == 1 && third != first && third != second, "{third:?}");
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(
        text.contains(&format!("[{}]: not asked: remote.{}.annex-readonly is set", second[0], second[0])),
        "{text}"
    );
    repo.annex(&["maxsize", &third[0], "0"]).ok();
    assert_eq!(goes(&repo), ("no room".to_string(), vec![]));
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(text.contains("an upload is refused: it fits on no node that may take it"), "{text}");
    repo.annex(&["maxsize", &third[0], "1000"]).ok();
    assert_eq!(goes(&repo), ("put".to_string(), third.clone()), "what fits exactly fits");

    // Once it is there, it stays there.
    repo.annex(&["copy", "--to", &third[0], "f"]).ok();
    assert_eq!(goes(&repo), ("has".to_string(), vec![]));
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(text.contains(&format!("an upload goes nowhere: [{}] has it", third[0])), "{text}");
    // There is a copy here, too.
    repo.annex(&["numcopies", "3"]).ok();
    repo.git(&["config", &format!("remote.{}.annex-readonly", second[0]), "false"]).ok();
    assert_eq!(goes(&repo).0, "put", "an archive node wants what lacks copies");
    repo.annex(&["numcopies", "2"]).ok();
    for name in ["d1", "d2", "d3"] {
        repo.annex(&["wanted", name, "nothing"]).ok();
        repo.annex(&["maxsize", name, "100kb"]).ok();
    }
    repo.annex(&["drop", "--force", "--from", &third[0], "f"]).ok();
    let (what, chosen) = goes(&repo);
    assert_eq!((&*what, chosen.len()), ("put", 2), "as many as numcopies says");
    let text = product(&repo, &["explain", "f", "myc"]).ok().stdout;
    assert!(text.contains("no node wants it; numcopies is 2, so an upload goes to "), "{text}");
}

#[test]
fn info_shows_clusters_and_their_nodes() {
    let (repo, _place) = cluster();
    repo.annex(&["copy", "--to", "d1", "f"]).ok();
    repo.annex(&["maxsize", "d1", "10kb"]).ok();
    repo.git(&["config", "remote.d2.annex-cost", "50"]).ok();
    let shown = json(&product(&repo, &["info", "--json"]).ok());
    let rows = shown["semitrusted repositories"].as_array().expect("a list");
    let cluster: Vec<&Value> = rows.iter().filter(|row| row["cluster"] == true).collect();
    assert_eq!((cluster.len(), cluster[0]["description"].as_str()), (1, Some("cluster myc")), "{shown}");
    let nodes = cluster[0]["nodes"].as_array().expect("a list");
    let node = |name: &str| nodes.iter().find(|node| node["remote"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!((nodes.len(), node("d2")["cost"].as_f64(), node("d1")["cost"].as_f64()), (3, Some(50.0), Some(100.0)));
    assert_eq!((node("d1")["size"].as_u64(), node("d1")["maxsize"].as_u64()), (Some(1000), Some(10_000)));
    let text = product(&repo, &["info"]).ok().stdout;
    assert!(text.contains("\t\tnode: [d1], d1, cost 100, 1000 B of 9.8 KiB\n"), "{text}");
    assert!(text.contains("\t\tnode: [d2], d2, cost 50, 0 B\n"), "{text}");
    // Another gateway that the log knows.
    let log = repo.git(&["show", "git-annex:proxy.log"]).ok().stdout;
    let cluster = cluster[0]["uuid"].as_str().expect("a uuid");
    let more = format!("1s 00000000-0000-4000-8000-0000000000f2 {cluster}:myc\n{log}");
    std::fs::write(repo.dir().join(".git/annex/journal/proxy.log"), more).expect("written");
    let text = product(&repo, &["info", "--fast"]).ok().stdout;
    assert!(text.contains("\t\tgateway to cluster: 00000000-0000-4000-8000-0000000000f2\n"), "{text}");
}
