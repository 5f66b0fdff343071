//! Two trees that differ in every way that an export has to deal with.

use testbed::annex::content;
pub use testbed::trees::{Contents, File, LEN, Tree};

/// The trees, and keys whose content comes only after the tree.
pub struct Season {
    pub contents: Contents,
    pub trees: [Tree; 2],
    pub late: [Vec<String>; 2],
    /// A key that neither has.
    pub beside: String,
}

impl Season {
    pub fn new() -> Season {
        let mut contents = Contents::default();
        let (mut a, mut b) = (Tree::new(), Tree::new());
        let mut seed = 0;
        let mut next = || {
            seed += 1;
            seed
        };
        let mut digest = || contents.digest(next());
        let key: Vec<String> = (0..22).map(|_| digest()).collect();
        let late: Vec<String> = (0..5).map(|_| digest()).collect();
        let bare: Vec<String> = (100..102).map(|seed| contents.without_length(seed)).collect();
        let worm: Vec<String> = (200..205).map(|seed| contents.unverifiable(seed)).collect();
        let plain = |n: u64| File::Plain(content(300 + n, LEN));
        let has = |tree: &mut Tree, path: &str, key: &str| {
            tree.insert(path.to_string(), File::Annexed(key.to_string()));
        };
        // Path in both, with what it is before and after.
        for (path, old, new) in [
            ("same", &key[0], &key[0]),
            ("edited", &key[1], &key[2]),
            ("swap/a", &key[3], &key[4]),
            ("swap/b", &key[4], &key[3]),
            ("turn/1", &key[5], &key[6]),
            ("turn/2", &key[6], &key[7]),
            ("turn/3", &key[7], &key[5]),
            ("no length/a", &bare[0], &bare[1]),
            ("no length/b", &bare[1], &bare[0]),
            ("worm/a", &worm[0], &worm[1]),
            ("worm/b", &worm[1], &worm[0]),
            ("worm/turn 1", &worm[2], &worm[3]),
            ("worm/turn 2", &worm[3], &worm[4]),
            ("worm/turn 3", &worm[4], &worm[2]),
            ("d/one", &key[8], &key[8]),
            ("fewer/2", &key[9], &key[9]),
            ("over", &key[10], &late[0]),
            ("to a late twin", &key[11], &late[1]),
        ] {
            has(&mut a, path, old);
            has(&mut b, path, new);
        }
        for (path, key) in [
            ("sp ace/ü%20&.txt", &key[12]),
            ("fewer/1", &key[9]),
            ("fewer/3", &key[9]),
            ("removed/deep/down", &key[13]),
            ("was a file", &key[14]),
            ("was a directory/x", &key[15]),
            ("kept as a twin", &key[16]),
            ("kept as a twin 2", &key[16]),
            ("mixed/b", &key[18]),
            ("goes where it waits", &key[19]),
            ("late before", &late[4]),
        ] {
            has(&mut a, path, key);
        }
        for (path, key) in [
            ("other place/ü%20&.txt", &key[12]),
            ("d/two", &key[8]),
            ("three", &key[8]),
            ("was a file/inside", &key[17]),
            ("was a file/old", &key[14]),
            ("was a directory", &key[15]),
            ("kept as a twin 2", &key[16]),
            ("mixed/a", &key[18]),
            ("taken from beside", &key[20]),
            ("and a twin of it", &key[20]),
            ("late/one", &late[1]),
            ("late/two", &late[2]),
            ("late/three", &late[2]),
            ("same too", &key[0]),
        ] {
            has(&mut b, path, key);
        }
        for (path, n) in [
            ("plain", 0),
            ("plain moves", 2),
            ("mixed/a", 3),
            ("plain goes", 4),
            ("plain swap/a", 5),
            ("plain swap/b", 6),
        ] {
            a.insert(path.to_string(), plain(n));
        }
        for (path, n) in [
            ("plain", 1),
            ("moved/plain", 2),
            ("mixed/b", 3),
            ("plain swap/a", 6),
            ("plain swap/b", 5),
            ("moved/plain twin", 2),
            ("empty", 7),
        ] {
            b.insert(path.to_string(), plain(n));
        }
        b.insert("empty".to_string(), File::Plain(Vec::new()));
        let late = [vec![late[4].clone()], late[..3].to_vec()];
        Season { contents, trees: [a, b], late, beside: key[21].clone() }
    }
}
