//! The questions of INITREMOTE and PREPARE, as a state machine.
//!
//! ```text
//! scheme? -> its options? -> kept credentials? -> (INITREMOTE: what to keep) -> done
//! ```
//!
//! Secrets come from the environment, from an option given at INITREMOTE, or from what git-annex keeps, in this order;
//! INITREMOTE hands them to git-annex to keep and empties the option, so that none is recorded in the git-annex branch.
//! INITREMOTE may come again, in another clone or with other options: what is missing then is taken from what is kept.

use std::collections::{BTreeMap, VecDeque};

use remotes::options::{Options, bad};
use remotes::registry::{self, Scheme};
use remotes::{Error, Result, s3};

use super::Naming;
use crate::proto::special::{Answer, Key, Note, Query, Secret};

/// Reads an environment variable; none where it is empty.
pub type Environment = fn(&str) -> Option<Vec<u8>>;

/// Settings under which git-annex keeps credentials of S3: access key id and secret as its own S3 type does, and the token
/// of temporary ones.
const S3_CREDS: &str = "s3creds";
const S3_SESSION: &str = "s3session";

/// What the questions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// INITREMOTE, which may change settings.
    Init,
    /// PREPARE, which only reads them.
    Prepare,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask, and come back with the answer.
    Ask(Query),
    /// Tell, and come back at once.
    Tell(Note),
    /// All is settled.
    Done(Ready),
    /// It cannot be settled.
    Failed(Error),
}

/// A remote, as far as it can be known without a look at the place.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Kind of store.
    pub scheme: Scheme,
    /// Options with their values, secrets included.
    pub options: Options,
    /// The remote's uuid, at INITREMOTE.
    pub owner: Option<String>,
    /// What kind of tree the remote is to hold, at INITREMOTE.
    pub tree: Option<TreeKind>,
}

/// A remote that holds files under the names people gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// `exporttree=yes`: git-annex writes it.
    Exported,
    /// `importtree=yes`: others do, and git-annex only reads it.
    Imported,
}

impl Ready {
    /// The name of a key's object in this store.
    pub fn name(&self, key: &Key) -> Vec<u8> {
        Naming::from(self.scheme.layout).bytes(key.as_bytes())
    }
}

/// One conversation; see the [module](self).
pub struct Setup {
    purpose: Purpose,
    environment: Environment,
    scheme: Option<Scheme>,
    questions: VecDeque<Question>,
    asked: Option<Question>,
    values: BTreeMap<&'static str, Vec<u8>>,
    kept: BTreeMap<&'static str, (Vec<u8>, Secret)>,
    name: Vec<u8>,
    uuid: Option<String>,
    tree: Option<TreeKind>,
    /// Once all is answered.
    settled: Option<(VecDeque<Note>, Options)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Scheme,
    /// An option of the scheme.
    Option(&'static str),
    /// An option of other schemes, which must be empty.
    Foreign(&'static str),
    /// Credentials of S3.
    Kept(&'static str),
    /// The secret of an option.
    Secret(&'static str),
    Name,
    Uuid,
    /// What git-annex calls one kind of tree.
    Tree(&'static str, TreeKind),
}

impl Question {
    fn query(self) -> Query {
        match self {
            Question::Scheme => Query::GetConfig(b"scheme".to_vec()),
            Question::Option(name) | Question::Foreign(name) => Query::GetConfig(name.into()),
            Question::Kept(name) => Query::GetCreds(name.into()),
            Question::Secret(name) => Query::GetCreds(slot(name).into_bytes()),
            Question::Name => Query::GetConfig(b"name".to_vec()),
            Question::Uuid => Query::GetUuid,
            Question::Tree(name, _) => Query::GetConfig(name.into()),
        }
    }
}

impl Setup {
    /// Nothing was asked yet.
    pub fn new(purpose: Purpose, environment: Environment) -> Self {
        Self {
            purpose,
            environment,
            scheme: None,
            questions: VecDeque::from([Question::Scheme]),
            asked: None,
            values: BTreeMap::new(),
            kept: BTreeMap::new(),
            name: Vec::new(),
            uuid: None,
            tree: None,
            settled: None,
        }
    }

    /// The next step; `answer` is that to the question asked last, if one was.
    pub fn next(&mut self, answer: Option<Answer>) -> Step {
        self.step(answer).unwrap_or_else(Step::Failed)
    }

    fn step(&mut self, answer: Option<Answer>) -> Result<Step> {
        if let (Some(question), Some(answer)) = (self.asked.take(), answer) {
            self.learn(question, answer)?;
        }
        if let Some(question) = self.questions.pop_front() {
            self.asked = Some(question);
            return Ok(Step::Ask(question.query()));
        }
        let Some(scheme) = self.scheme else { return Err(bad("scheme", "is missing")) };
        let (mut notes, options) = match self.settled.take() {
            Some(settled) => settled,
            None => self.settle(scheme)?,
        };
        match notes.pop_front() {
            Some(note) => {
                self.settled = Some((notes, options));
                Ok(Step::Tell(note))
            }
            None => Ok(Step::Done(Ready { scheme, options, owner: self.uuid.take(), tree: self.tree })),
        }
    }

    fn learn(&mut self, question: Question, answer: Answer) -> Result<()> {
        match (question, answer) {
            (Question::Scheme, Answer::Value(value)) => self.choose(&value)?,
            (Question::Option(name), Answer::Value(value)) => {
                if name == "bucket" && value.is_empty() && self.names_bucket() {
                    self.questions.push_back(Question::Name);
                }
                self.values.insert(name, value);
            }
            (Question::Foreign(_), Answer::Value(value)) if value.is_empty() => {}
            (Question::Foreign(name), Answer::Value(_)) => {
                let scheme = self.scheme.map_or("", |scheme| scheme.name);
                return Err(bad(name, &format!("is not an option of scheme={scheme}")));
            }
            (Question::Kept(name) | Question::Secret(name), Answer::Creds { user, password }) => {
                self.kept.insert(name, (user, password));
            }
            (Question::Name, Answer::Value(value)) => self.name = value,
            (Question::Tree(_, tree), Answer::Value(value)) if matches!(&value[..], b"yes" | b"true") => {
                self.tree = Some(tree);
            }
            (Question::Uuid, Answer::Value(value)) => self.uuid = Some(String::from_utf8_lossy(&value).into_owned()),
            // The session gives each question an answer of its kind.
            (_, Answer::Value(_) | Answer::Creds { .. } | Answer::Values(_)) => {}
        }
        Ok(())
    }

    fn choose(&mut self, value: &[u8]) -> Result<()> {
        let name = std::str::from_utf8(value).map_err(|_| bad("scheme", "is not UTF-8"))?;
        if name.is_empty() {
            return Err(bad("scheme", &format!("is missing; it is one of {}", registry::names())));
        }
        let scheme = registry::find(name)?;
        self.scheme = Some(scheme);
        let init = self.purpose == Purpose::Init;
        let has = |name: &str| scheme.options().any(|spec| spec.name == name);
        let options = scheme.options().filter(|spec| init || !spec.secret).map(|spec| Question::Option(spec.name));
        self.questions.extend(options);
        if init {
            let foreign = registry::all_options().into_keys().filter(|name| !has(name)).map(Question::Foreign);
            self.questions.extend(foreign);
            self.questions.push_back(Question::Uuid);
            self.questions.push_back(Question::Tree("exporttree", TreeKind::Exported));
            self.questions.push_back(Question::Tree("importtree", TreeKind::Imported));
        }
        if scheme.name == "s3" {
            self.questions.extend([S3_CREDS, S3_SESSION].map(Question::Kept));
        }
        self.questions.extend(scheme.options().filter(|spec| spec.secret).map(|spec| Question::Secret(spec.name)));
        Ok(())
    }

    fn names_bucket(&self) -> bool {
        self.purpose == Purpose::Init && self.scheme.is_some_and(|scheme| scheme.name == "s3")
    }

    /// What git-annex is told, and the options of the store.
    fn settle(&mut self, scheme: Scheme) -> Result<(VecDeque<Note>, Options)> {
        let mut notes = VecDeque::new();
        let mut options = Options::new();
        for spec in scheme.options().filter(|spec| !spec.secret) {
            options.set(spec.name, self.values.remove(spec.name).unwrap_or_default());
        }
        if self.tree.is_some() && options.bytes("versioning").is_some() {
            // git-annex takes the name for one of its own then, and answers nothing about the remote any more.
            return Err(bad("versioning", "cannot be set on a remote with a tree; versions=yes does the same"));
        }
        if self.names_bucket() && options.bytes("bucket").is_none() {
            let bucket = self.default_bucket();
            notes.push_back(Note::SetConfig { name: b"bucket".to_vec(), value: bucket.clone() });
            options.set("bucket", bucket);
        }
        if scheme.name == "s3" {
            self.settle_s3(&mut options, &mut notes)?;
        }
        for spec in scheme.options().filter(|spec| spec.secret) {
            self.settle_secret(spec.name, scheme, &mut options, &mut notes)?;
        }
        if self.purpose == Purpose::Prepare {
            notes.clear();
        }
        Ok((notes, options))
    }

    /// As git-annex names buckets: the remote's name and uuid.
    fn default_bucket(&self) -> Vec<u8> {
        let mut bucket = self.name.to_ascii_lowercase();
        bucket.push(b'-');
        bucket.extend_from_slice(self.uuid.as_deref().unwrap_or_default().as_bytes());
        bucket
    }

    fn settle_s3(&mut self, options: &mut Options, notes: &mut VecDeque<Note>) -> Result<()> {
        if options.bytes("profile").is_some() || options.bytes("signature") == Some(b"anonymous") {
            return Ok(());
        }
        let kept = self.kept(S3_CREDS);
        let token = self.kept(S3_SESSION).map(|(_, token)| token);
        let id = self.variable("AWS_ACCESS_KEY_ID")?;
        let secret = self.variable("AWS_SECRET_ACCESS_KEY")?;
        let (Some(id), Some(secret)) = (id, secret) else {
            if let Some((id, secret)) = kept {
                options.set(s3::KEY_ID, id);
                options.set(s3::SECRET, secret);
                options.set(s3::TOKEN, token.unwrap_or_default());
            }
            return Ok(());
        };
        if id.contains(&b' ') {
            return Err(bad("AWS_ACCESS_KEY_ID", "holds a space"));
        }
        if kept.as_ref() != Some(&(id.clone(), secret.clone())) {
            notes.push_back(keep(S3_CREDS, &id, &secret));
        }
        let fresh = self.variable("AWS_SESSION_TOKEN")?;
        // Long-lived keys after temporary ones: the old token must not stay with them.
        if fresh != token {
            notes.push_back(keep(S3_SESSION, b"token", fresh.as_deref().unwrap_or_default()));
        }
        options.set(s3::KEY_ID, id);
        options.set(s3::SECRET, secret);
        options.set(s3::TOKEN, fresh.unwrap_or_default());
        Ok(())
    }

    fn settle_secret(
        &mut self,
        name: &'static str,
        scheme: Scheme,
        options: &mut Options,
        notes: &mut VecDeque<Note>,
    ) -> Result<()> {
        let kept = self.kept(name);
        let given = self.values.remove(name).filter(|value| !value.is_empty());
        if given.is_some() {
            notes.push_back(Note::SetConfig { name: name.into(), value: Vec::new() });
        }
        let mut user = Vec::from(name);
        let mut fresh = given.or(self.variable(&format!("STREAM_{}", name.to_ascii_uppercase().replace('-', "_")))?);
        // The variables of git-annex's own type.
        if scheme.name == "webdav"
            && name == "password"
            && fresh.is_none()
            && let (Some(login), Some(password)) =
                (self.variable("WEBDAV_USERNAME")?, self.variable("WEBDAV_PASSWORD")?)
        {
            if login.contains(&b' ') {
                return Err(bad("WEBDAV_USERNAME", "holds a space; give username= instead"));
            }
            user = login;
            fresh = Some(password);
        }
        if let Some(value) = &fresh
            && kept.as_ref() != Some(&(user.clone(), value.clone()))
        {
            notes.push_back(keep(&slot(name), &user, value));
        }
        let (user, value) = match (fresh, kept) {
            (Some(value), _) => (user, value),
            (None, Some(kept)) => kept,
            (None, None) => return Ok(()),
        };
        options.set(name, value);
        if user != name.as_bytes() && options.bytes("username").is_none() {
            options.set("username", user);
        }
        Ok(())
    }

    /// What git-annex keeps; none where it keeps nothing.
    fn kept(&mut self, name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let (user, password) = self.kept.remove(name)?;
        let password = password.reveal().to_vec();
        (!password.is_empty()).then_some((user, password))
    }

    fn variable(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let value = (self.environment)(name).filter(|value| !value.is_empty());
        match value {
            Some(value) if value.contains(&b'\n') => Err(bad(name, "holds a newline")),
            value => Ok(value),
        }
    }
}

/// The setting under which git-annex keeps the secret of an option.
///
/// quirk: it may not have the option's name, because git-annex 10.20261026 takes a value given for the option at initremote
/// for credentials of its own making, and stops with "bad creds".
fn slot(option: &str) -> String {
    format!("{option}-creds")
}

fn keep(name: &str, user: &[u8], password: &[u8]) -> Note {
    Note::SetCreds { name: name.into(), user: user.to_vec(), password: Secret::new(password) }
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
