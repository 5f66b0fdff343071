//! The P2P protocol over stdio, with the program itself and a cluster behind a real repository: the recorded conversations, and
//! where ours go otherwise.

use crate::stdio_replay;
use testbed::recorded::transcript;

use stdio_replay::Stage;
use testbed::annex::Repo;
use testbed::p2p::Host;
use testbed::place::{Place, Whose};
use transcript::{File, replace, unquote};

const RECORDED: &str = include_str!("../../testdata/p2p/cluster.txt");

const GATEWAY: &str = "00000000-0000-4000-8000-00000000a001";
const CLUSTER: &str = "ac7412cf-5f6b-8d89-beee-e97abd250740";
const GIT: [(&str, &str); 2] =
    [("n1", "00000000-0000-4000-8000-00000000b001"), ("n2", "00000000-0000-4000-8000-00000000b002")];
const SPECIAL: [(&str, &str); 2] =
    [("d1", "00000000-0000-4000-8000-00000000d001"), ("d2", "00000000-0000-4000-8000-00000000d002")];

/// A difference: its line in docs/protocols.md; the conversation; what git-annex said there, and what is said here. Names of nodes
/// stand for their uuids.
pub struct Other {
    pub name: &'static str,
    pub title: &'static str,
    pub theirs: &'static [&'static str],
    pub ours: &'static [&'static str],
}

const OTHERS: &[Other] = &[
    Other {
        name: "content that the log does not know",
        title: "cluster: key only on n1 (partial); PUT",
        theirs: &["< FAILURE", "> GET *", "< DATA 0", "< INVALID", "> FAILURE"],
        ours: &["< SUCCESS", "> GET *", "< DATA 27", "<< fresh content number 087532", "< VALID", "> FAILURE"],
    },
    Other {
        name: "PUT with INVALID to a cluster",
        title: "cluster: PUT INVALID, hash mismatch, DATA-PRESENT",
        theirs: &["> INVALID", "< SUCCESS-PLUS n2 n1"],
        ours: &["> INVALID", "< FAILURE"],
    },
    Other {
        name: "PUT with INVALID to a cluster",
        title: "cluster: PUT INVALID, hash mismatch, DATA-PRESENT",
        theirs: &["< FAILURE", "> CHECKPRESENT *", "< SUCCESS"],
        ours: &["< FAILURE", "> CHECKPRESENT *", "< FAILURE"],
    },
    Other {
        name: "PUT with INVALID to a cluster",
        title: "cluster: PUT INVALID, hash mismatch, DATA-PRESENT",
        theirs: &["< SUCCESS-PLUS d2 d1"],
        ours: &["< SUCCESS-PLUS d2 d1 n2 n1"],
    },
    Other {
        name: "PUT of what is recorded",
        title: "cluster: PUT INVALID, hash mismatch, DATA-PRESENT",
        theirs: &["< PUT-FROM 0", "> REMOVE *", "< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &["< ALREADY-HAVE-PLUS n1", "> REMOVE *", "< SUCCESS-PLUS d2 d1 n2 n1", "close", "exit 0"],
    },
    Other {
        name: "end of the client within a PUT",
        title: "cluster: PUT short then close",
        theirs: &[">> fresh c", "close", "exit 1"],
        ours: &[">> fresh c", "close", "< FAILURE", "exit 1"],
    },
    Other {
        name: "end of the client within a PUT",
        title: "cluster: resume",
        theirs: &["< PUT-FROM 0", "close", "exit 1"],
        ours: &["< PUT-FROM 0", "close", "exit 0"],
    },
    Other {
        name: "nodes for an upload",
        title: "no node wants it (all: nothing)",
        theirs: &["< SUCCESS-PLUS d2 d1 n2 n1", "> PUT *", "< PUT-FROM 0", "close", "exit 1"],
        ours: &["< SUCCESS-PLUS d1", "> PUT *", "< ALREADY-HAVE-PLUS d1", "close", "exit 0"],
    },
    Other {
        name: "PUT of what is recorded",
        title: "all nodes balanced=cl, maxsize 1gb",
        theirs: &["< PUT-FROM 0", "close", "exit 1"],
        ours: &["< ALREADY-HAVE-PLUS n2", "close", "exit 0"],
    },
    Other {
        name: "PUT of what is recorded",
        title: "all nodes balanced=cl, PUT of a key already in the balanced node",
        theirs: &["< PUT-FROM 0", "> DATA 27", ">> fresh content number 089331", "> VALID", "< SUCCESS-PLUS d2 d1 n1"],
        ours: &["< ALREADY-HAVE-PLUS n2"],
    },
    Other {
        name: "nodes for an upload",
        title: "balanced, but maxsize 30B so every node is full",
        theirs: &[
            "< PUT-FROM 0",
            "> DATA 27",
            ">> fresh content number 089336",
            "> VALID",
            "< SUCCESS-PLUS d2 d1 n2 n1",
        ],
        ours: &["< ERROR no node of cluster myc has room for it within its maxsize"],
    },
];

/// The cluster of the recordings.
pub struct Lab {
    pub repo: Repo,
    git: Vec<Repo>,
    _places: Vec<Place>,
}

impl Lab {
    pub fn new() -> Lab {
        let repo = Repo::with_uuid(GATEWAY);
        let git: Vec<Repo> = GIT.iter().map(|(_, uuid)| Repo::with_uuid(uuid)).collect();
        let places: Vec<Place> = SPECIAL.iter().map(|_| Place::fs()).collect();
        for ((name, uuid), far) in GIT.iter().zip(&git) {
            repo.git(&["remote", "add", name, &far.dir().display().to_string()]).ok();
            repo.git(&["config", &format!("remote.{name}.annex-uuid"), uuid]).ok();
            repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
        }
        for ((name, uuid), place) in SPECIAL.iter().zip(&places) {
            repo.initremote(name, place, Whose::Theirs, &[&format!("uuid={uuid}")]).ok();
        }
        repo.git(&["config", "annex.cluster.myc", CLUSTER]).ok();
        for (name, _) in GIT.iter().chain(&SPECIAL) {
            repo.git(&["config", &format!("remote.{name}.annex-cluster-node"), "myc"]).ok();
        }
        repo.annex(&["updatecluster"]).ok();
        Lab { repo, git, _places: places }
    }

    fn outside(&self, word: &str, rest: &str) {
        if word == "annex" {
            self.repo.annex(&rest.split(' ').collect::<Vec<_>>()).ok();
            return;
        }
        let (key, content) = rest.split_once(' ').expect("KEY CONTENT");
        let at = if word == "here" { &self.repo } else { &self.git[0] };
        std::fs::write(at.dir().join("scratch"), unquote(content)).expect("written");
        at.annex(&["setkey", "--quiet", key, "scratch"]).ok();
    }
}

fn full(item: &str) -> String {
    let words = item.split(' ').map(|word| {
        GIT.iter()
            .chain(&SPECIAL)
            .find(|(name, _)| *name == word)
            .map_or(word.to_string(), |(_, uuid)| uuid.to_string())
    });
    words.collect::<Vec<_>>().join(" ")
}

fn all(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| full(item)).collect()
}

/// Holds the conversations of `file` with the cluster of `lab`, each as it went or as `others` name it.
#[track_caller]
pub fn hold(lab: &Lab, file: &File, others: &[Other]) {
    let host = Host::new(false);
    for section in &file.sections {
        let mut items = section.items.clone();
        for other in others.iter().filter(|other| other.title == section.title) {
            let (theirs, ours) = (all(other.theirs), all(other.ours));
            let [theirs, ours] = [&theirs, &ours].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
            let replaced = replace(&mut items, &theirs, &ours);
            replaced.unwrap_or_else(|| panic!("{}: {} is not as named", section.title, other.name));
        }
        let outside = |_: &str, word: &str, rest: &str| lab.outside(word, rest);
        Stage { repo: &lab.repo, host: &host, uuid: CLUSTER, outside: &outside }.hold(section, &items, usize::MAX);
    }
}

/// Each of `others` is in the table of docs/protocols.md.
#[track_caller]
pub fn are_named(others: &[Other]) {
    let page = include_str!("../../docs/protocols.md");
    for other in others {
        assert!(page.contains(&format!("\n| {} |", other.name)), "docs/protocols.md has no line for {}", other.name);
    }
}

#[test]
fn conversations_with_a_cluster_go_as_they_went_or_as_listed() {
    hold(&Lab::new(), &File::parse(RECORDED), OTHERS);
}

#[test]
fn every_difference_of_a_cluster_is_a_line_of_the_documentation() {
    are_named(OTHERS);
}
