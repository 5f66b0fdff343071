//! The bytes of a ledger.
//!
//! ```text
//! header: magic, lengths of four names, times, length, step, checksum | remote | key | object | token
//! mark:   end, time, lengths, tag, digest state, checksum             (any number, each of MARK bytes)
//! ```
//!
//! Numbers are little endian. The checksum of the header covers all of it, that of a mark the mark and the checksum before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Begun;
use crate::name::{Key, Uuid};

/// Says what the file is, and which version of it.
const MAGIC: [u8; 8] = *b"strmled\x01";

/// Bytes of a mark.
pub(super) const MARK: usize = size_of::<MarkRecord>();

/// Most bytes of a file: some ninety thousand marks.
pub(super) const MOST: u64 = 64 << 20;

/// Longest names, in bytes. A key or an object name is a file's name and more on most stores, a token is the store's.
const LONGEST_KEY: usize = 64 << 10;
const LONGEST_OBJECT: usize = 128 << 10;
const LONGEST_TOKEN: usize = 4096;

/// Longest tag and state of a digest, in bytes.
const LONGEST_TAG: usize = 128;
const LONGEST_DIGEST: usize = 512;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderRecord {
    magic: [u8; 8],
    remote: U32,
    key: U32,
    object: U32,
    token: U32,
    created: U64,
    len: U64,
    step: U64,
    /// Over the fields above and the names behind.
    sum: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct MarkRecord {
    end: U64,
    touched: U64,
    tag_len: U16,
    digest_len: U16,
    reserved: U32,
    tag: [u8; LONGEST_TAG],
    digest: [u8; LONGEST_DIGEST],
    /// Over the fields above, seeded by the checksum before.
    sum: U64,
}

/// What a header says.
pub(super) struct Header<'a> {
    pub(super) remote: &'a Uuid,
    pub(super) key: &'a Key,
    pub(super) object: &'a [u8],
    pub(super) token: &'a [u8],
    pub(super) len: u64,
    pub(super) step: u64,
    pub(super) created: u64,
}

/// A file, read as far as it makes sense.
pub(super) struct Image {
    pub(super) remote: Uuid,
    pub(super) key: Key,
    pub(super) begun: Begun,
    /// Where it stops making sense, in bytes.
    pub(super) at: u64,
    /// The checksum of the last record.
    pub(super) chain: u64,
}

/// The name of a ledger's file, which is of one length for any key.
pub(super) fn file_name(remote: &Uuid, key: &Key) -> String {
    // A uuid holds no NUL, so no two pairs are joined to the same bytes.
    let digest =
        Sha256::new().chain_update(remote.as_bytes()).chain_update([0]).chain_update(key.as_bytes()).finalize();
    annex_types::hex::show(&digest)
}

impl Header<'_> {
    /// The bytes, and the checksum that the first mark is seeded by. Errors: a name is too long.
    pub(super) fn to_bytes(&self) -> io::Result<(Vec<u8>, u64)> {
        let long = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is too long to remember"));
        let len = |what: &str, bytes: &[u8], longest: usize| match u32::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= longest => Ok(U32::new(len)),
            _ => Err(long(what)),
        };
        let mut header = HeaderRecord {
            magic: MAGIC,
            remote: len("the uuid", self.remote.as_bytes(), Uuid::LONGEST)?,
            key: len("the key", self.key.as_bytes(), LONGEST_KEY)?,
            object: len("the name of the object", self.object, LONGEST_OBJECT)?,
            token: len("what the store calls the upload", self.token, LONGEST_TOKEN)?,
            created: U64::new(self.created),
            len: U64::new(self.len),
            step: U64::new(self.step),
            sum: U64::ZERO,
        };
        let names = [self.remote.as_bytes(), self.key.as_bytes(), self.object, self.token].concat();
        let sum = header.sum_with(&names);
        header.sum = U64::new(sum);
        Ok(([header.as_bytes(), &names].concat(), sum))
    }
}

impl HeaderRecord {
    fn sum_with(&self, names: &[u8]) -> u64 {
        let fields = &self.as_bytes()[..size_of::<Self>() - size_of::<U64>()];
        xxh3_64_with_seed(names, xxh3_64_with_seed(fields, 0))
    }
}

impl MarkRecord {
    fn sum_after(&self, chain: u64) -> u64 {
        xxh3_64_with_seed(&self.as_bytes()[..MARK - size_of::<U64>()], chain)
    }
}

/// The bytes of a mark behind the record with the checksum `chain`, and its own. Errors: the tag or the state is too long.
pub(super) fn mark(chain: u64, end: u64, touched: u64, tag: &[u8], digest: &[u8]) -> io::Result<(Vec<u8>, u64)> {
    let mut record = MarkRecord::new_zeroed();
    let (Some(tag_room), Some(digest_room)) = (record.tag.get_mut(..tag.len()), record.digest.get_mut(..digest.len()))
    else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a tag or a digest's state is too long to remember"));
    };
    tag_room.copy_from_slice(tag);
    digest_room.copy_from_slice(digest);
    let short = |len: usize| U16::new(u16::try_from(len).unwrap_or(u16::MAX));
    (record.end, record.touched) = (U64::new(end), U64::new(touched));
    (record.tag_len, record.digest_len) = (short(tag.len()), short(digest.len()));
    let sum = record.sum_after(chain);
    record.sum = U64::new(sum);
    Ok((record.as_bytes().to_vec(), sum))
}

/// What the file says. `None` where its header is malformed. Errors: those of reading.
pub(super) fn read(file: &File) -> io::Result<Option<Image>> {
    let len = file.metadata()?.len().min(MOST);
    // No longer than what is there, and MOST at most.
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], have as u64) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(have);
    Ok(parse(&bytes))
}

/// What the bytes of a file say, as far as they make sense.
pub(super) fn parse(bytes: &[u8]) -> Option<Image> {
    let (header, rest) = HeaderRecord::ref_from_prefix(bytes).ok()?;
    if header.magic != MAGIC {
        return None;
    }
    let lens = [&header.remote, &header.key, &header.object, &header.token].map(|len| len.get() as usize);
    let longest = [Uuid::LONGEST, LONGEST_KEY, LONGEST_OBJECT, LONGEST_TOKEN];
    if lens.iter().zip(longest).any(|(len, longest)| *len > longest) {
        return None;
    }
    let (names, marks) = rest.split_at_checked(lens.iter().sum())?;
    let mut chain = header.sum.get();
    if header.sum_with(names) != chain {
        return None;
    }
    let [remote, key, object] = [lens[0], lens[0] + lens[1], lens[0] + lens[1] + lens[2]];
    let mut begun = Begun {
        object: names[key..object].to_vec(),
        len: header.len.get(),
        token: names[object..].to_vec(),
        step: header.step.get(),
        created: header.created.get(),
        touched: header.created.get(),
        marks: Vec::new(),
        digest: Vec::new(),
    };
    let mut at = size_of::<HeaderRecord>() + names.len();
    let mut last = None;
    for record in marks.chunks_exact(MARK).map_while(|chunk| MarkRecord::ref_from_bytes(chunk).ok()) {
        let (end, sum) = (record.end.get(), record.sum.get());
        let tag = record.tag.get(..usize::from(record.tag_len.get()));
        let digest = record.digest.get(..usize::from(record.digest_len.get()));
        let (Some(tag), Some(digest)) = (tag, digest) else { break };
        if record.sum_after(chain) != sum || end <= begun.reached() || end > begun.len {
            break;
        }
        begun.marks.push((end, tag.to_vec()));
        begun.touched = record.touched.get();
        last = Some(digest);
        (chain, at) = (sum, at + MARK);
    }
    begun.digest = last.unwrap_or_default().to_vec();
    let (remote, key) = (Uuid::parse(&names[..remote]).ok()?, Key::parse(&names[remote..key]).ok()?);
    Some(Image { remote, key, begun, at: at as u64, chain })
}
