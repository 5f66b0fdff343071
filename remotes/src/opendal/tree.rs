//! Trees of files: rename, copy and list, where the service can.

use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use opendal::options::ListOptions;
use opendal::{Lister, Metadata};

use super::OpendalStore;
use super::link::{InTheWay, Link};
use super::staged::Staged;
use super::tag::{TIME, tag};
use super::transport::{Answers, Watch};
use crate::fold::Folding;
use crate::retry::Backoff;
use crate::{
    Copies, Directories, Entry, Error, Kind, Listing, Lists, ObjectName, Op, PAGE, Page, Renames, Result, Stat, Store,
    Stored, Write,
};

/// Whether something is to be there twice or to change its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Move {
    Rename,
    Copy,
}

#[async_trait(?Send)]
impl Renames for OpendalStore {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        if from == to {
            return self.there(Op::Rename, from).await.map(|_| ());
        }
        if self.link.can().rename {
            if Folding::ALL.fold(from.as_bytes()) == Folding::ALL.fold(to.as_bytes())
                && self.link.in_the_way(Op::Rename, self.path(Op::Rename, to)?).await? == InTheWay::Twin
            {
                return self.respell(from, to).await;
            }
            return self.shift(Move::Rename, Op::Rename, from, to).await.map(|_| ());
        }
        self.shift(Move::Copy, Op::Rename, from, to).await?;
        self.link.delete(Op::Rename, self.path(Op::Rename, from)?).await.map_err(|e| e.object(from))
    }
}

#[async_trait(?Send)]
impl Copies for OpendalStore {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        // Not a condition of the request itself: few services know such.
        if let Some(tag) = tag
            && self.there(Op::Copy, from).await?.tag.as_deref() != Some(tag)
        {
            return Err(self.link.error(Op::Copy, Kind::Corrupt, "the object changed").object(from));
        }
        let stat = match from == to {
            true => self.there(Op::Copy, from).await?,
            false => self.shift(Move::Copy, Op::Copy, from, to).await?,
        };
        Ok(Stored { len: stat.len, tag: stat.tag, version: None })
    }
}

#[async_trait(?Send)]
impl Lists for OpendalStore {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        let prefix = prefix.map(|prefix| self.path(Op::List, prefix)).transpose()?;
        self.link.place(Op::List).await?;
        Ok(Box::new(self.walk(prefix)))
    }
}

#[async_trait(?Send)]
impl Directories for OpendalStore {
    async fn remove_dir(&self, dir: &ObjectName) -> Result<()> {
        self.link.remove_empty(self.path(Op::Remove, dir)?).await.map_err(|e| e.object(dir))
    }

    async fn tidy(&self) {
        self.link.tidy().await;
    }
}

impl OpendalStore {
    pub(super) fn can_rename(&self) -> bool {
        let can = self.link.can();
        self.writes() != Write::ReadOnly && (can.rename || (can.copy && can.delete))
    }

    pub(super) fn can_copy(&self) -> bool {
        self.writes() != Write::ReadOnly && self.link.can().copy
    }

    /// The two are one name to the service, which removes what is at a name before it moves something there: so the object goes
    /// by way of a third.
    async fn respell(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        let staged = Staged::new(&self.link);
        let aside =
            ObjectName::new(&staged.path).map_err(|e| self.link.error(Op::Rename, Kind::Other, e.to_string()))?;
        self.shift(Move::Rename, Op::Rename, from, &aside).await?;
        let moved = self.shift(Move::Rename, Op::Rename, &aside, to).await;
        if moved.is_err() {
            // What is at the new name is another file after all, and stays.
            self.shift(Move::Rename, Op::Rename, &aside, from).await?;
        }
        moved.map(|_| ())
    }

    async fn there(&self, op: Op, object: &ObjectName) -> Result<Stat> {
        let stat = self.stat(object).await.map_err(|e| e.during(op))?;
        stat.ok_or_else(|| self.link.error(op, Kind::NotFound, "is not there").object(object))
    }

    /// Has the service do it, and sees that it was done.
    async fn shift(&self, how: Move, op: Op, from: &ObjectName, to: &ObjectName) -> Result<Stat> {
        let (source, target) = (self.path(op, from)?, self.path(op, to)?);
        let about = |e: Error| e.during(op).object(from);
        // Before anybody looks: what is seen is there to stay then.
        self.link.over(source).await;
        self.link.over(target).await;
        let before = self.there(op, from).await?;
        let replaced = self.link.look(op, target).await.map_err(about)?;
        self.link.may_replace(op, target).await.map_err(|e| e.object(to))?;
        let mut backoff = Backoff::new(&self.link.context);
        loop {
            let request = |o: opendal::Operator| async move {
                match how {
                    Move::Rename => o.rename(source, target).await,
                    Move::Copy => o.copy(source, target).await.map(|_| ()),
                }
            };
            let Err(e) = self.link.once(op, request).await else { break };
            self.link.may_come_late(target, &e);
            if how == Move::Rename {
                self.link.may_come_late(source, &e);
            }
            // The answer may have been lost, and not the request.
            let gone = how == Move::Rename && self.link.look(op, source).await.map_err(about)?.is_none();
            if gone && self.link.look(op, target).await.map_err(about)?.is_some_and(|stat| stat.len == before.len) {
                break;
            }
            backoff.pause(e).await.map_err(about)?;
        }
        let after = self.link.look_for(op, target, before.len).await.map_err(about)?;
        let done = match how {
            // What is there now may have been there before, as long as the original is.
            Move::Rename => self.link.look(op, source).await.map_err(about)?.is_none(),
            Move::Copy => is_new(replaced.as_ref(), after.as_ref(), &before),
        };
        match after {
            Some(after) if after.len == before.len && done => {
                if !self.link.is_exact(op, target).await.map_err(about)? {
                    // A directory has another spelling: there it would not be found.
                    match how {
                        Move::Rename => self.link.once(op, |o| async move { o.rename(target, source).await }).await?,
                        Move::Copy => self.link.delete(op, target).await?,
                    }
                    return Err(self.link.twin(op).object(to));
                }
                Ok(after)
            }
            _ => {
                let detail = "the service reported success, but did not do it";
                Err(self.link.error(op, Kind::Protocol, detail).object(to))
            }
        }
    }

    fn walk(&self, prefix: Option<&str>) -> Walk {
        let start = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_else(|| "/".into());
        Walk { link: Rc::clone(&self.link), todo: vec![start], open: None }
    }
}

impl Link {
    /// Removes a directory where nothing is in it: most services would take all of it away.
    pub(super) async fn remove_empty(&self, dir: &str) -> Result<()> {
        if !self.can().create_dir || !self.can().list {
            return Ok(());
        }
        let name = dir;
        let dir = format!("{dir}/");
        let looked = self.once(Op::Remove, |o| async move { o.list(&dir).await.map(|found| (dir, found)) }).await;
        let (dir, found) = match looked {
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            looked => looked?,
        };
        if found.iter().any(|entry| entry.path().trim_end_matches('/') != dir.trim_end_matches('/')) {
            return Ok(());
        }
        // WebDAV servers find a file by its name with a slash at the end too, as a directory with nothing in it, and remove it.
        match self.meta(Op::Remove, name).await? {
            Some(meta) if meta.is_dir() => self.delete(Op::Remove, &dir).await,
            _ => Ok(()),
        }
    }
}

/// Whether what is at the target of a copy `after` it can be the copy of the original: not where it is what was there before,
/// unless that is the same content. A service that tells no tags is believed.
fn is_new(before: Option<&Stat>, after: Option<&Stat>, original: &Stat) -> bool {
    let (Some(before), Some(after)) = (before.and_then(|it| it.tag.as_ref()), after.and_then(|it| it.tag.as_ref()))
    else {
        return true;
    };
    // Times may be told in seconds.
    after.starts_with(TIME) || before != after || original.tag.as_ref() == Some(after)
}

/// A walk through what the service keeps, a directory at a time where it has such.
pub(super) struct Walk {
    link: Rc<Link>,
    todo: Vec<String>,
    open: Option<(String, Lister, Arc<Watch>)>,
}

impl Walk {
    async fn entry(&mut self, page: &mut Page) -> Result<bool> {
        let Some((dir, lister, watch)) = &mut self.open else {
            let Some(dir) = self.todo.pop() else { return Ok(false) };
            let recursive = self.link.can().list_with_recursive;
            let call = self.link.call_for(Answers::Lists);
            let options = ListOptions { recursive, ..ListOptions::default() };
            let opened = call.operator.lister_options(&dir, options);
            let lister = self.link.watched(Op::List, &call.watch, opened, |_| {}).await?;
            self.open = Some((dir, lister, call.watch));
            return Ok(true);
        };
        let next = async { lister.next().await.transpose() };
        let Some(entry) = self.link.watched(Op::List, watch, next, |_| {}).await? else {
            self.open = None;
            return Ok(true);
        };
        let path = entry.path();
        if path == dir || path.trim_end_matches('/') == dir.trim_end_matches('/') {
            return Ok(true);
        }
        if path.ends_with('/') {
            if !self.link.can().list_with_recursive {
                self.todo.push(path.to_string());
            }
        } else if !self.link.staging.is_staged(path) {
            self.meet(path.to_string(), entry.metadata().clone(), page).await?;
        }
        Ok(true)
    }

    async fn meet(&self, path: String, meta: Metadata, page: &mut Page) -> Result<()> {
        let name = ObjectName::new(&path).map_err(|e| e.to_string()).and_then(|name| {
            name.components().map_err(|e| e.to_string())?;
            self.link.service.keeps(&path)?;
            Ok(name)
        });
        let name = match name {
            Ok(name) => name,
            Err(why) => {
                page.skipped.push(format!("{path:?}: {why}"));
                return Ok(());
            }
        };
        let told = Stat { len: meta.content_length(), tag: tag(&meta), version: None };
        // Not every service tells all of it in a list.
        let is_all = meta.is_file() && told.tag.is_some() && self.link.service.lists_tags();
        let stat = if is_all { Some(told) } else { self.link.look(Op::List, &path).await? };
        page.entries.extend(stat.map(|stat| Entry { name, len: stat.len, tag: stat.tag }));
        Ok(())
    }
}

#[async_trait(?Send)]
impl Listing for Walk {
    async fn next(&mut self) -> Result<Option<Page>> {
        let mut page = Page::default();
        while page.entries.len() + page.skipped.len() < PAGE && self.entry(&mut page).await? {}
        Ok((page.entries.len() + page.skipped.len() > 0).then_some(page))
    }
}
