//! What is at paths on the store.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use remotes::{Kind, ObjectName};

use super::Tree;
use crate::gateway::Failure;

/// From so many names on a store is listed, rather than asked for each.
const MANY: usize = 500;

/// The answer to one question.
pub(super) enum Answer {
    Absent,
    There(There),
    /// The store has no such names.
    Impossible,
}

/// What is at a name.
pub(super) struct There {
    pub(super) len: u64,
    /// What the store calls the content; see [`remotes::Store::identify`].
    pub(super) identity: Option<String>,
}

impl Tree {
    /// What is at each of `names`. Errors: the store does not tell.
    pub(super) async fn look(&self, names: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Answer)>, Failure> {
        let Some(lists) = self.store.lists().filter(|_| names.len() >= MANY) else { return self.ask(names).await };
        let (odd, plain): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_odd(name));
        let mut found: HashMap<Vec<u8>, Option<There>> = plain.into_iter().map(|name| (name, None)).collect();
        let mut listing = lists.list(None).await.map_err(|e| Failure::remote(&e))?;
        while let Some(page) = listing.next().await.map_err(|e| Failure::remote(&e))? {
            for entry in page.entries {
                if let Some(there) = found.get_mut(entry.name.as_bytes()) {
                    *there = Some(self.there(&entry.name, entry.len, entry.tag.as_deref()));
                }
            }
        }
        let mut answers = self.ask(odd).await?;
        answers.extend(found.into_iter().map(|(name, there)| (name, there.map_or(Answer::Absent, Answer::There))));
        Ok(answers)
    }

    async fn ask(&self, names: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Answer)>, Failure> {
        let asked = names.into_iter().map(|name| async move {
            let answer = self.ask_one(&name).await?;
            Ok::<_, Failure>((name, answer))
        });
        let mut asked = stream::iter(asked).buffer_unordered(self.width);
        let mut answers = Vec::new();
        while let Some(answer) = asked.next().await {
            answers.push(answer?);
        }
        Ok(answers)
    }

    pub(super) async fn ask_one(&self, name: &[u8]) -> Result<Answer, Failure> {
        let Ok(object) = ObjectName::new(name) else { return Ok(Answer::Impossible) };
        match self.store.stat(&object).await {
            Ok(None) => Ok(Answer::Absent),
            Ok(Some(stat)) => Ok(Answer::There(self.there(&object, stat.len, stat.tag.as_deref()))),
            Err(e) if e.kind() == Kind::Unsupported => Ok(Answer::Impossible),
            Err(e) => Err(Failure::remote(&e)),
        }
    }

    fn there(&self, object: &ObjectName, len: u64, tag: Option<&str>) -> There {
        There { len, identity: self.identity(object, len, tag) }
    }

    /// Whether a listing of the directory has `name` as it is spelled: a store that takes two names for one has but one of
    /// them. True where the store cannot list.
    pub(super) async fn is_spelled_so(&self, name: &[u8]) -> Result<bool, Failure> {
        let Some(lists) = self.store.lists() else { return Ok(true) };
        let dir = name.iter().rposition(|byte| *byte == b'/').map(|at| self.object(&name[..at])).transpose()?;
        let mut listing = lists.list(dir.as_ref()).await.map_err(|e| Failure::remote(&e))?;
        while let Some(page) = listing.next().await.map_err(|e| Failure::remote(&e))? {
            if page.entries.iter().any(|entry| entry.name.as_bytes() == name) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether some store may be unable to have this name, and must be asked.
fn is_odd(name: &[u8]) -> bool {
    let long = name.len() > 900 || name.split(|byte| *byte == b'/').any(|part| part.len() > 255);
    long || std::str::from_utf8(name).is_err() || name.iter().any(|byte| byte.is_ascii_control())
}
