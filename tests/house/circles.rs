//! Nothing in a folder needs what needs it: of two neighbours, files or folders, one at most knows the other, also by way of
//! others. So each can be read, tested and moved without those that use it.
//!
//! A folder's own `mod.rs` stands above what is in it, and both may know each other. What it takes from one of its files and
//! passes on counts as that file's. Test modules are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layering::{module_of, rust_files, scan};

/// Circles that stay: the folder, the neighbours, and why.
const KEPT: &[(&str, &[&str], &str)] =
    &[("src/peer", &["http", "ssh", "transfer"], "a transfer is one of two kinds, and either opens one")];

/// A crate's modules: from the path of each to its file, and to what it takes from elsewhere by a name of its own.
struct House {
    files: BTreeMap<Vec<String>, Source>,
}

struct Source {
    file: String,
    /// Paths from the root of the crate, each with its line.
    names: Vec<(usize, Vec<String>)>,
}

/// Who knows whom, and by which line.
type Arrows = BTreeMap<String, BTreeMap<String, String>>;

impl House {
    fn read<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|(file, text)| (module_of(file), file, text)).collect();
        let modules: BTreeSet<Vec<String>> = sources.iter().map(|(module, ..)| module.clone()).collect();
        let files = sources.into_iter().map(|(module, file, text)| {
            let names = scan::paths(text, &module).into_iter().map(|found| (found.line, found.path));
            let from_root = |(line, path): (usize, Vec<String>)| match path.split_first() {
                Some((first, rest)) if first == "crate" => Some((line, rest.to_vec())),
                Some((first, _)) => {
                    let child = [&module[..], std::slice::from_ref(first)].concat();
                    modules.contains(&child).then(|| (line, [&module[..], &path[..]].concat()))
                }
                None => None,
            };
            let names = names.filter_map(from_root).collect();
            (module.clone(), Source { file: file.to_string(), names })
        });
        Self { files: files.collect() }
    }

    /// The module that `path` leads to, through what modules on the way pass on.
    fn target(&self, path: &[String], depth: usize) -> Vec<String> {
        let len = (0..=path.len()).rev().find(|len| self.files.contains_key(&path[..*len])).unwrap_or(0);
        let module = path[..len].to_vec();
        let (Some(name), Some(source)) = (path.get(len), self.files.get(&module)) else { return module };
        let passed = source.names.iter().find(|(_, path)| path.len() > len + 1 && path.last() == Some(name));
        match passed {
            Some((_, path)) if depth > 0 && path[..] != *path_of(&module, name) => self.target(path, depth - 1),
            _ => module,
        }
    }

    /// The arrows between neighbours, by folder.
    fn arrows(&self) -> BTreeMap<String, Arrows> {
        let mut folders: BTreeMap<String, Arrows> = BTreeMap::new();
        for (module, source) in &self.files {
            for (line, path) in &source.names {
                let target = self.target(path, 4);
                let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                let (Some(from), Some(to)) = (module.get(common), target.get(common)) else { continue };
                let known = folders.entry(module[..common].join("/")).or_default().entry(from.clone()).or_default();
                let show = || format!("{}:{line}: {}", source.file, path.join("::"));
                known.entry(to.clone()).or_insert_with(show);
            }
        }
        folders
    }

    /// The circles: the folder and its members, and the arrows between them for people.
    fn circles(&self) -> Vec<Circle> {
        let mut all = Vec::new();
        for (folder, arrows) in self.arrows() {
            let mut done: BTreeSet<&String> = BTreeSet::new();
            for from in arrows.keys().filter(|from| reached(&arrows, from).contains(from)) {
                if done.contains(from) {
                    continue;
                }
                let there = reached(&arrows, from);
                let members: BTreeSet<&String> =
                    there.into_iter().filter(|to| reached(&arrows, to).contains(from)).collect();
                let mut shown = String::new();
                for (a, b, by) in members.iter().flat_map(|a| arrows[*a].iter().map(move |(b, by)| (a, b, by))) {
                    if members.contains(b) {
                        shown.push_str(&format!("\n  {a} -> {b}: {by}"));
                    }
                }
                all.push(Circle {
                    folder: folder.clone(),
                    members: members.iter().map(|m| m.to_string()).collect(),
                    shown,
                });
                done.extend(members);
            }
        }
        all
    }
}

struct Circle {
    /// The modules above its members, with slashes.
    folder: String,
    members: Vec<String>,
    shown: String,
}

fn path_of(module: &[String], name: &str) -> Vec<String> {
    module.iter().cloned().chain([name.to_string()]).collect()
}

/// All that is known from `from` on, itself only by a circle.
fn reached<'a>(arrows: &'a Arrows, from: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(next) = todo.pop() {
        for to in arrows.get(next).into_iter().flat_map(BTreeMap::keys) {
            if to != next && reached.insert(to) {
                todo.push(to);
            }
        }
    }
    reached
}

#[test]
fn no_two_neighbours_need_each_other() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut kept: Vec<_> = KEPT.iter().collect();
    let mut wrong = Vec::new();
    for dir in ["src", "remotes/src", "bench/src"] {
        let mut files = Vec::new();
        rust_files(&top.join(dir), &mut files);
        // Parts of a test module.
        files.retain(|file| !file.components().any(|part| part.as_os_str() == "tests"));
        let read = |file: &std::path::PathBuf| {
            let name = file.strip_prefix(top).expect("it is below the top").to_str().expect("its name is text");
            (name.to_string(), std::fs::read_to_string(file).expect("a source file is text"))
        };
        let sources: Vec<(String, String)> = files.iter().map(read).collect();
        for circle in House::read(sources.iter().map(|(name, text)| (&**name, &**text))).circles() {
            let folder = format!("{dir}/{}", circle.folder);
            let folder = folder.trim_end_matches('/');
            match kept.iter().position(|(at, members, _)| *at == folder && *members == circle.members) {
                Some(at) => drop(kept.remove(at)),
                None => wrong.push(format!("{folder}: {}{}", circle.members.join(", "), circle.shown)),
            }
        }
    }
    assert!(wrong.is_empty(), "files or folders that need each other:\n{}", wrong.join("\n"));
    assert!(kept.is_empty(), "these circles are open; take them off the list: {kept:?}");
}

#[test]
fn circles_of_every_kind_are_found() {
    let found = |sources: &[(&str, &str)]| -> Vec<String> {
        let circles = House::read(sources.iter().copied()).circles();
        circles.into_iter().map(|circle| format!("{}: {}", circle.folder, circle.members.join(" "))).collect()
    };
    let two = [("src/x/a.rs", "use super::b::B;"), ("src/x/b.rs", "fn f() { crate::x::a::g() }")];
    assert_eq!(found(&two), ["x: a b"], "two files");
    let folders =
        [("src/a/mod.rs", ""), ("src/a/deep.rs", "use crate::b::B;"), ("src/b/mod.rs", "use crate::a::deep::D;")];
    assert_eq!(found(&folders), [": a b"], "two folders");
    let three = [("src/a.rs", "use crate::b::B;"), ("src/b.rs", "use crate::c::C;"), ("src/c.rs", "use crate::a::A;")];
    assert_eq!(found(&three), [": a b c"], "by way of a third");
    let passed = [
        ("src/x/mod.rs", "mod a; mod b; pub use a::A;"),
        ("src/x/a.rs", "use super::b::B;"),
        ("src/x/b.rs", "use super::A;"),
    ];
    assert_eq!(found(&passed), ["x: a b"], "by what the folder passes on");
    let none = [
        ("src/x/mod.rs", "mod a; mod b; use a::A; struct X;"),
        (
            "src/x/a.rs",
            "use super::X; use super::b::B; use a_crate::b; #[cfg(test)] mod tests { use super::super::c; }",
        ),
        ("src/x/b.rs", "use super::X; // crate::x::a"),
        ("src/x/c.rs", "use super::a::A;"),
    ];
    assert_eq!(found(&none), Vec::<String>::new(), "a folder and what is in it may know each other");
}
