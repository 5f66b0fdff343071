//! The conversations in `testdata/p2p/`, whose format is told in its README.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// All of them, by name.
pub const FILES: [(&str, &str); 12] = [
    ("access", include_str!("../../../../testdata/p2p/access.txt")),
    ("client-jobs", include_str!("../../../../testdata/p2p/client-jobs.txt")),
    ("client-locks", include_str!("../../../../testdata/p2p/client-locks.txt")),
    ("client-origin", include_str!("../../../../testdata/p2p/client-origin.txt")),
    ("client-settings", include_str!("../../../../testdata/p2p/client-settings.txt")),
    ("client-setup", include_str!("../../../../testdata/p2p/client-setup.txt")),
    ("client-testremote", include_str!("../../../../testdata/p2p/client-testremote.txt")),
    ("details", include_str!("../../../../testdata/p2p/details.txt")),
    ("each-version", include_str!("../../../../testdata/p2p/each-version.txt")),
    ("files", include_str!("../../../../testdata/p2p/files.txt")),
    ("locks", include_str!("../../../../testdata/p2p/locks.txt")),
    ("version", include_str!("../../../../testdata/p2p/version.txt")),
];

/// Those with remotes behind the repository, by name.
pub const PROXIED: [(&str, &str); 7] = [
    ("proxied-client-git", include_str!("../../../../testdata/p2p/proxied-client-git.txt")),
    ("proxied-client-jobs", include_str!("../../../../testdata/p2p/proxied-client-jobs.txt")),
    ("proxied-client-locks", include_str!("../../../../testdata/p2p/proxied-client-locks.txt")),
    ("proxied-client-special", include_str!("../../../../testdata/p2p/proxied-client-special.txt")),
    ("proxied-client-testremote", include_str!("../../../../testdata/p2p/proxied-client-testremote.txt")),
    ("proxied-git", include_str!("../../../../testdata/p2p/proxied-git.txt")),
    ("proxied-special", include_str!("../../../../testdata/p2p/proxied-special.txt")),
];

/// One file of conversations, which follow each other in the same repository.
#[derive(Default)]
pub struct File {
    names: Vec<(String, String)>,
    data: Vec<(String, Vec<u8>)>,
    /// Keys in the repository, with their content.
    pub have: Vec<(String, Vec<u8>)>,
    /// What the repository is a proxy for.
    pub behind: Vec<Behind>,
    /// The conversations, in their order.
    pub sections: Vec<Section>,
}

/// A remote that the repository is a proxy for.
pub struct Behind {
    /// What the file calls it.
    pub name: String,
    /// The uuid of the remote.
    pub uuid: String,
    /// Whether it is a special remote, and not a git repository.
    pub special: bool,
    /// Keys in it, with their content.
    pub holds: Vec<(String, Vec<u8>)>,
}

/// One conversation. Names are replaced in its items.
pub struct Section {
    /// What it is about.
    pub title: String,
    /// What is set for git-annex-shell.
    pub environment: Vec<(String, String)>,
    /// The uuid that is asked for, where it is not the repository's.
    pub to: Option<String>,
    /// What is said and heard, and what else happens, a line each.
    pub items: Vec<String>,
}

impl File {
    /// Reads a file.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, file.sections.last_mut()) {
                ("" | "#", _) => {}
                ("==", _) => {
                    let (title, environment, items) = (rest.to_string(), Vec::new(), Vec::new());
                    file.sections.push(Section { title, environment, to: None, items });
                }
                ("name", None) => {
                    let (name, value) = rest.split_once(' ').expect("name NAME VALUE");
                    file.names.push((format!("${name}"), value.to_string()));
                }
                ("have", None) => {
                    let (name, content) = rest.split_once(' ').expect("have NAME CONTENT");
                    let key = file.expand(&format!("${name}"));
                    file.have.push((key, unquote(content)));
                }
                ("behind", None) => {
                    let (name, kind) = rest.split_once(' ').expect("behind NAME KIND");
                    let (uuid, special) = (file.expand(&format!("${name}")), kind != "git");
                    file.behind.push(Behind { name: name.to_string(), uuid, special, holds: Vec::new() });
                }
                ("holds", None) => {
                    let mut words = rest.splitn(3, ' ');
                    let mut word = || words.next().expect("holds NAME KEY CONTENT");
                    let (name, key, content) = (word(), file.expand(&format!("${}", word())), unquote(word()));
                    let behind = file.behind.iter_mut().find(|behind| behind.name == name);
                    behind.expect("it was told before").holds.push((key, content));
                }
                ("data", None) => {
                    let (name, text) = rest.split_once(' ').expect("data NAME BASE64");
                    file.data.push((name.to_string(), BASE64_STANDARD.decode(text).expect("base64")));
                }
                ("env", Some(section)) => {
                    let (name, value) = rest.split_once('=').expect("env NAME=VALUE");
                    section.environment.push((name.to_string(), value.to_string()));
                }
                ("to", Some(_)) => {
                    let uuid = file.expand(&format!("${rest}"));
                    file.sections.last_mut().expect("just seen").to = Some(uuid);
                }
                (_, Some(_)) => {
                    let item = file.part_of_data(word, rest).unwrap_or_else(|| file.expand(line));
                    file.sections.last_mut().expect("just seen").items.push(item);
                }
                _ => panic!("{line}"),
            }
        }
        assert!(!file.sections.is_empty());
        file
    }

    /// `text` with what the names in it stand for.
    pub fn expand(&self, text: &str) -> String {
        self.names.iter().fold(text.to_string(), |text, (name, value)| text.replace(name, value))
    }

    /// What `>> $NAME+FROM+LEN` stands for.
    fn part_of_data(&self, word: &str, text: &str) -> Option<String> {
        let mut parts = text.strip_prefix('$').filter(|_| word.len() == 2)?.split('+');
        let name = parts.next()?;
        let (_, data) = self.data.iter().find(|(have, _)| have == name)?;
        let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).expect("$NAME+FROM+LEN");
        let (from, len) = (number(), number());
        Some(format!("{word} {}", quote(&data[from..from + len])))
    }
}

impl Section {
    /// Whether it is in the P2P protocol, and not with another command of git-annex-shell.
    pub fn is_p2p(&self) -> bool {
        self.items.iter().all(|item| !item.starts_with("run ") || item.contains(" 'p2pstdio' "))
    }
}

/// `text` with the time that is told relative to the server's clock, which shows `now`.
pub fn at_time(text: &str, now: u64) -> String {
    let Some((before, rest)) = text.split_once("$now") else { return text.to_string() };
    let (offset, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let time = now.saturating_add_signed(offset.parse().expect("$now+N or $now-N"));
    format!("{before}{time} {after}")
}

/// Puts `ours` in the place of the one run of items that are `theirs`; a `*` at the end of an item stands for anything.
pub fn replace(items: &mut Vec<String>, theirs: &[&str], ours: &[&str]) -> Option<()> {
    let same = |item: &String, pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => item.starts_with(start),
        None => item == pattern,
    };
    let at = items.windows(theirs.len()).position(|run| run.iter().zip(theirs).all(|(a, b)| same(a, b)))?;
    let run: Vec<String> = items.splice(at..at + theirs.len(), Vec::new()).collect();
    let filled = ours.iter().map(|item| match item.strip_suffix('*') {
        Some(start) => run.iter().find(|item| item.starts_with(start)).map_or((*item).to_string(), String::clone),
        None => (*item).to_string(),
    });
    let filled: Vec<String> = filled.collect();
    items.splice(at..at, filled);
    Some(())
}

/// Bytes as a transcript shows them; runs of `x` by their length.
pub fn quote(bytes: &[u8]) -> String {
    if bytes.len() > 1000 && bytes.iter().all(|byte| *byte == b'x') {
        return format!("{}*x", bytes.len());
    }
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The bytes that `quote` shows.
pub fn unquote(text: &str) -> Vec<u8> {
    if let Some(count) = text.strip_suffix("*x") {
        return vec![b'x'; count.parse().expect("a number")];
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'\\', [b'n', after @ ..]) => {
                bytes.push(b'\n');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}
