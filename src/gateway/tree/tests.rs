//! Trees on a store that people use too: nothing that was proven goes, whatever they do, on stores of every kind.
//!
//! The store itself sees whether a request takes the last copy of content that clients were told is stored. What a person takes
//! away is gone; what we take never is.

use std::cell::RefCell;
use std::path::Path;

use bytes::Bytes;
use remotes::wrap::{Nature, Tags, Wild};
use sha2::{Digest, Sha256};

use super::*;
use crate::annex::export::names;
use crate::annex::log::Presence;
use crate::annex::repository::tests::{git, make};
use crate::name::Key;

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn of(&mut self, many: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % many
    }
}

const NATURES: [Nature; 6] = [
    Nature { folds: false, tags: Tags::OfFiles },
    Nature { folds: false, tags: Tags::OfNames },
    Nature { folds: false, tags: Tags::None },
    Nature { folds: true, tags: Tags::OfFiles },
    Nature { folds: true, tags: Tags::OfNames },
    Nature { folds: true, tags: Tags::None },
];

/// The trees that are pushed: a path, and which content; those from `.` on are files of git.
const TREES: [&[(&str, &str)]; 7] = [
    &[("a", "1"), ("b", "2"), ("c", "3"), ("d/e", "1")],
    &[("a", "2"), ("b", "1"), ("c", "3")],
    &[("A", "1"), ("b", "2"), ("C", "4")],
    &[("a", "1"), ("A", "2"), ("d/E", "3"), ("D/e", "3")],
    &[("b", "1"), ("f", ".x"), ("c", ".y"), ("w", "~1")],
    &[("F", ".y"), ("c", "3"), ("a", "~1"), ("w", "4")],
    &[],
];

fn content(name: &str) -> Bytes {
    Bytes::from(format!("content {name:>4}"))
}

fn key(name: &str) -> Key {
    let body = content(name);
    let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = if name.starts_with('~') { format!("WORM-s12-m1--{name}") } else { format!("SHA256-s12--{digest}") };
    Key::parse(key.as_bytes()).expect("a key")
}

/// A repository that has all the trees, as branches.
struct Lab {
    dir: tempfile::TempDir,
    home: Arc<LocalRepository>,
}

impl Lab {
    fn new() -> Lab {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        git(dir.path(), &["config", "annex.alwayscommit", "false"]);
        for (n, tree) in TREES.iter().enumerate() {
            branch(dir.path(), n, tree);
        }
        let home = Arc::new(LocalRepository::open(dir.path()).unwrap_or_else(|e| panic!("{e}")));
        Lab { dir, home }
    }

    /// The tree on `store`, changed by so many requests at once. Where people are at it, one: they act before a look, and never
    /// between it and what rests on it, which nothing could guard.
    fn tree(&self, uuid: &str, store: &Wild, context: &Context, width: usize) -> Rc<Tree> {
        let uuid = Uuid::parse(uuid.as_bytes()).expect("a uuid");
        let store: Rc<dyn Store> = Rc::new(store.clone());
        let tree = Tree::new(&self.home, &uuid, "far", Tracking::parse(b"main").as_ref(), &store, context);
        Rc::new(Tree { width, ..tree })
    }

    fn push(&self, n: usize) {
        let id = std::fs::read_to_string(self.dir.path().join(format!(".git/refs/heads/t{n}"))).expect("a branch");
        std::fs::write(self.dir.path().join(".git/refs/heads/main"), id).expect("written");
    }
}

fn branch(dir: &Path, n: usize, tree: &[(&str, &str)]) {
    git(dir, &["read-tree", "--empty"]);
    for (path, content) in tree {
        let text = match content.strip_prefix('.') {
            Some(plain) => plain.to_string(),
            None => format!("/annex/objects/{}\n", key(content)),
        };
        std::fs::write(dir.join("scratch"), text).expect("written");
        let blob = git(dir, &["hash-object", "-w", "scratch"]);
        git(dir, &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    }
    let id = git(dir, &["write-tree"]);
    let commit = git(dir, &["commit-tree", "-m", "x", &id]);
    git(dir, &["update-ref", &format!("refs/heads/t{n}"), &commit]);
}

/// A client stores content. False where it was told nothing.
async fn put(tree: &Rc<Tree>, store: &Wild, name: &str) -> bool {
    let (key, body) = (key(name), content(name));
    let put = async {
        if !tree.has(&key).await? {
            let object = tree.object(&names::object(&key))?;
            let word = tree.announce(&key).await?;
            let mut put = store.put(&object, body.len() as u64).await.map_err(|e| Failure::remote(&e))?;
            put.write(body.clone()).await.map_err(|e| Failure::remote(&e))?;
            let stored = put.commit().await.map_err(|e| Failure::remote(&e))?;
            tree.stored(&key, stored).await?;
            tree.home.record(&key, &tree.uuid, Presence::Present).await?;
            store.hold_dear(&body);
            tree.settle(word).await;
        }
        Ok::<_, Failure>(())
    };
    put.await.is_ok()
}

/// What a person does to the files: another of the same length, a removal, or another name.
fn stranger(store: &Wild, chance: &mut Chance) {
    let names: Vec<Vec<u8>> = store.all().into_keys().filter(|name| !name.starts_with(b".git/annex/stream")).collect();
    let pick = |chance: &mut Chance| names.get(chance.of(names.len().max(1))).cloned();
    let Some(one) = pick(chance) else { return store.edit(b"a", Some(b"a stranger's")) };
    match chance.of(6) {
        0 => store.edit(&one, None),
        1 | 2 => store.edit(&one, Some(b"a stranger's")),
        3 => store.edit(TREES[3][chance.of(4)].0.as_bytes(), Some(b"a stranger's")),
        4 => store.moves(&one, TREES[0][chance.of(4)].0.as_bytes()),
        _ => {
            // What an upload of a key without a digest takes the place of, nobody can tell.
            if let Some(other) = pick(chance).filter(|other| *other != names::object(&key("~1"))) {
                let mine = store.all()[&one].clone();
                store.edit(&other, Some(&mine));
            }
        }
    }
}

async fn season(lab: &Lab, seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let nature = NATURES[seed as usize % NATURES.len()];
    let context = Context { tree: true, idle: Duration::from_secs(5), ..Context::default() };
    let store = Wild::new(nature, &context);
    let uuid = format!("far-{seed}");
    let mut said = Vec::new();
    for name in ["1", "2", "3", "4", "~1"] {
        if chance.of(4) > 0 {
            put(&lab.tree(&uuid, &store, &context, 4), &store, name).await;
        }
    }
    for _ in 0..8 {
        let among = chance.of(2) == 0;
        let tree = lab.tree(&uuid, &store, &context, if among { 1 } else { 4 });
        if among {
            let strangers = RefCell::new(Chance(chance.0));
            let often = 1 + chance.of(12);
            store.among(move |store| {
                let mut chance = strangers.borrow_mut();
                if chance.of(often) == 0 {
                    stranger(store, &mut chance);
                }
            });
        }
        let cut = if chance.of(3) == 0 { chance.of(40) } else { usize::MAX };
        store.die_after(cut);
        let what = chance.of(6);
        let work = async {
            match what {
                0..3 => {
                    let n = chance.of(TREES.len());
                    lab.push(n);
                    said.push(format!("export {n}, cut {cut}"));
                    let done = tree.export(Duration::from_secs(5)).await;
                    said.push(format!("  {done:?}"));
                }
                3 | 4 => {
                    let name = ["1", "2", "3", "4", "~1"][chance.of(5)];
                    said.push(format!("put {name}, cut {cut}"));
                    let told = put(&tree, &store, name).await;
                    let is_there = store.all().values().any(|file| *file == content(name));
                    said.push(format!("  {told}, there {is_there}"));
                }
                _ => stranger(&store, &mut chance),
            }
        };
        // One that is never answered is dropped where it stands.
        // With all that it left to be done beside it.
        let process = tokio::task::LocalSet::new();
        tokio::select! {
            () = process.run_until(work) => {}
            () = store.died() => {}
        }
        drop(process);
        store.among(|_| {});
        store.die_after(usize::MAX);
        assert!(
            store.lost().is_empty(),
            "seed {seed} {nature:?}: {:#?}\n{said:#?}\n{:#?}",
            store.lost(),
            shown(&store)
        );
    }
    heals(lab, &store, &context, &uuid, &said).await;
}

/// Once nobody is in the way, what a client is told is stored is there, and what is sent again gets its names. What a person has
/// put at a name is not read before that, and moves as what is noted of it.
async fn heals(lab: &Lab, store: &Wild, context: &Context, uuid: &str, said: &[String]) {
    let tree = lab.tree(uuid, store, context, 4);
    let mut wrong = Vec::new();
    for _ in 0..3 {
        for name in ["1", "2", "3", "4"] {
            put(&tree, store, name).await;
            let is_there = store.all().values().any(|file| *file == content(name));
            assert!(is_there, "{name} was taken\n{said:#?}\n{:#?}", shown(store));
        }
        lab.push(0);
        let done = tree.export(Duration::from_secs(60)).await;
        assert!(done.is_ok(), "{done:?}\n{said:#?}\n{:#?}", shown(store));
        assert!(store.lost().is_empty(), "{:#?}\n{said:#?}", store.lost());
        let files = store.all();
        wrong = TREES[0].to_vec();
        wrong.retain(|(path, name)| files.get(path.as_bytes()) != Some(&content(name)));
    }
    // A store that ignores case has the spelling that was there first.
    wrong.retain(|(path, _)| {
        !store.all().keys().any(|name| name != path.as_bytes() && name.eq_ignore_ascii_case(path.as_bytes()))
    });
    assert!(wrong.is_empty(), "{wrong:?}\n{said:#?}\n{:#?}", shown(store));
}

fn shown(store: &Wild) -> Vec<String> {
    let show = |(name, body): (Vec<u8>, Bytes)| format!("{} <- {}", name.escape_ascii(), body.escape_ascii());
    store.all().into_iter().map(show).collect()
}

fn seasons(seeds: impl Iterator<Item = u64>) {
    let lab = Lab::new();
    remotes::sys::run(false, async {
        for seed in seeds {
            eprintln!("season {seed}");
            season(&lab, seed).await;
        }
    })
    .expect("a runtime");
}

/// A stranger replaced content that waits for its names by a file of equal length.
#[test]
fn what_was_replaced_outside_the_tree_gets_no_name_in_it() {
    let lab = Lab::new();
    let context = Context { tree: true, idle: Duration::from_secs(5), ..Context::default() };
    remotes::sys::run(false, async {
        for nature in NATURES.iter().filter(|nature| nature.tags != Tags::None) {
            let uuid = format!("far-{nature:?}").replace([' ', '{', '}', ':', ','], "");
            let store = Wild::new(*nature, &context);
            let tree = lab.tree(&uuid, &store, &context, 4);
            lab.push(6);
            tree.export(Duration::from_secs(5)).await.unwrap_or_else(|e| panic!("{e}"));
            assert!(put(&tree, &store, "1").await && put(&tree, &store, "2").await);
            store.edit(&names::object(&key("1")), Some(b"a stranger's"));
            lab.push(0);
            tree.export(Duration::from_secs(5)).await.unwrap_or_else(|e| panic!("{e}"));
            let files = store.all();
            let aside: Vec<&Bytes> =
                files.iter().filter(|(name, _)| name.starts_with(b".git/annex/bad/")).map(|(_, body)| body).collect();
            assert_eq!(aside, [&Bytes::from_static(b"a stranger's")], "{nature:?}");
            assert_eq!((files.get(&b"a"[..]), files.get(&b"d/e"[..])), (None, None), "{nature:?}");
            assert_eq!(files.get(&b"b"[..]), Some(&content("2")), "{nature:?}");
        }
    })
    .expect("a runtime");
}

/// What was noted and proven here is lost, and of two files of one key without a digest one may be a stranger's.
#[test]
fn files_that_differ_are_not_taken_for_one_key() {
    let lab = Lab::new();
    branch(lab.dir.path(), 9, &[("a", "~1"), ("b", "~1")]);
    lab.push(9);
    let context = Context { tree: true, idle: Duration::from_secs(5), ..Context::default() };
    let told = async |nature: Nature, is_edited: bool| {
        let uuid = format!("far-{:?}-{is_edited}", nature.tags);
        let store = Wild::new(nature, &context);
        let tree = lab.tree(&uuid, &store, &context, 4);
        put(&tree, &store, "~1").await;
        tree.export(Duration::from_secs(5)).await.unwrap_or_else(|e| panic!("{e}"));
        if is_edited {
            store.edit(b"b", Some(b"a stranger's"));
        }
        drop(tree);
        let remote = Uuid::parse(uuid.as_bytes()).expect("a uuid");
        let repository = lab.home.repository();
        let proofs = crate::annex::export::record::proofs(repository, &remote).unwrap_or_else(|e| panic!("{e}"));
        if proofs.exists() {
            std::fs::remove_file(proofs).expect("removed");
        }
        std::fs::remove_dir_all(lab.dir.path().join(".git/annex/export").join(&uuid)).expect("removed");
        let tree = lab.tree(&uuid, &store, &context, 4);
        tree.export(Duration::from_secs(5)).await.unwrap_or_else(|e| panic!("{e}"));
        let mut files = store.all();
        files.retain(|name, _| !name.starts_with(b".git/annex/stream"));
        let aside = files.iter().filter(|(name, _)| name.starts_with(b".git/annex/bad/")).count();
        let kept = files.values().filter(|body| **body == content("~1")).count();
        let named = |name: &[u8]| files.contains_key(name);
        (named(b"a"), named(b"b"), aside, kept)
    };
    remotes::sys::run(false, async {
        for nature in &NATURES[..3] {
            assert_eq!(told(*nature, false).await, (true, true, 0, 2), "{nature:?}: they are alike");
            assert_eq!(told(*nature, true).await, (false, false, 2, 1), "{nature:?}: one is a stranger's");
        }
    })
    .expect("a runtime");
}

/// `STREAM_TEST_WHOLE=yes` tries more of them.
#[test]
fn nothing_that_was_proven_goes_whatever_people_do() {
    let many = if std::env::var("STREAM_TEST_WHOLE").as_deref() == Ok("yes") { 3000 } else { 30 };
    seasons(1..=many);
}
