//! The P2P protocol over stdio with a cluster, in each version, and what does not belong there: the recorded conversations, and
//! where ours go otherwise.

use crate::stdio_cluster::{Lab, Other, are_named, hold};
use crate::stdio_replay::product;
use testbed::p2p::Session;
use testbed::recorded::behind::Behind;
use testbed::recorded::transcript::File;

const RECORDED: &str = include_str!("../../testdata/p2p/cluster-versions.txt");

/// What is on all nodes at the start.
const HELLO: &[u8] = b"hello annex";

const OTHERS: &[Behind] = &[
    Behind {
        name: "PUT of what is recorded",
        titles: &["version 1, connection 1"],
        theirs: &["> PUT foo *", "gone", "close", "exit 1"],
        ours: &["> PUT foo *", "< ALREADY-HAVE", "close", "exit 0"],
    },
    Behind {
        name: "PUT of what is recorded",
        titles: &["version 0, connection 1"],
        theirs: &["< PUT-FROM 0", "> GET *", "< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &["< ALREADY-HAVE", "> GET *", "< DATA 27", "<< fresh content number 087833", "close", "exit 0"],
    },
    Behind {
        name: "PUT of what is recorded",
        titles: &["version 2, connection 1"],
        theirs: &["< PUT-FROM 0", "> GET *", "< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &[
            "< ALREADY-HAVE-PLUS n2",
            "> GET *",
            "< DATA 27",
            "<< fresh content number 087835",
            "< VALID",
            "close",
            "exit 0",
        ],
    },
    Behind {
        name: "PUT of what is recorded",
        titles: &["version 3, connection 1"],
        theirs: &["< PUT-FROM 0", "> GET *", "< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &[
            "< ALREADY-HAVE-PLUS n2",
            "> GET *",
            "< DATA 27",
            "<< fresh content number 087836",
            "< VALID",
            "close",
            "exit 0",
        ],
    },
    Behind {
        name: "PUT of what is recorded",
        titles: &["version 4, connection 1"],
        theirs: &["< PUT-FROM 0", "> GET *", "< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &[
            "< ALREADY-HAVE-PLUS d2",
            "> GET *",
            "< DATA 27",
            "<< fresh content number 087837",
            "< VALID",
            "close",
            "exit 0",
        ],
    },
    Behind {
        name: "GETTIMESTAMP and REMOVE-BEFORE of a cluster",
        titles: &["version 3, connection 3", "version 4, connection 3"],
        theirs: &["> REMOVE-BEFORE 5 *", "gone", "close", "exit 1"],
        ours: &["> REMOVE-BEFORE 5 *", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "GETTIMESTAMP and REMOVE-BEFORE of a cluster",
        titles: &["version 3, connection 4", "version 4, connection 4"],
        theirs: &["> REMOVE-BEFORE *", "gone", "close", "exit 1"],
        ours: &["> REMOVE-BEFORE *", "< SUCCESS-PLUS d2 d1 n2 n1", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &[
            "version 0, connection 2",
            "version 2, connection 2",
            "version 3, connection 2",
            "version 4, connection 2",
            "version 0, connection 3",
            "version 1, connection 2",
            "version 2, connection 3",
            "version 3, connection 5",
            "version 4, connection 5",
            "version 4, connection 10",
            "version 4, connection 13",
        ],
        theirs: &["< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &["< ERROR unexpected command", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &["version 4, connection 8"],
        theirs: &["< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &["gone", "close", "exit 1"],
    },
    Behind { name: "what has no place", titles: &["version 4, connection 11"], theirs: &["exit 1"], ours: &["exit 0"] },
    Behind {
        name: "what is no message",
        titles: &["version 4, connection 6", "version 4, connection 7"],
        theirs: &["gone", "close", "exit 0"],
        ours: &["< ERROR unknown command", "close", "exit 0"],
    },
    Behind {
        name: "GET without the client's verdict",
        titles: &["version 4, connection 12"],
        theirs: &["< DATA 0", "< VALID", "> CHECKPRESENT *"],
        ours: &[
            "< DATA 0",
            "< VALID",
            "> CHECKPRESENT *",
            "< ERROR expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS",
        ],
    },
    Behind {
        name: "GET without the client's verdict",
        titles: &["version 4, connection 12"],
        theirs: &[
            "< INVALID",
            "> CHECKPRESENT *",
            "> UNLOCKCONTENT",
            "< ERROR protocol error",
            "gone",
            "close",
            "exit 1",
        ],
        ours: &[
            "< INVALID",
            "> CHECKPRESENT *",
            "< ERROR expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS",
            "> UNLOCKCONTENT",
            "< ERROR unexpected command",
            "close",
            "exit 0",
        ],
    },
    Behind {
        name: "when VERSION comes",
        titles: &["version 4, connection 14"],
        theirs: &["< ERROR protocol error", "gone", "close", "exit 1"],
        ours: &["< VERSION 3", "close", "exit 0"],
    },
];

fn others() -> Vec<Other> {
    let one = |title, other: &Behind| Other { name: other.name, title, theirs: other.theirs, ours: other.ours };
    OTHERS.iter().flat_map(|other| other.titles.iter().map(move |title| one(*title, other))).collect()
}

#[test]
fn conversations_with_a_cluster_in_each_version_go_as_they_went_or_as_listed() {
    let (lab, file) = (Lab::new(), File::parse(RECORDED));
    let mut session = Session::greeted(product(&lab.repo), &lab.repo.dir(), &file.expand("$myc"));
    assert!(session.put(&file.expand("$hello"), HELLO).starts_with("SUCCESS-PLUS "));
    session.close();
    session.ended();
    hold(&lab, &file, &others());
}

#[test]
fn every_difference_of_a_cluster_in_each_version_is_a_line_of_the_documentation() {
    are_named(&others());
}
