//! Every path of the repository that is named in backticks is there, from the top or as the end of a source file's path.

use std::path::Path;

use super::markdown::{Kind, Piece};

/// How a word begins that is a path from the top.
const ROOTS: &[&str] = &["src/", "remotes/", "tests/", "testdata/", "docs/", "bench/"];

/// Pages and the paths on them that were there once: an entry of decisions.md is not changed when files move.
const GONE: &[(&str, &str)] = &[("docs/decisions.md", "tests/support")];

/// What is wrong with the paths in backticks on the page `name`.
pub fn lies(top: &Path, name: &str, page: &[Piece]) -> Vec<String> {
    let mut lies = Vec::new();
    for span in page.iter().filter(|piece| piece.kind == Kind::Span) {
        let wrong = paths(&span.text)
            .into_iter()
            .filter(|path| !is_there(top, path) && !GONE.contains(&(name, path)))
            .chain(lost_ending(top, &span.text));
        lies.extend(wrong.map(|path| format!("{name}:{}: there is no {path}", span.line)));
    }
    lies
}

/// A span such as `s3/plan.rs`, where no source file's path ends so.
fn lost_ending(top: &Path, span: &str) -> Option<String> {
    let is_one = span.ends_with(".rs") && span.contains('/') && !span.contains(|c: char| c.is_whitespace() || c == '*');
    let from_top = ROOTS.iter().any(|root| span.starts_with(root));
    let is_end = || ROOTS.iter().any(|root| is_below(&top.join(root), span));
    (is_one && !from_top && !is_end()).then(|| span.to_string())
}

/// Whether the path of a file below `dir` ends in `end`.
fn is_below(dir: &Path, end: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries
        .flatten()
        .map(|entry| entry.path())
        .any(|path| path.ends_with(end) || (path.is_dir() && is_below(&path, end)))
}

/// The words of a span that are paths from the top, each for itself where braces stand for several.
fn paths(span: &str) -> Vec<String> {
    let mut words = span.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        // `remotes/service-webdav` is a feature of a package.
        if word == "--features" {
            words.next();
        } else if ROOTS.iter().any(|root| word.starts_with(root)) {
            found.extend(spelled_out(word));
        }
    }
    found
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn spelled_out(word: &str) -> Vec<String> {
    let Some((before, rest)) = word.split_once('{') else { return vec![word.to_string()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![word.to_string()] };
    choices.split(',').flat_map(|choice| spelled_out(&format!("{before}{choice}{after}"))).collect()
}

fn is_there(top: &Path, path: &str) -> bool {
    if top.join(path).exists() {
        return true;
    }
    let levels: Vec<String> = path.split('/').filter(|level| !level.is_empty()).map(pattern).collect();
    levels.iter().any(|level| level.contains('*')) && matches(top, &levels)
}

/// A level of a path, with `*` for what stands for something else: a word in capitals, as in `service-NAME`.
fn pattern(level: &str) -> String {
    let mut out = String::new();
    let mut rest = level;
    while let Some(c) = rest.chars().next() {
        let capitals = rest.chars().take_while(char::is_ascii_uppercase).count();
        let taken = if capitals > 1 { capitals } else { c.len_utf8() };
        out.push_str(if capitals > 1 { "*" } else { &rest[..taken] });
        rest = &rest[taken..];
    }
    out
}

/// Whether something below `dir` has these levels.
fn matches(dir: &Path, levels: &[String]) -> bool {
    let Some((level, below)) = levels.split_first() else { return true };
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| fits(&entry.file_name().to_string_lossy(), level) && matches(&entry.path(), below))
}

fn fits(name: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.into_iter().any(|at| fits(&rest[at..], after))
        }),
    }
}

#[test]
fn a_path_that_lies_is_found() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (span, lies_there) in [
        ("tests/house/docs/paths.rs", 0),
        ("tests/house/docs/", 0),
        ("tests/house/docs/{paths,links}.rs", 0),
        ("tests/house/docs/l*s.rs", 0),
        ("src/cli/NAME.rs", 0),
        ("cargo build --features remotes/service-NAME", 0),
        ("tests of mine", 0),
        ("docs/paths.rs", 1),
        ("serve/conn/tls.rs", 0),
        ("x/tls.rs", 1),
        ("tests/house/docs/nothing.rs", 1),
        ("tests/house/docs/{paths,nothing}.rs", 1),
        ("tests/house/docs/x*.rs", 1),
        ("src/nothing/NAME.rs", 1),
        ("python3 testdata/nothing.py tests/nothing", 2),
        ("src/cli/Nothing.rs", 1),
    ] {
        let page = [Piece { kind: Kind::Span, line: 1, text: span.to_string() }];
        let found = lies(top, "a.md", &page);
        assert_eq!(found.len(), lies_there, "{span}: {found:?}");
    }
}
