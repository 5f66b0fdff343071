//! Every link that stays in the repository leads somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::{Kind, Piece, anchors, pieces};

/// What is wrong with the links of the page `name` (a path below `top`), as `name:line: what`.
pub fn lies(top: &Path, name: &str, page: &[Piece]) -> Vec<String> {
    let links = page.iter().filter(|piece| piece.kind == Kind::Link);
    let told = |link: &Piece| Some(format!("{name}:{}: {}", link.line, wrong(top, name, page, &link.text)?));
    links.filter_map(told).collect()
}

fn wrong(top: &Path, name: &str, page: &[Piece], target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let here = top.join(name);
    let file = if path.is_empty() { here.clone() } else { here.with_file_name("").join(path) };
    if !path.is_empty() && !file.exists() {
        return Some(format!("the link {target} leads nowhere"));
    }
    let anchor = anchor?;
    let known: BTreeSet<String> = if path.is_empty() {
        anchors(page)
    } else {
        std::fs::read_to_string(&file).map(|text| anchors(&pieces(&text))).unwrap_or_default()
    };
    (!known.contains(anchor)).then(|| format!("the link {target} names no heading there"))
}

#[test]
fn a_link_that_lies_is_found() {
    let top = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(top.path().join("docs")).expect("made");
    std::fs::write(top.path().join("docs/b.md"), "# One\n## Two words\n").expect("written");
    for (page, lies_there) in [
        ("[a](b.md) [a](b.md#two-words) [a](../docs/) [a](#here)\n# Here\n", 0),
        ("[a](https://example.org/nothing) `[a](nothing.md)`", 0),
        ("[a](nothing.md)", 1),
        ("[a](b.md#three)", 1),
        ("[a](#nowhere)", 1),
        ("[a](../b.md) and [a](/docs/b.md)", 2),
    ] {
        let found = lies(top.path(), "docs/a.md", &pieces(page));
        assert_eq!(found.len(), lies_there, "{page}: {found:?}");
    }
}
