//! The steps from what a remote holds to the tree that it shall hold, planned without looking at anything.
//!
//! In two passes. First everything leaves the names it has no place at: at once for its new name where that is free, else for
//! the place of its key outside the tree, where any client can still read it. Then names are filled. Between the two,
//! [`Step::Settle`] says that what was noted of emptied names must last before one of them is filled. Thus a name is
//! never written over, content is moved away and never only removed unless it stays elsewhere, and whoever finds a name held
//! after a cut knows by what. Cut anywhere, a new plan made from what is there then leads to the same tree.

use std::collections::{BTreeMap, BTreeSet};

use super::db::Note;
use super::names::{self, directories};
use super::tree::blob_of;
use crate::annex::branch::GitId;
use crate::name::Key;

/// A name in the tree of the remote: what it holds and what it shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The path.
    pub path: Vec<u8>,
    /// What is there, if anything.
    pub holds: Option<Holds>,
    /// The key of what shall be there; `None` where nothing shall.
    pub wants: Option<Key>,
}

/// What a name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The content of this key, for sure.
    Key(Key),
    /// Something, and nobody can tell what. It is put aside, and nothing is made from it.
    Unknown,
}

/// Where else content lies: keys whose content is at these places for sure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// At [`names::object`].
    pub objects: BTreeSet<Key>,
    /// At [`names::temporary`], left there by an export that was cut.
    pub temporaries: BTreeSet<Key>,
}

/// A place on the remote where content of a key lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A path in the tree.
    Tree(Vec<u8>),
    /// The key's own place outside the tree, `.git/annex/objects/...`.
    Object,
    /// `.git-annex-tmp-content-KEY`, where an export of git-annex was cut. Nothing is put there: git-annex removes it, be it
    /// the last copy or not.
    Temporary,
}

/// What to do next. Steps that others depend on come first, so they are done in this order. Those that follow each other
/// with the same [`batch`](Self::batch) may be done side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Moves content of `key`. Nothing is at `to`. Stopped halfway it may be at both places, not at none.
    Rename {
        /// Whose content.
        key: Key,
        /// Where it is.
        from: Place,
        /// Where it shall be instead.
        to: Place,
    },
    /// Copies content of `key`, on the store. Nothing is at `to`.
    Copy {
        /// Whose content.
        key: Key,
        /// Where it is and stays.
        from: Place,
        /// Where it shall be, too.
        to: Place,
    },
    /// Stores content that git holds. Nothing is at `to`.
    StoreBlob {
        /// The key it has here.
        key: Key,
        /// The content.
        blob: GitId,
        /// The path.
        to: Vec<u8>,
    },
    /// Content that the remote does not hold. It is stored at the first path and copied to the others where somebody has it
    /// now; else the tree is incomplete until it comes.
    NeedKey {
        /// Whose content.
        key: Key,
        /// The paths that want it. Nothing is there.
        to: Vec<Vec<u8>>,
    },
    /// Removes content, where that which is kept is proven in that moment; else it moves to [`Place::Object`].
    Remove {
        /// Whose content.
        key: Key,
        /// Where it is.
        at: Place,
        /// Where on the remote it also is. `None` only for what git holds.
        kept_at: Option<Place>,
    },
    /// Moves out of the way what nobody knows: it may be the only copy of something. It goes to a [`names::aside`].
    SetAside {
        /// Where it is.
        path: Vec<u8>,
    },
    /// Removes a directory if nothing is in it, on stores that have directories.
    RemoveEmptyDirectory {
        /// Its path.
        path: Vec<u8>,
    },
    /// What was noted of emptied names must be on the disk before the next step. Nothing of another tree is in the way now,
    /// so the new one counts as exported: where that were recorded later, git-annex going on from here would take what is
    /// filled next for what was there before. Comes once, where there is any step.
    Settle,
}

impl Step {
    /// Steps of one turn do not depend on each other: moves, then removals; then content that comes, then copies of it.
    /// Directories go one after another.
    pub fn batch(&self) -> u8 {
        match self {
            Self::Rename { .. } | Self::StoreBlob { .. } | Self::NeedKey { .. } => 0,
            Self::Remove { .. } | Self::SetAside { .. } | Self::Copy { .. } => 1,
            Self::RemoveEmptyDirectory { .. } => 2,
            Self::Settle => 3,
        }
    }
}

impl Step {
    /// The names in the tree that it fills.
    pub fn fills(&self) -> &[Vec<u8>] {
        match self {
            Self::Rename { to: Place::Tree(to), .. }
            | Self::Copy { to: Place::Tree(to), .. }
            | Self::StoreBlob { to, .. } => std::slice::from_ref(to),
            Self::NeedKey { to, .. } => to,
            _ => &[],
        }
    }

    /// What is to be noted once it is done; of [`NeedKey`](Self::NeedKey) nothing, since nobody knows how much of it was.
    pub fn notes(&self) -> Vec<Note> {
        let note = |key: &Key, name: Vec<u8>, holds| Note { name, key: key.clone(), holds };
        match self {
            Self::Rename { key, from, to } => {
                vec![note(key, from.name(key), false), note(key, to.name(key), true)]
            }
            Self::Copy { key, to, .. } => vec![note(key, to.name(key), true)],
            Self::StoreBlob { key, to, .. } => vec![note(key, to.clone(), true)],
            Self::Remove { key, at, .. } => vec![note(key, at.name(key), false)],
            _ => Vec::new(),
        }
    }
}

impl Place {
    /// The name on the remote.
    pub fn name(&self, key: &Key) -> Vec<u8> {
        match self {
            Self::Tree(path) => path.clone(),
            Self::Object => names::object(key),
            Self::Temporary => names::temporary(key),
        }
    }
}

/// Plans from what the remote holds to what it shall hold. `names` are those that hold or want anything else than before,
/// each once; and, so that nothing is stored twice, those that hold a key which another of them wants. Names that hold and
/// want nothing help to find directories that are empty. All that want something are files of one tree.
///
/// Memory and time grow with `names`.
pub fn plan(names: &[Name], elsewhere: &Elsewhere) -> Vec<Step> {
    let mut keys: BTreeMap<&Key, OfKey<'_>> = BTreeMap::new();
    let mut first = Vec::new();
    let leaving: BTreeSet<&[u8]> = names.iter().filter(|name| name.leaves()).map(|name| name.path.as_slice()).collect();
    // Where the store takes two names for one, what has one of them now is moved out of the way first.
    let folded: BTreeSet<Vec<u8>> =
        names.iter().filter(|name| name.holds.is_some()).map(|name| names::folded(&name.path)).collect();
    for name in names {
        match &name.holds {
            Some(Holds::Key(key)) if name.wants.as_ref() == Some(key) => {
                keys.entry(key).or_default().kept.get_or_insert(&name.path);
                continue;
            }
            Some(Holds::Key(key)) => keys.entry(key).or_default().stray.push(&name.path),
            Some(Holds::Unknown) => {
                first.push(Step::SetAside { path: name.path.clone() });
            }
            None => {}
        }
        if let Some(key) = &name.wants {
            let of_key = keys.entry(key).or_default();
            let free = name.holds.is_none()
                && !is_in_the_way(&name.path, &leaving)
                && !folded.contains(&names::folded(&name.path));
            if free { &mut of_key.free } else { &mut of_key.taken }.push(&name.path);
        }
    }
    for key in &elsewhere.objects {
        keys.entry(key).or_default().object = true;
    }
    for key in &elsewhere.temporaries {
        keys.entry(key).or_default().temporary = true;
    }
    let mut second = Vec::new();
    for (key, of_key) in keys {
        of_key.plan(key, &mut first, &mut second);
    }
    first.sort_by_key(Step::batch);
    second.sort_by_key(Step::batch);
    first.extend(emptied(names, &leaving).into_iter().map(|path| Step::RemoveEmptyDirectory { path }));
    if !first.is_empty() || !second.is_empty() {
        first.push(Step::Settle);
    }
    first.append(&mut second);
    first
}

/// Where content of one key is and shall be.
#[derive(Default)]
struct OfKey<'a> {
    /// One of the names that hold and want it.
    kept: Option<&'a [u8]>,
    /// Names that hold it and want something else.
    stray: Vec<&'a [u8]>,
    /// Names that want it, at which nothing is.
    free: Vec<&'a [u8]>,
    /// Names that want it once something else has left.
    taken: Vec<&'a [u8]>,
    object: bool,
    temporary: bool,
}

impl OfKey<'_> {
    fn plan(mut self, key: &Key, first: &mut Vec<Step>, second: &mut Vec<Step>) {
        let blob = blob_of(key);
        let tree = |path: &[u8]| Place::Tree(path.to_vec());
        let rename = |from: Place, to: Place| Step::Rename { key: key.clone(), from, to };
        // Where it stays for good, once the steps so far are done.
        let mut safe = self.kept.map(tree);
        // What git holds too need not be kept, so it does not stay outside the tree. That place comes first, so that nothing is
        // moved there before it is known to be free.
        let outside = [(blob.is_some() && self.object, Place::Object), (self.temporary, Place::Temporary)];
        let mut stray: Vec<Place> = outside.into_iter().filter(|(held, _)| *held).map(|(_, place)| place).collect();
        stray.extend(self.stray.iter().map(|path| tree(path)));
        let direct = stray.len().min(self.free.len());
        let mut wanting = self.free.split_off(direct);
        let left = stray.split_off(direct);
        for (from, to) in stray.into_iter().zip(self.free) {
            first.push(rename(from, tree(to)));
            safe.get_or_insert(tree(to));
        }
        wanting.append(&mut self.taken);
        wanting.sort_unstable();
        let mut waiting = (self.object && blob.is_none()).then_some(Place::Object);
        for from in left {
            match safe.as_ref().or(waiting.as_ref()) {
                Some(at) if *at == from => {}
                Some(at) => first.push(Step::Remove { key: key.clone(), at: from, kept_at: Some(at.clone()) }),
                None if blob.is_some() && wanting.is_empty() => {
                    first.push(Step::Remove { key: key.clone(), at: from, kept_at: None });
                }
                None => {
                    if from != Place::Object {
                        first.push(rename(from, Place::Object));
                    }
                    waiting = Some(Place::Object);
                }
            }
        }
        let mut wanting = wanting.into_iter();
        if safe.is_none() && wanting.len() > 0 {
            match (waiting, blob) {
                (Some(from), _) => {
                    let to = tree(wanting.next().unwrap_or_default());
                    second.push(rename(from, to.clone()));
                    safe = Some(to);
                }
                (None, Some(blob)) => {
                    let to = wanting.next().unwrap_or_default().to_vec();
                    second.push(Step::StoreBlob { key: key.clone(), blob, to: to.clone() });
                    safe = Some(Place::Tree(to));
                }
                (None, None) => {
                    let to = wanting.by_ref().map(<[u8]>::to_vec).collect();
                    second.push(Step::NeedKey { key: key.clone(), to });
                }
            }
        }
        if let Some(from) = safe {
            second.extend(wanting.map(|to| Step::Copy { key: key.clone(), from: from.clone(), to: tree(to) }));
        }
    }
}

impl Name {
    /// Whether something leaves it, or may have left it.
    fn leaves(&self) -> bool {
        match (&self.holds, &self.wants) {
            (_, None) | (Some(Holds::Unknown), _) => true,
            (Some(Holds::Key(has)), Some(wants)) => has != wants,
            (None, Some(_)) => false,
        }
    }
}

/// Whether a file at `path` would need a directory where one of `leaving` is, or the other way round.
fn is_in_the_way(path: &[u8], leaving: &BTreeSet<&[u8]>) -> bool {
    directories(path).any(|directory| leaving.contains(directory)) || is_directory_of(path, leaving)
}

fn is_directory_of(path: &[u8], names: &BTreeSet<&[u8]>) -> bool {
    let below = [path, b"/"].concat();
    names.range(below.as_slice()..).next().is_some_and(|next| next.starts_with(&below))
}

/// The directories that hold nothing any more, as far as is known here; the innermost first.
fn emptied(names: &[Name], leaving: &BTreeSet<&[u8]>) -> Vec<Vec<u8>> {
    let staying: BTreeSet<&[u8]> =
        names.iter().filter(|name| name.wants.is_some()).map(|name| name.path.as_slice()).collect();
    let above: BTreeSet<&[u8]> = leaving.iter().flat_map(|path| directories(path)).collect();
    above.into_iter().rev().filter(|path| !is_directory_of(path, &staying)).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests;
