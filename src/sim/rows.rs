//! A table of bits: a row for each file, a bit for each repository.

/// Rows of as many bits as there are repositories. Bits that were never set are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Words of a row: one for 64 repositories.
    width: usize,
    words: Vec<u64>,
}

impl Rows {
    /// The bits of a file, from the first repository on. May be shorter than the number of repositories: the rest is not set.
    pub fn row(&self, file: u32) -> &[u64] {
        let at = file as usize * self.width;
        self.words.get(at..at + self.width).unwrap_or_default()
    }

    /// Whether the bit of a repository is set.
    pub fn get(&self, file: u32, repo: usize) -> bool {
        self.row(file).get(repo / 64).is_some_and(|word| word >> (repo % 64) & 1 != 0)
    }

    /// Sets it, or not. Whether that changed it.
    pub fn set(&mut self, file: u32, repo: usize, value: bool) -> bool {
        if self.get(file, repo) == value {
            return false;
        }
        if repo / 64 >= self.width {
            self.widen(repo / 64 + 1);
        }
        let end = (file as usize + 1) * self.width;
        if self.words.len() < end {
            self.words.resize(end, 0);
        }
        self.words[file as usize * self.width + repo / 64] ^= 1 << (repo % 64);
        true
    }

    fn widen(&mut self, width: usize) {
        let old = std::mem::replace(self, Self { width, words: Vec::new() });
        if old.width > 0 {
            for row in old.words.chunks(old.width) {
                self.words.extend_from_slice(row);
                self.words.resize(self.words.len() + width - old.width, 0);
            }
        }
    }
}

/// The repositories of a row, in order.
pub fn ones(row: &[u64]) -> impl Iterator<Item = usize> + '_ {
    row.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(at * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_in_both_directions() {
        let mut rows = Rows::default();
        assert!(rows.set(2, 3, true) && !rows.set(2, 3, true) && !rows.set(9, 99, false));
        assert!(rows.set(0, 70, true) && rows.set(2, 130, true));
        assert_eq!(ones(rows.row(2)).collect::<Vec<_>>(), [3, 130]);
        assert_eq!((rows.get(0, 70), rows.get(1, 70), rows.get(7, 0)), (true, false, false));
        assert!(rows.set(2, 3, false));
        assert_eq!(ones(rows.row(2)).collect::<Vec<_>>(), [130]);
    }
}
