//! Types are called what docs/words.md calls them, and no two of a layer alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The word list.
pub const PAGE: &str = "docs/words.md";

/// Folders of which each folder below is a layer of its own: a wire, a store, a way to reach a peer.
const SPLIT: &[&str] = &["src/proto", "src/peer", "src/serve", "remotes/src"];

/// The types that others can name, with the files that define them.
pub struct Types(BTreeMap<(String, String), Vec<String>>);

impl Types {
    /// Those of `files`: each a path from the top, and its source.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Types {
        let mut types: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for (file, source) in files {
            for line in source.lines() {
                if let Some(name) = public_type(line) {
                    types.entry((layer(file), name.to_string())).or_default().push(file.to_string());
                }
            }
        }
        Types(types)
    }

    /// Names that a layer has twice.
    pub fn doubles(&self) -> Vec<String> {
        let doubles = self.0.iter().filter(|(_, files)| files.len() > 1);
        doubles.map(|((layer, name), files)| format!("{layer} has {name} twice: {}", files.join(", "))).collect()
    }

    /// Names in the first column of the word list that no type has.
    pub fn unknown(&self, page: &str) -> Vec<String> {
        let rows = page.lines().filter(|line| line.starts_with("| **")).filter_map(|line| line.split('|').nth(1));
        let spans = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let named = spans.filter(|span| span.starts_with(char::is_uppercase));
        let is_type = |name: &str| self.0.keys().any(|(_, known)| known == name);
        named.filter(|name| !is_type(name)).map(|name| format!("{PAGE} names {name}, which is no type")).collect()
    }
}

fn public_type(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("pub")?;
    let line = line.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(line, |(_, rest)| rest);
    let (kind, rest) = line.trim_start().split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    matches!(kind, "struct" | "enum" | "trait").then_some(&rest[..end])
}

fn layer(file: &str) -> String {
    let deep = SPLIT.iter().find(|split| file.strip_prefix(*split).is_some_and(|rest| rest[1..].contains('/')));
    let depth = deep.map_or(2, |split| split.split('/').count() + 1);
    file.split('/').take(depth).collect::<Vec<_>>().join("/")
}

/// All source files but tests, as [`Types::of`] takes them.
pub fn sources(top: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    ["src", "remotes/src"].iter().for_each(|dir| rust_files(&top.join(dir), &mut files));
    let read = |file: PathBuf| {
        let name = file.strip_prefix(top).expect("below the top").to_str().expect("text").to_string();
        (name, std::fs::read_to_string(&file).expect("a source file is text"))
    };
    files.into_iter().map(read).filter(|(name, _)| !name.contains("tests")).collect()
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn a_word_that_means_two_things_is_found() {
    let types = Types::of([
        ("src/annex/log/a.rs", "pub struct Left {\n    pub enum: u8,"),
        ("src/annex/export/b.rs", "    pub(super) enum Left {"),
        ("src/proto/http/a.rs", "pub struct Put;"),
        ("src/proto/p2p/a.rs", "pub struct Put;"),
        ("src/proto/line.rs", "pub struct Line<'a>(&'a [u8]);"),
        ("src/gateway/a.rs", "struct Left;"),
    ]);
    assert_eq!(types.doubles(), ["src/annex has Left twice: src/annex/log/a.rs, src/annex/export/b.rs"]);
    let page = "| word |\n| **put** (`Put`, `Line`) | a `Story` |\n| **key** (`Key`, `annex_types::size`) | |\n";
    assert_eq!(types.unknown(page), [format!("{PAGE} names Key, which is no type")]);
}
