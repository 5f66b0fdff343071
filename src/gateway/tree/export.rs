//! One export, from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use remotes::fold::Folding;

use super::apart::{FoundFolding, told_apart};
use super::proof::Known;
use super::survey::{Answer, There};
use super::{Session, Tree, Why, wishes};
use crate::annex::branch::GitId;
use crate::annex::export::apart::Apart;
use crate::annex::export::check::Check;
use crate::annex::export::look::Found;
use crate::annex::export::names;
use crate::annex::export::record;
use crate::annex::export::stage::Survey;
use crate::annex::export::tree::{Exportable, exportable, left_out_for_good, without};
use crate::annex::export::work::Work;
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// How often an export begins anew when strangers change what it rests on.
const AGAIN: usize = 4;

/// What an export did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The tree that the remote holds now, as far as content has come; `None` where its branch is not there.
    pub tree: Option<GitId>,
    /// Files that got another name on the store.
    pub renamed: usize,
    /// Files that were copied on the store.
    pub copied: usize,
    /// Files that were stored from here.
    pub stored: usize,
    /// Files that were removed.
    pub removed: usize,
    /// Files of the tree whose content has not come yet.
    pub waiting: usize,
    /// Files of the tree that the store cannot have under their names.
    pub impossible: usize,
    /// Files of the tree that are left out because the store does not tell their names from others, each with such a one.
    pub refused: Vec<(Vec<u8>, Vec<u8>)>,
    /// Files of the tree that its preferred content leaves out.
    pub unwanted: Vec<Vec<u8>>,
    /// Something was otherwise than it was looked at, so there is more to do.
    pub again: bool,
}

/// What is to be done, worked out.
struct Plan {
    what: Exportable,
    survey: Survey,
    apart: Apart,
    unwanted: Vec<Vec<u8>>,
}

/// When a tree is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Where its branch was pushed since, or an export was cut.
    Behind,
    /// Also where something is not at its names that could be.
    Always,
}

impl Tree {
    /// Makes the remote hold the tree that its branch is at now. Waits up to `limit` for others who export to it; `None` where
    /// they are still exporting then, and will find out themselves that there is more to do.
    ///
    /// Failures: it is not there as it should be; the next call goes on with it.
    pub(in crate::gateway) async fn export(&self, limit: Duration) -> Result<Option<Exported>, Failure> {
        let mut done: Option<Exported> = None;
        loop {
            let work = async |session: &Session| {
                let now = self.follow(session, When::Always).await?;
                self.take_in(session).await?;
                Ok(now)
            };
            let Some(now) = self.alone(limit, work).await? else { return Ok(done) };
            done = Some(now.after(done));
            // What came while the others were kept out is for us to see.
            if !self.has_more().await? {
                return Ok(done);
            }
        }
    }

    /// Whether its branch was pushed since it was exported, or an export was cut, by whomever here.
    pub(super) async fn is_behind(&self) -> Result<bool, Failure> {
        let (home, uuid, tracking) = (Arc::clone(&self.home), self.uuid.clone(), self.tracking.clone());
        let asked = blocking(move || {
            let repository = home.repository();
            if record::cut(repository, &uuid)?.is_some() {
                return Ok(true);
            }
            let tree = tracking.map_or(Ok(None), |tracking| tracking.tree(repository.branch()))?;
            let known = || record::remembered(repository, &uuid).map(|known| known.whole);
            Ok::<_, Why>(tree.is_some_and(|tree| known() != Some(tree)))
        });
        asked.await?.map_err(super::failed)
    }

    /// Makes the remote hold the tree that its branch is at now. Nobody else may be exporting. No read comes here: it would make its
    /// client wait for what others pushed, and other gateways would hear of an export that nobody asked for.
    pub(super) async fn follow(&self, session: &Session, when: When) -> Result<Exported, Failure> {
        match when {
            When::Behind if !self.is_behind().await? => Ok(Exported::default()),
            When::Behind | When::Always => self.run(session).await,
        }
    }

    async fn run(&self, session: &Session) -> Result<Exported, Failure> {
        let (mut done, mut has_waited) = (None, false);
        for _ in 0..AGAIN {
            let (now, waits) = self.pass(session).await?;
            let again = now.again;
            done = Some(now.after(done));
            // What was in the way has left, under another spelling.
            if again || waits && !std::mem::replace(&mut has_waited, true) {
                continue;
            }
            if waits {
                tracing::warn!(
                    "remote {}: some names wait for others to become free; the next push resumes the export",
                    self.name
                );
            }
            if let Some(directories) = self.store.directories() {
                directories.tidy().await;
            }
            return Ok(done.unwrap_or_default());
        }
        Err(Failure::busy(&format!("others change files of remote {} while its tree is exported", self.name)))
    }

    /// Returns also whether there are names that wait for others to leave.
    async fn pass(&self, session: &Session) -> Result<(Exported, bool), Failure> {
        let Some(plan) = self.plan(session).await? else { return Ok((Exported::default(), false)) };
        let Plan { what, mut survey, apart, unwanted } = plan;
        let mut done = Exported { tree: Some(what.tree), unwanted, ..Exported::default() };
        for name in &apart.left_alone {
            survey.work().give_up(name);
        }
        // A further look would find the same, and what waits for the name to be filled would wait for ever.
        let blocked = session.blocked();
        for name in &blocked {
            survey.work().give_up(name);
        }
        for (name, other) in &apart.refused {
            let (name, other) = (name.escape_ascii(), other.escape_ascii());
            tracing::warn!("remote {}: it does not tell {name} from {other}; {name} is left out", self.name);
        }
        let waits = !apart.waiting.is_empty();
        done.refused = apart.refused.into_iter().collect();
        done.impossible = blocked.len() + self.examine(session, survey.work()).await?;
        let notes = survey.work().notes();
        self.see_recorded(&notes).await?;
        session.newly_stored.see(&notes);
        let home = Arc::clone(&self.home);
        let started = session.with(move |book| survey.note(book)?.begin(home.repository(), &what)).await?;
        self.do_steps(session, &started, &mut done).await?;
        let home = Arc::clone(&self.home);
        match done.again {
            // The mark stays until nothing is left to do.
            true => session.with(move |book| started.completion().run(home.repository(), book)).await?,
            false => session.with(move |book| started.end(home.repository(), book)).await?,
        }
        Ok((done, waits))
    }

    /// Notes what the remote holds, and changes nothing there: somebody elsewhere has exported a tree, or an export was cut. Nobody
    /// else may be exporting.
    pub(super) async fn take_stock(&self, session: &Session) -> Result<(), Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let mut survey = session
            .with(move |book| {
                let repository = home.repository();
                let tree = record::exports(repository)?.held(repository.uuid(), &uuid);
                Ok::<_, Why>(Survey::of(repository, book, &uuid, tree)?)
            })
            .await?;
        self.examine(session, survey.work()).await?;
        // git-annex moves content by names that no tree has, and may have been killed with some of it there.
        let temporaries: Vec<Key> = survey.work().temporaries().cloned().collect();
        for key in temporaries {
            if let Known::Right | Known::Untold = self.prove(&names::temporary(&key), &key, None).await? {
                survey.work().see_temporary(key);
            }
        }
        session.with(move |book| survey.note(book).map(drop)).await
    }

    /// Looks at the names of which it is not known what they hold. Returns how many there are that the store cannot have.
    async fn examine(&self, session: &Session, work: &mut Work) -> Result<usize, Failure> {
        let mut impossible = 0;
        let questions = work.questions().map(<[u8]>::to_vec).collect();
        let answers = self.look(questions).await?;
        let identities = answers.iter().filter_map(|(_, answer)| match answer {
            Answer::There(there) => there.identity.clone(),
            _ => None,
        });
        let proven = self.proven(identities.collect()).await?;
        let mut all: BTreeMap<Vec<u8>, There> = BTreeMap::new();
        for (name, answer) in answers {
            match answer {
                Answer::Absent => work.answer(&name, Found::Absent),
                Answer::There(there) => {
                    let of = there.identity.as_ref().and_then(|identity| proven.get(identity));
                    let key = of.and_then(|of| work.choose(&name, &of.is));
                    work.answer(&name, key.map_or(Found::Present(Some(there.len)), Found::Verified));
                    all.insert(name, there);
                }
                Answer::Impossible => {
                    tracing::warn!("remote {}: it cannot have a file named {}", self.name, name.escape_ascii());
                    work.give_up(&name);
                    impossible += 1;
                }
            }
        }
        let unnoted: BTreeSet<Vec<u8>> = work.unnoted().map(<[u8]>::to_vec).collect();
        for (name, like) in self.shadows(unnoted).await? {
            if work.is_shadow(&name, &like) {
                self.warn_of_alike(&name, &like);
                impossible += 1;
            }
        }
        let doubted = work.doubted();
        let mut recorded = self.recorded(doubted.clone()).await?;
        let unrecorded = doubted.difference(&recorded).cloned().collect();
        recorded.extend(self.heard_stored(session, unrecorded).await?);
        // Those of which a digest tells what they hold are out first: the one that is left may be the key's.
        for is_read in [false, true] {
            for name in self.differing(&all, work.doubles(&recorded)).await? {
                let candidates = work.unknown().find(|(unknown, _)| *unknown == name).map(|(_, keys)| keys);
                let candidates = candidates.into_iter().flatten().cloned().collect();
                match self.recognize(&name, &all[&name], candidates, None).await? {
                    Some(key) => work.answer(&name, Found::Verified(key)),
                    None if is_read => work.answer(&name, Found::Other),
                    None => {}
                }
            }
        }
        work.take_over(&recorded);
        let unknown: Vec<(Vec<u8>, BTreeSet<Key>)> =
            work.unknown().map(|(name, keys)| (name.to_vec(), keys.into_iter().cloned().collect())).collect();
        for (name, candidates) in unknown {
            let Some(there) = all.get(&name) else { continue };
            let can_be_proven = candidates.iter().all(Check::is_known);
            match self.recognize(&name, there, candidates, None).await? {
                Some(key) => work.answer(&name, Found::Verified(key)),
                None if can_be_proven => work.answer(&name, Found::Other),
                None => {}
            }
        }
        work.presume(&recorded);
        Ok(impossible)
    }

    pub(super) fn warn_of_alike(&self, name: &[u8], like: &[u8]) {
        let (name, like) = (name.escape_ascii(), like.escape_ascii());
        tracing::warn!("remote {}: it takes {name} and {like} for one name, and keeps only the second", self.name);
    }

    /// `None` where its branch is not there, and no export was cut.
    async fn plan(&self, session: &Session) -> Result<Option<Plan>, Failure> {
        let FoundFolding { folding, is_new } = self.folding().await?;
        let (home, uuid, tracking) = (Arc::clone(&self.home), self.uuid.clone(), self.tracking.clone());
        session
            .with(move |book| {
                let repository = home.repository();
                let tracked = tracking.map_or(Ok(None), |tracking| tracking.tree(repository.branch()))?;
                let mut known = record::remembered(repository, &uuid);
                let wished = known.as_ref().is_some_and(|known| !known.left_out.is_empty());
                if folding != Folding::NONE || is_new || wished {
                    known = known.map(|known| left_out_for_good(repository.branch(), known)).transpose()?;
                }
                let (mut names, mut unwanted) = (Apart::default(), Vec::new());
                let what = match (tracked, record::cut(repository, &uuid)?) {
                    (Some(whole), _) => {
                        let mut what = exportable(repository.branch(), whole, known.as_ref())?;
                        let left = wishes::unwanted(repository, &uuid, &what)?;
                        if !left.is_empty() {
                            unwanted = left.keys().cloned().collect();
                            what = without(repository.branch(), what, left)?;
                        }
                        let (what, apart) = told_apart(repository, &uuid, what, folding)?;
                        names = apart;
                        what
                    }
                    // Nobody knows any more what it shall hold, but nothing must stay between two names.
                    (None, Some(tree)) => known.filter(|known| known.tree == tree).unwrap_or_else(|| Exportable {
                        whole: tree,
                        tree,
                        left_out: BTreeMap::new(),
                    }),
                    (None, None) => return Ok(None),
                };
                let survey = Survey::of(repository, book, &uuid, what.tree)?;
                Ok::<_, Why>(Some(Plan { what, survey, apart: names, unwanted }))
            })
            .await
    }
}

impl Exported {
    /// What was done in all, after `before`.
    pub(super) fn after(self, before: Option<Self>) -> Self {
        let before = before.unwrap_or_default();
        Self {
            renamed: before.renamed + self.renamed,
            copied: before.copied + self.copied,
            stored: before.stored + self.stored,
            removed: before.removed + self.removed,
            ..self
        }
    }

    /// Counts what one step did.
    pub(super) fn add(&mut self, step: &Self) {
        self.renamed += step.renamed;
        self.copied += step.copied;
        self.stored += step.stored;
        self.removed += step.removed;
        self.waiting += step.waiting;
        self.impossible += step.impossible;
        self.again |= step.again;
    }
}
