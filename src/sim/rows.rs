//! A table of bits: for each file and each who looks at it, a row with a bit for each repository.

/// What each viewer sees of each file. All rows of a file lie side by side, since whoever asks about a file asks what several see of
/// it: in a table larger than the caches, each place costs more than all that is computed with it. Bits that were never set are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many see a file.
    viewers: usize,
    /// Bytes of a row: one for eight repositories.
    width: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// What a viewer sees of a file, from the first repository on. May be shorter than the number of repositories: the rest is not set.
    pub fn row(&self, viewer: usize, file: u32) -> &[u8] {
        if viewer >= self.viewers {
            return &[];
        }
        let at = (file as usize * self.viewers + viewer) * self.width;
        self.bytes.get(at..at + self.width).unwrap_or_default()
    }

    /// Whether the bit of a repository is set.
    pub fn get(&self, viewer: usize, file: u32, repo: usize) -> bool {
        self.row(viewer, file).get(repo / 8).is_some_and(|byte| byte >> (repo % 8) & 1 != 0)
    }

    /// Sets it, or not, of `viewers` that there are. Whether that changed it.
    pub fn set(&mut self, viewers: usize, viewer: usize, file: u32, repo: usize, value: bool) -> bool {
        if self.get(viewer, file, repo) == value {
            return false;
        }
        if repo / 8 >= self.width || viewers > self.viewers {
            self.widen(viewers.max(self.viewers), self.width.max(repo / 8 + 1));
        }
        let end = (file as usize + 1) * self.viewers * self.width;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[(file as usize * self.viewers + viewer) * self.width + repo / 8] ^= 1 << (repo % 8);
        true
    }

    fn widen(&mut self, viewers: usize, width: usize) {
        let old = std::mem::replace(self, Self { viewers, width, bytes: Vec::new() });
        if old.bytes.is_empty() {
            return;
        }
        for of_file in old.bytes.chunks(old.viewers * old.width) {
            let end = self.bytes.len() + viewers * width;
            for row in of_file.chunks(old.width) {
                self.bytes.extend_from_slice(row);
                self.bytes.resize(self.bytes.len() + width - old.width, 0);
            }
            self.bytes.resize(end, 0);
        }
    }
}

/// The repositories of a row, in order.
pub fn ones(row: &[u8]) -> impl Iterator<Item = usize> + '_ {
    row.iter().enumerate().flat_map(|(at, byte)| {
        let mut left = *byte;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(at * 8 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_in_all_directions() {
        let mut rows = Rows::default();
        assert!(rows.set(2, 1, 2, 3, true) && !rows.set(2, 1, 2, 3, true) && !rows.set(2, 0, 9, 99, false));
        assert!(rows.set(3, 2, 0, 70, true) && rows.set(3, 1, 2, 130, true));
        assert!(rows.set(5, 4, 1, 0, true));
        let seen = |viewer, file| ones(rows.row(viewer, file)).collect::<Vec<_>>();
        assert_eq!((seen(1, 2), seen(2, 0), seen(4, 1)), (vec![3, 130], vec![70], vec![0]));
        let all: usize =
            (0..9).flat_map(|viewer| (0..9).map(move |file| (viewer, file))).map(|(v, f)| seen(v, f).len()).sum();
        assert_eq!(all, 4, "a bit is where none was set");
        assert!(rows.set(5, 1, 2, 3, false));
        assert_eq!(ones(rows.row(1, 2)).collect::<Vec<_>>(), [130]);
    }
}
