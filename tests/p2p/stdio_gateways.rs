//! The P2P protocol over stdio with two gateways of one cluster: the recorded conversations, and where ours go otherwise.

use crate::stdio_replay::Stage;
use testbed::annex::Repo;
use testbed::clients::write_program;
use testbed::p2p::Host;
use testbed::place::{Place, Whose};
use testbed::proxy::stream;
use testbed::recorded::transcript::{File, replace};
use testbed::ssh::Ssh;

const RECORDED: &str = include_str!("../../testdata/p2p/gateways.txt");

const CLUSTER: &str = "ac09a3f2-b729-87ce-9bbe-afb27c38e4ad";

/// A difference: its line in docs/protocols.md; the conversation; what git-annex said there, and what is said here.
struct Other {
    name: &'static str,
    title: &'static str,
    theirs: &'static [&'static str],
    ours: &'static [&'static str],
}

const OTHERS: &[Other] = &[
    Other {
        name: "a cluster's own uuid",
        title: "cluster via NYC gateway",
        theirs: &["< SUCCESS-PLUS $d3 $b3 $myc $n1"],
        ours: &["< SUCCESS-PLUS $d3 $b3 $n1"],
    },
    Other {
        name: "an unverified special remote behind another gateway",
        title: "cluster via NYC gateway",
        theirs: &["< SUCCESS-PLUS $d3 $b3 $n1"],
        ours: &["< SUCCESS-PLUS $d3 $d1 $b3 $n1"],
    },
    Other {
        name: "an unverified special remote behind another gateway",
        title: "cluster via NYC gateway",
        theirs: &["< FAILURE-PLUS $d3 $b3 $n1"],
        ours: &["< SUCCESS-PLUS $d3 $d1 $b3 $n1"],
    },
    Other {
        name: "an unverified special remote behind another gateway",
        title: "AMS gateway direct: d1",
        theirs: &[BLOCKED, "> REMOVE *", BLOCKED],
        ours: &["< SUCCESS", "> REMOVE *", "< SUCCESS"],
    },
    Other {
        name: "another gateway that is down",
        title: "AMS gateway direct: cluster, NYC cannot be reached",
        theirs: &["gone", "close", "exit 1"],
        ours: &["< PUT-FROM 0", "close", "exit 0"],
    },
];

const BLOCKED: &str = "< ERROR proxied special remote reports: Write prevented due to an unverified special remote. Run this \
                       command to verify it: git-annex verifyremote NYC-d3";

/// The two gateways.
struct Lab {
    nyc: Repo,
    ams: Repo,
    _git: [Repo; 2],
    _places: [Place; 2],
    _ssh: Ssh,
    _nowhere: tempfile::TempDir,
}

impl Lab {
    fn new() -> Lab {
        let uuid = |short: &str| format!("00000000-0000-4000-8000-00000000{short}");
        let (mut nyc, mut ams) = (Repo::with_uuid(&uuid("a002")), Repo::with_uuid(&uuid("a001")));
        let git = [Repo::with_uuid(&uuid("b003")), Repo::with_uuid(&uuid("b001"))];
        let places = [Place::fs(), Place::fs()];
        let ssh = Ssh::new();
        ssh.lead(&mut nyc);
        let nowhere = tempfile::tempdir().expect("a directory");
        let nobody = nowhere.path().join("ssh");
        write_program(&nobody, "#!/bin/sh\nexit 255\n");
        ams.set("GIT_SSH", nobody.display().to_string());
        let nodes = [(&nyc, "b3", "d3", "d003"), (&ams, "n1", "d1", "d001")];
        for ((repo, git_node, special, short), (far, place)) in nodes.into_iter().zip(git.iter().zip(&places)) {
            repo.git(&["remote", "add", git_node, &far.dir().display().to_string()]).ok();
            repo.git(&["config", &format!("remote.{git_node}.annex-uuid"), &far.uuid()]).ok();
            repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
            repo.initremote(special, place, Whose::Theirs, &[&format!("uuid={}", uuid(short))]).ok();
            repo.git(&["config", "annex.cluster.myc", CLUSTER]).ok();
            for node in [git_node, special] {
                repo.git(&["config", &format!("remote.{node}.annex-cluster-node"), "myc"]).ok();
            }
        }
        for (from, to, name) in [(&nyc, &ams, "AMS"), (&ams, &nyc, "NYC")] {
            from.git(&["remote", "add", name, &Ssh::url(to)]).ok();
            from.git(&["config", &format!("remote.{name}.annex-uuid"), &to.uuid()]).ok();
            from.git(&["config", &format!("remote.{name}.annex-cluster-gateway"), CLUSTER]).ok();
        }
        for _ in 0..3 {
            for (repo, other) in [(&nyc, &ams), (&ams, &nyc)] {
                stream(repo, &["updatecluster"]).ok();
                let refs = "+refs/heads/git-annex:refs/remotes/other/git-annex";
                other.git(&["fetch", "--quiet", &repo.dir().display().to_string(), refs]).ok();
                other.annex(&["merge", "--quiet"]).ok();
            }
        }
        Lab { nyc, ams, _git: git, _places: places, _ssh: ssh, _nowhere: nowhere }
    }
}

fn all(file: &File, items: &[&str]) -> Vec<String> {
    items.iter().map(|item| file.expand(item)).collect()
}

#[test]
fn conversations_with_two_gateways_go_as_they_went_or_as_listed() {
    let (lab, host, file) = (Lab::new(), Host::new(false), File::parse(RECORDED));
    for section in &file.sections {
        let mut items = section.items.clone();
        for other in OTHERS.iter().filter(|other| other.title == section.title) {
            let (theirs, ours) = (all(&file, other.theirs), all(&file, other.ours));
            let [theirs, ours] = [&theirs, &ours].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
            let replaced = replace(&mut items, &theirs, &ours);
            replaced.unwrap_or_else(|| panic!("{}: {} is not as named", section.title, other.name));
        }
        let repo = if section.title.starts_with("AMS") { &lab.ams } else { &lab.nyc };
        let outside = |_: &str, word: &str, rest: &str| panic!("{word} {rest}");
        Stage { repo, host: &host, uuid: CLUSTER, outside: &outside }.hold(section, &items, usize::MAX);
    }
}

#[test]
fn every_difference_of_gateways_is_a_line_of_the_documentation() {
    let page = include_str!("../../docs/protocols.md");
    for other in OTHERS {
        assert!(page.contains(&format!("\n| {} |", other.name)), "docs/protocols.md has no line for {}", other.name);
    }
}
