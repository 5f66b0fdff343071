//! Lines of a file in their order, and found by a word: a file may have many, and each request asks.

use std::collections::HashMap;
use std::ops::Deref;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<T> {
    all: Vec<T>,
    by_word: HashMap<Vec<u8>, Vec<usize>>,
}

impl<T> Lines<T> {
    /// Adds one that is found by `word`, as others may be.
    pub fn push(&mut self, word: &[u8], line: T) {
        self.by_word.entry(word.to_vec()).or_default().push(self.all.len());
        self.all.push(line);
    }

    /// Those that are found by `word`, in their order.
    pub fn of(&self, word: &[u8]) -> impl Iterator<Item = &T> {
        self.by_word.get(word).into_iter().flatten().map(|at| &self.all[*at])
    }
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { all: Vec::new(), by_word: HashMap::new() }
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all
    }
}

impl<T> IntoIterator for Lines<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_keep_their_order_and_are_found() {
        let mut lines = Lines::default();
        for (word, line) in [("b", 1), ("a", 2), ("b", 3)] {
            lines.push(word.as_bytes(), line);
        }
        assert_eq!(&*lines, [1, 2, 3]);
        for (word, expected) in [("b", &[1, 3][..]), ("a", &[2]), ("c", &[]), ("", &[])] {
            assert!(lines.of(word.as_bytes()).eq(expected), "{word}");
        }
        assert!(lines.into_iter().eq([1, 2, 3]));
    }
}
