//! The log of a key's metadata (`.log.met`): fields and values that people gave it.

use std::collections::BTreeMap;

use super::meta::plain;
use super::stamp::Stamp;
use super::{cut, lines};

/// Metadata of a key, read from lines `TIME FIELD +VALUE -VALUE FIELD ...`. Of a field and a value the newest line counts, of
/// equals the last. Fields are the same in any case. Source: recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    fields: BTreeMap<Vec<u8>, Field>,
    /// The time of the newest line.
    newest: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    values: BTreeMap<Vec<u8>, (Stamp, bool)>,
    newest: Stamp,
}

/// What stands behind the name of a field where the time of its last change is meant.
const LAST_CHANGED: &[u8] = b"lastchanged";

impl Metadata {
    /// Reads a log. What is malformed is left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut read = Self::default();
        for (stamp, rest) in lines(log).filter_map(cut) {
            let Some(stamp) = Stamp::parse(stamp) else { continue };
            read.newest = read.newest.max(Some(stamp));
            let mut name: Option<Vec<u8>> = None;
            for word in rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                let (is_set, value) = match word {
                    [b'+', value @ ..] => (true, value),
                    [b'-', value @ ..] => (false, value),
                    _ => {
                        name = Some(lower(word));
                        continue;
                    }
                };
                let (Some(name), Some(value)) = (&name, plain(value)) else { continue };
                let new = || Field { values: BTreeMap::new(), newest: stamp };
                let field = read.fields.entry(name.clone()).or_insert_with(new);
                field.newest = field.newest.max(stamp);
                if field.values.get(&value).is_none_or(|(have, _)| stamp >= *have) {
                    field.values.insert(value, (stamp, is_set));
                }
            }
        }
        read
    }

    /// Names every value of a field to `value`; `name` is in lower case. `lastchanged` is the time of the newest line, and
    /// `FIELD-lastchanged` that of the newest line of a field that has a value, `2026-11-29@18-06-17` in UTC; both beside values
    /// that are recorded under these names.
    pub fn values(&self, name: &[u8], value: &mut dyn FnMut(&[u8])) {
        self.recorded(name).for_each(&mut *value);
        let changed = if name == LAST_CHANGED {
            self.newest
        } else {
            let of = name.strip_suffix(LAST_CHANGED).and_then(|name| name.strip_suffix(b"-"));
            of.filter(|of| self.recorded(of).next().is_some()).map(|of| self.fields[of].newest)
        };
        if let Some(changed) = changed {
            value(changed.date().as_bytes());
        }
    }

    /// The names of the fields that have a value.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.keys().map(Vec::as_slice).filter(|name| self.recorded(name).next().is_some())
    }

    fn recorded(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let values = self.fields.get(name).into_iter().flat_map(|field| &field.values);
        values.filter(|(_, (_, is_set))| *is_set).map(|(value, _)| value.as_slice())
    }
}

/// A name in lower case, also beyond ASCII.
fn lower(name: &[u8]) -> Vec<u8> {
    std::str::from_utf8(name).map_or_else(|_| name.to_ascii_lowercase(), |name| name.to_lowercase().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(log: &str, field: &str) -> Vec<String> {
        let mut shown = Vec::new();
        Metadata::parse(log.as_bytes())
            .values(field.as_bytes(), &mut |value| shown.push(String::from_utf8_lossy(value).into_owned()));
        shown
    }

    /// Recorded: what `git annex metadata` shows of these.
    #[test]
    fn values_are_those_git_annex_shows() {
        let log = "5s Tag +a +b\n6s tag -a\n7s author +x\n8s foo +!YSBi\n";
        for (field, values) in [
            ("tag", &["b"][..]),
            ("author", &["x"]),
            ("foo", &["a b"]),
            ("lastchanged", &["1970-01-01@00-00-08"]),
            ("tag-lastchanged", &["1970-01-01@00-00-06"]),
            ("author-lastchanged", &["1970-01-01@00-00-07"]),
            ("nosuch", &[]),
            ("nosuch-lastchanged", &[]),
        ] {
            assert_eq!(shown(log, field), values, "{field}");
        }
        for (log, field, values) in [
            ("5s tag +a\n5s tag -a\n", "tag", &[][..]),
            ("5s tag -a\n5s tag +a\n", "tag", &["a"]),
            ("5s tag -a +a\n", "tag", &["a"]),
            ("5s tag +a -a\n", "tag", &[]),
            ("5s tag +a\n6s tag -a\n", "lastchanged", &["1970-01-01@00-00-06"]),
            ("5s tag +a\n6s tag -a\n", "tag-lastchanged", &[]),
            ("5s tag-lastchanged +9\n7s tag +q\n", "tag-lastchanged", &["9", "1970-01-01@00-00-07"]),
            ("6s lastchanged +zz\n7s tag +q\n", "lastchanged", &["zz", "1970-01-01@00-00-07"]),
            ("6s lastchanged +zz\n7s tag +q\n", "lastchanged-lastchanged", &["1970-01-01@00-00-06"]),
            ("5.7s tag +q\n-9s a +b\n", "tag-lastchanged", &["1970-01-01@00-00-05"]),
            ("5.7s tag +q\n-9s a +b\n", "a-lastchanged", &["1969-12-31@23-59-51"]),
            ("99999999999s tag +q\n9s +b\n", "lastchanged", &["5138-11-16@09-46-39"]),
            ("9s TAG +q\n10s tag +r\n11s tag -q\n", "tag-lastchanged", &["1970-01-01@00-00-11"]),
            ("12s x +\n13s y +!!!!\n", "x", &[""]),
            ("12s x +\n13s y +!!!!\n", "y", &[]),
        ] {
            assert_eq!(shown(log, field), values, "{log:?} {field}");
        }
    }
}
