//! A second server with the remotes of the first: another gateway to the same stores.

use super::annex::Repo;
use super::place::{Place, Whose};
use super::proxy::stream;

/// Its repository, a clone of the first.
pub struct Neighbour(pub Repo);

impl Neighbour {
    /// A clone of `first` that is a gateway to these remotes as that is.
    #[track_caller]
    pub fn of(first: &Repo, remotes: &[(&str, &Place)]) -> Neighbour {
        let repo = Repo::clone_of(first);
        for (name, place) in remotes {
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
            from.annex(&["merge", "--quiet"]).ok();
            self.fetch(to, from, "+refs/heads/git-annex:refs/remotes/other/git-annex");
            to.annex(&["merge", "--quiet"]).ok();
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
