//! Framing of line based protocols: bytes in any fragmentation become lines of a bounded length.

pub use annex_types::decimal::parse as parse_number;

/// Collects bytes and cuts them at `\n`.
///
/// Holds at most one unfinished line (up to the limit) and what a single [`push`](Lines::push) brought, provided that
/// the lines are taken out between two pushes.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    limit: usize,
    overlong: bool,
}

/// A line was longer than the limit; no line follows it, since where the next one begins was not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// Lines of at most `limit` bytes, their `\n` not counted.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, limit, overlong: false }
    }

    /// Adds bytes as they arrived. Ignored once a line was too long.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.overlong {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole line without its `\n`, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`TooLong`], once; afterwards always `None`. It is reported as soon as the limit is passed, without waiting for
    /// the end of the line.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        match self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            Some(at) if self.scanned + at - self.start <= self.limit => {
                let end = self.scanned + at;
                let line = self.buffer[self.start..end].to_vec();
                self.start = end + 1;
                self.scanned = self.start;
                Some(Ok(line))
            }
            None if self.buffer.len() - self.start <= self.limit => {
                self.keep_tail();
                None
            }
            _ => {
                self.overlong = true;
                self.buffer = Vec::new();
                (self.start, self.scanned) = (0, 0);
                Some(Err(TooLong))
            }
        }
    }

    /// Up to `max` bytes that follow the lines given out so far, whatever they are: payload that came with a line.
    pub fn take(&mut self, max: usize) -> Vec<u8> {
        let end = self.start + max.min(self.held());
        let bytes = self.buffer[self.start..end].to_vec();
        self.start = end;
        self.scanned = end;
        if self.start == self.buffer.len() {
            self.keep_tail();
        }
        bytes
    }

    /// Bytes held that were not given out as a line yet.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Moves the unfinished line to the front, so that lines already given out take no memory.
    fn keep_tail(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            // A burst of lines should not leave its room behind for the life of the process.
            self.buffer.shrink_to(64 * 1024);
            self.start = 0;
        }
        self.scanned = self.buffer.len();
    }
}

/// Cuts at the first space: the word before it, and what follows it if there was a space at all.
///
/// `"a "` is `a` with an empty rest, `"a"` is `a` with none: empty parameters keep their space.
pub fn split_word(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == b' ') {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<Result<Vec<u8>, TooLong>> {
        std::iter::from_fn(|| lines.next_line()).collect()
    }

    #[test]
    fn lines_are_cut_at_newlines_whatever_the_fragments() {
        for size in 1..8 {
            let mut lines = Lines::new(16);
            let mut seen = Vec::new();
            for chunk in b"one\n\ntwo three\rfour\nrest".chunks(size) {
                lines.push(chunk);
                seen.extend(all(&mut lines));
            }
            assert_eq!(seen, [Ok(b"one".to_vec()), Ok(Vec::new()), Ok(b"two three\rfour".to_vec())]);
            assert_eq!(lines.held(), 4);
        }
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
        let mut lines = Lines::new(3);
        lines.push(b"abc\nabcd\nabc\n");
        assert_eq!(all(&mut lines), [Ok(b"abc".to_vec()), Err(TooLong)]);
        lines.push(b"abc\n");
        assert_eq!((all(&mut lines).len(), lines.held()), (0, 0));
    }

    #[test]
    fn an_endless_line_is_refused_before_it_ends() {
        let mut lines = Lines::new(3);
        lines.push(b"abcd");
        assert_eq!(all(&mut lines), [Err(TooLong)]);
    }

    #[test]
    fn payload_between_lines_is_taken_as_it_is() {
        let mut lines = Lines::new(8);
        lines.push(b"DATA 6\na\nb\nc\nVALID\nDATA");
        assert_eq!(lines.next_line(), Some(Ok(b"DATA 6".to_vec())));
        assert_eq!((lines.take(4), lines.take(2)), (b"a\nb\n".to_vec(), b"c\n".to_vec()));
        assert_eq!(all(&mut lines), [Ok(b"VALID".to_vec())]);
        assert_eq!((lines.take(99), lines.take(1), lines.held()), (b"DATA".to_vec(), Vec::new(), 0));
        lines.push(b"x\n");
        assert_eq!(all(&mut lines), [Ok(b"x".to_vec())]);
    }

    #[test]
    fn words_keep_empty_parameters() {
        assert_eq!(split_word(b"a  b"), (&b"a"[..], Some(&b" b"[..])));
        assert_eq!(split_word(b"a "), (&b"a"[..], Some(&b""[..])));
        assert_eq!(split_word(b"a"), (&b"a"[..], None));
    }

    #[test]
    fn numbers_are_digits_only() {
        let table: [(&[u8], Option<u64>); 8] = [
            (b"0", Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"+1", None),
            (b"-1", None),
            (b"1 ", None),
            (b"1a", None),
        ];
        for (text, number) in table {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
    }
}
