//! A repository whose git-annex branch tells of others, groups, trust, sizes, metadata, urls and locations, all by chance.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use git_annex_remote_stream::annex::log::{LogHashing, location_file};
use git_annex_remote_stream::name::Key;

use super::chance::Chance;
use testbed::annex::Repo;

/// The repository, and what is in it.
pub struct Lab {
    pub repo: Repo,
    /// Its own uuid first.
    pub uuids: Vec<String>,
    /// Files and their keys, by file.
    pub files: BTreeMap<String, String>,
    /// What the repositories want, for a failure to tell.
    pub told: String,
}

impl Lab {
    /// One with so many keys.
    pub fn new(chance: &mut Chance, keys: usize) -> Self {
        let repo = Repo::new();
        let mut uuids = vec![repo.uuid()];
        for _ in 0..2 + chance.below(5) {
            let hex: String = (0..32).map(|_| chance.one(&["0", "1", "3", "7", "a", "c", "f"])).collect();
            uuids.push(format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]));
        }
        let mut lab = Self { repo, uuids, files: BTreeMap::new(), told: String::new() };
        lab.configure(chance);
        for at in 0..keys {
            lab.key(chance, at);
        }
        // Some of it lies here, whatever is recorded.
        let here: Vec<String> = lab.files.values().filter(|_| chance.below(4) == 0).cloned().collect();
        for key in here {
            let place = lab.repo.annex(&["examinekey", "--format=${objectpath}", &key]).ok().stdout;
            let place = lab.repo.dir().join(place.trim_end());
            fs::create_dir_all(place.parent().expect("a directory")).expect("made");
            let len = Key::parse(key.as_bytes()).expect("a key").size().unwrap_or(3);
            fs::write(place, vec![b'x'; usize::try_from(len).expect("small")]).expect("written");
        }
        lab.repo.git(&["add", "."]).ok();
        // Whoever records anything commits the journal.
        let nobody = "00000000-0000-4000-8000-00000000ffff";
        lab.repo.annex(&["setpresentkey", "SHA256-s1--none", nobody, "1"]).ok();
        let left = fs::read_dir(lab.journal()).into_iter().flatten();
        let left: Vec<_> = left.map(|found| found.expect("readable").file_name()).collect();
        // But for its own record, perhaps.
        assert!(left.len() <= 1, "the journal is not committed: {left:?}");
        lab
    }

    fn configure(&mut self, chance: &mut Chance) {
        let mut logs: BTreeMap<&str, String> = BTreeMap::new();
        let mut line = |log: &'static str, text: String| *logs.entry(log).or_default() += &(text + "\n");
        for (at, uuid) in self.uuids.iter().enumerate() {
            line("uuid.log", format!("{uuid} r{at} timestamp=1s"));
            let groups: Vec<&str> = ["g", "h", "client", "archive", "backup"]
                .into_iter()
                .filter(|group| chance.below(4) < if *group == "g" { 3 } else { 1 })
                .collect();
            line("group.log", format!("{uuid} {} timestamp=1s", groups.join(" ")));
            if chance.below(3) == 0 {
                line("trust.log", format!("{uuid} {} timestamp=1s", chance.one(&["0", "1", "?", "X"])));
            }
            if chance.below(4) > 0 {
                line(
                    "maxsize.log",
                    format!("1s {uuid} {}", chance.one(&["0", "200", "2000", "3000", "5000", "90000"])),
                );
            }
            if chance.below(3) == 0 {
                line(
                    "remote.log",
                    format!(
                        "{uuid} name=r{at} preferreddir={} type=directory timestamp=1s",
                        chance.one(&["d", "archive"])
                    ),
                );
            }
            if chance.below(8) > 0 {
                let newer = if chance.below(15) == 0 { " or newterm=5" } else { "" };
                line("preferred-content.log", format!("{uuid} {}{newer} timestamp=1s", chance.expression(0, false)));
            }
            if chance.below(5) == 0 {
                line("required-content.log", format!("{uuid} {} timestamp=1s", chance.expression(2, false)));
            }
        }
        for group in ["g", "h"] {
            if chance.below(2) == 0 {
                line("group-preferred-content.log", format!("1s {group} {}", chance.expression(1, false)));
            }
        }
        if chance.below(2) == 0 {
            line("numcopies.log", format!("1s {}", chance.one(&["1", "2", "3"])));
        }
        for (log, text) in &logs {
            self.write(log, text);
            self.told += &format!("--- {log}\n{text}");
        }
        if chance.below(3) == 0 {
            let percent = chance.one(&["0", "50", "85", "100"]);
            self.repo.git(&["config", "annex.fullybalancedthreshhold", percent]).ok();
            self.told += &format!("--- threshold {percent}\n");
        }
        let dir = self.repo.dir();
        fs::create_dir_all(dir.join("d")).expect("a directory");
        fs::write(dir.join(".gitattributes"), "*.ogg annex.numcopies=3\narchive/* annex.numcopies=x\n")
            .expect("written");
        fs::write(dir.join("d/.gitattributes"), "*.mp3 annex.numcopies=2\n").expect("written");
    }

    fn key(&mut self, chance: &mut Chance, at: usize) {
        let digits: String = (0..64).map(|_| chance.one(&["0", "1", "7", "a", "f"])).collect();
        let backend = chance.one(&["SHA256", "SHA256", "SHA256", "SHA1", "WORM"]);
        let key = format!("{backend}{}--{digits}", chance.one(&["-s100", "-s99", "-s900", "-s1024", ""]));
        let place = chance.one(&["", "d/", "a/archive/", "archive/", "public/", "x/public/"]);
        let file = format!("{place}{}{at}{}", chance.one(&["a", "f"]), chance.one(&[".mp3", ".ogg", ""]));
        let path = self.repo.dir().join(&file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        let up = "../".repeat(file.matches('/').count());
        symlink(format!("{up}.git/annex/objects/xx/yy/{key}/{key}"), path).expect("linked");
        let log = location_file(&Key::parse(key.as_bytes()).expect("a key"), LogHashing::TwoLevels);
        let log = String::from_utf8(log).expect("text");
        let mut lines = String::new();
        for uuid in &self.uuids {
            match chance.below(5) {
                0 | 1 => lines += &format!("1s 1 {uuid}\n"),
                2 => lines += &format!("1s 0 {uuid}\n"),
                _ => {}
            }
        }
        self.write(&log, &lines);
        if chance.below(3) == 0 {
            let year = chance.one(&["5", "7", "10", "x"]);
            self.write(&format!("{log}.met"), &format!("5s tag +x +Y\n{}s year +{year} Tag -Y\n", 4 + chance.below(3)));
        }
        if chance.below(3) == 0 {
            let gone = chance.one(&["0", "1"]);
            self.write(&format!("{log}.web"), &format!("5s 1 http://a/b\n5s 1 :b:c\n6s {gone} http://z/a.zip\n"));
        }
        self.files.insert(file, key);
    }

    fn journal(&self) -> std::path::PathBuf {
        self.repo.dir().join(".git/annex/journal")
    }

    /// Writes a file of the branch by way of the journal.
    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.journal()).expect("a directory");
        fs::write(self.journal().join(file.replace('_', "__").replace('/', "_")), text).expect("written");
    }
}
