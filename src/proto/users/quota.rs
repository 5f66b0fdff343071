//! What repositories may hold together: lines of a pattern, bytes of all, and bytes of the largest content. All that fit count.

use std::fmt;

use annex_types::size;

use super::rights::Pattern;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allotment {
    /// Which repositories share it.
    pub repositories: Pattern,
    /// Bytes that they may hold together, where that is limited.
    pub all: Option<u64>,
    /// Bytes of the largest content that one of them takes, where that is limited.
    pub largest: Option<u64>,
}

impl Allotment {
    /// Reads the words of a line: `org/ 500GB 20GB`, where `-` is no limit.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn parse(line: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [repositories, all, largest] = words[..] else { return Err("give REPOSITORIES ALL LARGEST") };
        let limit = |word: &str| match word {
            "-" => Ok(None),
            word => size::parse(word).map(Some).ok_or("give a size such as 500GB, without a space, or - for no limit"),
        };
        let line = Self { repositories: Pattern::parse(repositories)?, all: limit(all)?, largest: limit(largest)? };
        match (line.all, line.largest) {
            (None, None) => Err("a quota without a limit is of no use"),
            _ => Ok(line),
        }
    }

    /// Whether it is one of the repository that is called `name`.
    pub fn fits(&self, name: &[u8]) -> bool {
        self.repositories.fits(name).is_some()
    }
}

impl fmt::Display for Allotment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |limit: Option<u64>| limit.map_or_else(|| "-".to_string(), size::show);
        write!(f, "{}: {} in all, {} the largest", self.repositories, show(self.all), show(self.largest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whose_it_is_and_how_much() {
        for (line, fits, all, largest) in [
            ("* 1kB -", &["", "x", "org/x.git"][..], Some(1000), None),
            ("org/ 500GB 20GB", &["org/x", "org/y/z.git"], Some(500_000_000_000), Some(20_000_000_000)),
            ("  org/photos.git   -\t2kiB ", &["org/photos", "org/photos.git"], None, Some(2048)),
        ] {
            let read = Allotment::parse(line).expect(line);
            assert_eq!((read.all, read.largest), (all, largest), "{line}");
            assert!(fits.iter().all(|name| read.fits(name.as_bytes())), "{line}");
            assert!(!read.fits(b"organ/x") || line.starts_with('*'), "{line}");
        }
        for (line, why) in [
            ("org/ 500GB", "REPOSITORIES ALL LARGEST"),
            ("org/ 500 GB -", "REPOSITORIES ALL LARGEST"),
            ("org/ much -", "a size"),
            ("org/ -1 -", "a size"),
            ("org/ - -", "no use"),
            ("../x 1 -", "give repositories"),
        ] {
            let said = Allotment::parse(line).expect_err(line);
            assert!(said.contains(why), "{line}: {said}");
        }
    }
}
