//! Options of a store, as users write them at initremote.

use annex_types::size;
use std::collections::BTreeMap;

use crate::{Error, Kind, Op, Result};

/// An option that a store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Name, as git-annex's own types or OpenDAL call it.
    pub name: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    /// True where the value is kept with git-annex's credentials, and never in the git-annex branch.
    pub secret: bool,
}

impl Spec {
    /// An option anyone may read.
    pub const fn plain(name: &'static str, about: &'static str) -> Self {
        Self { name, about, secret: false }
    }

    /// An option whose value is a secret.
    pub const fn secret(name: &'static str, about: &'static str) -> Self {
        Self { name, about, secret: true }
    }
}

/// Values by option name. An empty value is the same as none, as in git-annex.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, Vec<u8>>);

impl Options {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one; an empty value unsets it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if value.is_empty() {
            self.0.remove(&name.into());
        } else {
            self.0.insert(name.into(), value);
        }
    }

    /// The value's bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The value as text.
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.bytes(name).map(|v| std::str::from_utf8(v).map_err(|_| bad(name, "is not UTF-8"))).transpose()
    }

    /// The value as text.
    ///
    /// # Errors
    ///
    /// It is missing, or not UTF-8.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name)?.ok_or_else(|| bad(name, "is missing"))
    }

    /// `yes` or `no`, `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        Ok(match self.text(name)? {
            None => None,
            Some("yes" | "true") => Some(true),
            Some("no" | "false") => Some(false),
            Some(v) => return Err(bad(name, &format!("is yes or no, not {v:?}"))),
        })
    }

    /// A size in bytes, in git-annex's syntax (`64MiB`, `1.5 gb`).
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        self.text(name)?
            .map(|v| size::parse(v).ok_or_else(|| bad(name, &format!("is a size like 64MiB, not {v:?}"))))
            .transpose()
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
        self.text(name)?
            .map(|v| {
                v.parse().ok().filter(|n| bounds.contains(n)).ok_or_else(|| {
                    bad(name, &format!("is a number from {} to {}, not {v:?}", bounds.start(), bounds.end()))
                })
            })
            .transpose()
    }

    /// Names and values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }
}

/// Secrets may be among the values.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// An error about one option.
pub fn bad(name: &str, what: &str) -> Error {
    Error::new(Op::Open, Kind::Option, format!("option {name}= {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_where_they_are_read() {
        let mut o = Options::new();
        o.set("port", "70000");
        o.set("public", "maybe");
        o.set("partsize", "64MiB");
        o.set("bucket", "");
        o.set("prefix", vec![0xff]);
        assert_eq!(o.number("port", 1..=65535).expect_err("too large").kind(), Kind::Option);
        assert!(o.flag("public").expect_err("no flag").to_string().contains("public="));
        assert_eq!(o.size("partsize").expect("a size"), Some(64 << 20));
        assert!(o.required("bucket").expect_err("empty is none").to_string().contains("bucket= is missing"));
        assert!(o.text("prefix").is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        let mut o = Options::new();
        o.set("password", "hunter2");
        assert!(!format!("{o:?}").contains("hunter2"));
    }
}
