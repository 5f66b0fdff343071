//! What is done otherwise than git-annex does it, in the recorded conversations with remotes behind a repository.

/// One way in which it differs.
pub struct Behind {
    /// What docs/protocols.md calls it, with the reason.
    pub name: &'static str,
    /// The conversations.
    pub titles: &'static [&'static str],
    /// What git-annex did in them.
    pub theirs: &'static [&'static str],
    /// What is done here.
    pub ours: &'static [&'static str],
}

const GONE: &[&str] = &["< ERROR protocol error", "gone", "> *", "close", "exit 1"];

/// All of them.
pub const BEHIND: &[Behind] = &[
    Behind {
        name: "clock of a special remote",
        titles: &[
            "proxied special, VERSION 0, GETTIMESTAMP",
            "proxied special, VERSION 1, GETTIMESTAMP",
            "proxied special, VERSION 2, GETTIMESTAMP",
            "proxied special, VERSION 3, GETTIMESTAMP",
            "proxied special, VERSION 4, GETTIMESTAMP",
        ],
        theirs: &["gone", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< TIMESTAMP *", "> CHECKPRESENT *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "clock of a special remote",
        titles: &[
            "proxied special, VERSION 3, REMOVE-BEFORE of what is not there",
            "proxied special, VERSION 4, REMOVE-BEFORE of what is not there",
        ],
        theirs: &["gone", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< SUCCESS", "> CHECKPRESENT *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "clock of a special remote",
        titles: &["proxied special, REMOVE-BEFORE in the past"],
        theirs: &["gone", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< FAILURE", "> CHECKPRESENT *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "clock of a special remote",
        titles: &["proxied special, REMOVE-BEFORE in the future"],
        theirs: &["gone", "> REMOVE-BEFORE *", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< TIMESTAMP *", "> REMOVE-BEFORE *", "> CHECKPRESENT *", "< SUCCESS", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "clock of a special remote",
        titles: &["git annex drop --from origin-d1 a.txt"],
        theirs: &["> GETTIMESTAMP", "close", "exit 1"],
        ours: &["> GETTIMESTAMP", "< TIMESTAMP *", "close", "exit 0"],
    },
    Behind {
        name: "clock of a special remote",
        titles: &["proxied special, VERSION 4, REMOVE-BEFORE in the past of what is not there"],
        theirs: &["gone", "close", "exit 1"],
        ours: &["< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "REMOVE-BEFORE below version 3",
        titles: &["proxied special, VERSION 2, REMOVE-BEFORE in the past"],
        theirs: &["< SUCCESS", "> CHECKPRESENT *", "< FAILURE"],
        ours: &["< FAILURE", "> CHECKPRESENT *", "< SUCCESS"],
    },
    Behind {
        name: "GET of what a special remote has not",
        titles: &["proxied special, GET of what is not there"],
        theirs: &["< DATA 4", "gone", "> FAILURE", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< DATA 0", "< INVALID", "> FAILURE", "> CHECKPRESENT *", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "GET of what a special remote has not",
        titles: &["proxied special, GET of what is not there, VERSION 0"],
        theirs: &["< DATA 4", "gone", "> FAILURE", "> CHECKPRESENT *", "close", "exit 1"],
        ours: &["< DATA 0", "> FAILURE", "> CHECKPRESENT *", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "PUT in version 1",
        titles: &["proxied special, VERSION 1"],
        theirs: &["> CHECKPRESENT *", "gone", "close", "exit 1"],
        ours: &["> CHECKPRESENT *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "PUT in version 1",
        titles: &["proxied special, VERSION 1, PUT of what is there"],
        theirs: &["close", "exit 1"],
        ours: &["close", "exit 0"],
    },
    Behind {
        name: "when VERSION comes",
        titles: &["proxied special, CHECKPRESENT before VERSION", "proxied git, CHECKPRESENT before VERSION"],
        theirs: GONE,
        ours: &["< VERSION 4", "> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "when VERSION comes",
        titles: &["proxied special, a second VERSION", "proxied git, a second VERSION"],
        theirs: GONE,
        ours: &["< VERSION 3", "> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "what is no message",
        titles: &[
            "proxied special, FOO bar",
            "proxied special, CHECKPRESENT notakey",
            "proxied special, an empty line",
            "proxied git, FOO bar",
            "proxied git, CHECKPRESENT notakey",
            "proxied git, an empty line",
        ],
        theirs: &["gone", "> *", "close", "exit 0"],
        ours: &["< ERROR unknown command", "> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &[
            "proxied special, UNLOCKCONTENT",
            "proxied special, SUCCESS",
            "proxied special, DATA-PRESENT",
            "proxied git, UNLOCKCONTENT",
            "proxied git, SUCCESS",
            "proxied git, DATA-PRESENT",
        ],
        theirs: GONE,
        ours: &["< ERROR unexpected command", "> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &["proxied special, NOTIFYCHANGE", "proxied git, NOTIFYCHANGE"],
        theirs: GONE,
        ours: &["gone", "> *", "close", "exit 1"],
    },
    Behind {
        name: "what has no place",
        titles: &["proxied special, another request for DATA", "proxied git, another request for DATA"],
        theirs: GONE,
        ours: &["< ERROR expected DATA", "> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &["proxied special, ERROR for DATA", "proxied git, ERROR for DATA"],
        theirs: GONE,
        ours: &["> *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "what has no place",
        titles: &["proxied special, ERROR oops", "proxied git, ERROR oops"],
        theirs: &["exit 1"],
        ours: &["exit 0"],
    },
    Behind {
        name: "GET without the client's verdict",
        titles: &["proxied special, GET without a verdict of the client"],
        theirs: &["gone", "close", "exit 1"],
        ours: &["< ERROR expected SUCCESS or SUCCESS-PLUS or FAILURE or FAILURE-PLUS", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "GET without the client's verdict",
        titles: &["proxied git, GET without a verdict of the client"],
        theirs: &["< ERROR expected *", "close", "exit 0"],
        ours: &["< ERROR expected *", "< SUCCESS", "close", "exit 0"],
    },
    Behind {
        name: "junk for VALID behind",
        titles: &["proxied special, PUT with VALID replaced by junk"],
        theirs: &["gone", "> *", "close", "exit 1"],
        ours: &["< ERROR expected VALID or INVALID", "> *", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "junk for VALID behind",
        titles: &["proxied git, PUT with VALID replaced by junk"],
        theirs: &["gone", "> *", "close", "exit 0"],
        ours: &["< ERROR expected VALID or INVALID", "> *", "< FAILURE", "close", "exit 0"],
    },
    Behind {
        name: "end of the client within a PUT",
        titles: &["proxied special, PUT cut short", "proxied git, PUT cut short"],
        theirs: &["close", "exit 1"],
        ours: &["close", "< FAILURE", "exit 1"],
    },
    Behind {
        name: "end of the client within a PUT",
        titles: &["proxied special, PUT of other content", "proxied special, PUT of too little with INVALID"],
        theirs: &["< PUT-FROM 0", "close", "exit 1"],
        ours: &["< PUT-FROM 0", "close", "exit 0"],
    },
    Behind {
        name: "INVALID behind",
        titles: &["proxied git, PUT of too little with INVALID"],
        theirs: &["< PUT-FROM 0", "close"],
        ours: &["< PUT-FROM 4", "close"],
    },
    Behind {
        name: "DATA-PRESENT below version 4",
        titles: &["proxied special, PUT with DATA-PRESENT in VERSION 3"],
        theirs: &["> DATA-PRESENT", "< FAILURE"],
        ours: &["> DATA-PRESENT", "< ERROR expected DATA"],
    },
    Behind {
        name: "DATA after ALREADY-HAVE",
        titles: &["proxied git, PUT with INVALID, then PUT again"],
        theirs: GONE,
        ours: &["< ERROR unexpected command", "< ERROR unknown command", "> *", "< SUCCESS", "close", "exit 0"],
    },
];
