//! How far a command is: one line on a terminal, and nothing where stderr goes elsewhere.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two changes of the line.
const PAUSE: Duration = Duration::from_millis(100);

/// The line. It goes when this is dropped.
pub(super) struct Meter {
    /// Hidden where stderr is no terminal.
    bar: ProgressBar,
    told: Cell<Option<Instant>>,
}

impl Meter {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template");
        Self { bar: ProgressBar::new_spinner().with_style(style), told: Cell::new(None) }
    }

    /// Shows `words` in place of what is shown, unless that is too new. They are made only where they are shown.
    pub(super) fn show(&self, words: impl FnOnce() -> String) {
        if self.told.get().is_none_or(|told| told.elapsed() >= PAUSE) {
            self.step(words);
        }
    }

    /// Shows `words` at once: of steps that are few, and may each take long.
    pub(super) fn step(&self, words: impl FnOnce() -> String) {
        if self.bar.is_hidden() {
            return;
        }
        self.told.set(Some(Instant::now()));
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_message(drawable(&words()));
        self.bar.tick();
    }

    /// Removes the line, before another is printed.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Names of remotes and keys may hold anything, and terminals obey some of it.
fn drawable(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(drawable("usb\x1b]0;x\x07\n: 1 of 2"), "usb?]0;x??: 1 of 2");
    }

    #[test]
    fn nothing_is_made_or_shown_where_nobody_looks() {
        let meter = Meter { bar: ProgressBar::hidden(), told: Cell::new(None) };
        meter.show(|| unreachable!("made for nobody"));
        meter.step(|| unreachable!("made for nobody"));
        assert!(meter.told.get().is_none());
    }
}
