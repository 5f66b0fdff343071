//! What is done otherwise than git-annex does it, in the recorded conversations.

use super::behind::BEHIND;
use super::transcript::{Section, replace};

/// Where this server deliberately differs: the conversation, what git-annex did, what is done here, and why.
pub const DIFFERENCES: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "PUT with VALID replaced by junk",
        &["< ERROR expected VALID or INVALID", "< SUCCESS", "> CHECKPRESENT *", "< SUCCESS"],
        &["< ERROR expected VALID or INVALID", "> CHECKPRESENT *", "< FAILURE"],
        "two lines for one request: the client takes the second for the answer to its next question",
    ),
    (
        "GET negative offset",
        &["< DATA 16", "gone", "close", "exit 1"],
        &["< ERROR the offset is negative", "close", "exit 0"],
        "git-annex promises bytes that do not exist, and dies",
    ),
    (
        "REMOVE while another connection holds the lock",
        &["gone", "conn A"],
        &["< FAILURE", "conn A"],
        "git-annex dies without an answer",
    ),
    ("REMOVE while another connection holds the lock", &["exit 1"], &["exit 0"], "the same"),
    (
        "REMOVE while another connection holds the lock, which then lets go",
        &["gone", "conn A"],
        &["< FAILURE", "conn A"],
        "the same",
    ),
    ("REMOVE while another connection holds the lock, which then lets go", &["exit 1"], &["exit 0"], "the same"),
    (
        "REMOVE after kill -9 (within 10 minutes)",
        &["gone", "close", "exit 1"],
        &["< FAILURE", "close", "exit 0"],
        "the same",
    ),
];

/// What is said and heard here in this conversation.
pub fn expected(section: &Section) -> Vec<String> {
    let mut items = section.items.clone();
    let plain = DIFFERENCES.iter().filter(|(title, ..)| *title == section.title);
    let plain = plain.map(|(title, theirs, ours, _)| (title, theirs, ours));
    let behind = BEHIND.iter().filter(|one| one.titles.contains(&section.title.as_str()));
    for (name, theirs, ours) in plain.chain(behind.map(|one| (&one.name, &one.theirs, &one.ours))) {
        let found = replace(&mut items, theirs, ours);
        found.unwrap_or_else(|| panic!("{}: not {theirs:?}, of {name}", section.title));
    }
    items
}

/// The conversations in which something differs.
pub fn titles() -> impl Iterator<Item = &'static str> {
    let behind = BEHIND.iter().flat_map(|one| one.titles).copied();
    DIFFERENCES.iter().map(|(title, ..)| *title).chain(behind)
}
