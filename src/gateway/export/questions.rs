//! What is at names on the store.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use remotes::pump::read;
use remotes::{Kind, ObjectName, Range};

use super::Tree;
use crate::annex::backend::Verifier;
use crate::annex::export::look::Found;
use crate::gateway::Failure;
use crate::name::Key;

/// From so many names on a store is listed, rather than asked for each.
const MANY: usize = 500;

/// The answer to one question.
pub(super) enum Answer {
    Found(Found),
    /// The store has no such names.
    Impossible,
}

impl Tree {
    /// How many requests to the store go on at once.
    pub(super) fn width(&self) -> usize {
        if self.store.capabilities().local { 4 } else { 32 }
    }

    /// What is at each of `names`. Errors: the store does not tell.
    pub(super) async fn look(&self, names: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Answer)>, Failure> {
        if names.len() < MANY || !self.store.capabilities().trees.list {
            return self.ask(names).await;
        }
        let (odd, plain): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_odd(name));
        let mut found: HashMap<Vec<u8>, Option<u64>> = plain.into_iter().map(|name| (name, None)).collect();
        let mut listing = self.store.list(None).await.map_err(|e| Failure::remote(&e))?;
        while let Some(page) = listing.next().await.map_err(|e| Failure::remote(&e))? {
            for entry in page.entries {
                if let Some(len) = found.get_mut(entry.name.as_bytes()) {
                    *len = Some(entry.len);
                }
            }
        }
        let told = |len: Option<u64>| len.map_or(Found::Absent, |len| Found::Present(Some(len)));
        let mut answers = self.ask(odd).await?;
        answers.extend(found.into_iter().map(|(name, len)| (name, Answer::Found(told(len)))));
        Ok(answers)
    }

    async fn ask(&self, names: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Answer)>, Failure> {
        let asked = names.into_iter().map(|name| async move {
            let answer = self.ask_one(&name).await?;
            Ok::<_, Failure>((name, answer))
        });
        let mut asked = stream::iter(asked).buffer_unordered(self.width());
        let mut answers = Vec::new();
        while let Some(answer) = asked.next().await {
            answers.push(answer?);
        }
        Ok(answers)
    }

    pub(super) async fn ask_one(&self, name: &[u8]) -> Result<Answer, Failure> {
        let Ok(object) = ObjectName::new(name) else { return Ok(Answer::Impossible) };
        match self.store.stat(&object).await {
            Ok(None) => Ok(Answer::Found(Found::Absent)),
            Ok(Some(stat)) => Ok(Answer::Found(Found::Present(Some(stat.len)))),
            Err(e) if e.kind() == Kind::Unsupported => Ok(Answer::Impossible),
            Err(e) => Err(Failure::remote(&e)),
        }
    }

    /// Which of `candidates` the content at `name` is of, told by its digest. `None` where it is of none.
    pub(super) async fn recognize(&self, name: &[u8], candidates: Vec<Key>) -> Result<Option<Key>, Failure> {
        let with_digest = |key: Key| Verifier::for_key(&key).map(|verifier| (key, verifier));
        let mut left: Vec<(Key, Verifier)> = candidates.into_iter().filter_map(with_digest).collect();
        if left.is_empty() {
            return Ok(None);
        }
        let get = match self.store.get(&self.object(name)?, Range::default()).await {
            Ok(get) => get,
            Err(e) if e.kind() == Kind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::remote(&e)),
        };
        let each = async |block: bytes::Bytes| {
            left.iter_mut().for_each(|(_, verifier)| verifier.update(&block));
            Ok(())
        };
        read(get, &self.context, each).await.map_err(|e| Failure::remote(&e))?;
        Ok(left.into_iter().find_map(|(key, verifier)| verifier.finish().then_some(key)))
    }
}

/// Whether some store may be unable to have this name, and must be asked.
fn is_odd(name: &[u8]) -> bool {
    let long = name.len() > 900 || name.split(|byte| *byte == b'/').any(|part| part.len() > 255);
    long || std::str::from_utf8(name).is_err() || name.iter().any(|byte| byte.is_ascii_control())
}
