//! A season of commits, one table, and the tree that git-annex's own `directory` remote holds after each.

use std::collections::BTreeMap;
use std::path::Path;

use super::annex::{LIMIT, Repo};
use super::place::{Place, Whose, files_below};
use super::run::{Done, run};
use servers::weed;

/// Names of files and their content.
pub type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

/// What not every place can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    /// White space at the ends of names.
    Ends,
    /// Backslashes in names.
    Backslash,
    /// Two names that are the same to Unicode.
    Forms,
    /// Names of many lines.
    Lines,
    /// Names that are no UTF-8.
    Bytes,
    /// A tree without files: of a directory that is not there git-annex exports nothing.
    Nothing,
}

/// What is left out of the season, where, and why. All else is the same everywhere.
const LEFT_OUT: &[(&str, Odd, &str)] = &[
    ("webdav", Odd::Ends, "refused: servers trim them, each in its own way"),
    ("webdav", Odd::Forms, "rclone's server takes one for the other"),
    ("rclone s3", Odd::Forms, "rclone's server takes one for the other"),
    ("seaweedfs", Odd::Backslash, "the server makes a slash of it"),
    ("opendal", Odd::Ends, "refused: OpenDAL trims them"),
    ("opendal", Odd::Bytes, "names there are UTF-8"),
    ("s3", Odd::Bytes, "names there are UTF-8"),
    ("webdav", Odd::Bytes, "names there are UTF-8"),
    ("external", Odd::Lines, "its protocol is lines"),
    ("type=S3", Odd::Ends, "git-annex's own loses the content when such a name is taken away"),
    ("type=S3", Odd::Lines, "git-annex's own fails at them"),
    ("external", Odd::Bytes, "its protocol is text"),
    ("below", Odd::Nothing, "git-annex leaves the remote as it is"),
];

/// One commit, or a few.
pub struct Step {
    /// What it is about; the subject of the commit.
    pub what: &'static str,
    /// What is done in the work tree and the index, for `sh`. What it leaves in the index is committed.
    does: &'static str,
    /// What is done as well where it can be.
    besides: &'static [(Odd, &'static str)],
}

const fn step(what: &'static str, does: &'static str) -> Step {
    Step { what, does, besides: &[] }
}

/// `swap A B`, `add FILE...` to the annex, `plain FILE...` to git alone.
const WORDS: &str = r#"
swap() { git mv -- "$1" .s; git mv -- "$2" "$1"; git mv -- .s "$2"; }
add() { git annex add --quiet --force-large -- "$@"; }
plain() { git annex add --quiet --force-small -- "$@"; }
long=$(printf '%0200d' 0)
"#;

/// The season. Each step leaves another tree than the one before.
const SEASON: &[Step] = &[
    step(
        "files of all sorts",
        "mkdir -p dir/deep foo d1/d2/d3 docs only/links
         echo one > a; echo two > dir/b; echo three > dir/deep/c; echo ff > foo/foo; echo fb > foo/bar
         echo k > d1/d2/d3/k; echo twin > t1; echo twin > d1/t2; : > e1; : > d1/d2/e2
         echo '#!/bin/sh' > x.sh; chmod +x x.sh; add .
         echo plain > plain; echo readme > docs/README; : > docs/empty; echo run > run; chmod +x run
         ln -s nowhere dangling; ln -s ../a only/links/a; plain plain docs run; git add dangling only",
    ),
    Step {
        what: "odd names",
        does: r##"mkdir -p 'sp ace' 'ä/ö' deep/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 "$long"
         echo f > 'sp ace/f  ile'; echo u > 'ü-日本'; echo p > 'a+b&c=d%20e'; echo h > '#hash?q'
         echo q > "it's"; echo Q > 'say "so"'; echo d > -dash; echo t > '~tilde'; echo . > .dot; echo x > ..x
         echo '[' > '[br]*'; echo c > 'c:o|l>o<n'; echo n > 'ä/ö/ü'; echo L > "$long/$long"
         echo D > deep/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/file; echo 1 > Case; echo 2 > case
         echo s > '$(sh) `x`'; add .
         echo m > '%25'; echo o > 'plain & odd'; plain '%25' 'plain & odd'"##,
        besides: &[
            (Odd::Ends, "echo l > ' both '; echo d > 'dot. '; add ' both ' 'dot. '"),
            (Odd::Backslash, r"echo b > 'back\slash'; mkdir 'c:\d'; echo w > 'c:\d/w'; add ."),
            (Odd::Forms, r#"nfc="$(printf '\303\251')"; nfd="$(printf 'e\314\201')"; echo c > "$nfc"; echo d > "$nfd"; add ."#),
            (Odd::Lines, r#"n="$(printf 'new\nline')"; mkdir "$n"; echo n > "$n/$n"; echo t > "$(printf 'a\rb')"; add ."#),
            // On its command line git-annex 10.20261026 passes over such a name.
            (Odd::Bytes, r#"b="$(printf 'b\377d')"; echo b > "$b"; add ."#),
        ],
    },
    step(
        "edits, also of files that are not locked",
        "git annex unlock --quiet a 'ü-日本'; echo changed >> a; add a; echo more >> plain; git add plain",
    ),
    step(
        "renames, also of odd names and of directories",
        r#"git mv dir/b dir/renamed; git mv foo/foo foo/other; git mv 'ü-日本' d1/d2/ü2; git mv plain docs/plain2
         git mv -- -dash --help; git mv "$long/$long" "$long/${long}1"; git mv "$long" 'a%b'; git mv d1 moved
         git mv dir moved/inside; git mv deep/2/3 3"#,
    ),
    step("two files swap, and two odd ones", r##"swap moved/t2 e1; swap 'a+b&c=d%20e' '#hash?q'; swap Case case"##),
    step(
        "three files turn, two swap that are not annexed, and one that is with one that is not",
        "git mv e1 s; git mv t1 e1; git mv x.sh t1; git mv s x.sh; swap run '%25'; swap foo/bar docs/plain2",
    ),
    step(
        "a file becomes a directory, a directory a file",
        "git rm -q a; mkdir a; echo in > a/in; echo a > a/a; git rm -rq foo; echo now > foo; add a foo
         git rm -rq 3; echo plain3 > 3; plain 3",
    ),
    step("both as before", "git rm -rq a foo 3; echo one > a; mkdir foo 3; echo fb > foo/bar; echo 3 > 3/3; add a foo 3"),
    step(
        "modes, and one content under three names",
        "chmod +x docs/README; git add docs/README; git annex unlock --quiet t1 moved/t2; chmod -x t1; chmod +x moved/t2
         echo 1 > moved/mode; chmod +x moved/mode; mkdir -p tri/deep; echo tri > tri/1; cp tri/1 tri/deep/2; cp tri/1 tri3
         add t1 moved tri tri3",
    ),
    step("one of the three goes and another moves", "git rm -q tri/1; git mv tri/deep/2 tri/4"),
    step(
        "a file is edited to what another has",
        "git rm -q tri3; git annex unlock --quiet a; cat tri/4 > a; add a; git rm -q docs/README; cat a > docs/README; plain docs",
    ),
    step("deletions", r#"git rm -q -- --help .dot 'sp ace/f  ile' docs/empty moved/inside/renamed tri/4 "it's""#),
    step("and back", r#"git checkout -q HEAD~1 -- --help 'sp ace' tri/4; echo new > "it's"; add "it's""#),
    step(
        "annexed becomes plain and plain annexed",
        "rm '~tilde' t1; echo t > '~tilde'; echo twin > t1; plain '~tilde' t1; add docs/README 2> /dev/null
         git rm -q --cached run '%25'; add run '%25'",
    ),
    step(
        "links and files, in turn",
        "git rm -q dangling only/links/a foo/bar; echo no link > dangling; mkdir -p only foo; echo l > only/links; add dangling only
         ln -s ../away foo/bar; git add foo/bar",
    ),
    step(
        "two branches are merged",
        "git checkout -q -b side HEAD~3; git mv moved aside; echo side > side; add side; git commit -qm side
         git checkout -q main; echo main > main; add main; git commit -qm main; git merge -q --no-edit side; git branch -qD side",
    ),
    Step {
        what: "what was merged is taken back, and odd names move",
        does: "git revert --no-edit -m 1 ':/^Merge branch' > /dev/null",
        besides: &[
            (Odd::Backslash, r"swap 'back\slash' 'c:\d/w'; git mv 'c:\d' 'd:\d'"),
            (Odd::Forms, r#"swap "$(printf '\303\251')" "$(printf 'e\314\201')""#),
            (Odd::Lines, r#"n="$(printf 'new\nline')"; git mv "$n/$n" "$n/2$n"; git mv "$n" "2$n"; git mv "$(printf 'a\rb')" "$n""#),
            (Odd::Bytes, r#"b="$(printf 'b\377d')"; git mv "$b" "2$b"; cp -P a "$b"; git add "$b""#),
        ],
    },
    Step { what: "nothing at all", does: "", besides: &[(Odd::Nothing, "git rm -rqf .")] },
    step("nearly all is back", "git rm -rqf --ignore-unmatch .; git checkout -q ':/^and back' -- ."),
    step("an older commit, by force", "git reset -q --hard ':/^modes'"),
    step("another future", "git mv moved other; swap t1 e1; echo else > a; add a"),
    step("as it was at first", "git rm -rqf .; git checkout -q $(git rev-list --max-parents=0 HEAD) -- ."),
];

/// What a place is, in the words of [`LEFT_OUT`].
fn kinds(place: &Place) -> &'static [&'static str] {
    match place {
        Place::Fs(_) => &["fs"],
        Place::S3(server, ..) if server.port == weed().port => &["s3", "seaweedfs"],
        Place::S3(..) => &["s3", "rclone s3"],
        Place::Webdav(..) => &["webdav"],
        Place::Sftp(..) => &["sftp", "opendal"],
        Place::Azblob(..) => &["azblob", "opendal"],
        Place::Swift(..) => &["swift", "opendal"],
    }
}

/// What of the season can be done at a place, below a directory or at the top, with more that restricts it; as subjects and
/// scripts.
pub fn steps(place: &Place, below: &str, more: &[&str]) -> Vec<(&'static str, String)> {
    let top = if below.is_empty() { "." } else { below };
    let left_out = |odd| {
        let applies =
            |word| kinds(place).contains(&word) || more.contains(&word) || (word == "below" && !below.is_empty());
        LEFT_OUT.iter().any(|(word, what, _)| *what == odd && applies(*word))
    };
    let script = |step: &Step| {
        let besides = step.besides.iter().filter(|(odd, _)| !left_out(*odd)).map(|(_, does)| *does);
        let does: Vec<&str> = [step.does].into_iter().filter(|does| !does.is_empty()).chain(besides).collect();
        // What changes elsewhere in the branch changes nothing below.
        let elsewhere = if below.is_empty() { "" } else { "cd ..; date +%N > elsewhere; git add elsewhere" };
        let commit = format!("git diff --cached --quiet || git commit -q -m '{}'", step.what);
        let script = [&format!("mkdir -p {top}; cd {top}"), WORDS, &does.join("\n"), elsewhere, &commit].join("\n");
        (!does.is_empty()).then_some(script)
    };
    SEASON.iter().filter_map(|step| Some((step.what, script(step)?))).collect()
}

/// Does what a step tells.
#[track_caller]
pub fn act(repo: &Repo, script: &str) {
    run(repo.command(Path::new("sh")).arg("-euc").arg(script), LIMIT).ok();
}

/// A tree for `git annex export`, and for annex-tracking-branch.
pub fn tracked(below: &str) -> String {
    if below.is_empty() { "main".to_string() } else { format!("main:{below}") }
}

/// A repository with git-annex's own `directory` remote, which is exported to.
pub struct Theirs(Place);

impl Theirs {
    /// The remote is called `theirs`, and `git annex push` leaves it alone.
    #[track_caller]
    pub fn new(repo: &Repo) -> Theirs {
        let place = Place::fs();
        repo.initremote("theirs", &place, Whose::Theirs, &["exporttree=yes"]).ok();
        repo.git(&["config", "remote.theirs.annex-sync", "false"]).ok();
        Theirs(place)
    }

    /// What it holds, once `tree` is exported.
    #[track_caller]
    pub fn export(&self, repo: &Repo, tree: &str) -> Tree {
        repo.annex(&["export", "--quiet", tree, "--to", "theirs"]).ok();
        without_tmp(files_below(&self.0.path()))
    }
}

/// Without what git-annex's directory remotes leave behind beside a name that is no UTF-8, now and then (10.20261026).
pub(crate) fn without_tmp(tree: Tree) -> Tree {
    tree.into_iter().filter(|(name, _)| !name.ends_with(b".tmp")).collect()
}

/// The tree of a place: without what lies beside it.
pub fn tree_of(place: &Place) -> Tree {
    place.files_but(".git/annex/objects/")
}

/// Panics with the names that differ, if any do.
#[track_caller]
pub fn same(what: &str, found: &Tree, expected: &Tree, said: &Done) {
    let differing = |one: &Tree, other: &Tree| {
        let differs = one.iter().filter(|(name, content)| other.get(*name) != Some(*content));
        differs.map(|(name, content)| format!("{} = {}", name.escape_ascii(), content.escape_ascii())).collect()
    };
    let (wrong, missed): (Vec<String>, Vec<String>) = (differing(found, expected), differing(expected, found));
    assert!(wrong.is_empty() && missed.is_empty(), "{what}: wrong {wrong:#?}, not there {missed:#?}: {said:#?}");
}

/// Panics unless all of `found` is as expected, whatever may be missing yet.
#[track_caller]
pub fn part(what: &str, found: &Tree, expected: &Tree, said: &Done) {
    let known = expected.iter().filter(|(name, _)| found.contains_key(*name));
    same(what, found, &known.map(|(name, content)| (name.clone(), content.clone())).collect(), said);
}
