//! A sim as it stands: its repositories, files, knowledge and log.

use annex_types::hex;
use sha2::{Digest, Sha256};

use super::files::{Fields, Files};
use super::history::History;
use super::knowledge::{Event, Knowledge};
use super::look::{Deed, Kind, Look, Numbers};
use super::network::Network;
use super::random::Generator;
use super::script::{Change, Command, Line, Name, Problem, Stream};
use crate::cluster::Traffic;
use crate::name::{Key, Uuid};
use crate::wanted::{Policy, Unknown};

/// Everything that a sim is made of.
#[derive(Debug)]
pub struct World {
    /// Who there is, and how they are configured.
    pub network: Network,
    /// Which files there are.
    pub files: Files,
    /// Where they are, and who knows that.
    pub knowledge: Knowledge,
    /// What happened.
    pub history: History,
    /// What is drawn next.
    pub random: Generator,
    /// The seed that was set last.
    pub seed: i64,
    /// Whether something was not as a command demanded.
    pub failed: bool,
    /// Uuids and keys that are taken over for names that are to come.
    pub given: Given,
    /// What repositories got and dropped.
    pub traffic: Vec<Traffic>,
    policy: Option<(Policy, Numbers)>,
}

/// Uuids and keys by name.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Of repositories.
    pub uuids: Vec<(Name, Uuid)>,
    /// Of files.
    pub keys: Vec<(Name, Key)>,
}

impl World {
    /// An empty one.
    pub fn new(seed: i64) -> Self {
        Self {
            network: Network::default(),
            files: Files::default(),
            knowledge: Knowledge::default(),
            history: History::default(),
            random: Generator::new(seed),
            seed,
            failed: false,
            given: Given::default(),
            traffic: Vec::new(),
            policy: None,
        }
    }

    /// The same, to go on from by itself.
    pub fn split(&self) -> Self {
        Self {
            network: self.network.clone(),
            files: self.files.clone(),
            knowledge: self.knowledge.clone(),
            history: self.history.clone(),
            random: self.random.clone(),
            seed: self.seed,
            failed: self.failed,
            given: self.given.clone(),
            traffic: self.traffic.clone(),
            policy: None,
        }
    }

    /// What is configured has changed.
    pub fn reconfigured(&mut self) {
        self.policy = None;
    }

    /// Compiles what is configured, for [`look`](Self::look).
    pub fn compile(&mut self) {
        if self.policy.is_none() {
            let policy = Policy::new(self.network.configuration());
            let numbers = Numbers::new(&policy, self.files.len());
            self.policy = Some((policy, numbers));
        }
    }

    /// All that is looked at. After [`compile`](Self::compile).
    pub fn look(&self) -> Look<'_> {
        let (policy, numbers) = self.policy.as_ref().expect("compiled before it is looked at");
        Look { network: &self.network, policy, files: &self.files, knowledge: &self.knowledge, numbers }
    }

    /// Adds a repository.
    ///
    /// # Errors
    /// The name or the uuid is taken.
    pub fn add_repository(&mut self, name: &Name, uuid: Option<Uuid>, is_special: bool) -> Result<usize, Problem> {
        let given = self.given.uuids.iter().rev().find(|(of, _)| of == name).map(|(_, uuid)| uuid.clone());
        let uuid = uuid.or(given).unwrap_or_else(|| derived_uuid(self.seed, name));
        let repo = self.network.add(name, uuid, is_special)?;
        self.knowledge.add_repository();
        self.traffic.push(Traffic::default());
        self.reconfigured();
        Ok(repo)
    }

    /// Adds a file that some repositories have.
    ///
    /// # Errors
    /// There are too many.
    pub fn add_file(&mut self, name: &Name, key: Option<Key>, size: u64, repos: &[usize]) -> Result<u32, Problem> {
        if self.files.len() >= Files::MOST {
            return Err(Problem(format!("There are {} files, and no more can be simulated.", Files::MOST)));
        }
        let given = || self.given.keys.iter().rev().find(|(of, _)| of == name).map(|(_, key)| key.clone());
        let key = key.or_else(given).unwrap_or_else(|| derived_key(self.seed, name, size, self.files.len()));
        let file = self.files.add(name.clone(), key);
        for repo in repos {
            self.note(*repo, *repo, file, true);
        }
        Ok(file)
    }

    /// Adds a file that there is. Who has it knows; [`tell_all`](Self::tell_all) tells the others.
    ///
    /// # Errors
    /// There are too many.
    pub fn add_known(&mut self, name: &Name, key: Key, metadata: Fields, holders: &[usize]) -> Result<(), Problem> {
        let size = key.size().unwrap_or(0);
        let file = self.add_file(name, Some(key), size, &[])?;
        self.history.known(file, self.knowledge.events().len() as u32, holders.len() as u32);
        for (field, values) in &metadata {
            for value in values {
                self.history.text(&value_line(name, field, value).to_bytes());
            }
        }
        self.files.set_metadata(file, metadata);
        holders.iter().for_each(|repo| self.note(*repo, *repo, file, true));
        Ok(())
    }

    /// The lines that say so: the key of a file, and the repositories of so many events from number `first` on that have it.
    pub fn known_lines(&self, file: u32, first: u32, holders: u32) -> [Line; 2] {
        let name = self.files.name(file);
        let holders = self.knowledge.events_from(first as usize, holders as usize);
        let repos = holders.map(|event| self.network.members[usize::from(event.repo)].name.clone()).collect();
        let add = Command::Add { file: name.clone(), size: self.files.size(file), repos };
        [Line::Stream(Stream::Key(name.clone(), self.files.key(file).clone())), Line::Command(add)]
    }

    /// Everybody learns everything, connected or not.
    pub fn tell_all(&mut self) {
        let count = self.network.members.len();
        for viewer in 0..count {
            for of in (0..count).filter(|of| *of != viewer) {
                self.learn(viewer, of, &mut |_| ());
            }
        }
    }

    /// `author` records where a file is.
    pub fn note(&mut self, author: usize, repo: usize, file: u32, present: bool) {
        let event = Event { author: author as u16, repo: repo as u16, file, present };
        self.knowledge.record(event, self.files.size(file));
    }

    /// `actor` does something about a file. Who recorded it is named to `told`: they know of it at once.
    pub fn perform(&mut self, actor: usize, file: u32, deed: Deed, told: &mut dyn FnMut(usize)) {
        let link = self.network.links(actor).get(deed.link).cloned();
        let (name, to, is_node) = match (deed.kind, link) {
            (Kind::Drop, _) | (_, None) => (self.network.members[actor].name.clone(), actor, false),
            (Kind::Get, Some(_)) => (self.network.members[actor].name.clone(), actor, false),
            (_, Some(link)) => (link.name, link.to, link.is_node),
        };
        let present = matches!(deed.kind, Kind::Get | Kind::Send);
        // Everybody who reaches the node by this name learns of it; the repository itself is the last, and so the newest.
        let mut authors: Vec<usize> = Vec::new();
        if is_node {
            authors.extend(self.network.connected_to(&name).filter(|repo| *repo != actor && *repo != to));
        }
        if actor != to {
            authors.push(actor);
        }
        authors.push(to);
        for author in authors {
            self.note(author, to, file, present);
            told(author);
        }
        let (size, traffic) = (self.files.size(file), &mut self.traffic[to]);
        if present {
            traffic.files_in += 1;
            traffic.bytes_in = traffic.bytes_in.saturating_add(size);
        } else {
            traffic.files_out += 1;
            traffic.bytes_out = traffic.bytes_out.saturating_add(size);
        }
        self.history.did(&name, file, present);
    }

    /// `viewer` learns what `of` knows; each file to `changed` that it sees otherwise now. Whether there was anything new.
    pub fn learn(&mut self, viewer: usize, of: usize, changed: &mut dyn FnMut(u32)) -> bool {
        let files = &self.files;
        self.knowledge.join(viewer, of, &|file| files.size(file), changed)
    }
}

/// The line that adds a value to a field: `metadata` where git-annex's sim can say it.
fn value_line(file: &Name, field: &[u8], value: &[u8]) -> Line {
    let is_word = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    let is_field = is_word(field) && !field.contains(&b'=') && !field.ends_with(b"+");
    if is_field && is_word(value) && !field.iter().any(u8::is_ascii_uppercase) {
        let change = Change { text: [field, b"+=", value].concat().into() };
        return Line::Command(Command::Metadata(file.clone(), change));
    }
    Line::Stream(Stream::Metadata(file.clone(), field.into(), value.into()))
}

/// Says that it cannot be told what is wanted.
pub fn undecided(unknown: &Unknown) -> Problem {
    Problem(format!("Cannot tell who wants a file: {unknown}"))
}

/// A uuid for a name, the same for the same seed: version 5, as those of git-annex's sims.
fn derived_uuid(seed: i64, name: &[u8]) -> Uuid {
    let digest = Sha256::new().chain_update(b"sim uuid").chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::show(&bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    let text = parts.join("-");
    Uuid::parse(text.as_bytes()).expect("hexadecimal digits")
}

/// A key for a file, the same for the same seed, in the form of those of git-annex's sims.
fn derived_key(seed: i64, name: &[u8], size: u64, number: usize) -> Key {
    let digest = Sha256::new()
        .chain_update(b"sim key")
        .chain_update(seed.to_le_bytes())
        .chain_update(size.to_le_bytes())
        .chain_update((number as u64).to_le_bytes())
        .chain_update(name)
        .finalize();
    let hex = hex::show(&digest);
    Key::parse(format!("SHA256E-s{size}--{hex}.this-is-a-test-key").as_bytes()).expect("a key")
}
