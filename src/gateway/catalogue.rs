//! The repositories below the served directories, as one walk found them: by the names that URLs have for them, and by uuid.
//!
//! What can be changed by pushing to one repository may not lead to another: nothing inside a repository or its work tree
//! is listed, and no link that lies there is followed.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LocalRepository;
use super::walk::{Real, Sighting, walk};
use crate::name::Uuid;

/// What one walk found.
#[derive(Debug, Default, Clone)]
pub(super) struct Catalogue {
    /// For each of the directories.
    names: Vec<HashMap<Vec<u8>, Arc<CatalogueEntry>>>,
    /// Repositories, and what they are proxies for. More than one place for what several are proxies for: which of their
    /// rights counts must not be a matter of luck.
    by_uuid: HashMap<Uuid, ReachedThrough>,
    /// What is not served, so that it is told once.
    refused: HashSet<PathBuf>,
}

/// A repository that may be served.
#[derive(Debug)]
pub(super) struct CatalogueEntry {
    /// Its path without links.
    pub(super) path: PathBuf,
    /// What it is called where rights are looked up: one name, whichever of its names a request has.
    pub(super) name: Arc<[u8]>,
    /// What it was when it was found; none where it could not be opened.
    identity: Option<Identity>,
    /// Device and number of its git directory; none as above.
    pub(super) id: Option<(u64, u64)>,
}

/// What has to be the same when it is opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    git_dir: PathBuf,
    work_tree: Option<PathBuf>,
    uuid: Uuid,
}

/// Through which repository a uuid is reached.
#[derive(Debug, Clone)]
pub(super) enum ReachedThrough {
    /// The repository itself.
    Itself(Arc<CatalogueEntry>),
    /// The only repository that is a proxy for it.
    Proxy(Arc<CatalogueEntry>),
    /// Several are: only a prefix tells which is meant.
    Ambiguous,
}

impl Catalogue {
    /// Looks through `directories`. What is not served for its place is said, unless `before` said it. `early` gets all but
    /// what repositories are proxies for, since one of them may take its time to tell. Blocks.
    pub(super) fn of(directories: &[PathBuf], before: Option<&Self>, early: impl FnOnce(Self)) -> Self {
        let sightings: Vec<Vec<Sighting>> = directories.iter().map(|directory| walk(directory)).collect();
        let mut opened: HashMap<PathBuf, Option<LocalRepository>> = HashMap::new();
        for sighting in sightings.iter().flatten() {
            let path = &sighting.real.path;
            opened.entry(path.clone()).or_insert_with(|| LocalRepository::open(path).ok());
        }
        let grounds = Grounds::of(&opened);
        let called = Called::of(&sightings, &opened);
        let mut catalogue = Self::default();
        let (mut learnt, mut proxies) = (HashSet::new(), Vec::new());
        for sightings in sightings {
            let mut names = HashMap::new();
            for Sighting { name, real } in sightings {
                let served = opened.get(&real.path).and_then(Option::as_ref);
                if let Some(within) = grounds.within(&real, served) {
                    if catalogue.refused.insert(real.path.clone())
                        && !before.is_some_and(|before| before.refused.contains(&real.path))
                    {
                        tracing::warn!(
                            "{} is not served: it, or a link to it, lies inside the repository {}, where it could be changed by a push",
                            real.path.display(),
                            within.display()
                        );
                    }
                    continue;
                }
                let name_of_it = called.name(&real.path, served);
                let listed = Arc::new(CatalogueEntry {
                    path: real.path,
                    name: name_of_it,
                    identity: served.map(Identity::of),
                    id: served.map(LocalRepository::id),
                });
                if let Some(served) = served
                    && learnt.insert(served.repository().git_dir().to_path_buf())
                {
                    let own = || ReachedThrough::Itself(Arc::clone(&listed));
                    catalogue.by_uuid.entry(served.uuid().clone()).or_insert_with(own);
                    proxies.push((served, Arc::clone(&listed)));
                }
                names.insert(name, listed);
            }
            catalogue.names.push(names);
        }
        early(catalogue.clone());
        proxies.iter().for_each(|(served, listed)| catalogue.learn(served, listed));
        // A way through one gateway more is of use only where there is no other.
        for (served, listed) in proxies {
            for uuid in served.uuids_behind().unwrap_or_default() {
                catalogue.by_uuid.entry(uuid).or_insert_with(|| ReachedThrough::Proxy(Arc::clone(&listed)));
            }
        }
        catalogue
    }

    /// What `served` is a proxy for. Its own repository is asked before those that are proxies for it.
    fn learn(&mut self, served: &LocalRepository, listed: &Arc<CatalogueEntry>) {
        // What cannot be told now is looked at again in the next walk.
        for uuid in served.proxied_uuids().unwrap_or_default() {
            self.by_uuid
                .entry(uuid)
                .and_modify(|known| {
                    if matches!(known, ReachedThrough::Proxy(_)) {
                        *known = ReachedThrough::Ambiguous;
                    }
                })
                .or_insert_with(|| ReachedThrough::Proxy(Arc::clone(listed)));
        }
    }

    /// The repository that is called `name`, with or without its `.git`.
    pub(super) fn named(&self, name: &[u8]) -> Option<&Arc<CatalogueEntry>> {
        let with_git = [name, b".git"].concat();
        self.names.iter().find_map(|names| names.get(name).or_else(|| names.get(&with_git)))
    }

    /// Where `uuid` is.
    pub(super) fn known(&self, uuid: &Uuid) -> Option<&ReachedThrough> {
        self.by_uuid.get(uuid)
    }

    /// What the one repository that `uuid` is reached through is called.
    pub(super) fn name_of(&self, uuid: &Uuid) -> Option<Arc<[u8]>> {
        self.known(uuid)?.entry().map(|entry| Arc::clone(&entry.name))
    }

    /// All of them, those of several names more than once.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<CatalogueEntry>> {
        self.names.iter().flat_map(HashMap::values)
    }

    /// From where repositories are served.
    pub(super) fn paths(&self) -> HashSet<&Path> {
        self.names.iter().flat_map(HashMap::values).map(|listed| listed.path.as_path()).collect()
    }
}

/// The names of repositories where rights are looked up: the first that no link is part of, or the first of all. Two work trees of
/// one repository are that one.
struct Called(HashMap<PathBuf, Arc<[u8]>>);

impl Called {
    fn of(sightings: &[Vec<Sighting>], opened: &HashMap<PathBuf, Option<LocalRepository>>) -> Self {
        let mut called = HashMap::new();
        for direct in [true, false] {
            for sighting in sightings.iter().flatten().filter(|sighting| sighting.real.links.is_empty() == direct) {
                let served = opened.get(&sighting.real.path).and_then(Option::as_ref);
                let place = place_of(&sighting.real.path, served).to_path_buf();
                called.entry(place).or_insert_with(|| Arc::from(&sighting.name[..]));
            }
        }
        Self(called)
    }

    fn name(&self, path: &Path, served: Option<&LocalRepository>) -> Arc<[u8]> {
        self.0.get(place_of(path, served)).cloned().unwrap_or_default()
    }
}

fn place_of<'a>(path: &'a Path, served: Option<&'a LocalRepository>) -> &'a Path {
    served.map_or(path, |served| served.repository().git_dir())
}

impl ReachedThrough {
    pub(super) fn entry(&self) -> Option<&Arc<CatalogueEntry>> {
        match self {
            Self::Itself(entry) | Self::Proxy(entry) => Some(entry),
            Self::Ambiguous => None,
        }
    }
}

impl CatalogueEntry {
    /// Whether `served`, opened from its path, is what was found there.
    pub(super) fn is(&self, served: &LocalRepository) -> bool {
        self.identity.as_ref() == Some(&Identity::of(served))
    }

    /// Whether it is where it was found, as far as its git directory tells. Blocks.
    pub(super) fn is_there(&self) -> bool {
        let id = |identity: &Identity| {
            let meta = std::fs::metadata(&identity.git_dir).ok()?;
            Some((meta.dev(), meta.ino()))
        };
        self.id.is_some() && self.identity.as_ref().and_then(id) == self.id
    }

    /// Whether it could be opened when it was found.
    pub(super) fn was_opened(&self) -> bool {
        self.identity.is_some()
    }
}

impl Identity {
    fn of(served: &LocalRepository) -> Self {
        let repository = served.repository();
        Self {
            git_dir: repository.git_dir().to_path_buf(),
            work_tree: repository.work_tree().map(Path::to_path_buf),
            uuid: served.uuid().clone(),
        }
    }
}

/// The directories that pushes can write to, each with the git directories of the repositories they belong to.
#[derive(Debug, Default)]
struct Grounds(HashMap<PathBuf, HashSet<PathBuf>>);

impl Grounds {
    fn of(opened: &HashMap<PathBuf, Option<LocalRepository>>) -> Self {
        let mut grounds = Self::default();
        for (path, served) in opened {
            match served {
                Some(served) => {
                    let git_dir = served.repository().git_dir();
                    grounds.add(path, git_dir);
                    grounds.add(git_dir, git_dir);
                    if let Some(work_tree) = served.repository().work_tree() {
                        grounds.add(work_tree, git_dir);
                    }
                }
                // It is not served, and may be pushed to all the same.
                None => grounds.add(path, path),
            }
        }
        grounds
    }

    fn add(&mut self, ground: &Path, git_dir: &Path) {
        self.0.entry(ground.to_path_buf()).or_default().insert(git_dir.to_path_buf());
    }

    /// The repository that `real` lies in, or a link to it, or what is its own.
    fn within(&self, real: &Real, served: Option<&LocalRepository>) -> Option<&Path> {
        if let Some(ground) = real.links.iter().find_map(|link| self.around(link.ancestors(), None)) {
            return Some(ground);
        }
        let git_dir = served.map(|served| served.repository().git_dir());
        let work_tree = served.and_then(|served| served.repository().work_tree());
        let own = git_dir.unwrap_or(&real.path);
        let parts = [Some(&*real.path), git_dir, work_tree];
        parts.into_iter().flatten().find_map(|part| self.around(part.ancestors().skip(1), Some(own)))
    }

    /// The first of `ancestors` that belongs to a repository other than `own`.
    fn around<'a>(&self, ancestors: impl Iterator<Item = &'a Path>, own: Option<&Path>) -> Option<&Path> {
        ancestors.filter_map(|ancestor| self.0.get_key_value(ancestor)).find_map(|(ground, owners)| {
            owners.iter().any(|owner| Some(owner.as_path()) != own).then_some(ground.as_path())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::annex::repository::tests::{git, make};

    struct Lab {
        _top: tempfile::TempDir,
        top: PathBuf,
    }

    impl Lab {
        fn new() -> Self {
            let top = tempfile::tempdir().expect("a directory");
            let path = top.path().canonicalize().expect("it is there");
            std::fs::create_dir(path.join("srv")).expect("a directory");
            Self { _top: top, top: path }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.top.join(name)
        }

        fn make(&self, name: &str, uuid: &str, more: &[&str]) {
            make(&self.at(name), more);
            git(&self.at(name), &["config", "annex.uuid", uuid]);
        }

        fn link(&self, target: &str, link: &str) {
            symlink(target, self.at(link)).expect("a link");
        }

        /// The names that are served, and whether their uuids are known.
        fn served(&self, names: &[&str]) -> Vec<bool> {
            let catalogue = Catalogue::of(&[self.at("srv")], None, |_| {});
            let served = |name: &&str| catalogue.named(name.as_bytes()).is_some();
            names.iter().map(served).collect()
        }

        fn knows(&self, uuid: &str) -> bool {
            let uuid = Uuid::parse(uuid.as_bytes()).expect("a uuid");
            Catalogue::of(&[self.at("srv")], None, |_| {}).known(&uuid).is_some_and(|known| known.entry().is_some())
        }
    }

    /// What a pusher makes of ordinary files: a bare repository in a work tree.
    #[test]
    fn nothing_that_was_pushed_is_a_repository() {
        let lab = Lab::new();
        lab.make("srv/photos", "u-1", &[]);
        lab.make("srv/photos/x", "u-evil", &["--bare"]);
        lab.make("srv/photos/deep/er/y", "u-evil", &[]);
        let names =
            ["photos", "photos/x", "photos/deep/er/y", "photos/.git", "photos/../photos/x", "photos//x", "PHOTOS"];
        assert_eq!(lab.served(&names), [true, false, false, false, false, false, false]);
        assert!(lab.knows("u-1") && !lab.knows("u-evil"));
        // A link that was pushed, one that an admin made to what was, and one that passes through what was.
        lab.make("else/where", "u-else", &[]);
        lab.link("../../else/where", "srv/photos/pushed-link");
        lab.link("photos/x", "srv/to-pushed");
        lab.link("photos/pushed-link", "srv/through-pushed");
        lab.link("photos", "srv/alias");
        lab.link("photos/.git", "srv/same");
        let names = ["photos/pushed-link", "to-pushed", "through-pushed", "alias", "alias/x", "same"];
        assert_eq!(lab.served(&names), [false, false, false, true, false, true]);
        assert!(!lab.knows("u-evil") && !lab.knows("u-else"));
    }

    /// Rights are looked up by one name, so that a link to a repository is no way around them.
    #[test]
    fn a_repository_has_one_name_for_its_rights() {
        let lab = Lab::new();
        lab.make("srv/z/secret.git", "u-1", &["--bare"]);
        lab.make("disk/far", "u-2", &[]);
        lab.link("z/secret.git", "srv/a-public");
        lab.link("../disk/far", "srv/c-link");
        lab.link("../disk/far", "srv/b-link");
        let catalogue = Catalogue::of(&[lab.at("srv")], None, |_| {});
        let name =
            |name: &str| String::from_utf8_lossy(&catalogue.named(name.as_bytes()).expect(name).name).into_owned();
        assert_eq!((name("a-public"), name("z/secret")), ("z/secret.git".into(), "z/secret.git".into()));
        assert_eq!((name("c-link"), name("b-link")), ("b-link".into(), "b-link".into()));
        let uuid = Uuid::parse(b"u-1").expect("a uuid");
        let by_uuid = catalogue.known(&uuid).and_then(ReachedThrough::entry).expect("it is known");
        assert_eq!(&*by_uuid.name, b"z/secret.git");
    }

    #[test]
    fn links_that_an_admin_made_are_followed() {
        let lab = Lab::new();
        lab.make("disk/far/a", "u-a", &[]);
        lab.make("disk/b.git", "u-b", &["--bare"]);
        lab.link("../disk/far", "srv/disk2");
        lab.link("../disk/b.git", "srv/b.git");
        assert_eq!(lab.served(&["disk2/a", "b", "b.git", "disk2", "a"]), [true, true, true, false, false]);
        assert!(lab.knows("u-a") && lab.knows("u-b"));
    }

    /// The work tree need not be where the repository is, nor the repository one that is served.
    #[test]
    fn work_trees_elsewhere_and_git_directories_elsewhere_count_too() {
        let lab = Lab::new();
        lab.make("srv/site.git", "u-1", &["--bare"]);
        lab.make("srv/www/evil", "u-evil", &["--bare"]);
        assert_eq!(lab.served(&["site", "www/evil"]), [true, true]);
        git(&lab.at("srv/site.git"), &["config", "core.bare", "false"]);
        git(&lab.at("srv/site.git"), &["config", "core.worktree", &lab.at("srv/www").display().to_string()]);
        assert_eq!(lab.served(&["site", "www/evil"]), [true, false]);
        // `.git` is a file that leads into what was pushed.
        std::fs::create_dir(lab.at("srv/outside")).expect("a directory");
        let gitdir = format!("gitdir: {}\n", lab.at("srv/www/evil").display());
        std::fs::write(lab.at("srv/outside/.git"), gitdir).expect("a file");
        assert_eq!(lab.served(&["outside"]), [false]);
        // One without an annex is not served, and is pushed to all the same.
        std::fs::create_dir(lab.at("srv/plain")).expect("a directory");
        git(&lab.at("srv/plain"), &["init", "--quiet"]);
        lab.make("srv/plain/evil", "u-evil", &["--bare"]);
        lab.link("plain/evil", "srv/linked");
        assert_eq!(lab.served(&["plain", "plain/evil", "linked"]), [true, false, false]);
        assert!(!lab.knows("u-evil"));
    }

    #[test]
    fn linked_work_trees_are_one_repository_and_submodules_are_inside_another() {
        let lab = Lab::new();
        lab.make("srv/main", "u-1", &[]);
        git(&lab.at("srv/main"), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        git(&lab.at("srv/main"), &["worktree", "add", "--quiet", "../linked"]);
        lab.make("disk/lib", "u-2", &[]);
        git(&lab.at("disk/lib"), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        git(
            &lab.at("srv/main"),
            &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../../disk/lib", "sub"],
        );
        lab.link("main/sub", "srv/sub");
        assert_eq!(lab.served(&["main", "linked", "main/sub", "sub"]), [true, true, false, false]);
        assert!(lab.knows("u-1"));
    }

    /// A `.git` that leads nowhere at the moment does not make a repository of what was pushed beside it.
    #[test]
    fn a_git_file_that_leads_nowhere_opens_nothing() {
        let lab = Lab::new();
        lab.make("srv/tree", "u-evil", &["--bare"]);
        std::fs::write(lab.at("srv/tree/.git"), "gitdir: /nowhere/at/all\n").expect("a file");
        let catalogue = Catalogue::of(&[lab.at("srv")], None, |_| {});
        assert!(!catalogue.named(b"tree").expect("it looks like one").was_opened());
        assert!(!lab.knows("u-evil"));
    }
}
