//! Keys as the plan finds them, some at a time, to the end or until it is told to end.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::names::Names;
use super::planner::Planned;
use super::subject::{Subject, subjects};
use super::survey::Survey;
use super::{Doing, Event, Item, What};
use crate::cluster::Moves;
use crate::gateway::{Failure, blocking};

/// Keys that wait to be moved.
const QUEUE: usize = 64;

/// Keys that are tried once more in the end.
const MOST_AGAIN: usize = 10_000;

/// How long what is under way may take to be kept, once it is told to end.
const GRACE: Duration = Duration::from_secs(20);

/// What became of all keys.
pub(super) struct Worked {
    pub(super) survey: Survey,
    pub(super) failed: u64,
    pub(super) is_cut: bool,
}

/// What the plan found, from its thread.
enum Found {
    /// To be looked at, or moved.
    Key(Item),
    /// What to do cannot be told.
    Unknown(Subject, Failure),
    /// No copy of it is recorded anywhere.
    Lost(Subject),
}

impl Doing<'_> {
    /// Does all there is to do, or what it comes to until `stop`.
    pub(super) async fn all(&self, names: Names, stop: impl Future<Output = ()>) -> Result<Worked, Failure> {
        let (tell, found) = mpsc::channel(QUEUE);
        let ended = Arc::new(AtomicBool::new(false));
        let planning = self.planning(names, tell, Arc::clone(&ended));
        let mut work = Box::pin(self.work(found));
        let mut stop = std::pin::pin!(stop);
        let mut is_cut = false;
        let failed = tokio::select! {
            failed = &mut work => failed,
            () = &mut stop => {
                is_cut = true;
                self.stop.set(true);
                ended.store(true, Ordering::Relaxed);
                // What is dropped then keeps what can be resumed, too.
                tokio::time::timeout(GRACE, &mut work).await.unwrap_or(0)
            }
        };
        ended.store(true, Ordering::Relaxed);
        // The plan waits for whoever takes what it finds.
        drop(work);
        let survey = planning.await.map_err(|e| Failure::internal(e.to_string()))??;
        Ok(Worked { survey, failed, is_cut })
    }

    /// Goes through all keys on a thread of its own, and tells of those with something to do. Gives what else it found.
    fn planning(
        &self,
        names: Names,
        tell: mpsc::Sender<Found>,
        ended: Arc<AtomicBool>,
    ) -> JoinHandle<Result<Survey, Failure>> {
        let (home, planner, check) = (Arc::clone(self.home), Arc::clone(&self.planner), self.plea.check);
        tokio::task::spawn_blocking(move || {
            let mut survey = Survey::default();
            let walked = planner.with_tools(planner.ledger(), |tools| {
                subjects(home.repository(), &names, &mut |subject| {
                    if ended.load(Ordering::Relaxed) {
                        return ControlFlow::Break(());
                    }
                    survey.keys += 1;
                    let found = match planner.plan(tools, &subject) {
                        Err(unknown) => {
                            let why = Failure::internal(format!("what to do cannot be told: {unknown}"));
                            Some(Found::Unknown(subject, why))
                        }
                        Ok(planned) => {
                            if survey.count(&planner, &subject, &planned)
                                && tell.blocking_send(Found::Lost(subject.clone())).is_err()
                            {
                                return ControlFlow::Break(());
                            }
                            // What is found out when nodes are asked is planned then.
                            let counted = if check { Moves::default() } else { planned.moves };
                            planner.carry(&subject, &counted);
                            let is_due = check || !counted.is_empty();
                            is_due.then_some(Found::Key(Item { subject, counted }))
                        }
                    };
                    let is_heard = found.is_none_or(|found| tell.blocking_send(found).is_ok());
                    if is_heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
            });
            walked.map_err(|e| Failure::internal(format!("read where content is: {e}")))?;
            Ok(survey)
        })
    }

    /// Does what the plan finds, some keys at a time, and those that failed once more in the end. Gives how many failed.
    async fn work(&self, mut found: mpsc::Receiver<Found>) -> u64 {
        let (mut failed, mut again) = (0, Vec::new());
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((item, done)) = under_way.next() => self.ended(item, done, &mut again, &mut failed),
                next = found.recv(), if under_way.len() < self.plea.jobs.max(1) && !self.stop.get() => match next {
                    Some(Found::Key(item)) => under_way.push(self.one(item)),
                    Some(Found::Unknown(subject, why)) => {
                        failed += 1;
                        self.tell(&subject, What::Plan, 0, Some(&why));
                    }
                    Some(Found::Lost(subject)) => {
                        self.tell(&subject, What::Lost, subject.key.size().unwrap_or(0), None);
                    }
                    None if under_way.is_empty() => break,
                    None => {
                        // All that is left is under way.
                        while let Some((item, done)) = under_way.next().await {
                            self.ended(item, done, &mut again, &mut failed);
                        }
                        break;
                    }
                },
                else => break,
            }
        }
        // Room may be there by now, and others done with it.
        self.is_last.set(true);
        for item in again {
            if self.stop.get() {
                break;
            }
            failed += u64::from(self.one(item).await.1.is_err());
        }
        failed
    }

    fn ended(&self, item: Item, done: Result<(), Failure>, again: &mut Vec<Item>, failed: &mut u64) {
        self.keys.set(self.keys.get() + 1);
        self.told.far(self.keys.get(), self.moved.get());
        match done {
            Ok(()) => {}
            // It was told to end.
            Err(_) if self.stop.get() => {}
            Err(_) if self.is_last.get() => *failed += 1,
            Err(_) => {
                again.push(item);
                // With more than that to do again, failures are told at once.
                self.is_last.set(again.len() >= MOST_AGAIN);
            }
        }
    }

    async fn one(&self, item: Item) -> (Item, Result<(), Failure>) {
        let done = self.try_one(&item).await;
        (item, done)
    }

    async fn try_one(&self, item: &Item) -> Result<(), Failure> {
        let looked = if self.plea.check { self.look(&item.subject).await } else { Ok(item.subject.clone()) };
        // What could not be told of one node keeps nobody from the others.
        let (subject, doubt) = match looked {
            Ok(subject) => (subject, None),
            Err((subject, failure)) => (subject, Some(failure)),
        };
        let counted = item.counted.clone();
        if self.plea.dry_run {
            self.tell_plan(Item { subject, counted }).await?;
        } else {
            self.carry(Item { subject, counted }).await?;
        }
        doubt.map_or(Ok(()), Err)
    }

    /// Tells what would be done.
    async fn tell_plan(&self, item: Item) -> Result<(), Failure> {
        let Item { subject, mut counted } = item;
        if self.plea.check {
            counted = self.planned(&subject, &counted).await?.moves;
            self.planner.carry(&subject, &counted);
        }
        let (uuid, size) = (|repo| self.planner.policy().uuid(repo).clone(), subject.key.size().unwrap_or(0));
        if !counted.to.is_empty() {
            let to = counted.to.iter().map(|pick| uuid(pick.repo)).collect();
            self.tell(&subject, What::Copy(to), size, None);
        }
        for repo in &counted.drops {
            self.tell(&subject, What::Drop(uuid(*repo)), size, None);
        }
        Ok(())
    }

    /// What is to be done about a key, of which `counted` is in the ledger already.
    pub(super) async fn planned(&self, subject: &Subject, counted: &Moves) -> Result<Planned, Failure> {
        let (planner, subject, counted) = (Arc::clone(&self.planner), subject.clone(), counted.clone());
        let planned = blocking(move || {
            planner.with_tools(planner.ledger_without(&subject, &counted), |tools| planner.plan(tools, &subject))
        });
        planned.await?.map_err(|unknown| Failure::internal(format!("what to do cannot be told: {unknown}")))
    }

    /// Tells what was done, and counts it.
    pub(super) fn told(&self, subject: &Subject, what: What, bytes: u64, done: Result<(), &Failure>) {
        match (&what, done) {
            (What::Copy(to), Ok(())) => {
                to.iter().for_each(|uuid| self.done.borrow_mut().stored(uuid, bytes));
                self.moved.set(self.moved.get() + 1);
            }
            (What::Drop(from), Ok(())) => {
                self.done.borrow_mut().dropped(from, bytes);
                self.moved.set(self.moved.get() + 1);
            }
            // It is tried again, and told then.
            (_, Err(_)) if !self.is_last.get() => {
                return;
            }
            _ => {}
        }
        self.tell(subject, what, bytes, done.err());
    }

    pub(super) fn tell(&self, subject: &Subject, what: What, bytes: u64, failure: Option<&Failure>) {
        self.told.event(Event { key: &subject.key, files: &subject.files, what, bytes, failure });
    }
}
