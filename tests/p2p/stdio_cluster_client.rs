//! The real git-annex as a client of a cluster over stdio: the recorded conversations, and where ours go otherwise.

use crate::stdio_cluster::{Lab, Other, are_named, hold};
use testbed::recorded::transcript::File;

const RECORDED: &str = include_str!("../../testdata/p2p/cluster-client-testremote.txt");

const TESTREMOTE: &str = "git annex testremote --fast --size=20KB origin-myc";

/// Each key is put once more, in two conversations.
const OTHERS: &[Other] = &[AGAIN, AGAIN, AGAIN_SHORTER, AGAIN_SHORTER];

const AGAIN: Other = Other {
    name: "PUT of what is recorded",
    title: TESTREMOTE,
    theirs: &["< PUT-FROM 0", "> DATA 20000", ">> *", "> VALID", "< SUCCESS-PLUS d2 d1"],
    ours: &["< ALREADY-HAVE-PLUS d2"],
};

const AGAIN_SHORTER: Other = Other {
    name: "PUT of what is recorded",
    title: TESTREMOTE,
    theirs: &["< PUT-FROM 0", "> DATA 19999", ">> *", "> VALID", "< SUCCESS-PLUS d2 d1"],
    ours: &["< ALREADY-HAVE-PLUS d1"],
};

#[test]
fn git_annex_tests_a_cluster_as_it_was_recorded_or_as_listed() {
    hold(&Lab::new(), &File::parse(RECORDED), OTHERS);
}

#[test]
fn every_difference_for_a_client_of_a_cluster_is_a_line_of_the_documentation() {
    are_named(OTHERS);
}
