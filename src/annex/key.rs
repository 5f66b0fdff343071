//! The fields of a key, read from its bytes.

/// What a key's name tells of its content.
///
/// Source: `internals/key_format`: `BACKEND[-sBYTES][-mTIME][-SBYTES-CN]--NAME`, the fields in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    backend: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Takes the key apart. Bytes that are no key have no fields.
    pub fn of(key: &'a [u8]) -> Self {
        let head = key.windows(2).position(|pair| pair == b"--").map_or(&key[..0], |end| &key[..end]);
        let dash = head.iter().position(|byte| *byte == b'-').unwrap_or(head.len());
        Self { bytes: key, backend: &head[..dash], fields: &head[dash..] }
    }

    /// Length in bytes of what is stored under exactly this key, where the key tells.
    ///
    /// It does not for a chunk, whose last one is shorter, and not where the content is encrypted.
    pub fn stored_len(&self) -> Option<u64> {
        if self.is_chunk() || self.backend.starts_with(b"GPGHMAC") {
            return None;
        }
        let size = self.list().find(|field| field[0] == b's')?;
        annex_types::decimal::parse(&size[1..])
    }

    /// The bytes of the key this one is a chunk of; its own where it is none.
    pub fn unchunked(&self) -> Vec<u8> {
        if !self.is_chunk() {
            return self.bytes.to_vec();
        }
        let mut out = self.backend.to_vec();
        for field in self.list().filter(|field| !matches!(field[0], b'S' | b'C')) {
            out.push(b'-');
            out.extend_from_slice(field);
        }
        out.extend_from_slice(&self.bytes[self.backend.len() + self.fields.len()..]);
        out
    }

    fn is_chunk(&self) -> bool {
        self.list().any(|field| matches!(field[0], b'S' | b'C'))
    }

    fn list(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.fields.split(|byte| *byte == b'-').filter(|field| !field.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_by_plain_keys_only() {
        for (key, len) in [
            ("SHA256E-s42--9f.txt", Some(42)),
            ("WORM-s4-m1795395118--sub/f", Some(4)),
            ("WORM-m1795395118-s4--x", Some(4)),
            ("SHA256E-s0--e3", Some(0)),
            ("SHA256E--9f", None),
            ("URL--http://host/-s5--x", None),
            ("SHA256E-s3000-S1024-C1--9f", None),
            ("GPGHMACSHA1--00ff", None),
            ("GPGHMACSHA1-s5--00ff", None),
            ("SHA256E-s99999999999999999999999--9f", None),
            ("SHA256E-s--9f", None),
            ("SHA256E-s+5--9f", None),
            ("nokey", None),
            ("", None),
            ("--", None),
        ] {
            assert_eq!(Fields::of(key.as_bytes()).stored_len(), len, "{key}");
        }
    }

    #[test]
    fn chunks_know_what_they_are_part_of() {
        for (chunk, whole) in [
            ("SHA256E-s3000-S1024-C1--9f", "SHA256E-s3000--9f"),
            ("WORM-s4-m5-S1-C2--a-S1-C2--b", "WORM-s4-m5--a-S1-C2--b"),
            ("SHA256E-s3000--9f-S1-C1", "SHA256E-s3000--9f-S1-C1"),
            ("odd", "odd"),
        ] {
            assert_eq!(Fields::of(chunk.as_bytes()).unchunked(), whole.as_bytes(), "{chunk}");
        }
    }
}
