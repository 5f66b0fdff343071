//! Other gateways to the same store: they change names in turns, and never without knowing what the others made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotes::retrieve::read_small;
use remotes::{Kind, ObjectName, sys};

use super::{Session, Tree, Why, failed};
use crate::annex::branch::GitId;
use crate::annex::export::record;
use crate::annex::export::turn::{self, DEAD, Heard, Left, Says, Turn, Word};
use crate::annex::log::PROXY_LOG;
use crate::annex::log::proxy::ProxyLog;
use crate::gateway::{Failure, blocking};
use crate::name::Uuid;

/// The longest word, in bytes.
const LONGEST: u64 = 1 << 10;

/// How long another is waited for that changes names: until content of some keys has its names, not until a tree is exported,
/// of which nothing would be known here then.
const PATIENCE: Duration = Duration::from_secs(10);

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What has to be known here before the first try.
struct Known {
    others: Vec<Uuid>,
    was_cut: bool,
}

/// Why it is not our turn.
struct Blocked {
    why: String,
    /// How long that is waited for.
    patience: Duration,
}

impl Tree {
    /// Waits a moment for our turn, where other repositories are known to be gateways to this remote. True where there are
    /// such, who wait until [`let_go`](Self::let_go).
    ///
    /// Failures: it is the turn of another, or one has exported a tree of which nothing is known here.
    pub(super) async fn take_turn(&self) -> Result<bool, Failure> {
        let Known { others, was_cut } = self.known().await?;
        if others.is_empty() {
            return Ok(false);
        }
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        let mut same: BTreeMap<Uuid, (Word, Instant)> = BTreeMap::new();
        loop {
            let blocked = match self.try_turn(&others, was_cut, &mut same).await {
                Ok(None) => return Ok(true),
                Ok(Some(blocked)) => blocked,
                Err(e) => {
                    self.take_back(was_cut).await?;
                    return Err(e);
                }
            };
            if begun.elapsed() >= blocked.patience {
                self.take_back(was_cut).await?;
                return Err(Failure::busy(&format!("remote {}: {}", self.name, blocked.why)));
            }
            tokio::time::sleep(pause.mul_f64(0.5 + sys::fraction())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// `None`: it is our turn, and was said to be.
    async fn try_turn(
        &self,
        others: &[Uuid],
        was_cut: bool,
        same: &mut BTreeMap<Uuid, (Word, Instant)>,
    ) -> Result<Option<Blocked>, Failure> {
        let asked = Instant::now();
        match was_cut {
            true => self.say(Says::Changes, None).await?,
            false => self.say(Says::Asks, self.left_before().await?).await?,
        }
        let heard = self.hear(others, same).await?;
        let who = match turn::turn(self.home.repository().uuid(), was_cut, &heard) {
            Turn::Ours => {
                self.knows(&heard).await?;
                self.say(Says::Changes, None).await?;
                if asked.elapsed() < DEAD / 2 {
                    return Ok(None);
                }
                // Others may have taken us for dead.
                self.take_back(was_cut).await?;
                let why = "it answers too slowly for several gateways to change names there".into();
                return Ok(Some(Blocked { why, patience: PATIENCE }));
            }
            Turn::Theirs(who) => {
                self.take_back(was_cut).await?;
                who
            }
            Turn::Nobodys(who) => who,
        };
        let asks = |it: &Heard| it.gateway == *who && it.word.as_ref().is_some_and(|word| word.says == Says::Asks);
        let patience = if heard.iter().any(asks) { PATIENCE + DEAD } else { PATIENCE };
        let why = format!("repository {who} is exporting there, or was interrupted while it did and has to finish");
        Ok(Some(Blocked { why, patience }))
    }

    /// Lets go of the turn. Where an export was cut, the turn stays ours until it is resumed.
    pub(super) async fn let_go(&self, session: &Session) {
        if session.turn
            && let Some(left) = remotes::late::left(self.store.label())
        {
            // What we asked for and heard no answer to may still be done, to names that the next one fills.
            tokio::time::sleep(left).await;
        }
        if session.turn
            && let Err(e) = self.leave_turn().await
        {
            tracing::warn!("remote {}: other gateways wait until this one has exported again: {e}", self.name);
        }
    }

    async fn leave_turn(&self) -> Result<(), Failure> {
        let (home, uuid, nonce) = (Arc::clone(&self.home), self.uuid.clone(), nonce());
        let left = blocking(move || {
            let repository = home.repository();
            if record::cut(repository, &uuid)?.is_some() {
                return Ok(None);
            }
            let tree = record::exports(repository)?.exported(repository.uuid(), &uuid).map(|own| own.tree);
            let word = Word { says: Says::Left(tree.unwrap_or(GitId::EMPTY_TREE)), nonce, before: None };
            record::leave(repository, &uuid, &word.to_bytes())?;
            Ok::<_, Why>(Some(word))
        });
        match left.await?.map_err(failed)? {
            Some(word) => self.write(&word).await,
            None => Ok(()),
        }
    }

    async fn known(&self) -> Result<Known, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let read = blocking(move || {
            let repository = home.repository();
            let log = ProxyLog::parse(&repository.branch().read(PROXY_LOG)?);
            let others: Vec<Uuid> =
                log.proxies_of(&uuid).filter(|proxy| *proxy != repository.uuid()).cloned().collect();
            let was_cut = !others.is_empty() && record::cut(repository, &uuid)?.is_some();
            Ok::<_, Why>(Known { others, was_cut })
        });
        read.await?.map_err(failed)
    }

    /// Sees that nothing was exported of which nothing is known here.
    async fn knows(&self, heard: &[Heard]) -> Result<(), Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let left = |it: &Heard| Some((it.gateway.clone(), it.word.as_ref()?.left()?));
        let left: Vec<(Uuid, Left)> = heard.iter().filter_map(left).collect();
        let asked = blocking(move || {
            let repository = home.repository();
            let before = record::heard(repository, &uuid)?;
            let log = record::exports(repository)?;
            let mut now = BTreeSet::new();
            for (gateway, Left { tree, nonce }) in left {
                let line = format!("{nonce} {gateway}");
                let recorded = || log.exported(&gateway, &uuid).map_or(GitId::EMPTY_TREE, |it| it.tree);
                if !before.contains(&line) && recorded() != tree {
                    return Ok(Some(gateway));
                }
                now.insert(line);
            }
            if now != before {
                record::keep_heard(repository, &uuid, &now)?;
            }
            Ok::<_, Why>(None)
        });
        match asked.await?.map_err(failed)? {
            None => Ok(()),
            Some(gateway) => Err(Failure::busy(&format!(
                "remote {}: repository {gateway} has exported there too, and it is not known here what: get its git-annex \
                 branch (git annex sync, or a push by a clone that has it)",
                self.name
            ))),
        }
    }

    /// The words of `others`; in `same`, since when each is what it is.
    async fn hear(&self, others: &[Uuid], same: &mut BTreeMap<Uuid, (Word, Instant)>) -> Result<Vec<Heard>, Failure> {
        let mut heard = Vec::new();
        for gateway in others {
            let begun = Instant::now();
            let word = match self.word_of(gateway)? {
                Some(object) => match read_small(&*self.store, &object, LONGEST, &self.context).await {
                    Ok(text) => Some(Word::parse(&text)),
                    Err(e) if e.kind() == Kind::NotFound => None,
                    Err(e) => return Err(Failure::remote(&e)),
                },
                None => None,
            };
            let mut since = begun;
            if let Some(word) = &word {
                let known = same.entry(gateway.clone()).or_insert_with(|| (word.clone(), begun));
                if known.0 != *word {
                    *known = (word.clone(), begun);
                }
                since = known.1;
            }
            heard.push(Heard { gateway: gateway.clone(), word, same: begun.duration_since(since) });
        }
        Ok(heard)
    }

    /// Says again what was said before we asked.
    async fn take_back(&self, was_cut: bool) -> Result<(), Failure> {
        if was_cut {
            return Ok(());
        }
        match self.own_left().await? {
            Some(word) => self.write(&word).await,
            None => self.store.remove(&self.own_word()?).await.map_err(|e| Failure::remote(&e)),
        }
    }

    /// The word that was left for others, if any.
    async fn own_left(&self) -> Result<Option<Word>, Failure> {
        let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
        let left = blocking(move || record::left(home.repository(), &uuid)).await?.map_err(failed)?;
        Ok(left.map(|word| Word::parse(&word)))
    }

    async fn left_before(&self) -> Result<Option<Left>, Failure> {
        Ok(self.own_left().await?.and_then(|word| word.left()))
    }

    async fn say(&self, says: Says, before: Option<Left>) -> Result<(), Failure> {
        self.write(&Word { says, nonce: nonce(), before }).await
    }

    async fn write(&self, word: &Word) -> Result<(), Failure> {
        self.write_small(self.own_word()?.as_bytes(), Bytes::from(word.to_bytes())).await
    }

    /// Failures: this repository can have no word, and so no turn.
    fn own_word(&self) -> Result<ObjectName, Failure> {
        let own = self.home.repository().uuid();
        let word = self.word_of(own)?;
        word.ok_or_else(|| Failure::internal(format!("remote {}: {own} cannot be the name of a file there", self.name)))
    }

    /// `None`: it can have none.
    fn word_of(&self, gateway: &Uuid) -> Result<Option<ObjectName>, Failure> {
        turn::name(gateway).map(|name| self.object(&name)).transpose()
    }
}

/// Another each time.
fn nonce() -> String {
    format!("{:x}-{:016x}", std::process::id(), sys::chance())
}
