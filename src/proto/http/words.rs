//! Failures as clients see them: without paths of the server, which only the log shows.

/// Stands for a path.
const PATH: &str = "[path]";

/// Ends of a path that may have spaces in it. Failures say `path: why`; more than the path may be left out, never less.
const ENDS: &[&str] = &[": ", "; ", ", ", " (", "\"", ")"];

/// `words`, with each absolute path replaced. Urls stay, but for those of files.
pub fn without_paths(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(start) = path_start(&out, rest) {
        out.push_str(&rest[..start]);
        out.push_str(PATH);
        rest = &rest[start..];
        let end = ENDS.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Where a path begins in `rest`, which stands behind `before`.
fn path_start(before: &str, rest: &str) -> Option<usize> {
    rest.match_indices('/').map(|(at, _)| at).find(|at| {
        let front = &rest[..*at];
        let whole = if front.is_empty() { before } else { front };
        if whole.to_ascii_lowercase().ends_with("file:") {
            return true;
        }
        let url = whole.ends_with(':') && rest[*at..].starts_with("//");
        let within = whole.ends_with(|before: char| before.is_alphanumeric() || "-._~%/]$+@*?&=!".contains(before));
        // A slash between words is no path.
        let alone = rest[*at + 1..].starts_with(|next: char| next.is_whitespace());
        !url && !alone && (!within || whole.ends_with('='))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_left_out_and_all_else_stays() {
        for (words, told) in [
            ("", ""),
            ("no more than 8 MiB", "no more than 8 MiB"),
            ("open /srv/annex/secret.git: permission denied", "open [path]: permission denied"),
            ("/srv/a b/c d.git belongs to another user", "[path]"),
            ("/srv/a b: belongs to another user", "[path]: belongs to another user"),
            ("the repository in /srv/a b is U1, not U2", "the repository in [path], not U2"),
            ("put fs /media/usb K (is its drive mounted?)", "put fs [path] (is its drive mounted?)"),
            ("rename \"/srv/a\" to \"/srv/b c\"", "rename \"[path]\" to \"[path]\""),
            ("(/srv/x) directory=/srv/x: no", "([path]) directory=[path]: no"),
            ("host:/srv/x: no", "host:[path]: no"),
            ("file:///srv/x: no", "file:[path]: no"),
            ("FILE:/srv/x: no", "FILE:[path]: no"),
            (
                "cannot reach annex+https://h.example/git-annex/: refused",
                "cannot reach annex+https://h.example/git-annex/: refused",
            ),
            ("ssh://u@h/x: no", "ssh://u@h/x: no"),
            ("its credentials in .git/annex/creds: denied", "its credentials in .git/annex/creds: denied"),
            ("read / write 3/4 KiB/s", "read / write 3/4 KiB/s"),
            ("/", "[path]"),
        ] {
            assert_eq!(without_paths(words), told, "{words}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_told(name in "[a-z \u{e4}.]{1,12}", deep in "[a-z]{3,8}", before in "(open |: |in \"|\\(|dir=|)", after in "(: why|, not|\"|\\)|)") {
            let words = format!("{before}/srv/{name}/{deep}XYZ{after}");
            let told = without_paths(&words);
            prop_assert!(!told.contains("XYZ") && !told.contains("srv"), "{} of {}", told, words);
            prop_assert_eq!(without_paths(&told), told);
        }
    }
}
