//! A server with a tree on a store, and what must be true of it whenever somebody was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, ExitStatus};

use super::trees::{File, Season, Tree};
use testbed::annex::Repo;
use testbed::gateway::Gateway;
use testbed::hook;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{NAME, stream};
use testbed::trees::import;
use testbed::way::{Outcome, Way};

/// Seconds for which a store may be silent that is only busy.
pub const PATIENT: &str = "30";

/// The same where it is silent on order.
pub const HASTY: &str = "4";

/// A bare repository that serves a tree on a store, without a client: what is pushed is written into it.
pub struct Lab {
    pub repo: Repo,
    pub place: Place,
    pub season: Season,
    pub uuid: String,
    /// Which of the trees its branch is at.
    pub at: usize,
    /// With a further file.
    pub further: bool,
    /// How often it was cut and healed.
    pub healed: usize,
    /// git-annex leaves files of git beside the tree, where they do no harm.
    pub blobs_may_lie_beside: bool,
    /// git-annex was killed while it wrote a file, which stays as `NAME...tmp`.
    pub halves_may_stay: bool,
    /// Several gateways take turns.
    pub words_may_lie_beside: bool,
    /// Seconds for which the store may be silent.
    pub timeout: &'static str,
    /// Keys whose content the store has.
    pub present: BTreeSet<String>,
    commits: [String; 4],
}

impl Lab {
    /// A store with the first tree; `seen` is `place` as the server gets to it, if that is otherwise.
    pub fn new(place: Place, seen: Option<&Place>, whose: Whose) -> Lab {
        let mut repo = Repo::bare();
        // What was on its way is waited for by the tests themselves, and nothing else comes late.
        repo.set("STREAM_LATE", "0");
        let more: &[&str] = &["exporttree=yes", "annexobjects=yes"];
        repo.initremote(NAME, seen.unwrap_or(&place), whose, more).ok();
        for (name, value) in [("annex-proxy", "true"), ("annex-tracking-branch", "main")] {
            repo.git(&["config", &format!("remote.{NAME}.{name}"), value]).ok();
        }
        stream(&repo, &["updateproxy"]).ok();
        let uuid = repo.git(&["config", &format!("remote.{NAME}.annex-uuid")]).ok().stdout.trim().to_string();
        let season = Season::new();
        let commits = commits(&repo, &season);
        let mut lab = Lab {
            repo,
            place,
            season,
            uuid,
            at: 0,
            further: false,
            healed: 0,
            blobs_may_lie_beside: false,
            halves_may_stay: false,
            words_may_lie_beside: false,
            timeout: PATIENT,
            present: BTreeSet::new(),
            commits,
        };
        let gateway = lab.gateway();
        let late: Vec<String> = lab.season.late.concat();
        let keys: Vec<String> = lab.season.contents.0.keys().cloned().collect();
        for key in keys.iter().filter(|key| !late.contains(key)) {
            lab.put(&gateway, key);
        }
        drop(gateway);
        lab.push(0, false);
        assert!(lab.hook().success());
        lab.holds();
        lab
    }

    /// A gateway that was started just now.
    pub fn gateway(&self) -> Gateway {
        Gateway::serve(&self.repo, &["--wideopen", "--quiet", "--timeout", self.timeout])
    }

    /// The branch is pushed, and nobody does anything about it yet: one of the trees, or that with a further file.
    pub fn push(&mut self, at: usize, further: bool) {
        (self.at, self.further) = (at, further);
        let commit = &self.commits[at + if further { 2 } else { 0 }];
        self.repo.git(&["update-ref", "refs/heads/main", commit]).ok();
    }

    /// The commit of one of the trees.
    pub fn commit(&self, at: usize) -> String {
        self.commits[at].clone()
    }

    /// A commit of plain files alone.
    pub fn commit_of(&self, files: Tree) -> String {
        import(&self.repo, &[("refs/kill/plain", files)]);
        self.repo.git(&["rev-parse", "refs/kill/plain"]).ok().stdout.trim().to_string()
    }

    /// The other tree is pushed, and nobody does anything about it yet.
    pub fn push_other(&mut self) {
        self.push(1 - self.at, false);
    }

    /// `post-receive`, which waits for what was pushed.
    pub fn start_hook(&self) -> Child {
        hook::start(&self.repo, self.timeout)
    }

    /// The same, where the directory can only be read. `None` where nothing can be mounted.
    pub fn start_hook_that_can_only_read(&self) -> Option<Child> {
        self.start_hook_where(r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@""#)
    }

    /// The same, where the disk of the directory has room for so many pages more. `None` where nothing can be mounted.
    pub fn start_hook_with_room_for(&self, pages: usize) -> Option<Child> {
        // The disk is gone with the process, so what it holds at the end takes the place of what was there before.
        let script = r#"
            dir=$1; shift
            mount -t tmpfs -o size=4m tmpfs /mnt && mkdir /mnt/real /mnt/store && mount --bind "$dir" /mnt/real &&
                cp -a "$dir/." /mnt/store && mount --bind /mnt/store "$dir" || exit 99
            cat /dev/zero >/mnt/filler 2>/dev/null; truncate -s -ROOM /mnt/filler || exit 99
            "$@"; ended=$?
            find /mnt/real -mindepth 1 -delete && cp -a "$dir/." /mnt/real || exit 98
            exit $ended"#;
        self.start_hook_where(&script.replace("ROOM", &format!("{}", pages << 12)))
    }

    /// The same below a shell that runs `script` with the directory and the command, and may mount what it likes.
    fn start_hook_where(&self, script: &str) -> Option<Child> {
        let unshare = |program: &Path| {
            let mut command = self.repo.command(Path::new("unshare"));
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
            command.arg(self.place.path()).arg(program);
            command.env("STREAM_TIMEOUT", self.timeout);
            command
        };
        let able = unshare(Path::new("true")).status().is_ok_and(|status| status.success());
        able.then(|| hook::start_as(unshare(product())))
    }

    /// Tells it that the branch was pushed.
    pub fn tell(hook: &mut Child) {
        hook::tell(hook);
    }

    /// Waits for its end; what it said.
    #[track_caller]
    pub fn end(hook: Child) -> (ExitStatus, String) {
        hook::end(hook)
    }

    /// `post-receive </dev/null`, to its end.
    #[track_caller]
    pub fn hook(&self) -> ExitStatus {
        let (status, said) = Lab::end(self.start_hook());
        assert!(status.success(), "{status}: {said}");
        status
    }

    /// `post-receive` after a push, to its end.
    #[track_caller]
    pub fn pushed(&self) -> String {
        let mut hook = self.start_hook();
        Lab::tell(&mut hook);
        let (status, said) = Lab::end(hook);
        assert!(status.success(), "{status}: {said}");
        said
    }

    #[track_caller]
    pub fn put(&mut self, gateway: &Gateway, key: &str) {
        let body = &self.season.contents.0[key];
        assert_eq!(Way::Http(gateway).put(&self.uuid, key, body), Outcome::Yes, "PUT of {key}");
        self.present.insert(key.to_string());
    }

    /// Takes away the content that shall come after the tree it is in.
    #[track_caller]
    pub fn forget_late(&mut self, gateway: &Gateway, tree: usize) {
        for key in self.season.late[tree].clone() {
            if self.present.contains(&key) {
                assert_eq!(Way::Http(gateway).remove(&self.uuid, &key), Outcome::Yes, "REMOVE of {key}");
                self.present.remove(&key);
            }
        }
    }

    /// Content that came after the tree it is in leaves with it, and the tree comes again without.
    #[track_caller]
    pub fn put_aside_late(&mut self) {
        self.push_other();
        self.pushed();
        let gateway = self.gateway();
        self.forget_late(&gateway, 1 - self.at);
        self.push_other();
        self.pushed();
    }

    /// The content that comes after the tree comes.
    #[track_caller]
    pub fn put_late(&mut self, gateway: &Gateway) {
        for key in self.season.late[self.at].clone() {
            self.put(gateway, &key);
        }
    }

    /// The content of every key is somewhere on the store.
    #[track_caller]
    pub fn nothing_is_lost(&self) {
        let contents: BTreeSet<Vec<u8>> = self.place.files().into_values().collect();
        let lost: Vec<_> =
            self.present.iter().filter(|key| !contents.contains(&self.season.contents.0[*key])).collect();
        assert!(lost.is_empty(), "{}\nlost: {lost:#?}", self.shown());
    }

    /// A client finds the content of every key, and the right one.
    #[track_caller]
    pub fn everything_is_served(&self, way: Way<'_>) {
        for (key, body) in &self.season.contents.0 {
            let there = self.present.contains(key);
            let expected = if there { Outcome::Yes } else { Outcome::No };
            assert_eq!(way.check(&self.uuid, key), expected, "CHECKPRESENT of {key}\n{}", self.shown());
            let expected = if there { Outcome::Content(body.clone()) } else { Outcome::No };
            let got = way.get(&self.uuid, key);
            assert!(got == expected || matches!((&got, there), (Outcome::Failed(_), false)), "GET of {key}: {got:?}");
        }
    }

    /// After a cut: nothing is lost, clients find all of it, and one of the ways to make the tree whole does so.
    #[track_caller]
    pub fn heals(&mut self) {
        self.healed += 1;
        let gateway = self.gateway();
        // To be served may be to be healed, so that is not always tried first.
        let is_even = self.healed.is_multiple_of(2);
        if is_even {
            self.everything_is_served(Way::Http(&gateway));
        } else {
            self.nothing_is_lost();
        }
        match self.healed % 3 {
            0 => {
                self.push(self.at, true);
                self.pushed();
            }
            1 => drop(self.hook()),
            _ => {
                let key = self.season.late[self.at][0].clone();
                self.put(&gateway, &key);
            }
        }
        self.holds();
        self.put_late(&gateway);
        if is_even {
            self.holds();
        }
        self.forget_late(&gateway, 1 - self.at);
    }

    /// The store holds the tree, as far as content has come, and beside it the keys that are in none.
    #[track_caller]
    pub fn holds(&self) {
        let wrong = self.wrong();
        // The last lines are what is left of a long report.
        assert!(wrong.is_empty(), "{}\nwrong: {wrong:#?}", self.shown());
    }

    /// What is otherwise.
    pub fn wrong(&self) -> Vec<String> {
        let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut in_tree = BTreeSet::new();
        for (path, file) in further_of(&self.season.trees[self.at], self.further) {
            match file {
                File::Plain(content) => {
                    expected.insert(path.into_bytes(), content);
                }
                File::Annexed(key) => {
                    if self.present.contains(&key) {
                        expected.insert(path.into_bytes(), self.season.contents.0[&key].clone());
                    }
                    in_tree.insert(key);
                }
            }
        }
        let (beside, found): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.place.files().into_iter().partition(|(name, _)| name.starts_with(b".git/annex/objects/"));
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut wrong = Vec::new();
        for (path, content) in &expected {
            match found.get(path) {
                None => wrong.push(format!("missing: {}", name(path))),
                Some(other) if other != content => {
                    wrong.push(format!("other content: {}: {}", name(path), self.whose(other)));
                }
                Some(_) => {}
            }
        }
        let marks = |path: &&Vec<u8>| {
            path.as_slice() == b"annex-uuid" || self.words_may_lie_beside && path.starts_with(b".git/annex/stream/")
        };
        let names: Vec<&String> = self.season.trees.iter().flat_map(Tree::keys).collect();
        let is_half = |path: &&Vec<u8>| {
            let of_tree = |name: &&String| path.starts_with(name.as_bytes()) && path.ends_with(b".tmp");
            self.halves_may_stay && names.iter().any(of_tree)
        };
        let strange = found.keys().filter(|path| !expected.contains_key(*path));
        let ours = |path: &Vec<u8>| self.whose(&found[path]) != "of no key";
        let is_aside = |path: &&Vec<u8>| path.starts_with(b".git/annex/bad/") && !ours(path);
        let strange = strange.filter(|path| !marks(path) && !is_half(path) && !is_aside(path));
        wrong.extend(strange.map(|path| format!("not in the tree: {}", name(path))));
        let mut keys = BTreeSet::new();
        for (path, content) in &beside {
            let key = name(path).rsplit('/').next().unwrap_or_default().replace("&c", ":").replace("%", "/");
            let is_blob = self.blobs_may_lie_beside && key.starts_with("GIT--");
            if self.season.contents.0.get(&key) != Some(content) && !is_blob {
                wrong.push(format!("no content of a key: {}: {}", name(path), self.whose(content)));
            }
            keys.insert(key);
        }
        let missing = self.present.iter().filter(|key| !in_tree.contains(*key) && !keys.contains(*key));
        wrong.extend(missing.map(|key| format!("not beside the tree: {key}")));
        wrong
    }

    /// Whether a client is told that the store has it.
    #[track_caller]
    pub fn has(&self, gateway: &Gateway, key: &str) -> bool {
        match Way::Http(gateway).check(&self.uuid, key) {
            Outcome::Yes => true,
            Outcome::No => false,
            other => panic!("CHECKPRESENT of {key}: {other:?}"),
        }
    }

    /// `git annex export` of the branch. Content that is not there yet fails.
    pub fn git_annex_exports(&self) {
        self.repo.annex(&["export", "main", "--to", NAME]);
    }

    /// The real git-annex agrees: it finds nothing to export, and all that should be there.
    #[track_caller]
    pub fn git_annex_agrees(&self) {
        self.git_annex_agrees_on("main");
    }

    /// The same where another branch is exported.
    #[track_caller]
    pub fn git_annex_agrees_on(&self, branch: &str) {
        let before = self.place.files();
        self.repo.annex(&["export", branch, "--to", NAME]).ok();
        let (before, after): (Vec<_>, Vec<_>) =
            (before.into_iter().collect(), self.place.files().into_iter().collect());
        assert!(before == after, "git annex export changed something\n{}", self.shown());
        // It fails, since a tree can lose content and so counts for no copy.
        let said = self.repo.annex(&["fsck", "--all", "--fast", "--from", NAME]).all();
        let looked = said.matches("fsck ").count();
        assert!(looked >= self.present.len() && !said.contains("missing") && !said.contains("fixing"), "{said}");
    }

    fn whose(&self, content: &[u8]) -> String {
        let mut all = self.season.contents.0.iter();
        if let Some((key, _)) = all.find(|(_, of_key)| *of_key == content) {
            return key.clone();
        }
        let plain = ["first", "second"].into_iter().zip(&self.season.trees);
        let plain =
            plain.filter_map(|(name, tree)| plain_path(tree, content).map(|path| format!("{path} of the {name}")));
        plain.reduce(|one, other| format!("{one}, {other}")).unwrap_or_else(|| "of no key".to_string())
    }

    /// What is on the store, and what is written of it here.
    pub fn shown(&self) -> String {
        let mut out = String::from("the store:\n");
        for (path, content) in self.place.files() {
            let _ = writeln!(out, "  {} <- {}", String::from_utf8_lossy(&path), self.whose(&content));
        }
        out
    }
}

/// Where a tree has a file of git with this content.
fn plain_path(tree: &Tree, content: &[u8]) -> Option<String> {
    let mut files = tree.iter().filter(|(_, file)| matches!(file, File::Plain(of) if of == content));
    files.next().map(|(path, _)| path.clone())
}

fn further_of(tree: &Tree, further: bool) -> Tree {
    let mut tree = tree.clone();
    if further {
        tree.insert("further".to_string(), File::Plain(b"one more".to_vec()));
    }
    tree
}

/// Commits of both trees, and of both with a further file.
fn commits(repo: &Repo, season: &Season) -> [String; 4] {
    let names = ["refs/kill/a", "refs/kill/b", "refs/kill/a-more", "refs/kill/b-more"];
    let tree = |(n, name): (usize, &&'static str)| (*name, further_of(&season.trees[n % 2], n >= 2));
    import(repo, &names.iter().enumerate().map(tree).collect::<Vec<_>>());
    names.map(|name| repo.git(&["rev-parse", name]).ok().stdout.trim().to_string())
}
