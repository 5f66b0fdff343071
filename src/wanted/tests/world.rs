//! A situation in memory: what is configured, and what is known of one key.

use std::collections::BTreeMap;

use crate::name::{Key, Uuid};
use crate::wanted::{Configuration, Facts, Repo, Repository, Trust, Unknown};

/// All there is to know.
#[derive(Debug, Clone)]
pub struct World {
    pub configuration: Configuration,
    pub key: Key,
    pub file: Option<Vec<u8>>,
    pub holders: Vec<Uuid>,
    /// Bytes of other keys.
    pub fill: BTreeMap<Uuid, u64>,
    pub numcopies: Option<u64>,
    pub metadata: Vec<(Vec<u8>, Vec<u8>)>,
    pub urls: Vec<Vec<u8>>,
}

/// The uuid of `d1` and its like; `own` is the repository that was asked.
pub fn uuid(name: &str) -> Uuid {
    let end = match name.strip_prefix('d') {
        Some(number) => format!("d0{:02}", number.parse::<u32>().expect("a number")),
        None => "a001".to_string(),
    };
    Uuid::parse(format!("00000000-0000-4000-8000-00000000{end}").as_bytes()).expect("a uuid")
}

impl World {
    pub fn new(key: &str) -> Self {
        Self {
            configuration: Configuration { repositories: vec![Repository::new(uuid("own"))], ..Default::default() },
            key: Key::parse(key.as_bytes()).expect("a key"),
            file: Some(b"f".to_vec()),
            holders: Vec::new(),
            fill: BTreeMap::new(),
            numcopies: None,
            metadata: Vec::new(),
            urls: Vec::new(),
        }
    }

    /// Reads the facts of a block of `cases.txt`.
    pub fn read(block: &str) -> Self {
        let mut world = Self::new("X--");
        for line in block.lines().filter(|line| !line.starts_with(['?', '#'])) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            world.line(word, rest);
        }
        world
    }

    fn line(&mut self, word: &str, rest: &str) {
        let bytes = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        let (first, others) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = |text: &str| text.parse::<u64>().ok();
        match word {
            "repo" => {
                let mut repository = Repository::new(uuid(first));
                for (name, value) in others.split(' ').filter_map(|word| word.split_once('=')) {
                    match name {
                        "groups" => repository.groups = value.split(',').map(bytes).collect(),
                        "trust" => {
                            repository.trust = match value {
                                "1" => Trust::Trusted,
                                "0" => Trust::Untrusted,
                                "X" => Trust::Dead,
                                _ => Trust::Semitrusted,
                            }
                        }
                        "maxsize" => repository.maxsize = number(value),
                        "dir" => repository.preferreddir = Some(bytes(value)),
                        _ => panic!("{name}"),
                    }
                }
                self.configuration.repositories.push(repository);
            }
            "wanted" => self.repository(first).wanted = Some(bytes(others)),
            "required" => self.repository(first).required = Some(bytes(others)),
            "groupwanted" => self.configuration.groupwanted.push((bytes(first), bytes(others))),
            "numcopies" => self.configuration.numcopies = number(rest),
            "threshold" => self.configuration.threshold = number(rest),
            "rebalance" => self.configuration.rebalance = true,
            "attributes" => self.numcopies = rest.split_once("numcopies=").and_then(|(_, found)| number(found)),
            "key" => self.key = Key::parse(rest.as_bytes()).expect("a key"),
            "file" => self.file = Some(rest.as_bytes().to_vec()),
            "has" => self.holders = rest.split(' ').filter(|name| !name.is_empty()).map(uuid).collect(),
            "fill" => {
                self.fill.insert(uuid(first), number(others).expect("a size"));
            }
            "metadata" => {
                let (field, value) = rest.split_once('=').expect("a value");
                self.metadata.push((field.to_lowercase().into_bytes(), value.as_bytes().to_vec()));
            }
            "url" => self.urls.push(rest.as_bytes().to_vec()),
            "mincopies" => {}
            _ => panic!("{word}"),
        }
    }

    pub fn repository(&mut self, name: &str) -> &mut Repository {
        let uuid = uuid(name);
        self.configuration.repositories.iter_mut().find(|found| found.uuid == uuid).expect("a known repository")
    }

    pub fn has(&self, uuid: &Uuid) -> bool {
        self.holders.contains(uuid)
    }
}

impl Facts for World {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(&self.key)
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok(self.file.as_deref())
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        self.holders.iter().for_each(holder);
        Ok(())
    }

    fn used(&self, _: Repo, uuid: &Uuid) -> Result<u64, Unknown> {
        let own = if self.has(uuid) { self.key.size().unwrap_or(0) } else { 0 };
        Ok(self.fill.get(uuid).copied().unwrap_or(0) + own)
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        Ok(self.numcopies)
    }

    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.metadata.iter().filter(|(found, _)| found == field).for_each(|(_, found)| value(found));
        Ok(())
    }

    fn urls(&self, url: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.urls.iter().for_each(|found| url(found));
        Ok(())
    }

    fn unused(&self) -> Result<bool, Unknown> {
        Ok(false)
    }
}
