//! Every target of make, and every test and example of cargo, that a page names is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::{Kind, Piece};

/// What can be asked for by name.
pub struct Known {
    make: BTreeSet<String>,
    tests: BTreeSet<String>,
    examples: BTreeSet<String>,
}

impl Known {
    pub fn of(top: &Path) -> Known {
        let makefile = std::fs::read_to_string(top.join("Makefile")).expect("the Makefile");
        let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).expect("a list of targets");
        let in_all =
            |folder: &str| ["", "remotes", "bench"].iter().flat_map(|at| names(&top.join(at).join(folder))).collect();
        Known {
            make: phony.split_whitespace().map(String::from).collect(),
            tests: in_all("tests"),
            examples: in_all("examples"),
        }
    }

    pub fn lies(&self, name: &str, page: &[Piece]) -> Vec<String> {
        let told = page.iter().filter(|piece| matches!(piece.kind, Kind::Span | Kind::Code));
        told.flat_map(|piece| self.wrong(&piece.text).into_iter().map(|w| format!("{name}:{}: {w}", piece.line)))
            .collect()
    }

    fn wrong(&self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let placeholder = |word: &str| word.chars().all(|c| c.is_ascii_uppercase());
        let missing = |what: &str, known: &BTreeSet<String>, word: &str| {
            (!known.contains(word) && !placeholder(word)).then(|| format!("there is no {what} {word}"))
        };
        let mut wrong = Vec::new();
        if words.first() == Some(&"make") {
            let targets = words[1..].iter().filter(|word| !word.contains('='));
            wrong.extend(targets.filter_map(|target| missing("make", &self.make, target)));
        }
        if words.contains(&"cargo") {
            for pair in words.windows(2) {
                match *pair {
                    ["--test", word] => wrong.extend(missing("test", &self.tests, word)),
                    ["--example", word] => wrong.extend(missing("example", &self.examples, word)),
                    _ => {}
                }
            }
        }
        wrong
    }
}

/// The names that cargo has for the files and folders of a folder.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let own = paths.filter(|path| path.join("main.rs").exists() || path.extension().is_some_and(|ext| ext == "rs"));
    own.filter_map(|path| Some(path.file_stem()?.to_str()?.to_string())).collect()
}

#[test]
fn a_target_that_lies_is_found() {
    let known = Known::of(Path::new(env!("CARGO_MANIFEST_DIR")));
    for (text, lies_there) in [
        ("make test FUZZ_TIME=5", 0),
        ("make lint # make nothing", 0),
        ("cargo nextest run --workspace --test house", 0),
        ("cargo run -p remotes --example own_store", 0),
        ("cargo test --test NAME", 0),
        ("we make nothing up", 0),
        ("make nothing", 1),
        ("make lint nothing", 1),
        ("cargo test --test nothing", 1),
        ("cargo run -p remotes --example nothing", 1),
    ] {
        let page = [Piece { kind: Kind::Span, line: 1, text: text.to_string() }];
        let found = known.lies("a.md", &page);
        assert_eq!(found.len(), lies_there, "{text}: {found:?}");
    }
}
