//! A command line as sshd passes it on: words in single quotes, as git and git-annex write them.

/// Cuts `line` into words. Quotes, single or double, keep spaces and take nothing else away; a quote that is not
/// closed reaches to the end.
pub fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => words.extend(word.take()),
            b'\'' | b'"' => {
                let word = word.get_or_insert_default();
                word.extend(bytes.by_ref().take_while(|inside| *inside != byte));
            }
            // What stands outside of quotes is a quote itself: 'it'\''s'.
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unquoted_as_they_were_quoted() {
        for (line, words) in [
            (
                "git-annex-shell 'p2pstdio' '/a b' 'U' --uuid V",
                &["git-annex-shell", "p2pstdio", "/a b", "U", "--uuid", "V"][..],
            ),
            ("a  b ", &["a", "b"]),
            ("'it'\\''s' ''", &["it's", ""]),
            ("x'y z'w \"q r\"", &["xy zw", "q r"]),
            ("'open end", &["open end"]),
            ("", &[]),
            ("a\\", &["a"]),
        ] {
            let split: Vec<String> =
                split(line.as_bytes()).into_iter().map(|word| String::from_utf8(word).expect("text")).collect();
            assert_eq!(split, words, "{line}");
        }
    }
}
