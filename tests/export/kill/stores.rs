//! The stores of the tests, and how whoever exports to them is killed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};

use super::lab::Lab;
use testbed::faulty::{At, Faulty, How, What};
use testbed::place::{Place, Whose};
use testbed::proxy::NAME;
use testbed::watch::Watch;
use testbed::way::{Outcome, Way};

/// A bucket behind a server that counts requests, and kills.
pub struct Bucket {
    pub lab: Lab,
    pub faulty: Faulty,
}

impl Bucket {
    pub fn new() -> Bucket {
        let place = Place::weed();
        let faulty = Faulty::start(place.port());
        let seen = place.through(faulty.port);
        Bucket { lab: Lab::new(place, Some(&seen), Whose::Ours), faulty }
    }

    /// The most requests that an export takes, there or back again.
    pub fn count_requests(&mut self) -> usize {
        let counted = [(); 2].map(|()| {
            self.lab.push_other();
            assert!(!self.cut_hook(usize::MAX, At::Done));
            let requests = self.faulty.requests();
            self.lab.heals();
            requests
        });
        counted.into_iter().max().unwrap_or_default()
    }

    /// `post-receive`, killed at a request. False where it had come to its end before.
    #[track_caller]
    pub fn cut_hook(&self, nth: usize, at: At) -> bool {
        let mut hook = self.lab.start_hook();
        self.faulty.strike(nth, at, How::Kill(hook.id()));
        Lab::tell(&mut hook);
        let was_killed = was_killed(Lab::end(hook));
        self.faulty.deserted();
        self.faulty.heal();
        was_killed
    }

    /// `post-receive`, killed at its first request of a kind, which the store hears of late. False where it had come to its
    /// end before.
    #[track_caller]
    pub fn cut_late(&self, what: What) -> bool {
        let mut hook = self.lab.start_hook();
        self.faulty.fail("", what, At::Sent, How::KillAndKeep(hook.id()), 1);
        Lab::tell(&mut hook);
        let was_killed = was_killed(Lab::end(hook));
        self.faulty.deserted();
        self.faulty.heal();
        was_killed
    }

    /// A gateway that takes the content of `key`, killed at a request. False where it had answered before.
    #[track_caller]
    pub fn cut_put(&self, key: &str, nth: usize, at: At) -> bool {
        let gateway = self.lab.gateway();
        self.faulty.strike(nth, at, How::Kill(gateway.pid()));
        let outcome = Way::Http(&gateway).put(&self.lab.uuid, key, &self.lab.season.contents.0[key]);
        gateway.kill();
        self.faulty.deserted();
        self.faulty.heal();
        !matches!(outcome, Outcome::Yes)
    }
}

/// A directory, in which changes are counted.
pub struct Directory {
    pub lab: Lab,
    watch: Watch,
}

impl Directory {
    pub fn new() -> Directory {
        let lab = Lab::new(Place::fs(), None, Whose::Theirs);
        let annex = lab.repo.dir().join("annex");
        let mut roots = vec![lab.place.path()];
        roots.extend(["export", "journal", "stream/export"].map(|dir| annex.join(dir)));
        let watch = Watch::below(&roots);
        Directory { lab, watch }
    }

    /// The most changes that an export makes, there or back again.
    pub fn count_changes(&mut self) -> usize {
        let counted = [(); 2].map(|()| {
            self.lab.push_other();
            self.watch.forget();
            let mut hook = self.lab.start_hook();
            Lab::tell(&mut hook);
            let changes = self.watch.kill_at(hook.id(), usize::MAX);
            assert!(!was_killed(Lab::end(hook)));
            self.lab.heals();
            changes
        });
        counted.into_iter().max().unwrap_or_default()
    }

    /// `post-receive`, killed at a change. False where it had come to its end before.
    #[track_caller]
    pub fn cut_hook(&mut self, nth: usize) -> bool {
        self.watch.forget();
        let mut hook = self.lab.start_hook();
        Lab::tell(&mut hook);
        self.watch.kill_at(hook.id(), nth);
        was_killed(Lab::end(hook))
    }

    /// The most changes that an export by git-annex makes.
    pub fn count_changes_of_git_annex(&mut self) -> usize {
        self.watch.forget();
        let export = self.start_git_annex();
        let changes = self.watch.kill_at(export.id(), usize::MAX);
        // Content that is not there yet fails.
        assert!(Lab::end(export).0.signal().is_none());
        changes
    }

    /// `git annex export`, killed at a change.
    #[track_caller]
    pub fn cut_git_annex(&mut self, nth: usize) {
        self.watch.forget();
        self.lab.halves_may_stay = true;
        let export = self.start_git_annex();
        self.watch.kill_at(export.id(), nth);
        Lab::end(export);
    }

    fn start_git_annex(&self) -> Child {
        let mut command = self.lab.repo.annex_command(&["export", "--quiet", "main", "--to", NAME]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }
}

#[track_caller]
fn was_killed((status, said): (ExitStatus, String)) -> bool {
    assert!(status.success() || status.signal() == Some(9), "{status}: {said}");
    !status.success()
}
