//! The P2P protocol over stdio, with the program itself and remotes behind a real repository: the recorded conversations.

use crate::stdio_replay;
use testbed::recorded::behind;
use testbed::recorded::differences;
use testbed::recorded::transcript;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use behind::{BEHIND, Behind};
use stdio_replay::{Stage, product};
use testbed::annex::Repo;
use testbed::p2p::{Host, Session};
use testbed::place::{Place, Whose};
use testbed::proxy::stream;
use transcript::{File, PROXIED, replace, unquote};

/// Where the program differs beyond what its protocol does.
const PROGRAM: &[Behind] = &[
    Behind {
        name: "INVALID behind",
        titles: &["proxied git, PUT with INVALID, then PUT again"],
        theirs: &["< SUCCESS", "> CHECKPRESENT *", "< SUCCESS"],
        ours: &["< FAILURE", "> CHECKPRESENT *", "< FAILURE"],
    },
    Behind {
        name: "INVALID behind",
        titles: &["proxied git, PUT with INVALID, then PUT again"],
        theirs: &["< ALREADY-HAVE"],
        ours: &["< PUT-FROM 27"],
    },
    Behind {
        name: "INVALID behind",
        titles: &["proxied git, PUT with INVALID, then PUT again"],
        theirs: &["< ERROR unexpected command", "< ERROR unknown command"],
        ours: &["< FAILURE"],
    },
];

const GATEWAY: &str = "00000000-0000-4000-8000-00000000a001";
const SPECIAL: &str = "00000000-0000-4000-8000-00000000d001";
const GIT: [&str; 2] = ["00000000-0000-4000-8000-00000000b001", "00000000-0000-4000-8000-00000000b002"];

/// A repository with a special remote and two repositories behind it, which are those of the recordings.
struct Lab {
    repo: Repo,
    place: Place,
    behind: [Repo; 2],
}

impl Lab {
    fn new(whose: Whose) -> Lab {
        let (repo, place) = (Repo::with_uuid(GATEWAY), Place::fs());
        let behind = GIT.map(Repo::with_uuid);
        repo.initremote("d1", &place, whose, &[&format!("uuid={SPECIAL}")]).ok();
        for (at, far) in behind.iter().enumerate() {
            repo.git(&["remote", "add", &format!("n{at}"), &far.dir().display().to_string()]).ok();
            repo.git(&["config", &format!("remote.n{at}.annex-uuid"), GIT[at]]).ok();
        }
        for name in ["d1", "n0", "n1"] {
            repo.git(&["config", &format!("remote.{name}.annex-proxy"), "true"]).ok();
        }
        stream(&repo, &["updateproxy"]).ok();
        Lab { repo, place, behind }
    }

    /// Files that tell of locks on content.
    fn locks(&self) -> Vec<PathBuf> {
        let dirs = self.behind.iter().chain([&self.repo]).map(|repo| repo.dir().join(".git/annex/objects"));
        dirs.flat_map(|dir| locks(&dir)).collect()
    }

    /// What the recordings say is there.
    fn put(&self, uuid: &str, holds: &[(String, Vec<u8>)]) {
        let mut session = Session::greeted(product(&self.repo), &self.repo.dir(), uuid);
        for (key, content) in holds {
            assert!(["SUCCESS", "ALREADY-HAVE"].contains(&session.put(key, content).as_str()), "{key}");
        }
        session.close();
        session.ended();
    }

    /// What happens beside the conversation with `uuid`.
    fn outside(&self, uuid: &str, word: &str, rest: &str) {
        let (place, away) = (self.place.path(), self.place.path().with_extension("away"));
        match word {
            "unplug" => std::fs::rename(place, away).expect("moved away"),
            "plug" => std::fs::rename(away, place).expect("moved back"),
            _ => {
                let (key, content) = rest.split_once(' ').expect("setkey KEY CONTENT");
                let at = GIT.iter().position(|git| *git == uuid).map_or(&self.repo, |at| &self.behind[at]);
                std::fs::write(at.dir().join("scratch"), unquote(content)).expect("written");
                at.annex(&["setkey", "--quiet", key, "scratch"]).ok();
                if uuid == SPECIAL {
                    self.repo.annex(&["move", "--quiet", "--to", "d1", "--key", key]).ok();
                }
            }
        }
    }
}

fn locks(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.extension().and_then(|end| end.to_str()) {
            _ if entry.file_type().is_ok_and(|kind| kind.is_dir()) => found.extend(locks(&path)),
            Some("lck" | "rtl" | "rtm") => found.push(path),
            _ => {}
        }
    }
    found
}

fn replay(whose: Whose, host: &Host, step: usize) {
    let lab = Lab::new(whose);
    for (name, text) in PROXIED {
        let file = File::parse(text);
        lab.put(GATEWAY, &file.have);
        file.behind.iter().for_each(|behind| lab.put(&behind.uuid, &behind.holds));
        for section in &file.sections {
            let mut items = differences::expected(section);
            for one in PROGRAM.iter().filter(|one| one.titles.contains(&section.title.as_str())) {
                replace(&mut items, one.theirs, one.ours).unwrap_or_else(|| panic!("{}: not as named", section.title));
            }
            let outside = |uuid: &str, word: &str, rest: &str| lab.outside(uuid, word, rest);
            Stage { repo: &lab.repo, host, uuid: GATEWAY, outside: &outside }.hold(section, &items, step);
        }
        assert_eq!(lab.locks(), Vec::<PathBuf>::new(), "{name}: locks are left");
    }
    // What the gateway recorded is what is there.
    let records = |repo: &Repo, name: &str| -> BTreeSet<String> {
        repo.annex(&["findkeys", "--in", name]).ok().stdout.lines().map(str::to_string).collect()
    };
    let named = |path: String| path.rsplit('/').next().filter(|name| name.contains("--")).map(str::to_string);
    let stored: BTreeSet<String> = lab.place.names().into_iter().filter_map(named).collect();
    assert_eq!(records(&lab.repo, "d1"), stored);
    for (at, far) in lab.behind.iter().enumerate() {
        assert_eq!(records(&lab.repo, &format!("n{at}")), records(far, "here"));
    }
    for repo in lab.behind.iter().chain([&lab.repo]) {
        repo.git(&["fsck", "--strict"]).ok();
    }
}

#[test]
fn conversations_with_remotes_of_git_annexs_own_type_go_as_they_went() {
    replay(Whose::Theirs, &Host::new(false), usize::MAX);
}

#[test]
fn conversations_with_remotes_of_ours_go_as_they_went_byte_by_byte() {
    replay(Whose::Ours, &Host::new(true), 1);
}

#[test]
fn each_difference_of_the_program_belongs_to_a_conversation() {
    let files: Vec<File> = PROXIED.iter().map(|(_, text)| File::parse(text)).collect();
    for title in PROGRAM.iter().flat_map(|one| one.titles) {
        let count = files.iter().flat_map(|file| &file.sections).filter(|section| section.title == *title).count();
        assert_eq!(count, 1, "{title}");
    }
}

#[test]
fn every_difference_is_a_line_of_the_documentation() {
    let page = include_str!("../../docs/protocols.md");
    for one in BEHIND.iter().chain(PROGRAM) {
        let named = [" |", " ("].iter().any(|end| page.contains(&format!("\n| {}{end}", one.name)));
        assert!(named, "docs/protocols.md has no line for {}", one.name);
    }
}
