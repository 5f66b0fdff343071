//! Reading a term: `copies=archive:2`.

use std::ops::Range;

use super::ast::{Balance, Comparison, Counted, GroupLimit, Name, Picks, Term, Value};
use super::facts::Mime;
use super::glob::Glob;
use super::warn::{Fault, Oddity, ParseError, Warning};
use super::{Trust, number, size};

/// Which terms an expression may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// Those of preferred content.
    PreferredContent,
    /// Those of annex.largefiles, which is about content that has no key yet.
    LargeFiles,
}

/// Reads the term `word`, which stands at `at`, and adds what is odd in it.
pub(in crate::wanted) fn parse(
    word: &[u8],
    vocabulary: Vocabulary,
    at: &Range<usize>,
    warnings: &mut Vec<Warning>,
) -> Result<Term, ParseError> {
    let mut reader = Reader { at, warnings };
    let term = match vocabulary {
        Vocabulary::PreferredContent => reader.term(word),
        Vocabulary::LargeFiles => reader.large_files_term(word),
    };
    term.map_err(|fault| ParseError { at: at.clone(), fault })
}

struct Reader<'a> {
    at: &'a Range<usize>,
    warnings: &'a mut Vec<Warning>,
}

impl Reader<'_> {
    /// Source: recorded, `unused` too.
    fn large_files_term(&mut self, word: &[u8]) -> Result<Term, Fault> {
        let (name, value) = split(word, b'=').unwrap_or((word, b""));
        match name {
            b"mimetype" => Ok(Term::Mime(Mime::Type, self.glob(Glob::parse(value), value))),
            b"mimeencoding" => Ok(Term::Mime(Mime::Encoding, self.glob(Glob::parse(value), value))),
            b"anything" | b"nothing" | b"unused" | b"include" | b"exclude" | b"largerthan" | b"smallerthan" => {
                self.term(word)
            }
            _ => Err(Fault::UnknownTerm(word.into())),
        }
    }

    fn term(&mut self, word: &[u8]) -> Result<Term, Fault> {
        // A term that takes a value may come without `=`: the value is empty then.
        let (name, value) = split(word, b'=').unwrap_or((word, b""));
        let alone = match word {
            b"anything" => Some(Term::Anything),
            b"nothing" => Some(Term::Nothing),
            b"present" => Some(Term::Present),
            b"inpreferreddir" => Some(Term::InPreferredDir),
            b"standard" => Some(Term::Standard),
            b"groupwanted" => Some(Term::GroupWanted),
            b"unused" => Some(Term::Unused),
            b"securehash" => Some(Term::SecureHash),
            _ => None,
        };
        if let Some(term) = alone {
            return Ok(term);
        }
        let balance = |fully, by_size| Balance { fully, by_size };
        Ok(match name {
            b"include" => Term::Include(self.glob(Glob::parse(value), value)),
            b"exclude" => Term::Exclude(self.glob(Glob::parse(value), value)),
            b"url" => Term::Url(self.glob(Glob::parse(value), value)),
            b"copies" => {
                let bad = (Fault::BadNumber("copies"), Fault::BadValue("copies"));
                let (of, least) = self.counted(value, bad)?;
                if least < 1 {
                    self.warn(Oddity::NoCopies);
                }
                Term::Copies { of: trusted(of), least }
            }
            b"lackingcopies" => self.lacking(value, false)?,
            b"approxlackingcopies" => self.lacking(value, true)?,
            b"inbackend" => Term::InBackend(self.name(value)),
            b"inallgroup" => Term::InAllGroup(self.name(value)),
            b"onlyingroup" => Term::OnlyInGroup(self.name(value)),
            b"smallerthan" => Term::SmallerThan(self.size(value)?),
            b"largerthan" => Term::LargerThan(self.size(value)?),
            b"metadata" => self.metadata(value)?,
            b"balanced" => self.balanced("balanced", value, balance(false, false))?,
            b"fullybalanced" => self.balanced("fullybalanced", value, balance(true, false))?,
            b"sizebalanced" => self.balanced("sizebalanced", value, balance(false, true))?,
            b"fullysizebalanced" => self.balanced("fullysizebalanced", value, balance(true, true))?,
            _ => return Err(Fault::UnknownTerm(word.into())),
        })
    }

    /// `N`, `WHAT:N` or `LIMIT=N`: an only `:` goes before an only `=`.
    fn counted(&mut self, value: &[u8], (number, several): (Fault, Fault)) -> Result<(Counted, i64), Fault> {
        let count = |byte: u8| value.iter().filter(|found| **found == byte).count();
        let (of, digits) = match split(value, b':') {
            Some((group, digits)) if count(b':') == 1 => (Counted::Group(group.into()), digits),
            _ if count(b'=') > 1 => return Err(several),
            _ => match split(value, b'=') {
                Some((limit, digits)) => (Counted::Limit(self.limit(limit)), digits),
                None => (Counted::All, value),
            },
        };
        let (least, rest) = number::whole(digits).ok_or(number)?;
        if !rest.is_empty() {
            self.warn(Oddity::AfterNumber);
        }
        Ok((of, least))
    }

    fn lacking(&mut self, value: &[u8], approximately: bool) -> Result<Term, Fault> {
        let bad = || Fault::BadValue("number of lacking copies");
        let (of, least) = self.counted(value, (bad(), bad()))?;
        Ok(Term::LackingCopies { of, least, approximately })
    }

    fn limit(&mut self, text: &[u8]) -> GroupLimit {
        let (mut limit, mut rest, mut excluded) = (GroupLimit::default(), text, false);
        loop {
            let end = rest.iter().position(|byte| matches!(byte, b'+' | b'-')).unwrap_or(rest.len());
            if end > 0 {
                let list = if excluded { &mut limit.excluded } else { &mut limit.included };
                list.push(rest[..end].into());
            }
            let Some(mark) = rest.get(end) else { break };
            (excluded, rest) = (*mark == b'-', &rest[end + 1..]);
        }
        if limit == GroupLimit::default() {
            self.warn(Oddity::NoLimit);
        }
        limit
    }

    /// `GROUP`, `GROUP:N`, `GROUP:lackingcopies` or `GROUP:lackingcopies=LIMIT`.
    fn balanced(&mut self, term: &'static str, value: &[u8], how: Balance) -> Result<Term, Fault> {
        let (group, rest) = split(value, b':').map_or((value, None), |(group, rest)| (group, Some(rest)));
        let picks = match rest {
            None => Picks::Number(1),
            Some(rest) if rest.contains(&b':') => return Err(Fault::BadValue(term)),
            Some(b"lackingcopies") => Picks::LackingCopies(GroupLimit::default()),
            Some(rest) => match rest.strip_prefix(b"lackingcopies=") {
                Some(limit) if limit.contains(&b'=') => return Err(Fault::BadValue("number of lacking copies")),
                Some(limit) => Picks::LackingCopies(self.limit(limit)),
                None => {
                    let (picks, rest) = number::whole(rest).ok_or(Fault::BadNumber(term))?;
                    if !rest.is_empty() {
                        self.warn(Oddity::AfterNumber);
                    }
                    if picks < 1 {
                        self.warn(Oddity::NoCopies);
                    }
                    Picks::Number(picks)
                }
            },
        };
        Ok(Term::Balanced { how, group: self.name(group), picks })
    }

    fn metadata(&mut self, value: &[u8]) -> Result<Term, Fault> {
        let end = value.iter().position(|byte| matches!(byte, b'=' | b'<' | b'>')).unwrap_or(value.len());
        let (field, rest) = value.split_at(end);
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let known = std::str::from_utf8(field).ok();
        let known = known.filter(|name| name.starts_with(char::is_alphanumeric) && name.chars().all(allowed));
        let field = known.ok_or_else(|| Fault::BadField(field.into()))?.to_lowercase();
        let (comparison, against) = match rest {
            [b'<', b'=', against @ ..] => (Some(Comparison::LessOrEqual), against),
            [b'>', b'=', against @ ..] => (Some(Comparison::GreaterOrEqual), against),
            [b'<', against @ ..] => (Some(Comparison::Less), against),
            [b'>', against @ ..] => (Some(Comparison::Greater), against),
            [_, against @ ..] => (None, against),
            [] => (None, rest),
        };
        let value = match comparison {
            Some(comparison) => Value::Compared(comparison, against.into()),
            None => Value::Like(self.glob(Glob::parse_any_case(against), against)),
        };
        Ok(Term::Metadata { field: field.into_bytes().into(), value })
    }

    fn size(&mut self, value: &[u8]) -> Result<size::Bytes, Fault> {
        let (bytes, more) = size::parse(value).ok_or(Fault::BadSize)?;
        if more {
            self.warn(Oddity::AfterNumber);
        }
        Ok(bytes)
    }

    fn glob(&mut self, glob: Glob, text: &[u8]) -> Glob {
        if glob.is_bad() {
            self.warn(Oddity::BadGlob);
        } else if text.is_empty() {
            self.warn(Oddity::Empty);
        }
        glob
    }

    fn name(&mut self, name: &[u8]) -> Name {
        if name.is_empty() {
            self.warn(Oddity::Empty);
        }
        name.into()
    }

    fn warn(&mut self, what: Oddity) {
        self.warnings.push(Warning { at: self.at.clone(), what });
    }
}

/// What stands before and after the first `mark`.
fn split(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

/// A trust level that was read as a group. Only `copies` knows them, and not in a group limit.
fn trusted(of: Counted) -> Counted {
    let Counted::Group(name) = &of else { return of };
    let (name, or_higher) = name.strip_suffix(b"+").map_or((&name[..], false), |name| (name, true));
    match Trust::of_word(name) {
        Some(level) => Counted::Trust { level, or_higher },
        None => of,
    }
}
