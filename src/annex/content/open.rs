//! Content opened for sending.

use std::fs::File;
use std::io;

use super::object::{self, State};
use super::{Content, Glance};
use crate::name::Key;

/// Content that is open for reading.
#[derive(Debug)]
pub struct OpenContent {
    /// The file, at its start.
    pub file: File,
    /// Length in bytes.
    pub len: u64,
    /// Nobody may write to the file, so what is read from it is the content.
    pub stable: bool,
    state: State,
}

/// What [`Content::open_at_once`] found.
#[derive(Debug)]
pub enum Opening {
    /// The content.
    Open(OpenContent),
    /// The content is not here.
    Absent,
    /// Something that has to be read first: [`Content::open`] does.
    Unproven,
}

impl OpenContent {
    /// Whether the file is still what it was when it was opened. Asked after the last byte was read; where it is not,
    /// what was read is worth nothing.
    ///
    /// # Errors
    ///
    /// Those of fstat.
    pub fn unchanged(&self) -> io::Result<bool> {
        // A stable file that is removed or linked meanwhile has new times and the old content.
        Ok(self.stable || State::of(&self.file.metadata()?) == self.state)
    }
}

impl Content {
    /// Opens the content of `key` without reading it.
    ///
    /// # Errors
    ///
    /// Those of [`present`](Self::present).
    pub fn open_at_once(&self, key: &Key) -> io::Result<Opening> {
        let Some((object, file)) = object::open(self.config(), key)? else { return Ok(Opening::Absent) };
        Ok(match self.judge(key, &object) {
            Glance::Absent => Opening::Absent,
            Glance::Unproven => Opening::Unproven,
            Glance::Present => {
                let stable = !object.changeable;
                Opening::Open(OpenContent { file, len: object.state.len(), stable, state: object.state })
            }
        })
    }

    /// Opens the content of `key`, reading it first where it may have been changed. `None` where it is not here.
    ///
    /// # Errors
    ///
    /// Those of [`present`](Self::present).
    pub fn open(&self, key: &Key) -> io::Result<Option<OpenContent>> {
        let Some((object, file)) = object::open(self.config(), key)? else { return Ok(None) };
        let (mut state, stable) = (object.state, !object.changeable);
        match self.judge(key, &object) {
            Glance::Absent => return Ok(None),
            Glance::Present => {}
            Glance::Unproven => {
                state = State::of(&file.metadata()?);
                if !self.0.proven.prove(key, &file)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(OpenContent { file, len: state.len(), stable, state }))
    }
}
