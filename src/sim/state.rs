//! A sim as bytes, to go on with it later.
//!
//! The first line names the format; then come numbers in LEB128 and strings with their length before them, and at the end a
//! SHA-256 over all before it. What does not fit is refused as a whole.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::files::Fields;
use super::history::{Entry, History};
use super::knowledge::Event;
use super::random::Generator;
use super::script::{Name, Placement};
use super::world::World;
use crate::cluster::Traffic;
use crate::name::{Key, Uuid};
use crate::wanted::Trust;

/// What the bytes begin with.
const MAGIC: &[u8] = b"git-annex-remote-stream sim 1\n";

/// These bytes are no sim of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is damaged, or of another version")
    }
}

impl std::error::Error for Malformed {}

/// The bytes of a sim.
pub fn save(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(world, &mut bytes).expect("memory takes it");
    bytes
}

/// Writes them, piece by piece.
///
/// # Errors
/// Those of the writer.
pub fn write(world: &World, into: &mut dyn Write) -> io::Result<()> {
    let (mut digest, mut done) = (Sha256::new(), Ok(()));
    let mut piece = |piece: &[u8]| {
        if done.is_ok() {
            digest.update(piece);
            done = into.write_all(piece);
        }
    };
    piece(MAGIC);
    Out::all(world, &mut piece);
    done?;
    into.write_all(&digest.finalize())
}

/// Reads one.
///
/// # Errors
/// [`Malformed`] where it is none.
pub fn restore(bytes: &[u8]) -> Result<World, Malformed> {
    let (signed, digest) = bytes.split_at_checked(bytes.len().saturating_sub(32)).ok_or(Malformed)?;
    if Sha256::digest(signed)[..] != *digest {
        return Err(Malformed);
    }
    restore_body(signed.strip_prefix(MAGIC).ok_or(Malformed)?)
}

/// What stands between the first line and the digest.
pub fn body_bytes(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    Out::all(world, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// Bytes of a piece.
const PIECE: usize = 1 << 16;

/// What is written, in pieces.
struct Out<'a> {
    piece: Vec<u8>,
    into: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Out<'a> {
    fn all(world: &World, into: &'a mut dyn FnMut(&[u8])) {
        let mut out = Self { piece: Vec::with_capacity(2 * PIECE), into };
        body(world, &mut out);
        (out.into)(&out.piece);
    }
}

fn number(out: &mut Out<'_>, mut value: u64) {
    while value >= 0x80 {
        out.piece.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.piece.push(value as u8);
}

fn text(out: &mut Out<'_>, text: &[u8]) {
    number(out, text.len() as u64);
    out.piece.extend_from_slice(text);
}

fn optional(out: &mut Out<'_>, value: Option<u64>) {
    number(out, u64::from(value.is_some()));
    number(out, value.unwrap_or(0));
}

fn list<'a, T>(out: &mut Out<'a>, list: impl ExactSizeIterator<Item = T>, mut each: impl FnMut(&mut Out<'a>, T)) {
    number(out, list.len() as u64);
    for item in list {
        each(out, item);
        if out.piece.len() >= PIECE {
            (out.into)(&out.piece);
            out.piece.clear();
        }
    }
}

fn body(world: &World, out: &mut Out<'_>) {
    let network = &world.network;
    number(out, world.seed.cast_unsigned());
    number(out, world.random.state());
    number(out, u64::from(world.failed));
    number(out, u64::from(network.placement == Placement::Stream));
    number(out, u64::from(network.rebalance));
    optional(out, network.numcopies.map(i64::cast_unsigned));
    optional(out, network.mincopies.map(i64::cast_unsigned));
    optional(out, network.threshold);
    list(out, network.members.iter(), |out, member| {
        text(out, &member.name);
        text(out, member.uuid.as_bytes());
        number(out, u64::from(member.is_special));
        number(out, member.trust as u64);
        list(out, member.groups.iter(), |out, group| text(out, group));
        text(out, &member.wanted);
        text(out, &member.required);
        optional(out, member.maxsize);
        number(out, u64::from(member.preferreddir.is_some()));
        text(out, member.preferreddir.as_deref().unwrap_or_default());
        list(out, member.remote_names.iter(), |out, remote| text(out, remote));
    });
    list(out, network.nodes.iter(), |out, (name, repo)| {
        text(out, name);
        number(out, *repo as u64);
    });
    list(out, network.groupwanted.iter(), |out, (group, expression)| {
        text(out, group);
        text(out, expression);
    });
    list(out, world.given.uuids.iter(), |out, (name, uuid)| {
        text(out, name);
        text(out, uuid.as_bytes());
    });
    list(out, world.given.keys.iter(), |out, (name, key)| {
        text(out, name);
        text(out, key.as_bytes());
    });
    list(out, 0..world.files.len() as u32, |out, file| {
        text(out, world.files.name(file));
        text(out, world.files.key(file).as_bytes());
        let fields = world.files.metadata(file);
        number(out, fields.map_or(0, |fields| fields.len() as u64));
        for (field, values) in fields.into_iter().flatten() {
            text(out, field);
            list(out, values.iter(), |out, value| text(out, value));
        }
    });
    list(out, world.knowledge.events(), |out, event| {
        number(out, u64::from(event.author));
        number(out, u64::from(event.repo) << 1 | u64::from(event.present));
        number(out, u64::from(event.file));
    });
    for viewer in 0..network.members.len() {
        world.knowledge.known(viewer).iter().for_each(|known| number(out, u64::from(*known)));
    }
    list(out, world.history.entries().iter(), |out, entry| match entry {
        Entry::Text(line) => {
            number(out, 0);
            text(out, line);
        }
        Entry::Did { via, file, present } => {
            number(out, 1 + u64::from(*present));
            text(out, world.history.name(*via));
            number(out, u64::from(*file));
        }
        Entry::Known { file, first, holders } => {
            number(out, 3);
            [*file, *first, *holders].into_iter().for_each(|value| number(out, u64::from(value)));
        }
    });
    for traffic in &world.traffic {
        let Traffic { files_in, bytes_in, files_out, bytes_out } = *traffic;
        [files_in, bytes_in, files_out, bytes_out].into_iter().for_each(|value| number(out, value));
    }
}

/// What was written, as far as it was read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn below(&mut self, limit: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).ok().filter(|value| *value < limit).ok_or(Malformed)
    }

    fn is_set(&mut self) -> Result<bool, Malformed> {
        self.below(2).map(|value| value == 1)
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        let (text, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(text)
    }

    fn name(&mut self) -> Result<Name, Malformed> {
        self.text().map(Name::from)
    }

    fn uuid(&mut self) -> Result<Uuid, Malformed> {
        Uuid::parse(self.text()?).map_err(|_| Malformed)
    }

    fn key(&mut self) -> Result<Key, Malformed> {
        Key::parse(self.text()?).map_err(|_| Malformed)
    }

    fn optional(&mut self) -> Result<Option<u64>, Malformed> {
        let is_some = self.is_set()?;
        self.number().map(|value| is_some.then_some(value))
    }

    /// Each item takes a byte at least, so no count is believed that promises more.
    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Malformed);
        }
        (0..count).map(|_| each(self)).collect()
    }

    fn fields(&mut self) -> Result<Fields, Malformed> {
        let fields = self.list(|it| {
            let field = it.text()?.to_vec();
            let values = it.list(|it| it.text().map(<[u8]>::to_vec))?;
            Ok((field, values.into_iter().collect()))
        })?;
        Ok(fields.into_iter().collect())
    }
}

/// Reads what stands between the first line and the digest.
///
/// # Errors
/// [`Malformed`] where it is none.
pub fn restore_body(bytes: &[u8]) -> Result<World, Malformed> {
    let mut it = Reader(bytes);
    let mut world = World::new(it.number()?.cast_signed());
    world.random = Generator::at(it.number()?);
    world.failed = it.is_set()?;
    world.network.placement = if it.is_set()? { Placement::Stream } else { Placement::GitAnnex };
    world.network.rebalance = it.is_set()?;
    world.network.numcopies = it.optional()?.map(u64::cast_signed);
    world.network.mincopies = it.optional()?.map(u64::cast_signed);
    world.network.threshold = it.optional()?;
    it.list(|it| member(it, &mut world))?;
    let count = world.network.members.len();
    for (name, repo) in it.list(|it| Ok((it.name()?, it.below(count)?)))? {
        let of = world.network.members[repo].name.clone();
        world.network.add_node(&name, &of).map_err(|_| Malformed)?;
    }
    world.network.groupwanted = it.list(|it| Ok((it.name()?, it.name()?)))?.into_iter().collect();
    world.given.uuids = it.list(|it| Ok((it.name()?, it.uuid()?)))?;
    world.given.keys = it.list(|it| Ok((it.name()?, it.key()?)))?;
    it.list(|it| {
        let (name, key) = (it.name()?, it.key()?);
        let fields = it.fields()?;
        let file = world.files.add(name, key);
        world.files.set_metadata(file, fields);
        Ok(())
    })?;
    let files = world.files.len();
    it.list(|it| {
        let (author, bits, file) = (it.below(count)?, it.below(2 * count)?, it.below(files)?);
        let event =
            Event { author: author as u16, repo: (bits >> 1) as u16, present: bits & 1 == 1, file: file as u32 };
        world.knowledge.append(event);
        Ok(())
    })?;
    for viewer in 0..count {
        let mut known = Vec::new();
        for author in 0..count {
            let known_of = it.below(world.knowledge.authored(author) + 1)?;
            // What somebody recorded, they know.
            if viewer == author && known_of != world.knowledge.authored(author) {
                return Err(Malformed);
            }
            known.push(known_of as u32);
        }
        let sizes = &world.files;
        world.knowledge.learn(viewer, &known, &|file| sizes.size(file), &mut |_| ());
    }
    world.history = history(&mut it, &world)?;
    for traffic in &mut world.traffic {
        let [files_in, bytes_in, files_out, bytes_out] = [it.number()?, it.number()?, it.number()?, it.number()?];
        *traffic = Traffic { files_in, bytes_in, files_out, bytes_out };
    }
    world.network.relink();
    if it.0.is_empty() { Ok(world) } else { Err(Malformed) }
}

fn member(it: &mut Reader<'_>, world: &mut World) -> Result<(), Malformed> {
    let (name, uuid, is_special) = (it.name()?, it.uuid()?, it.is_set()?);
    let repo = world.add_repository(&name, Some(uuid), is_special).map_err(|_| Malformed)?;
    let trust = [Trust::Dead, Trust::Untrusted, Trust::Semitrusted, Trust::Trusted][it.below(4)?];
    let groups = it.list(Reader::name)?;
    let (wanted, required, maxsize) = (it.name()?, it.name()?, it.optional()?);
    let (has_dir, dir) = (it.is_set()?, it.name()?);
    let names = it.list(Reader::name)?;
    let member = &mut world.network.members[repo];
    (member.trust, member.groups, member.maxsize) = (trust, groups.into_iter().collect(), maxsize);
    (member.wanted, member.required, member.preferreddir) = (wanted, required, has_dir.then_some(dir));
    member.remote_names = names.into_iter().collect();
    Ok(())
}

fn history(it: &mut Reader<'_>, world: &World) -> Result<History, Malformed> {
    let (files, events) = (world.files.len(), world.knowledge.events().len());
    let mut history = History::default();
    it.list(|it| {
        match it.below(4)? {
            0 => history.text(it.text()?),
            3 => {
                let (file, first) = (it.below(files)?, it.below(events + 1)?);
                let holders = it.below(events - first + 1)?;
                history.known(file as u32, first as u32, holders as u32);
            }
            kind => {
                let via = it.name()?;
                history.did(&via, it.below(files)? as u32, kind == 2);
            }
        }
        Ok(())
    })?;
    Ok(history)
}
