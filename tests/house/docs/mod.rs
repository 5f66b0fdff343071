//! The pages of this repository tell the truth: links, paths, commands and flags that they name are there.
//!
//! One file for each kind of lie; each tests itself on planted ones.

mod commands;
mod links;
mod made;
mod map;
mod markdown;
mod paths;
mod words;

use std::path::{Path, PathBuf};

use markdown::{Piece, pieces};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the repository: its path from the top, and its pieces.
fn pages() -> Vec<(String, Vec<Piece>)> {
    let mut files = Vec::new();
    markdown_files(top(), &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let name = file.strip_prefix(top()).expect("below the top").to_str().expect("a name that is text").to_string();
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, pieces(&text))
    };
    let pages: Vec<_> = files.into_iter().map(read).collect();
    assert!(pages.len() > 10, "only {} pages found: is the search in the right place?", pages.len());
    pages
}

fn markdown_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                markdown_files(&path, into);
            }
        } else if path.extension().is_some_and(|ext| ext == "md") {
            into.push(path);
        }
    }
}

fn nothing_wrong(lies: &[String]) {
    assert!(lies.is_empty(), "\n{}\n", lies.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    nothing_wrong(&pages().iter().flat_map(|(name, page)| links::lies(top(), name, page)).collect::<Vec<_>>());
}

#[test]
fn every_path_is_there() {
    nothing_wrong(&pages().iter().flat_map(|(name, page)| paths::lies(top(), name, page)).collect::<Vec<_>>());
}

#[test]
fn every_command_and_flag_is_one() {
    let program = commands::Program::new(&git_annex_remote_stream::cli::command());
    nothing_wrong(&pages().iter().flat_map(|(name, page)| commands::lies(&program, name, page)).collect::<Vec<_>>());
}

#[test]
fn every_command_and_flag_is_named() {
    let program = commands::Program::new(&git_annex_remote_stream::cli::command());
    let for_users = |name: &str| name == "README.md" || name.starts_with("docs/");
    let pages: Vec<_> = pages().into_iter().filter(|(name, _)| for_users(name)).map(|(_, page)| page).collect();
    nothing_wrong(&commands::unnamed(&program, &pages));
}

#[test]
fn every_target_of_make_and_cargo_is_there() {
    let known = made::Known::of(top());
    nothing_wrong(&pages().iter().flat_map(|(name, page)| known.lies(name, page)).collect::<Vec<_>>());
}

#[test]
fn every_word_means_one_thing() {
    let sources = words::sources(top());
    let types = words::Types::of(sources.iter().map(|(name, source)| (name.as_str(), source.as_str())));
    let page = std::fs::read_to_string(top().join(words::PAGE)).expect("the word list");
    nothing_wrong(&[types.doubles(), types.unknown(&page)].concat());
}

/// `STREAM_TEST_WRITE=1` writes it.
#[test]
fn the_map_is_right() {
    let (map, lies) = map::map(top());
    nothing_wrong(&lies);
    let file = top().join(map::PAGE);
    let page = std::fs::read_to_string(&file).expect("the page");
    let right = map::put(&page, &map).expect("the page has a place for the map");
    if page != right && std::env::var_os("STREAM_TEST_WRITE").is_some_and(|value| value == "1") {
        std::fs::write(&file, right).expect("written");
    } else {
        assert!(page == right, "the map in {} has to be (STREAM_TEST_WRITE=1 writes it):\n\n{map}", map::PAGE);
    }
}
