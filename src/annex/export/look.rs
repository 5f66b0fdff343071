//! What a name on the remote holds, from what is noted of it and from whether anything is there.

use super::plan::Holds;
use crate::name::Key;

/// What a look at a name found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Absent,
    /// Something is there, of this length in bytes where the store tells.
    Present(Option<u64>),
    /// The content of this key is there: it was read, and digested.
    Verified(Key),
}

/// What a name holds: `noted` is what the database has of it, `candidates` are the keys that exports which were cut since
/// may have put there.
///
/// A name is emptied, then that is noted for good, and only then it is filled ([`Step::Settle`](super::plan::Step::Settle)).
/// So what is found where something is noted is that, or was put there by a stranger; and what is found where nothing is
/// noted came from an export that was cut before it noted anything. Where lengths contradict that, or several keys are left,
/// nobody can tell.
pub fn resolve<'a>(
    noted: Option<&'a Key>,
    candidates: impl IntoIterator<Item = &'a Key>,
    found: Found,
) -> Option<Holds> {
    let len = match found {
        Found::Absent => return None,
        Found::Verified(key) => return Some(Holds::Key(key)),
        Found::Present(len) => len,
    };
    let fits = |key: &&Key| len.is_none() || key.content_len().is_none_or(|wanted| Some(wanted) == len);
    let mut left: Vec<&Key> = match noted {
        Some(key) => vec![key],
        None => candidates.into_iter().collect(),
    };
    left.retain(fits);
    left.sort_unstable();
    left.dedup();
    Some(match left[..] {
        [key] => Holds::Key(key.clone()),
        _ => Holds::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_holds_is_told_or_admitted_to_be_unknown() {
        let key = |text: &str| Key::parse(text.as_bytes()).expect("a key");
        let (small, large, same) = (key("SHA256-s1--a"), key("SHA256-s2--b"), key("SHA256-s2--c"));
        let told = |noted: Option<&Key>, candidates: &[&Key], found| {
            resolve(noted, candidates.iter().copied(), found).map(|holds| match holds {
                Holds::Key(key) => key.to_string(),
                Holds::Unknown => "?".to_string(),
            })
        };
        let some = |text: &str| Some(text.to_string());
        let (at_one, at_two, any) = (Found::Present(Some(1)), Found::Present(Some(2)), Found::Present(None));
        assert_eq!(told(Some(&small), &[&large], Found::Absent), None);
        assert_eq!(told(Some(&small), &[&large], any.clone()), some("SHA256-s1--a"));
        assert_eq!(told(Some(&small), &[&large], at_two.clone()), some("?"), "a stranger put it there");
        assert_eq!(told(None, &[], any.clone()), some("?"));
        assert_eq!(told(None, &[&large], any.clone()), some("SHA256-s2--b"));
        assert_eq!(told(None, &[&large, &small], at_one.clone()), some("SHA256-s1--a"));
        assert_eq!(told(None, &[&large, &same], at_two.clone()), some("?"));
        assert_eq!(told(Some(&large), &[], Found::Verified(small.clone())), some("SHA256-s1--a"));
        assert_eq!(told(None, &[&large, &large], at_two.clone()), some("SHA256-s2--b"));
    }
}
