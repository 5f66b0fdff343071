//! The trees that are pushed: each comes of the one before.

use super::operations::{Change, Draw};
use testbed::annex::content;
use testbed::trees::{File, LEN, Tree};

/// Names, of which some are hard: of directories, with other case, of what staging uses.
pub const NAMES: &[&str] = &[
    "a", "A", "b", "B", "c", "d", "d/e", "d/E", "D/e", "d/e/f", "tmp", "tmp/x", "g", "G", "h/tmp", "h/i", "ü", "Ü",
    "sp ace", "z",
];

/// The tree that `change` makes of `tree`, where `before` came before that.
pub fn changed(tree: &Tree, before: &Tree, change: &Change, keys: &[String]) -> Tree {
    let mut new = tree.clone();
    let names: Vec<String> = tree.keys().cloned().collect();
    let name = |n: usize| names.get(n % names.len().max(1)).cloned();
    match change {
        Change::Fresh(seed) => new = fresh(*seed, keys),
        Change::Rotate(which) => {
            let mut which: Vec<String> = which.iter().filter_map(|n| name(*n)).collect();
            which.dedup();
            for (at, from) in which.iter().zip(which.iter().cycle().skip(1)) {
                new.insert(at.clone(), tree[from].clone());
            }
        }
        Change::Twin(one, other) => {
            if let (Some(one), Some(other)) = (name(*one), name(*other)) {
                new.insert(other, tree[&one].clone());
            }
        }
        Change::Move(one, to) => {
            if let Some(file) = name(*one).and_then(|one| new.remove(&one)) {
                put(&mut new, NAMES[to % NAMES.len()], file);
            }
        }
        Change::CaseTwin(one) => {
            if let Some(one) = name(*one) {
                let other = if one.to_uppercase() == one { one.to_lowercase() } else { one.to_uppercase() };
                put(&mut new, &other, tree[&one].clone());
            }
        }
        Change::Drop(one) => drop(name(*one).and_then(|one| new.remove(&one))),
        Change::Becomes(one, key) => {
            if let Some(one) = name(*one) {
                new.insert(one, File::Annexed(keys[key % keys.len()].clone()));
            }
        }
        Change::Deeper(one) => {
            if let Some((one, file)) = name(*one).and_then(|one| new.remove_entry(&one)) {
                put(&mut new, &format!("{one}/tmp"), file);
            }
        }
        Change::Flatter(one) => {
            let deep: Vec<&String> = names.iter().filter(|name| name.contains('/')).collect();
            if let Some(one) = deep.get(one % deep.len().max(1)) {
                let (file, top) = (new[*one].clone(), one.split('/').next().unwrap_or_default());
                put(&mut new, top, file);
            }
        }
        Change::Back => new = before.clone(),
        Change::Same => {}
    }
    new
}

/// Puts a file, in place of whatever cannot be beside it.
fn put(tree: &mut Tree, path: &str, file: File) {
    let is_below = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
    tree.retain(|have, _| !is_below(have, path) && !is_below(path, have));
    tree.insert(path.to_string(), file);
}

/// What files of git hold: of the same length as nearly all else.
pub fn plain() -> Vec<Vec<u8>> {
    (5000..5003).map(|seed| content(seed, LEN)).collect()
}

fn fresh(seed: u64, keys: &[String]) -> Tree {
    let (mut tree, mut draw) = (Tree::new(), Draw::new(seed, 0));
    let count = 3 + draw.below(9);
    for _ in 0..count {
        let file = if draw.one_in(6) {
            let all = plain();
            File::Plain(all[draw.below(all.len())].clone())
        } else {
            File::Annexed(keys[draw.below(keys.len())].clone())
        };
        put(&mut tree, NAMES[draw.below(NAMES.len())], file);
    }
    tree
}
