//! Reading an object from a service.

use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use opendal::{Buffer, BufferStream};

use super::link::Link;
use super::transport::Watch;
use crate::pump::Blocks;
use crate::{Kind, ObjectName, Op, Result};

/// A range of an object.
pub(super) struct Reading {
    pub(super) link: Rc<Link>,
    pub(super) watch: Arc<Watch>,
    pub(super) stream: BufferStream,
    pub(super) object: ObjectName,
    pub(super) left: u64,
    pub(super) rest: Buffer,
}

/// No bytes.
pub(super) struct Nothing;

#[async_trait(?Send)]
impl Blocks for Nothing {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Blocks for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            if let Some(mut bytes) = Iterator::next(&mut self.rest) {
                // More than asked for is not wanted: a service that ignores the end of a range sends all of it.
                bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= bytes.len() as u64;
                return Ok(Some(bytes));
            }
            let (link, watch) = (Rc::clone(&self.link), Arc::clone(&self.watch));
            let read = async { self.stream.next().await.transpose() };
            let read = link.watched(Op::Get, &watch, read, |_| {}).await;
            match read.map_err(|e| e.object(&self.object))? {
                Some(buffer) => self.rest = buffer,
                None => {
                    let detail = format!("{} bytes are missing", self.left);
                    return Err(self.link.error(Op::Get, Kind::Truncated, detail).object(&self.object));
                }
            }
        }
        Ok(None)
    }
}
