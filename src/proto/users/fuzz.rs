//! The body of the fuzz target `users_file`, here so that plain tests can run it too. It panics when a promise of the module is broken.

use super::edit::{with_login, with_quota, with_right, with_token, without, without_quota, without_token};
use super::file::UsersFile;
use super::rights::Pattern;

/// A user and a token that are edited in.
const NAME: &str = "zoe";

/// `data` is a file of users. One that is understood is understood after each change, too, and has changed as was asked for.
pub fn file(data: &[u8]) {
    let Ok(file) = UsersFile::parse(data) else { return };
    let text = std::str::from_utf8(data).expect("it was understood");
    let parse = |text: &str| UsersFile::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    let has_login = |file: &UsersFile| file.logins.iter().any(|login| login.name == NAME);
    let others = |file: &UsersFile| file.logins.iter().filter(|login| login.name != NAME).count();
    let added = parse(&with_login(text, NAME, "!"));
    assert!(has_login(&added) && others(&added) == others(&file));
    assert_eq!((added.tokens.len(), added.rights.0.len()), (file.tokens.len(), file.rights.0.len()));
    let line = format!("{NAME} - full * never sha256:{}", "0".repeat(64));
    let with = with_token(text, &line);
    assert!(parse(&with).tokens.iter().any(|token| token.name == NAME && token.user.is_none()));
    assert!(parse(&without_token(&with, NAME)).tokens.iter().all(|token| token.name != NAME));
    // The same repositories may be written in another way, which is told to whoever edits.
    if let Ok(more) = UsersFile::parse(with_right(text, NAME, "full", "org/").as_bytes()) {
        assert!(more.rights.of(NAME.as_bytes(), b"org/photos").is_some());
        assert_eq!(more.rights.of(b"anonymous", b"org/photos"), file.rights.of(b"anonymous", b"org/photos"));
    }
    let more = parse(&with_quota(text, "zoe/ 1GB -"));
    assert!(more.quotas.iter().any(|quota| quota.fits(b"zoe/x") && quota.all == Some(1_000_000_000)));
    let less = parse(&without_quota(text, &Pattern::Below(b"zoe/".to_vec())));
    assert_eq!(less.quotas.len() + 1, more.quotas.len());
    let gone = parse(&without(&with_login(text, NAME, "!"), NAME));
    assert!(!has_login(&gone) && others(&gone) == others(&file));
    assert!(gone.tokens.iter().all(|token| token.user.as_deref() != Some(NAME)));
    assert_eq!(gone.rights.of(NAME.as_bytes(), b"org/photos"), None);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn file_like() -> impl Strategy<Value = String> {
        let digest = format!("sha256:{}", "a".repeat(64));
        let words = vec![
            "alice:$2b$04$abcdefghijklmnopqrstuu8HU3pu3uDNsZeZ4Putj36gAGMqThibC\n".to_string(),
            "zoe:!\n".to_string(),
            "bob:!\r\n".to_string(),
            "[users]\n".to_string(),
            "[tokens]\n".to_string(),
            "[rights]\n".to_string(),
            " [rights] \n".to_string(),
            "[quotas]\n".to_string(),
            "zoe/ 5GB 1GB\n".to_string(),
            "org/photos.git - 1kiB\n".to_string(),
            format!("robot - appendonly inbox never {digest}\n"),
            format!("zoe zoe full * 2027-06-30 {digest}\n"),
            format!("x zoe full * never {digest}\n"),
            "zoe full org/\n".to_string(),
            "zoe readonly org/photos.git\n".to_string(),
            "zoe none org/photos\n".to_string(),
            "anonymous readonly *\n".to_string(),
            "# zoe:!\n".to_string(),
            "\n".to_string(),
            "\u{85}\n".to_string(),
        ];
        proptest::collection::vec(proptest::sample::select(words), 0..10).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn files_stay_understood(text in file_like()) {
            super::file(text.as_bytes());
        }

        #[test]
        fn anything_at_all_is_survived(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::file(&data);
        }
    }
}
