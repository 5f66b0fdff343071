//! What it costs to reach a remote.

use super::{GitRemote, RemoteKind, SpecialConfig};

/// Of a place on this computer.
const NEAR: f64 = 100.0;

/// Of all others.
const FAR: f64 = 200.0;

/// Added where content is encrypted on its way.
const ENCRYPTED: f64 = 50.0;

/// The cost of a remote: `set`, which is `remote.NAME.annex-cost`, or what git-annex takes for its kind. git-annex sets
/// `annex-cost` itself for a remote that a program of its own is asked about; `annex-cost-command` is not run.
///
/// Recorded: what `git annex info` of git-annex 10.20261026 shows; a value that is no number counts as none.
pub(super) fn cost(set: Option<&[u8]>, kind: &RemoteKind) -> f64 {
    let (default, more) = match kind {
        RemoteKind::Git(git) => (if is_near(git) { NEAR } else { FAR }, 0.0),
        RemoteKind::Special(special) => {
            let is_encrypted = special.value("encryption").is_some_and(|value| value != b"none");
            (of_special(special), if is_encrypted { ENCRYPTED } else { 0.0 })
        }
    };
    set.and_then(number).unwrap_or(default) + more
}

fn of_special(special: &SpecialConfig) -> f64 {
    let is = |name: &str, value: &[u8]| special.value(name) == Some(value);
    let is_directory = is("type", b"directory") || is("externaltype", b"stream") && is("scheme", b"fs");
    if is_directory { NEAR } else { FAR }
}

/// Whether the url is a path here.
fn is_near(git: &GitRemote) -> bool {
    let url = git.annex_url.as_ref().unwrap_or(&git.url);
    let path = url.strip_prefix(b"file://").unwrap_or(url);
    let colon = path.iter().position(|byte| *byte == b':');
    colon.is_none_or(|colon| path[..colon].contains(&b'/'))
}

/// The number that the text begins with, as Haskell reads one: after white space, and with a digit on either side of a dot.
fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text.trim_ascii_start()).ok()?;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let whole = digits(&text[sign..]);
    let mut end = sign + whole;
    if whole == 0 {
        return None;
    }
    if let Some(rest) = text[end..].strip_prefix('.') {
        end += if digits(rest) > 0 { 1 + digits(rest) } else { 0 };
    }
    if let Some(rest) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(rest.starts_with(['-', '+']));
        end += if digits(&rest[sign..]) > 0 { 1 + sign + digits(&rest[sign..]) } else { 0 };
    }
    text[..end].parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: `git annex info` after `git config remote.NAME.annex-cost`.
    #[test]
    fn numbers_are_read_as_git_annex_reads_them() {
        for (text, read) in [
            ("5.5", Some(5.5)),
            ("1e2", Some(100.0)),
            (" 5 ", Some(5.0)),
            ("5.", Some(5.0)),
            ("1,5", Some(1.0)),
            ("-3", Some(-3.0)),
            (".5", None),
            ("+3", None),
            ("", None),
            ("x", None),
            ("1e999", None),
            ("1e", Some(1.0)),
        ] {
            assert_eq!(number(text.as_bytes()), read, "{text:?}");
        }
    }
}
