//! Writing a file into a directory.

use std::cell::Cell;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::place::Place;
use crate::pump::lane::copy_range;
use crate::pump::{FileSource, Lane, Meter};
use crate::sys::{DataFile, on_a_thread};
use crate::{Error, Kind, Mark, ObjectName, Op, Put, Result, Resumption, Stored};

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
    marks: Option<Marks>,
}

/// How far a staged file that outlives the process was told to have come.
struct Marks {
    resumption: Resumption,
    told: u64,
}

/// A file to write an object into.
pub(super) struct Stage {
    pub(super) file: File,
    /// Where the file system cannot do without, or the file is to outlive the process.
    pub(super) name: Option<PathBuf>,
    /// Bytes that are in it.
    pub(super) written: u64,
    /// How it is found again; without, it is removed when it is let go.
    pub(super) resumption: Option<Resumption>,
}

/// The name of a staged file that has one; removed unless it was renamed into place or is to last.
struct Staged {
    place: Place,
    name: Option<PathBuf>,
    lasting: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.name.take().filter(|_| !self.lasting) {
            let _ = self.place.let_go(&path);
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
        stage: Stage,
        object: &ObjectName,
        label: &str,
        len: u64,
        all: &Rc<Cell<u64>>,
    ) -> Self {
        let file = Arc::new(stage.file);
        let left = len.saturating_sub(stage.written);
        all.set(all.get().saturating_add(left));
        Self {
            object: object.clone(),
            label: label.into(),
            len,
            written: stage.written,
            data: DataFile::new(Arc::clone(&file)),
            file,
            staged: Staged { place: place.clone(), name: stage.name, lasting: stage.resumption.is_some() },
            place,
            announced: Announced { left, all: Rc::clone(all) },
            marks: stage.resumption.map(|resumption| Marks { resumption, told: stage.written }),
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
        let missing = self.len - self.written;
        if from.len != missing {
            let kind = if from.len < missing { Kind::Truncated } else { Kind::Corrupt };
            return Err(self.error(kind, format!("the file has {} bytes, {missing} are missing", from.len)));
        }
        copy_range(from, &self.file, self.written, meter).await.map_err(|e| self.failed("copying", e))?;
        if let Ok(time) = from.file.metadata().and_then(|m| m.modified()) {
            // As git-annex does; a missing time harms nobody.
            let _ = self.file.set_modified(time);
        }
        if self.place.tree && from.file.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0) {
            // Programs stay programs in a tree that people read; who cannot have it so still has the content.
            let _ = self.file.set_permissions(Permissions::from_mode(0o555));
        }
        self.written = self.len;
        self.announced.wrote(self.len);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Stored> {
        if self.written != self.len {
            return Err(self.error(Kind::Truncated, format!("{} of {} bytes arrived", self.written, self.len)));
        }
        let (place, file, name) = (self.place.clone(), Arc::clone(&self.file), self.staged.name.clone());
        // From here on it is an object or nothing.
        let lasting = std::mem::take(&mut self.staged.lasting);
        let publish = move || {
            if lasting {
                let mode = file.metadata()?.permissions().mode();
                file.set_permissions(Permissions::from_mode(mode & 0o444))?;
            }
            place.publish(&file, name.as_deref())
        };
        on_a_thread(publish).await.and_then(|r| r).map_err(|e| self.failed("moving into place", e))?;
        self.staged.name = None;
        let meta = self.file.metadata().map_err(|e| self.failed("reading back", e))?;
        Ok(Stored { len: meta.len(), tag: Some(super::place::tag(&meta)), version: None })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.staged.lasting = false;
        Ok(())
    }

    fn resumption(&self) -> Option<Resumption> {
        self.marks.as_ref().map(|marks| marks.resumption.clone())
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        let Some(Marks { resumption, told }) = &mut self.marks else { return Vec::new() };
        let mut marks = Vec::new();
        while *told < self.len {
            let end = told.saturating_add(resumption.step).min(self.len);
            if end > self.written {
                break;
            }
            marks.push(Mark { end, tag: Vec::new() });
            *told = end;
        }
        marks
    }

    async fn suspend(mut self: Box<Self>) -> Result<Vec<Mark>> {
        Ok(self.take_marks())
    }
}
