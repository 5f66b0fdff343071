//! The repository that a sim is run in: what `use` and `addtree` take from it.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::annex::log::metadata::Metadata;
use crate::annex::log::{is_cluster, metadata_file};
use crate::annex::repository::Repository;
use crate::cli::known::Known;
use crate::cli::subject::{self, Annexed};
use crate::gateway::wanted::{Counted, FactSource, PolicyLogs};
use crate::name::Key;
use crate::sim::script::{Name, Problem};
use crate::sim::{Fields, Found, Outside, Used};
use crate::wanted::{Assumed, Expression, Policy};

/// The repository of the current directory.
pub(super) struct Here<'a> {
    repository: &'a Repository,
    quiet: bool,
    taken: Option<&'a Taken>,
}

/// What `addtree` took of the work tree, by expression: the same for all runs that share it, read once.
#[derive(Default)]
pub(super) struct Taken(Mutex<HashMap<Box<[u8]>, Vec<Found>>>);

impl<'a> Here<'a> {
    pub(super) fn new(repository: &'a Repository) -> Self {
        Self { repository, quiet: false, taken: None }
    }

    /// The same, which says nothing.
    pub(super) fn quiet(repository: &'a Repository) -> Self {
        Self { repository, quiet: true, taken: None }
    }

    /// The same, with files of the work tree that other runs have taken already.
    pub(super) fn sharing(repository: &'a Repository, taken: &'a Taken) -> Self {
        Self { repository, quiet: true, taken: Some(taken) }
    }

    /// Annexed files of the work tree that an expression matches.
    fn matching(&self, expression: &[u8]) -> Result<Vec<Found>, Problem> {
        let expression = Expression::parse(expression).map_err(problem)?;
        let configuration = PolicyLogs::read(self.repository).map_err(problem)?.configuration(false);
        let policy = Policy::new(configuration);
        let own = policy.repo(self.repository.uuid()).ok_or_else(|| Problem("this repository has no record".into()))?;
        let plan = policy.compile_alone(own, &expression);
        let sizes = Counted::new(&Arc::new(crate::cli::here::repository().map_err(Problem)?));
        let source = FactSource::new(self.repository, &sizes);
        let mut found = Vec::new();
        for (file, key) in annexed(self.repository).map_err(Problem)? {
            let facts = source.about(key.clone(), Some(file.to_vec()));
            if policy.about(&facts).matches(&plan, own, Assumed::NOTHING).map_err(problem)? {
                let metadata = metadata(self.repository, &key).map_err(problem)?;
                found.push(Found { file, key, metadata });
            }
        }
        Ok(found)
    }
}

fn problem(e: impl std::fmt::Display) -> Problem {
    Problem(e.to_string())
}

impl Outside for Here<'_> {
    fn say(&mut self, sentence: &str) {
        if !self.quiet {
            super::say(sentence);
        }
    }

    fn used(&mut self, name: &[u8], called: &[u8]) -> Result<Used, Problem> {
        let unknown = || {
            let (name, called) = (String::from_utf8_lossy(name), String::from_utf8_lossy(called));
            Problem(format!(
                "Unable to use a repository \"{name}\" in the simulation because there is no available git remote named \"{called}\""
            ))
        };
        let known = Known::read(self.repository).map_err(problem)?;
        let uuid = known.find(called).map_err(|_| unknown())?;
        if is_cluster(&uuid) {
            return Err(Problem(format!("{} is a cluster; use its nodes", String::from_utf8_lossy(called))));
        }
        let configuration = PolicyLogs::read(self.repository).map_err(problem)?.configuration(false);
        let found = configuration.repositories.into_iter().find(|repository| repository.uuid == uuid);
        let found = found.unwrap_or_else(|| crate::wanted::Repository::new(uuid));
        let text = |set: &Option<Box<[u8]>>| Name::from(set.as_deref().unwrap_or_default());
        let groups: Vec<Name> = found.groups.iter().map(|group| Name::from(&group[..])).collect();
        let of_groups = configuration.groupwanted.iter().filter(|(group, _)| found.groups.contains(group));
        Ok(Used {
            is_special: known.is_special(&found.uuid),
            trust: found.trust,
            wanted: text(&found.wanted),
            required: text(&found.required),
            maxsize: found.maxsize,
            preferreddir: found.preferreddir.as_deref().map(Name::from),
            groupwanted: of_groups.map(|(group, set)| (Name::from(&group[..]), Name::from(&set[..]))).collect(),
            groups,
            uuid: found.uuid,
        })
    }

    fn tree(&mut self, expression: &[u8]) -> Result<Vec<Found>, Problem> {
        let Some(taken) = self.taken else { return self.matching(expression) };
        // Held while it is read, so that others wait for it and do not read it too.
        let mut taken = taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = taken.get(expression) {
            return Ok(found.clone());
        }
        let found = self.matching(expression)?;
        taken.insert(expression.into(), found.clone());
        Ok(found)
    }
}

/// What is recorded of a key's metadata.
pub(super) fn metadata(repository: &Repository, key: &Key) -> Result<Fields, crate::annex::branch::BranchError> {
    let branch = repository.branch();
    let log = Metadata::parse(&branch.read(&metadata_file(key, branch.log_hashing()))?);
    let mut fields = Fields::new();
    for name in log.names() {
        let mut values = std::collections::BTreeSet::new();
        log.values(name, &mut |value| {
            values.insert(value.to_vec());
        });
        fields.insert(name.to_vec(), values);
    }
    Ok(fields)
}

/// Annexed files below the current directory, with their names from the top and their keys.
fn annexed(repository: &Repository) -> Result<Vec<(Name, Key)>, String> {
    repository.work_tree().ok_or("there is no work tree whose files could be added")?;
    let listed = Command::new("git").args(["ls-files", "-z", "--full-name"]).output();
    let listed = listed.map_err(|e| format!("git ls-files: {e}"))?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim()));
    }
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found = Vec::new();
    for name in names {
        if let Annexed::Key(key) = subject::annexed(repository, name)? {
            found.push((Name::from(name), key));
        }
    }
    Ok(found)
}
