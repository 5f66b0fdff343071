//! Staged files that outlive the process, for uploads that are resumed later.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;

use super::Fs;
use super::place::{Place, boot, reopen};
use super::put::{FsPut, Stage};
use crate::retry::Backoff;
use crate::{Error, Kind, Mark, ObjectName, Op, Put, Result, Resumption, Store, Uploads};

/// Bytes between two marks, and the longest object that is not worth going on with.
pub(super) const STEP: u64 = 32 << 20;

/// Stages a file that can be found again, where the system can tell whether it was restarted since.
pub(super) fn stage(place: &Place) -> io::Result<Stage> {
    let Some(boot) = boot() else { return place.stage() };
    let Some((file, name)) = place.stage_lasting()? else { return place.stage() };
    let mut token = name.as_encoded_bytes().to_vec();
    let name = place.lasting(&token);
    token.push(b' ');
    token.extend_from_slice(&boot);
    Ok(Stage { file, name, written: 0, resumption: Some(Resumption { token, step: STEP }) })
}

/// The staged file that a token tells of, and whether the system has run without a break since it was begun.
fn find(place: &Place, upload: &Resumption) -> Option<(PathBuf, bool)> {
    let space = upload.token.iter().position(|b| *b == b' ')?;
    let path = place.lasting(&upload.token[..space])?;
    // Nothing was synced: after a crash the file may be as long as it was, and hold something else.
    Some((path, boot().is_some_and(|boot| boot == upload.token[space + 1..])))
}

#[async_trait(?Send)]
impl Uploads for Fs {
    async fn put_stream(&self, object: &ObjectName, len: u64) -> Result<Box<dyn Put>> {
        if len <= STEP {
            return self.put(object, len).await;
        }
        self.stage(object, len, stage).await
    }

    fn outlives(&self, _: u64) -> bool {
        false
    }

    async fn resume(
        &self,
        object: &ObjectName,
        len: u64,
        upload: &Resumption,
        marks: &[Mark],
    ) -> Result<Option<Box<dyn Put>>> {
        let place = self.path(Op::Put, object)?;
        self.root_is_there(Op::Put).await?;
        let Some((path, unbroken)) = find(&place, upload) else { return Ok(None) };
        let written = marks.last().map_or(0, |mark| mark.end);
        if !unbroken || upload.step != STEP || written > len {
            self.abandon(object, upload).await?;
            return Ok(None);
        }
        let mut backoff = Backoff::new(&self.context);
        let (free, file) = loop {
            let (at, staging) = (path.clone(), place.clone());
            match self.off(Op::Put, move || (staging.free(), reopen(&at, written))).await? {
                (free, Ok(file)) => break (free, file),
                (_, Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                    self.abandon(object, upload).await?;
                    return Ok(None);
                }
                (_, Err(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    let error = Error::new(Op::Put, Kind::Unavailable, "the unfinished file is still being written");
                    backoff.pause(error).await.map_err(|e| e.object(object).on(&self.label))?;
                }
                (_, Err(e)) => return Err(self.fail(Op::Put, object, "opening the unfinished file", e)),
            }
        };
        self.check_space(object, len - written, free)?;
        let stage = Stage { file, name: Some(path), written, resumption: Some(upload.clone()) };
        Ok(Some(Box::new(FsPut::new(place, stage, object, &self.label, len, &self.in_flight))))
    }

    async fn abandon(&self, object: &ObjectName, upload: &Resumption) -> Result<()> {
        let place = self.path(Op::Put, object)?;
        self.root_is_there(Op::Put).await?;
        let Some((path, _)) = find(&place, upload) else {
            return Err(Error::new(Op::Put, Kind::Option, "this is not the name of an unfinished file")
                .object(object)
                .on(&self.label));
        };
        match self.off(Op::Put, move || place.let_go(&path)).await? {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(self.fail(Op::Put, object, "removing an unfinished file", e))
            }
            _ => Ok(()),
        }
    }

    async fn abandon_unnamed(&self, _: &ObjectName, _: u64) -> Result<bool> {
        Ok(true)
    }
}
