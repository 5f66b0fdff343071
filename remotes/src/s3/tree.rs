//! Trees of files in a bucket, and the versions that it keeps of them. The server copies what is to have another name.

use async_trait::async_trait;

use super::version::Of;
use super::{S3, copy, get, list, remove};
use crate::retry::Backoff;
use crate::store::listing;
use crate::{Copies, Get, Listing, Lists, ObjectName, Op, Range, Renames, Result, Stat, Stored, Versions};

#[async_trait(?Send)]
impl Renames for S3 {
    async fn rename(&self, from: &ObjectName, to: &ObjectName) -> Result<()> {
        let about = self.inner.name(from);
        let (source, target) = (self.inner.key(Op::Rename, from)?, self.inner.writable(to).await?);
        let copy = copy::Copy { inner: &self.inner, op: Op::Rename, from: Of::from(&*source), to: &target, tag: None };
        let (_, copied) = copy.run_known().await.map_err(&about)?;
        if source == target {
            return Ok(());
        }
        remove::remove_this(&self.inner, &source, &copied.tag).await.map_err(|e| about(e.during(Op::Rename)))
    }
}

#[async_trait(?Send)]
impl Copies for S3 {
    async fn copy(&self, from: &ObjectName, to: &ObjectName, tag: Option<&str>) -> Result<Stored> {
        let (source, target) = (self.inner.key(Op::Copy, from)?, self.inner.writable(to).await?);
        let copy = copy::Copy { inner: &self.inner, op: Op::Copy, from: Of::from(&*source), to: &target, tag };
        copy.run().await.map_err(self.inner.name(from))
    }
}

#[async_trait(?Send)]
impl Lists for S3 {
    async fn list(&self, prefix: Option<&ObjectName>) -> Result<Box<dyn Listing>> {
        let below = match prefix {
            Some(prefix) => format!("{}/", self.inner.key(Op::List, prefix)?),
            None => self.inner.config.prefix.clone(),
        };
        Ok(listing::ahead(Box::new(list::Pages::new(&self.inner, below))))
    }
}

#[async_trait(?Send)]
impl Versions for S3 {
    async fn stat_version(&self, version: &str) -> Result<Option<Stat>> {
        let Ok((of, name)) = self.inner.find(Op::Stat, version) else { return Ok(None) };
        let mut backoff = Backoff::new(&self.inner.context);
        loop {
            match self.inner.head_of(of).await {
                Ok(stat) => return Ok(stat),
                Err(e) => backoff.pause(e).await.map_err(&name)?,
            }
        }
    }

    async fn get_version(&self, version: &str, range: Range) -> Result<Get> {
        let (of, name) = self.inner.find(Op::Get, version)?;
        get::get(&self.inner, of, range).await.map_err(name)
    }

    async fn copy_version(&self, version: &str, to: &ObjectName) -> Result<Stored> {
        let ((from, _), target) = (self.inner.find(Op::Copy, version)?, self.inner.writable(to).await?);
        let copy = copy::Copy { inner: &self.inner, op: Op::Copy, from, to: &target, tag: None };
        copy.run().await.map_err(self.inner.name(to))
    }
}
