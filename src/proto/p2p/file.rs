//! The name of a file as PUT and GET carry it.

use std::fmt;

/// A file of the git repository that a key belongs to, relative to its top; for information only, or empty.
///
/// On the wire `%` stands for white space and `%%` for `%`. Which white space it was is lost, and `%%%` may have been
/// either order of the two: git-annex has the same hole.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AssociatedFile(Vec<u8>);

impl AssociatedFile {
    /// A file by its name; `None` where that is absolute, which git-annex does not take.
    pub fn new(name: &[u8]) -> Option<Self> {
        (name.first() != Some(&b'/')).then(|| Self(name.to_vec()))
    }

    /// Reads what [`encode`](Self::encode) writes; `None` for an absolute name.
    pub fn decode(wire: &[u8]) -> Option<Self> {
        let mut name = Vec::with_capacity(wire.len());
        let mut rest = wire;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match (byte, rest) {
                (b'%', [b'%', after @ ..]) => {
                    rest = after;
                    name.push(b'%');
                }
                (b'%', _) => name.push(b' '),
                (byte, _) => name.push(*byte),
            }
        }
        Self::new(&name)
    }

    /// The name as one word of a line.
    pub fn encode(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.0.len());
        for byte in &self.0 {
            match byte {
                b'%' => wire.extend_from_slice(b"%%"),
                byte if is_space(*byte) => wire.push(b'%'),
                byte => wire.push(*byte),
            }
        }
        wire
    }

    /// The name; empty where none was given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AssociatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssociatedFile({})", self.0.escape_ascii())
    }
}

/// What git-annex cuts words at, as far as that is ASCII.
pub(super) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_carried_as_git_annex_carries_them() {
        // Recorded: what a client said for files of these names.
        for (name, wire) in [
            (&b"sp ace.txt"[..], &b"sp%ace.txt"[..]),
            (b"di r/per%cent &amp.txt", b"di%r/per%%cent%&amp.txt"),
            (b"\xc3\xbcn\xc3\xaf.txt", b"\xc3\xbcn\xc3\xaf.txt"),
            (b"[br].txt", b"[br].txt"),
            (b"", b""),
        ] {
            let file = AssociatedFile::new(name).expect("relative");
            assert_eq!(file.encode(), wire, "{file:?}");
            assert_eq!(AssociatedFile::decode(wire), Some(file));
        }
        assert_eq!(AssociatedFile::new(b"tab\tq").expect("relative").encode(), b"tab%q");
    }

    #[test]
    fn absolute_names_are_refused() {
        assert_eq!((AssociatedFile::new(b"/etc/x"), AssociatedFile::decode(b"/x")), (None, None));
        assert!(AssociatedFile::decode(b"%/x").is_some() && AssociatedFile::decode(b"../x").is_some());
    }
}
