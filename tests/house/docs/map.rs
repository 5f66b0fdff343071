//! The map of folders in docs/architecture.md is made of the first line of each module.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page with the map, between these two lines.
pub const PAGE: &str = "docs/architecture.md";
const BEGIN: &str = "<!-- The first lines of the modules. STREAM_TEST_WRITE=1 cargo test --workspace --test house writes this map. -->\n```\n";
const END: &str = "```\n<!-- The end of the map. -->\n";

/// The sources, and how many levels deep their single files are shown; folders are shown at every level.
const TREES: &[(&str, usize)] = &[("src", 2), ("remotes/src", 1), ("tests/servers/src", 1), ("tests/testbed/src", 1)];

/// Where the words begin.
const COLUMN: usize = 27;

/// The map, and what is wrong with the first lines that it is made of.
pub fn map(top: &Path) -> (String, Vec<String>) {
    let mut map = Map { text: String::new(), lies: Vec::new() };
    for (root, files) in TREES {
        let head = map.head(&top.join(root).join("lib.rs"));
        map.line(0, &format!("{root}/"), &head);
        map.folder(&top.join(root), 1, *files);
    }
    (map.text, map.lies)
}

/// `page` with `map` in its place, or `None` where the page has no place for one.
pub fn put(page: &str, map: &str) -> Option<String> {
    let start = page.find(BEGIN)? + BEGIN.len();
    let end = start + page[start..].find(END)?;
    Some(format!("{}{map}{}", &page[..start], &page[end..]))
}

struct Map {
    text: String,
    lies: Vec<String>,
}

impl Map {
    fn line(&mut self, level: usize, name: &str, head: &str) {
        let name = format!("{}{name} ", "  ".repeat(level));
        writeln!(self.text, "{name:COLUMN$}{head}").expect("a string takes all");
    }

    /// What is in `dir`: files first, then folders, by name.
    fn folder(&mut self, dir: &Path, level: usize, files: usize) {
        let (folders, single): (Vec<PathBuf>, Vec<PathBuf>) = modules(dir).into_iter().partition(|path| path.is_dir());
        if level <= files {
            for file in single {
                let head = self.head(&file);
                self.line(level, &name(&file), &head);
            }
        }
        for folder in folders {
            // A crate of its own inside another's folder has a lib.rs.
            let own = ["mod.rs", "lib.rs"].map(|name| folder.join(name)).into_iter().find(|own| own.exists());
            let head = self.head(&own.unwrap_or_else(|| folder.with_extension("rs")));
            self.line(level, &format!("{}/", name(&folder)), &head);
            self.folder(&folder, level + 1, files);
        }
    }

    /// The first line of a module, which is one sentence or more, as people read it.
    fn head(&mut self, file: &Path) -> String {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let first = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        if !first.ends_with('.') {
            self.lies
                .push(format!("{}: the first line has to be `//!` and a whole sentence, for the map", file.display()));
        }
        first.replace("[`", "`").replace("`]", "`")
    }
}

/// The files and folders of `dir` that the map shows: neither tests nor what heads a folder.
fn modules(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| if path.is_dir() { is_folder(path) } else { is_shown(path) });
    found.sort();
    found
}

fn is_folder(dir: &Path) -> bool {
    name(dir) != "tests" && !modules(dir).is_empty()
}

fn is_shown(file: &Path) -> bool {
    let name = name(file);
    let Some(stem) = name.strip_suffix(".rs") else { return false };
    let heads_a_folder =
        matches!(stem, "mod" | "lib") || (file.with_extension("").is_dir() && is_folder(&file.with_extension("")));
    !heads_a_folder && !matches!(stem, "tests" | "fuzz") && !stem.ends_with("_tests")
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_map_that_lies_is_found() {
    let page = format!("# A\n{BEGIN}src/ old\n{END}after\n");
    assert_eq!(put(&page, "src/ new\n"), Some(format!("# A\n{BEGIN}src/ new\n{END}after\n")));
    assert_eq!(put("# A\n", "src/ new\n"), None);
    let dir = tempfile::tempdir().expect("a directory");
    for (file, text) in [
        ("src/lib.rs", "//! A program.\n"),
        ("src/a.rs", "//! A file of\n//! two lines.\n"),
        ("src/a_tests.rs", "use x;\n"),
        ("src/b/mod.rs", "//! A folder.\n"),
        ("src/b/c.rs", "//! With a [`File`].\n"),
        ("src/b/c/tests.rs", "use x;\n"),
        ("src/b/d/e.rs", "//! Not shown.\n"),
        ("src/b/d.rs", "//! One without mod.rs.\n"),
        ("remotes/src/lib.rs", "//! A library.\n"),
        ("tests/servers/src/lib.rs", "//! Servers.\n"),
        ("tests/testbed/src/lib.rs", "//! A testbed.\n"),
        ("tests/testbed/src/e.rs", "//! Of the testbed.\n"),
    ] {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let (map, lies) = map(dir.path());
    let words: Vec<String> = map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "src/ A program.",
        "a.rs A file of",
        "b/ A folder.",
        "c.rs With a `File`.",
        "d/ One without mod.rs.",
        "remotes/src/ A library.",
        "tests/servers/src/ Servers.",
        "tests/testbed/src/ A testbed.",
        "e.rs Of the testbed.",
    ];
    assert_eq!(words, expected);
    assert_eq!(lies.len(), 1, "{lies:?}");
    assert!(lies[0].contains("src/a.rs"), "{lies:?}");
}
