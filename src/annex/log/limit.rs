//! How much one file of the branch may hold. Anybody who may push writes these files, and who reads one holds it in memory.

use super::is_of_key;

/// The most that a file of the branch is read of. What is beyond it is no log that anybody keeps: it is an error, and never
/// taken for an empty log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Length in bytes.
    pub bytes: u64,
    /// Spaces and ends of lines. Short words take many times their length once they are read.
    pub words: usize,
}

impl Limit {
    /// Of the logs of one key. A location log has 51 bytes for a repository, so this is one of 20,000 of them.
    pub const KEY: Self = Self { bytes: 1 << 20, words: 100_000 };

    /// Of all other logs: the descriptions, configurations and offers of all repositories.
    pub const OTHER: Self = Self { bytes: 4 << 20, words: 200_000 };

    /// That of `file`.
    pub fn of(file: &[u8]) -> Self {
        if is_of_key(file) { Self::KEY } else { Self::OTHER }
    }

    /// Whether a log may be this one.
    pub fn allows(self, log: &[u8]) -> bool {
        let is_end = |byte: &u8| usize::from(matches!(byte, b' ' | b'\n' | b'\r'));
        log.len() as u64 <= self.bytes
            && (log.len() <= self.words || log.iter().map(is_end).sum::<usize>() <= self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_an_end_in_bytes_and_words() {
        let key = Limit::of(b"abc/def/SHA256--x.log");
        assert_eq!((key, Limit::of(b"abc/SHA256--x.log.met")), (Limit::KEY, Limit::KEY));
        assert_eq!((Limit::of(b"uuid.log"), Limit::of(b"proxy.log")), (Limit::OTHER, Limit::OTHER));
        let of_repositories = |n: usize| "1795387138s 1 00000000-0000-4000-8000-000000000001\n".repeat(n);
        assert!(key.allows(of_repositories(20_000).as_bytes()));
        for (log, allowed) in [
            (vec![b'x'; 1 << 20], true),
            (vec![b'x'; (1 << 20) + 1], false),
            (b"a ".repeat(100_000), true),
            (b"a ".repeat(100_001), false),
            (vec![b'\r'; 100_001], false),
            (vec![], true),
        ] {
            assert_eq!(key.allows(&log), allowed, "{} bytes", log.len());
        }
    }
}
