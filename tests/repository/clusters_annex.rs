//! initcluster, updatecluster and extendcluster, theirs and ours, in twin repositories.

use std::process::Command;

use testbed::annex::{LIMIT, Repo};
use testbed::proxy::stream;
use testbed::run::{Done, run};

/// A repository that is a remote called `far`, and what it proxies.
const FAR: &str = "00000000-0000-4000-8000-0000000000f2";
const NODE: &str = "00000000-0000-4000-8000-0000000000e1";
const OTHER: &str = "00000000-0000-4000-8000-0000000000e2";
const THEIR_CLUSTER: &str = "ace466fb-e523-871a-bf82-b4d86c3a0dd3";
const SECOND_CLUSTER: &str = "ac82376a-c3f7-8e24-8e34-5166f7ea509b";

/// The same repository in two places, and its special remotes' directory.
fn twins() -> (Repo, Repo, tempfile::TempDir) {
    let (theirs, ours) = (Repo::new(), Repo::bare());
    let place = tempfile::tempdir().expect("a directory");
    let directory = format!("directory={}", place.path().display());
    for (name, more) in [
        ("d1", &["encryption=none"][..]),
        ("d2", &["encryption=none"]),
        ("locked", &["encryption=shared"]),
        ("tree", &["encryption=none", "exporttree=yes"]),
    ] {
        theirs.annex(&[&["initremote", name, "type=directory", &directory][..], more].concat()).ok();
    }
    for (name, value) in [
        ("remote.far.url", "ssh://nobody.invalid/x"),
        ("remote.far.annex-uuid", FAR),
        ("remote.second.url", "ssh://nobody.invalid/y"),
        ("remote.second.annex-uuid", FAR),
        ("remote.stranger.url", "ssh://nobody.invalid/z"),
        // Without this git-annex would ask it who it is.
        ("remote.stranger.annex-ignore", "true"),
    ] {
        theirs.git(&["config", name, value]).ok();
    }
    std::fs::remove_dir_all(ours.dir()).expect("removed");
    let copied = Command::new("cp").arg("-a").arg(theirs.dir()).arg(ours.dir()).status();
    assert!(copied.expect("cp runs").success());
    (theirs, ours, place)
}

fn product(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(testbed::product()).args(words), LIMIT)
}

/// What is recorded and configured of clusters, without what differs from one run to the next: times, and the uuids of clusters.
fn state(repo: &Repo) -> String {
    let log = |file: &str| repo.git(&["show", &format!("git-annex:{file}")]).stdout;
    let mut config: Vec<String> =
        repo.git(&["config", "--get-regexp", "cluster"]).stdout.lines().map(Into::into).collect();
    config.sort();
    let commits =
        repo.git(&["log", "--format=%s", "git-annex", "--", "cluster.log", "proxy.log", "uuid.log"]).ok().stdout;
    // By name, since it is the uuids that are sorted otherwise.
    let mut words: Vec<(String, String)> = config
        .iter()
        .filter_map(|line| line.strip_prefix("annex.cluster."))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, uuid)| (uuid.to_string(), format!("<{name}>")))
        .collect();
    words.sort();
    let mut parts = Vec::new();
    for file in ["cluster.log", "proxy.log", "uuid.log"] {
        let mut lines: Vec<String> = log(file).lines().map(|line| timeless(line, &words)).collect();
        lines.sort();
        parts.push(format!("{file}:\n{}", lines.join("\n")));
    }
    let config: Vec<String> = config.iter().map(|line| timeless(line, &words)).collect();
    format!("{}\nconfig:\n{}\ncommits:\n{commits}", parts.join("\n"), config.join("\n"))
}

fn timeless(line: &str, words: &[(String, String)]) -> String {
    let mut line: Vec<&str> = line.split(' ').collect();
    let is_time = |word: &str| word.strip_suffix('s').is_some_and(|time| time.parse::<u64>().is_ok());
    line.retain(|word| !is_time(word) && !word.starts_with("timestamp="));
    // Among the offers of a proxy the clusters stand by their uuids.
    let head = line.len().min(1);
    if line.len() > 2 && line[1].contains(':') {
        line[head..].sort_by_key(|word| word.rsplit(':').next().unwrap_or_default().to_string());
    }
    let line = words.iter().fold(line.join(" "), |text, (uuid, name)| text.replace(uuid, name));
    // A cluster that git config has no name of any more.
    let is_cluster = |word: &str| word.len() == 36 && word.starts_with("ac") && word.as_bytes()[14] == b'8';
    let line: Vec<&str> = line.split(' ').map(|word| if is_cluster(word) { "<nameless>" } else { word }).collect();
    line.join(" ")
}

/// Lines of stdout, those about proxying sorted: git-annex has them by uuid, and those of clusters are by chance.
fn said(done: &Done) -> Vec<String> {
    let mut lines: Vec<String> = done.stdout.lines().map(Into::into).collect();
    let at = lines.iter().position(|line| line.contains(" proxying for ")).unwrap_or(lines.len());
    lines[at..].sort();
    lines
}

/// What is done in turn: settings of git config, then a command.
const TURNS: &[(&[&[&str]], &[&str])] = &[
    (&[], &["updatecluster"]),
    (&[], &["initcluster", "myc"]),
    (&[], &["initcluster", "myc", "a description"]),
    (&[], &["initcluster", "other", "the other one"]),
    (&[], &["initcluster", "Up.x-Y"]),
    (&[], &["initcluster", "empty", ""]),
    (&[], &["initcluster", "bad name"]),
    (&[], &["initcluster", "my_c"]),
    (&[], &["initcluster", ""]),
    (&[], &["initcluster"]),
    (&[], &["initcluster", "a", "b", "c"]),
    (&[], &["initcluster", "quiet", "--quiet"]),
    (&[], &["updatecluster"]),
    (
        &[&["remote.d1.annex-cluster-node", "myc"], &["remote.d2.annex-cluster-node", "other myc nosuch"]],
        &["updatecluster"],
    ),
    (&[], &["updatecluster"]),
    (&[&["remote.locked.annex-cluster-node", "myc"], &["remote.tree.annex-cluster-node", "myc"]], &["updatecluster"]),
    (&[&["remote.far.annex-cluster-node", "myc"], &["remote.second.annex-cluster-node", "myc"]], &["updatecluster"]),
    (&[&["remote.stranger.annex-cluster-node", "myc"]], &["updatecluster"]),
    (&[&["remote.d1.annex-cost", "300"], &["remote.d1.annex-cluster-node", "other"]], &["updatecluster"]),
    (&[&["--unset", "remote.far.annex-cluster-node"]], &["updatecluster"]),
    (&[&["--unset", "annex.cluster.other"]], &["updatecluster"]),
    (
        &[
            &["--unset", "remote.second.annex-cluster-node"],
            &["--unset", "remote.d1.annex-cluster-node"],
            &["--unset", "remote.d2.annex-cluster-node"],
            &["--unset", "remote.locked.annex-cluster-node"],
            &["--unset", "remote.tree.annex-cluster-node"],
            &["--unset", "remote.stranger.annex-cluster-node"],
        ],
        &["updatecluster"],
    ),
    (&[], &["extendcluster", "far", "myc"]),
    (&[], &["extendcluster", "nosuch", "myc"]),
    (&[], &["extendcluster", "far"]),
];

/// A cluster that was renamed here shows its new name, whatever it was described as.
#[test]
fn the_name_here_of_a_cluster_is_told() {
    let repo = Repo::new();
    let info = |words: &[&str]| stream(&repo, &[&["info"], words].concat()).ok().stdout;
    stream(&repo, &["initcluster", "old"]).ok();
    let uuid = repo.git(&["config", "annex.cluster.old"]).ok().stdout.trim().to_string();
    repo.git(&["config", "annex.cluster.new", &uuid]).ok();
    assert!(info(&[]).contains("\t\tname here: new, old\n"), "{}", info(&[]));
    repo.git(&["config", "--unset", "annex.cluster.old"]).ok();
    assert!(info(&[]).contains("\t\tname here: new\n"), "{}", info(&[]));
    assert!(info(&["--json"]).contains("\"names\": [\n"), "{}", info(&["--json"]));
}

#[test]
fn ours_records_and_says_what_theirs_does() {
    let (theirs, ours, _place) = twins();
    for (settings, command) in TURNS {
        for words in *settings {
            theirs.git(&[&["config"], *words].concat()).ok();
            ours.git(&[&["config"], *words].concat()).ok();
        }
        let (their, our) = (theirs.annex(command), product(&ours, command));
        assert_eq!(
            (said(&our), our.status.code()),
            (said(&their), their.status.code()),
            "{command:?}: {} {}",
            our.stderr,
            their.stderr
        );
        assert_eq!(state(&ours), state(&theirs), "{settings:?} {command:?}");
    }
    // And each goes on from what the other left.
    for repo in [&theirs, &ours] {
        repo.git(&["config", "remote.d1.annex-cluster-node", "myc"]).ok();
    }
    let (our, their) = (product(&theirs, &["updatecluster"]).ok(), ours.annex(&["updatecluster"]).ok());
    assert_eq!(our.stdout, their.stdout);
    assert!(our.stdout.starts_with("No cluster node changes for cluster: Up.x-y\nNo cluster"), "{}", our.stdout);
    assert!(our.stdout.contains("Added node d1 to cluster: myc\n"), "{}", our.stdout);
    assert_eq!(state(&ours), state(&theirs));
    assert_eq!(product(&ours, &["updatecluster"]).ok().stdout, theirs.annex(&["updatecluster"]).ok().stdout);
}

/// Writes logs as if a branch with them had been merged.
fn merged(repo: &Repo, files: &[(&str, String)]) {
    for (file, log) in files {
        std::fs::write(repo.dir().join(".git/annex/journal").join(file), log).expect("written");
    }
    repo.annex(&["merge"]).ok();
}

#[test]
fn a_second_gateway_is_made_as_theirs_makes_it() {
    let (theirs, ours, _place) = twins();
    let offers = format!("1s {FAR} {NODE}:n1 {OTHER}:o {SECOND_CLUSTER}:sec {THEIR_CLUSTER}:myc\n");
    let nodes = format!("1s {SECOND_CLUSTER} \n1s {THEIR_CLUSTER} {NODE}\n");
    for repo in [&theirs, &ours] {
        merged(repo, &[("proxy.log", offers.clone()), ("cluster.log", nodes.clone())]);
        repo.git(&["config", "--remove-section", "remote.second"]).ok();
    }
    let both = |command: &[&str]| {
        let (their, our) = (theirs.annex(command), product(&ours, command));
        let what = format!("{command:?}: {} {}", our.stderr, their.stderr);
        assert_eq!(
            our.stdout.replace("(recording state in git...)\n", ""),
            their.stdout.replace("(recording state in git...)\n", ""),
            "{what}"
        );
        assert_eq!(our.status.code(), their.status.code(), "{what}");
        assert_eq!(state(&ours).split("commits:").next(), state(&theirs).split("commits:").next(), "{what}");
        our
    };
    assert!(both(&["extendcluster", "far", "n1"]).stderr.contains("far-n1 is not a cluster"));
    both(&["extendcluster", "far", "nosuch"]);
    both(&["extendcluster", "d1", "myc"]);
    assert!(both(&["extendcluster", "far", "myc"]).stdout.contains("Started proxying for far-n1\n"));
    both(&["extendcluster", "far", "myc"]);
    both(&["updateproxy"]);
    // Its own nodes beside those of the other gateway, whose nodes stay.
    let config = |name: &str, value: &str| [&theirs, &ours].map(|repo| repo.git(&["config", name, value]).ok());
    config("remote.d1.annex-cluster-node", "myc");
    assert!(both(&["updatecluster"]).stdout.contains("Added node d1 to cluster: myc\n"));
    // The other gateway is no remote any more: its nodes are taken out, as by git-annex.
    config("remote.far.url", "/nonexistent/far");
    assert!(both(&["updatecluster"]).stdout.contains(&format!("Removed node {NODE} from cluster: myc\n")));
    config("remote.far.url", "ssh://nobody.invalid/x");
    // Here they differ, and docs/protocols.md says so: git-annex forgets the first cluster of a gateway.
    product(&ours, &["extendcluster", "far", "sec"]).ok();
    let of_gateway = ours.git(&["config", "remote.far.annex-cluster-gateway"]).ok().stdout;
    assert_eq!(of_gateway, format!("{THEIR_CLUSTER} {SECOND_CLUSTER}\n"));
    ours.git(&["config", "annex.cluster.sec", THEIR_CLUSTER]).ok();
    let refused = product(&ours, &["extendcluster", "far", "sec"]);
    assert!(!refused.status.success() && refused.stderr.contains("sec is another cluster here"), "{}", refused.stderr);
}

#[test]
fn what_keeps_nodes_from_being_used_is_said() {
    let (_theirs, ours, _place) = twins();
    product(&ours, &["initcluster", "myc"]).ok();
    for (name, value) in [
        ("remote.d1.annex-cluster-node", "myc nosuch"),
        ("remote.d2.annex-cluster-node", "myc"),
        ("remote.d2.annex-verified", "manual"),
        ("remote.locked.annex-cluster-node", "myc"),
        ("remote.tree.annex-cluster-node", "myc"),
        ("remote.far.annex-cluster-node", "myc"),
        ("remote.second.annex-cluster-node", "myc"),
        ("remote.stranger.annex-cluster-node", "myc"),
    ] {
        ours.git(&["config", name, value]).ok();
    }
    ours.annex(&["wanted", "d1", "anything or not present"]).ok();
    ours.annex(&["wanted", "d2", "anything or balanced=diks:2"]).ok();
    ours.annex(&["groupwanted", "diks", "anything"]).ok();
    let log = ours.dir().join(".git/annex/verified-remote.log");
    let verified = std::fs::read_to_string(&log).expect("what was verified");
    let d2 = ours.git(&["config", "remote.d2.annex-uuid"]).ok().stdout;
    let without: Vec<&str> = verified.lines().filter(|line| !line.starts_with(d2.trim())).collect();
    std::fs::write(&log, without.join("\n") + "\n").expect("written");
    let said = product(&ours, &["updatecluster"]).ok().stderr;
    for warning in [
        "d1 is no node of nosuch: there is no such cluster here",
        "remote d2: has a configuration that nobody verified here; look at it: git annex verifyremote d2; as a node it is never used",
        "remote locked: is encrypted (encryption=shared), which is not proxied",
        "tree is not proxied: it has exporttree=yes",
        "stranger is not proxied: its uuid is not known here",
        "far and second lead to the same node",
        "preferred content of [d1]: present is negated",
        "preferred content of [d2]: balanced=diks:2: nobody is in the group diks\n",
        "groupwanted of diks: nobody is in the group diks\n",
    ] {
        assert!(said.contains(warning), "{warning}\n{said}");
    }
    assert!(!said.contains("comes to rest"), "{said}");
    // Of two nodes one runs after the other, which runs away from it.
    for words in [
        &["wanted", "here", "anything"][..],
        &["group", "d1", "fox"],
        &["group", "far", "hound"],
        &["wanted", "d1", "not copies=hound:1"],
        &["wanted", "far", "copies=fox:1"],
    ] {
        ours.annex(words).ok();
    }
    let said = product(&ours, &["updatecluster"]).ok().stderr;
    let is_told = said.lines().any(|line| line.contains("never comes to rest") && line.contains("sim check"));
    assert!(is_told, "{said}");
}
