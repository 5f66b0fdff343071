//! Where answers of remotes behind the repository differ from the real server's on purpose.

use super::transcript::Exchange;

/// One way in which they differ: what docs/protocols.md calls it, with the reason; the file; the exchanges; what is answered.
pub struct Behind {
    pub name: &'static str,
    pub file: &'static str,
    pub exchanges: &'static [&'static str],
    pub status: u16,
    pub body: &'static str,
}

/// All of them.
pub const BEHIND: &[Behind] = &[
    Behind {
        name: "clock of a special remote",
        file: "31-proxied-special",
        exchanges: &["v3 gettimestamp", "v4 gettimestamp"],
        status: 200,
        body: r#"{"timestamp":SECONDS}"#,
    },
    Behind {
        name: "clock of a special remote",
        file: "31-proxied-special",
        exchanges: &["v3 remove-before in the past", "v4 remove-before in the past"],
        status: 200,
        body: r#"{"plusuuids":[],"removed":false}"#,
    },
    Behind {
        name: "clock of a special remote",
        file: "31-proxied-special",
        exchanges: &["v3 remove-before in the future", "v4 remove-before in the future"],
        status: 200,
        body: r#"{"plusuuids":[],"removed":true}"#,
    },
    Behind {
        name: "GET of what a special remote has not",
        file: "31-proxied-special",
        exchanges: &[
            "v0 GET absent",
            "v1 GET absent",
            "v2 GET absent",
            "v3 GET absent",
            "v4 GET absent",
            "v0 HEAD absent",
            "v1 HEAD absent",
            "v2 HEAD absent",
            "v3 HEAD absent",
            "v4 HEAD absent",
        ],
        status: 200,
        body: "",
    },
    Behind {
        name: "GET of what a special remote has not",
        file: "31-proxied-special",
        exchanges: &["unversioned GET absent", "unversioned HEAD absent"],
        status: 404,
        body: "",
    },
    Behind {
        name: "absent content",
        file: "32-proxied-git",
        exchanges: &["unversioned GET absent", "unversioned HEAD absent"],
        status: 404,
        body: "",
    },
    Behind {
        name: "Range",
        file: "31-proxied-special",
        exchanges: &["unversioned GET Range"],
        status: 206,
        body: "llo",
    },
    Behind { name: "Range", file: "32-proxied-git", exchanges: &["unversioned GET Range"], status: 206, body: "llo" },
    Behind {
        name: "putoffset of what is there",
        file: "31-proxied-special",
        exchanges: &["v2 putoffset after put", "v3 putoffset after put", "v4 putoffset after put"],
        status: 200,
        body: r#"{"alreadyhave":true,"plusuuids":[]}"#,
    },
    Behind {
        name: "putoffset of what is there",
        file: "31-proxied-special",
        exchanges: &["v1 putoffset after put"],
        status: 200,
        body: r#"{"alreadyhave":true}"#,
    },
    Behind {
        name: "v0 and v1 put of other content",
        file: "31-proxied-special",
        exchanges: &["v0 put other content", "v1 put other content"],
        status: 200,
        body: r#"{"stored":false}"#,
    },
    Behind {
        name: "v0 and v1 put of other content",
        file: "31-proxied-special",
        exchanges: &["v0 checkpresent after put of other content", "v1 checkpresent after put of other content"],
        status: 200,
        body: r#"{"present":false}"#,
    },
];

impl Behind {
    /// Whether it is about this exchange.
    pub fn concerns(&self, exchange: &Exchange) -> bool {
        self.file == exchange.file && self.exchanges.contains(&exchange.name.as_str())
    }
}
