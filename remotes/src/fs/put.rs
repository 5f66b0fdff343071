//! A file on its way into a directory.

use std::cell::Cell;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::place::Place;
use crate::pump::lane::copy_range;
use crate::pump::{FileSource, Lane, Meter};
use crate::sys::{DataFile, on_a_thread};
use crate::{Error, Kind, ObjectName, Op, Put, Result, Stored};

pub(super) struct FsPut {
    place: Place,
    object: ObjectName,
    label: String,
    len: u64,
    written: u64,
    file: Arc<File>,
    data: DataFile,
    staged: Staged,
    announced: Announced,
}

/// The name of a staged file that has one; removed unless it was renamed into place.
struct Staged(Option<PathBuf>);

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Bytes announced and not written, given back on drop.
struct Announced {
    left: u64,
    all: Rc<Cell<u64>>,
}

impl Announced {
    fn wrote(&mut self, n: u64) {
        let n = n.min(self.left);
        self.left -= n;
        self.all.set(self.all.get() - n);
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.wrote(self.left);
    }
}

impl FsPut {
    pub(super) fn new(
        place: Place,
        (file, name): (File, Option<PathBuf>),
        object: &ObjectName,
        label: &str,
        len: u64,
        all: &Rc<Cell<u64>>,
    ) -> Self {
        let file = Arc::new(file);
        all.set(all.get().saturating_add(len));
        Self {
            place,
            object: object.clone(),
            label: label.into(),
            len,
            written: 0,
            data: DataFile::new(Arc::clone(&file)),
            file,
            staged: Staged(name),
            announced: Announced { left: len, all: Rc::clone(all) },
        }
    }

    fn error(&self, kind: Kind, detail: String) -> Error {
        Error::new(Op::Put, kind, detail).object(&self.object).on(&self.label)
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::io(Op::Put, what, error).object(&self.object).on(&self.label)
    }
}

#[async_trait(?Send)]
impl Put for FsPut {
    fn lane(&self) -> String {
        Lane::CopyRange.as_str().into()
    }

    async fn write(&mut self, block: Bytes) -> Result<()> {
        let n = block.len() as u64;
        if self.written + n > self.len {
            return Err(self.error(Kind::Corrupt, format!("more than the {} bytes announced", self.len)));
        }
        self.data.write(block, self.written).await.map_err(|e| self.failed("writing", e))?;
        self.written += n;
        self.announced.wrote(n);
        Ok(())
    }

    async fn fill(&mut self, from: &FileSource, meter: &Meter) -> Result<()> {
        if from.len != self.len {
            let kind = if from.len < self.len { Kind::Truncated } else { Kind::Corrupt };
            return Err(self.error(kind, format!("the file has {} bytes, {} were announced", from.len, self.len)));
        }
        copy_range(from, &self.file, 0, meter).await.map_err(|e| self.failed("copying", e))?;
        if let Ok(time) = from.file.metadata().and_then(|m| m.modified()) {
            // As git-annex does; a missing time harms nobody.
            let _ = self.file.set_modified(time);
        }
        self.written = self.len;
        self.announced.wrote(self.len);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        if self.written != self.len {
            return Err(self.error(Kind::Truncated, format!("{} of {} bytes arrived", self.written, self.len)));
        }
        let (place, file, name) = (self.place.clone(), Arc::clone(&self.file), self.staged.0.clone());
        on_a_thread(move || place.publish(&file, name.as_deref()))
            .await
            .and_then(|r| r)
            .map_err(|e| self.failed("moving into place", e))?;
        self.staged.0 = None;
        let meta = self.file.metadata().map_err(|e| self.failed("reading back", e))?;
        Ok(Stored { len: meta.len(), tag: Some(super::place::tag(&meta)) })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
