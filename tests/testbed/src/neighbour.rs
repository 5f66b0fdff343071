//! A second server with the remotes of the first: another gateway to the same stores.

use std::path::Path;
use std::time::Duration;

use super::annex::Repo;
use super::gateway::eventually;
use super::place::{Place, Whose};
use super::proxy::stream;

/// Its repository, a clone of the first.
pub struct Neighbour(pub Repo);

impl Neighbour {
    /// A clone of `first` that is a gateway to what is `behind` the first, by these names.
    #[track_caller]
    pub fn of(first: &Repo, behind: &[(&str, &Place)]) -> Neighbour {
        let repo = Repo::clone_of(first);
        for (name, place) in behind {
            let mut options = place.options(Whose::Theirs);
            options.retain(|option| option.starts_with("directory="));
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let shown = repo.enableremote(name, place, &options).ok().all();
            repo.verify(name, &shown);
            for setting in ["annex-proxy", "annex-tracking-branch"] {
                let setting = format!("remote.{name}.{setting}");
                let value = first.git(&["config", &setting]);
                if value.status.success() {
                    repo.git(&["config", &setting, value.stdout.trim()]).ok();
                }
            }
        }
        stream(&repo, &["updateproxy"]).ok();
        let neighbour = Neighbour(repo);
        neighbour.learn(first);
        neighbour
    }

    /// Each hears what the other recorded.
    #[track_caller]
    pub fn learn(&self, first: &Repo) {
        for (to, from) in [(&self.0, first), (first, &self.0), (&self.0, first)] {
            // What is in the journal is not in the branch yet.
            merge(from);
            self.fetch(to, from, "+refs/heads/git-annex:refs/remotes/other/git-annex");
            merge(to);
        }
    }

    /// The neighbour gets these refs of `first`.
    pub fn gets(&self, first: &Repo, refs: &str) {
        self.fetch(&self.0, first, refs);
    }

    fn fetch(&self, to: &Repo, from: &Repo, refs: &str) {
        to.git(&["fetch", "--quiet", &from.dir().display().to_string(), refs]).ok();
    }
}

/// git-annex commits what is in the journal, and what was fetched. A gateway may be committing, or one was killed as it did: what
/// git says of its lock then, somebody does here.
fn merge(repo: &Repo) {
    const STALE: Duration = Duration::from_secs(10);
    let git = repo.git(&["rev-parse", "--absolute-git-dir"]).ok().stdout;
    let lock = Path::new(git.trim()).join("refs/heads/git-annex.lock");
    eventually("git-annex merges", || {
        let done = repo.annex(&["merge", "--quiet"]);
        if done.status.success() {
            return true;
        }
        assert!(done.all().contains("git-annex.lock"), "{}", done.all());
        let is_old =
            |meta: std::fs::Metadata| meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE));
        if std::fs::metadata(&lock).is_ok_and(is_old) {
            let _ = std::fs::remove_file(&lock);
        }
        false
    });
}
