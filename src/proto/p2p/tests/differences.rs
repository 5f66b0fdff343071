//! What is done otherwise than git-annex does it, in the recorded conversations.

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
