//! Random expressions, from a seed that a failure names.

/// A row of numbers that a seed begins: the same everywhere.
pub struct Chance(u64);

/// What else may stand where a word is expected.
const ODD: &[&str] = &[
    "foo",
    "present=x",
    "in=here",
    "copies",
    "copies=",
    "copies=x",
    "copies=1.5",
    "copies=1x",
    "copies=a:b:1",
    "copies=+=1",
    "copies=a=b=1",
    "largerthan=",
    "largerthan=1zb",
    "smallerthan=x",
    "smallerthan=0x10",
    "smallerthan=1e3",
    "metadata=",
    "metadata=a",
    "metadata==b",
    "metadata=a b",
    "metadata=-a=b",
    "balanced=",
    "balanced=g:",
    "balanced=g:x",
    "balanced=g:-1",
    "balanced=g:lackingcopies=",
    "balanced=g:lackingcopies=a:b",
    "include",
    "include=",
    "INCLUDE=*",
    "mimetype=x",
    "inbackend=",
    "lackingcopies=",
    "approxlackingcopies=x",
    "url",
    "unused=1",
    "not=x",
    "andanything",
    "inallgroup=",
    "onlyingroup=nosuch",
    "accessedwithin=1d",
    "securehash=1",
    "\u{e4}",
    "include=\u{e4}*",
    "include=[",
    "include=[z-a]",
    "include=[a-c]*",
    "include=[!a]*",
    "include=?*",
    "include={a,b}",
    "include=\\*",
    "exclude=[[:alpha:]]",
    "metadata=tag=[x",
    "numcopiesneeded=1",
];

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn group(&mut self) -> &'static str {
        self.one(&["g", "g", "h", "client", "archive", "nosuch"])
    }

    fn limit(&mut self) -> String {
        let (a, b) = (self.group(), self.group());
        match self.below(5) {
            0 => a.to_string(),
            1 => format!("{a}+{b}"),
            2 => format!("-{a}"),
            3 => format!("+{a}-{b}"),
            _ => format!("-{a}-{b}"),
        }
    }

    pub fn term(&mut self) -> String {
        let (group, number) = (self.group(), self.one(&["-1", "0", "1", "1", "2", "3"]));
        let balance = self.one(&["", "fully", "size", "fullysize"]);
        match self.below(24) {
            0 | 1 => {
                self.one(&["include=*.mp3", "include=*/archive/*", "include=a*", "exclude=*.mp3", "exclude=d/*"]).into()
            }
            2 => self.one(&["anything", "nothing", "securehash", "unused"]).into(),
            3 | 4 => "present".into(),
            5 => format!("copies={number}"),
            6 => format!("copies={group}:{number}"),
            7 => format!("copies={}={number}", self.limit()),
            8 => {
                let level = self.one(&["trusted", "semitrusted", "untrusted", "dead"]);
                format!("copies={level}{}:{number}", self.one(&["", "+"]))
            }
            9 => format!("{}lackingcopies={number}", self.one(&["", "approx"])),
            10 => format!("{}lackingcopies={}={number}", self.one(&["", "approx"]), self.limit()),
            11 => format!("{}={group}", self.one(&["inallgroup", "onlyingroup"])),
            12 => format!("{}={}", self.one(&["smallerthan", "largerthan"]), self.one(&["99", "100", "0.1kb", "1mib"])),
            13 | 14 => self.one(&["standard", "groupwanted", "inpreferreddir"]).into(),
            15 => format!("inbackend={}", self.one(&["SHA256", "WORM", "SHA256E"])),
            16 => format!("{balance}balanced={group}"),
            17 => format!("{balance}balanced={group}:{number}"),
            18 => format!("{balance}balanced={group}:lackingcopies"),
            19 => format!("{balance}balanced={group}:lackingcopies={}", self.limit()),
            20 | 21 => {
                let how = self.one(&["=x", "=*", "=X", ">3", "<10", ">=7", "<=7", "=", "=[wx]"]);
                format!(
                    "metadata={}{how}",
                    self.one(&["tag", "year", "Tag", "tag-lastchanged", "lastchanged", "nosuch"])
                )
            }
            _ => self.one(&["url=*", "url=http://a/*", "url=*zip", "url=b:*"]).into(),
        }
    }

    /// An expression that mostly parses; with `odd` terms it may not.
    pub fn expression(&mut self, depth: usize, odd: bool) -> String {
        match self.below(if depth > 3 { 5 } else { 15 }) {
            0..5 if odd && self.below(8) == 0 => self.one(ODD).into(),
            0..5 => self.term(),
            5 | 6 => format!("not {}", self.expression(depth + 1, odd)),
            7 | 8 => format!("({})", self.expression(depth + 1, odd)),
            9 if odd => {
                let word = self.one(&["and", "or", "(", ")", "not", "and or", "()"]);
                format!("{} {word}", self.expression(depth + 1, odd))
            }
            10 if odd => {
                let word = self.one(&["and", "or", "(", ")", "not", "or and", "()"]);
                format!("{word} {}", self.expression(depth + 1, odd))
            }
            9..=12 => {
                let joint = self.one(&["and", "and", "or", ""]);
                format!("{} {joint} {}", self.expression(depth + 1, odd), self.expression(depth + 1, odd))
            }
            _ => format!("{} or {}", self.expression(depth + 1, odd), self.expression(depth + 1, odd)),
        }
    }
}
