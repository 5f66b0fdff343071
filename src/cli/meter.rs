//! How far a command is: one line on a terminal, and nothing where stderr goes elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Time between two changes of the line.
const PAUSE: Duration = Duration::from_millis(100);

/// The line. It goes when this is dropped.
pub(super) struct Meter {
    is_terminal: bool,
    told: Cell<Option<Instant>>,
    is_shown: Cell<bool>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { is_terminal: stderr().is_terminal(), told: Cell::new(None), is_shown: Cell::new(false) }
    }

    /// Shows `words` in place of what is shown, unless that is too new. They are made only where they are shown.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        if self.told.get().is_none_or(|told| told.elapsed() >= PAUSE) {
            self.step(words);
        }
    }

    /// Shows `words` at once: of steps that are few, and may each take long.
    pub(super) fn step(&self, words: impl FnOnce() -> String) {
        if !self.is_terminal {
            return;
        }
        self.told.set(Some(Instant::now()));
        self.is_shown.set(true);
        let _ = write!(stderr(), "{}", drawn(&words()));
    }

    /// Removes the line, before another is printed.
    pub(super) fn clear(&self) {
        if self.is_shown.replace(false) {
            let _ = write!(stderr(), "{}", drawn(""));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The line anew. Names of remotes and keys may hold anything, and terminals obey some of it.
fn drawn(words: &str) -> String {
    let words: String = words.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("\r\x1b[K{words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(drawn("usb\x1b]0;x\x07\n: 1 of 2"), "\r\x1b[Kusb?]0;x??: 1 of 2");
    }

    #[test]
    fn nothing_is_made_or_shown_where_nobody_looks() {
        let meter = Meter { is_terminal: false, told: Cell::new(None), is_shown: Cell::new(false) };
        meter.show(|| unreachable!("made for nobody"));
        meter.step(|| unreachable!("made for nobody"));
        assert!(!meter.is_shown.get());
    }
}
