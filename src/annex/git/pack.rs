//! Writing objects to the repository: a few as loose files, as git does, many as one pack.
//!
//! A loose object costs ten system calls, a commit of ten thousand logs some twenty thousand of them. Packs on the other hand
//! must stay few, since every lookup may search all of them; so only large commits make one, and only while git gc keeps up.
//! Source: git's gitformat-pack.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::ops::Deref;
use std::path::Path;

use gix::ObjectId;
use gix::objs::tree::Entry;
use gix::objs::{Kind, Write as _};
use gix::zlib::Compression;
use gix::zlib::stream::deflate;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::annex::fresh::{self, Durability};
use crate::annex::git::error::BranchError;

/// Fewest objects that are written as a pack.
const FEWEST: usize = 1000;

/// Most objects that are held in memory.
const MOST: usize = 200_000;

/// Most bytes of objects that are held in memory, if more than one.
const MOST_BYTES: usize = 16 << 20;

/// Packs that may be there already. With more of them git gc is overdue, and loose objects do less harm.
const MOST_PACKS: usize = 100;

/// A repository whose new objects stay in memory until they are flushed.
pub(in crate::annex) struct PackWriter<'a> {
    memory: gix::Repository,
    plain: &'a gix::Repository,
    /// Bytes of what was made by [`blob`](Self::blob) and [`tree`](Self::tree) since the last flush.
    held: Cell<usize>,
}

impl<'a> PackWriter<'a> {
    pub(in crate::annex) fn of(plain: &'a gix::Repository) -> Self {
        Self { memory: plain.clone().with_object_memory(), plain, held: Cell::new(0) }
    }

    /// Makes a file.
    pub(in crate::annex) fn blob(&self, log: &[u8]) -> Result<ObjectId, BranchError> {
        let id = self.memory.write_blob(log).map_err(BranchError::git("write a log"))?.detach();
        self.count(log.len())?;
        Ok(id)
    }

    /// Makes a directory. `entries` are sorted as git sorts them.
    pub(in crate::annex) fn tree(&self, entries: Vec<Entry>) -> Result<ObjectId, BranchError> {
        let len = entries.iter().map(|entry| entry.filename.len() + 28).sum();
        let tree = gix::objs::Tree { entries };
        let id = self.memory.write_object(&tree).map_err(BranchError::git("write a tree"))?.detach();
        self.count(len)?;
        Ok(id)
    }

    /// Writes what was made where that has become much.
    fn count(&self, bytes: usize) -> Result<(), BranchError> {
        self.held.set(self.held.get() + bytes);
        if self.held.get() > MOST_BYTES || self.memory.objects.num_objects_in_memory() >= MOST {
            return self.flush();
        }
        Ok(())
    }

    /// Writes what was made, so that a reference may point to it.
    pub(in crate::annex) fn flush(&self) -> Result<(), BranchError> {
        self.held.set(0);
        let Some(made) = self.memory.objects.reset_object_memory() else { return Ok(()) };
        let dir = self.plain.objects.store_ref().path().join("pack");
        if made.len() >= FEWEST && packs(&dir) < MOST_PACKS {
            let objects: Vec<_> = made.iter().map(|(id, (kind, data))| (*id, *kind, data.as_slice())).collect();
            return write(&dir, objects, self.plain.object_hash()).map_err(BranchError::io("write a pack into", &dir));
        }
        for (_, (kind, data)) in made.iter() {
            self.plain.objects.write_buf(*kind, data).map_err(BranchError::git("write an object"))?;
        }
        Ok(())
    }
}

impl Deref for PackWriter<'_> {
    type Target = gix::Repository;

    fn deref(&self) -> &gix::Repository {
        &self.memory
    }
}

fn packs(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack")).count()
}

/// Where an object lies in the pack, and the checksum of what lies there.
struct Place {
    id: ObjectId,
    offset: u32,
    checksum: u32,
}

/// Writes a pack of `objects`, each in full, and its index.
fn write(dir: &Path, objects: Vec<(ObjectId, Kind, &[u8])>, hash: gix::hash::Kind) -> io::Result<()> {
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let count = u32::try_from(objects.len()).map_err(|_| too_large())?;
    let mut pack = [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes()].concat();
    let mut places = Vec::with_capacity(objects.len());
    for (id, kind, data) in objects {
        // Larger offsets need a table of their own; nothing this large is held in memory.
        let offset = u32::try_from(pack.len()).ok().filter(|offset| *offset < 1 << 31).ok_or_else(too_large)?;
        let start = pack.len();
        head(&mut pack, kind, data.len());
        let mut deflate = deflate::Write::new(&mut pack, Compression::DEFAULT);
        deflate.write_all(data)?;
        deflate.flush()?;
        drop(deflate);
        places.push(Place { id, offset, checksum: crc32(&pack[start..]) });
    }
    let sum = digest(&pack, hash);
    pack.extend_from_slice(&sum);
    places.sort_unstable_by_key(|place| place.id);
    let index = index(&places, &sum, hash);
    let name = annex_types::hex::show(&sum);
    fs::create_dir_all(dir)?;
    // The index is what makes git look at the pack, so it comes last.
    place(dir, &pack, &format!("pack-{name}.pack"))?;
    place(dir, &index, &format!("pack-{name}.idx"))
}

/// The kind and length of an object, seven bits a byte, the lowest first.
fn head(pack: &mut Vec<u8>, kind: Kind, len: usize) {
    let kind = match kind {
        Kind::Commit => 1u8,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut byte = (kind << 4) | (len & 15) as u8;
    let mut rest = len >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    pack.push(byte);
}

/// An index of version 2 of `places`, sorted by id, and the pack whose checksum is `sum`.
fn index(places: &[Place], sum: &[u8], hash: gix::hash::Kind) -> Vec<u8> {
    let mut index = b"\xfftOc\0\0\0\x02".to_vec();
    let mut until = 0;
    for first in 0..=255u8 {
        until += places[until..].iter().take_while(|place| place.id.as_slice()[0] == first).count();
        index.extend_from_slice(&(until as u32).to_be_bytes());
    }
    places.iter().for_each(|place| index.extend_from_slice(place.id.as_slice()));
    places.iter().for_each(|place| index.extend_from_slice(&place.checksum.to_be_bytes()));
    places.iter().for_each(|place| index.extend_from_slice(&place.offset.to_be_bytes()));
    index.extend_from_slice(sum);
    let own = digest(&index, hash);
    index.extend_from_slice(&own);
    index
}

/// The checksum of a whole file, by the hash that the repository names its objects by.
fn digest(bytes: &[u8], hash: gix::hash::Kind) -> Vec<u8> {
    match hash {
        gix::hash::Kind::Sha256 => Sha256::digest(bytes).to_vec(),
        _ => Sha1::digest(bytes).to_vec(),
    }
}

fn place(dir: &Path, bytes: &[u8], name: &str) -> io::Result<()> {
    // git gc clears away what is left of these after a crash, by the first letters of their names.
    let temporary = dir.join(fresh::name("tmp_pack")?);
    fresh::replace(&dir.join(name), bytes, &temporary, 0o444, Durability::Content).map(drop)
}

/// The checksum of zlib and many others, reflected 0xEDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let (mut value, mut bit) = (n as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum: u32, byte| TABLE[((sum ^ u32::from(*byte)) & 255) as usize] ^ (sum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::{git, make};

    #[test]
    fn checksums_are_those_of_zlib() {
        assert_eq!((crc32(b"123456789"), crc32(b"")), (0xCBF4_3926, 0));
    }

    #[test]
    fn git_reads_what_is_packed_and_finds_it_whole() {
        for format in ["sha1", "sha256"] {
            packed(format);
        }
    }

    fn packed(format: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[&format!("--object-format={format}")]);
        let plain = gix::open(dir.path()).expect("it opens");
        let packer = PackWriter::of(&plain);
        let blobs: Vec<ObjectId> =
            (0..FEWEST).map(|n| packer.write_blob("x".repeat(n * 3)).expect("in memory").detach()).collect();
        assert!(!plain.has_object(blobs[7]), "only in memory yet");
        packer.flush().expect("written");
        assert!(blobs.iter().all(|blob| plain.has_object(*blob)));
        let packs = packs(&dir.path().join(".git/objects/pack"));
        assert_eq!((packs, git(dir.path(), &["count-objects"]).as_str()), (1, "0 objects, 0 kilobytes"));
        git(dir.path(), &["fsck", "--strict"]);
        assert_eq!(git(dir.path(), &["cat-file", "-s", &blobs[999].to_string()]), "2997");
        let one = packer.write_blob("alone").expect("in memory").detach();
        packer.flush().expect("written");
        assert_eq!(git(dir.path(), &["cat-file", "-p", &one.to_string()]), "alone");
        assert!(git(dir.path(), &["count-objects"]).starts_with("1 objects"), "few objects are loose");
    }
}
