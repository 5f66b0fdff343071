//! The body of the fuzz target `git_wire`, here so that plain tests can run it too. It panics when a promise of the module is broken.

use super::packet::{BeforeTheEnd, FLUSH};
use super::push::Commands;
use super::{cgi, packet};

/// The first byte says how the rest is cut into pieces; the rest is read as packets, as a push, and as the head of a program.
pub fn wire(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let step = usize::from(*step).max(1);
    end(data, step);
    commands(data, step);
    head(data, step);
    if let Ok(Some((packet::Packet::Data(found), length))) = packet::parse(data) {
        let mut out = Vec::new();
        packet::write(found, &mut out);
        // A length may be written in capitals.
        assert_eq!((out.len(), out[4..].to_vec()), (length, data[4..length].to_vec()));
    }
}

/// Nothing is lost or added, but for the end that is held back.
fn end(data: &[u8], step: usize) {
    let (mut held, mut out) = (BeforeTheEnd::default(), Vec::new());
    data.chunks(step).for_each(|piece| held.push(piece, &mut out));
    let ends = held.ends();
    held.finish(&mut out);
    if ends {
        out.extend_from_slice(FLUSH);
    }
    assert_eq!(out, data, "{}", data.escape_ascii());
}

/// What a push is to change is the same however it comes; and one that is kept to appending has nothing that is not looked at.
fn commands(data: &[u8], step: usize) {
    let whole = Commands::parse(data);
    let fed = (1..=data.len().div_ceil(step)).map(|pieces| Commands::parse(&data[..data.len().min(pieces * step)]));
    if let Some(first) = fed.into_iter().find(|read| !matches!(read, Ok(None))) {
        assert_eq!(first, whole, "{}", data.escape_ascii());
    } else {
        assert_eq!(whole, Ok(None));
    }
    let Ok(Some(commands)) = whole else { return };
    let Some(restricted) = commands.restricted() else { return };
    assert!(!commands.signed);
    for command in &commands.all {
        let has = |names: &[Vec<u8>]| names.contains(&command.name);
        let branch = command.name.strip_prefix(b"refs/heads/");
        let is_annex = branch.is_some_and(|branch| branch == b"git-annex" || branch.ends_with(b"/git-annex"));
        let is_tag = command.name.starts_with(b"refs/tags/");
        assert!(has(&restricted.hidden) || branch.is_some() || (is_tag && command.is_create()));
        assert!(!is_annex || command.is_delete() || has(&restricted.united));
    }
    // A name that begins with `!` or `^` would mean another thing in git's configuration.
    let mut told = restricted.hidden.iter().chain(&restricted.united);
    assert!(told.all(|name| name.first().is_some_and(u8::is_ascii_alphanumeric)));
}

fn head(data: &[u8], step: usize) {
    let whole = cgi::parse(data);
    let fed = (1..=data.len().div_ceil(step)).map(|pieces| cgi::parse(&data[..data.len().min(pieces * step)]));
    match fed.into_iter().find(|read| !matches!(read, Ok(None))) {
        Some(first) => assert_eq!(first, whole, "{}", data.escape_ascii()),
        None => assert_eq!(whole, Ok(None)),
    }
    if let Ok(Some((found, length))) = whole {
        assert!((200..600).contains(&found.status) && length <= cgi::LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Bytes that look like git more often than chance would have it.
    fn git_like() -> impl Strategy<Value = Vec<u8>> {
        let id = "1".repeat(40);
        let line = |text: String| format!("{:04x}{text}", text.len() + 4).into_bytes();
        let words = vec![
            line(format!("{} {id} refs/heads/main\0report-status side-band-64k", "0".repeat(40))),
            line(format!("{id} {} refs/heads/x/git-annex", "0".repeat(40))),
            line(format!("{id} {id} refs/heads/git-annex")),
            line(format!("{id} {id} refs/tags/v1")),
            line(format!("{id} {id} refs/notes/!x")),
            line("push-cert\0".to_string()),
            line(format!("shallow {id}")),
            b"0000".to_vec(),
            b"0004".to_vec(),
            b"0005\x01".to_vec(),
            b"Status: 404 Not Found\r\n".to_vec(),
            b"Content-Type: application/x-git-upload-pack-result\r\n".to_vec(),
            b"\r\n".to_vec(),
            b"PACK".to_vec(),
        ];
        let noise = proptest::collection::vec(any::<u8>(), 0..3);
        let word = prop_oneof![8 => proptest::sample::select(words), 1 => noise];
        proptest::collection::vec(word, 0..10).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn anything_like_git_is_survived(step in 1u8.., data in git_like()) {
            super::wire(&[&[step][..], &data].concat());
        }

        #[test]
        fn anything_at_all_is_survived(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::wire(&data);
        }
    }
}
