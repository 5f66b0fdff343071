//! The hook `proc-receive` of a push that may only add: git hands over the branches `git-annex`, and their lines are united with ours.
//!
//! ```text
//! git:  version=1 0000                        OLD NEW REFERENCE ... 0000
//! hook:                  version=1 0000                                   ok REFERENCE | ng REFERENCE WHY ... 0000
//! ```
//!
//! Source: git's `githooks`, of `proc-receive`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::annex::branch::{Added, GitId};
use crate::annex::repository::Repository;
use crate::proto::git::packet::{FLUSH, LONGEST, Packet, parse, write};

/// Runs as the hook, in the repository that git has changed to.
pub fn main() -> ExitCode {
    super::warnings::start(|words| eprintln!("git-annex-remote-stream: {words}"));
    let add = |repository: &Repository, id| match repository.branch().add_pushed(id) {
        Ok(Added::United { .. }) => Ok(()),
        Ok(Added::Skipped(why)) => Err(why.to_string()),
        Err(e) => Err(e.to_string()),
    };
    let repository = Repository::open(Path::new(".")).map_err(|e| e.to_string());
    let unite = |id| repository.as_ref().map_err(Clone::clone).and_then(|repository| add(repository, id));
    match run(&mut std::io::stdin().lock(), &mut std::io::stdout().lock(), unite) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("git-annex-remote-stream: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Talks to git. `unite` is given each commit that was pushed, and says why it is refused.
///
/// # Errors
///
/// git says something else, or nothing.
fn run(
    input: &mut impl Read,
    output: &mut impl Write,
    mut unite: impl FnMut(GitId) -> Result<(), String>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let hello = section(input, &mut buffer)?;
    let version = hello.first().and_then(|line| line.split(|byte| matches!(byte, 0 | b'\n')).next());
    if version != Some(b"version=1") {
        return Err(std::io::Error::other("git speaks another version of the hook proc-receive"));
    }
    let mut out = Vec::new();
    write(b"version=1", &mut out);
    out.extend_from_slice(FLUSH);
    output.write_all(&out)?;
    output.flush()?;
    out.clear();
    for line in section(input, &mut buffer)? {
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let words: Vec<&[u8]> = line.splitn(3, |byte| *byte == b' ').collect();
        let [_, new, name] = words[..] else { return Err(std::io::Error::other("malformed command of git")) };
        let done = match GitId::parse(new) {
            Some(id) => unite(id),
            None => Err("malformed commit".to_string()),
        };
        let answer = match done {
            Ok(()) => [b"ok ", name].concat(),
            Err(why) => {
                let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
                [b"ng ", name, b" ", why.as_bytes()].concat()
            }
        };
        write(&answer, &mut out);
    }
    out.extend_from_slice(FLUSH);
    output.write_all(&out)?;
    output.flush()
}

/// The packets up to the next end.
fn section(input: &mut impl Read, buffer: &mut Vec<u8>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        match parse(buffer).map_err(|_| std::io::Error::other("malformed packet of git"))? {
            Some((Packet::Flush, length)) => {
                buffer.drain(..length);
                return Ok(lines);
            }
            Some((Packet::Data(data), length)) => {
                lines.push(data.to_vec());
                buffer.drain(..length);
            }
            None => {
                let at = buffer.len();
                buffer.resize(at + LONGEST, 0);
                let n = input.read(&mut buffer[at..])?;
                buffer.truncate(at + n);
                if n == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_branch_is_answered_for() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let mut said = Vec::new();
        write(b"version=1\0push-options atomic", &mut said);
        said.extend_from_slice(FLUSH);
        write(format!("{a} {a} refs/heads/git-annex").as_bytes(), &mut said);
        write(format!("{a} {b} refs/heads/synced/git-annex\n").as_bytes(), &mut said);
        said.extend_from_slice(FLUSH);
        let mut out = Vec::new();
        let unite = |id: GitId| if id.to_string() == a { Ok(()) } else { Err("no\nway".to_string()) };
        run(&mut &said[..], &mut out, unite).expect("it is well formed");
        let mut expected = Vec::new();
        write(b"version=1", &mut expected);
        expected.extend_from_slice(FLUSH);
        write(b"ok refs/heads/git-annex", &mut expected);
        write(b"ng refs/heads/synced/git-annex no way", &mut expected);
        expected.extend_from_slice(FLUSH);
        assert_eq!(out, expected);
        for bad in [&b"0009hello0000"[..], b"", b"000eversion=20000", b"zzzz"] {
            assert!(run(&mut &bad[..], &mut Vec::new(), unite).is_err(), "{}", bad.escape_ascii());
        }
    }
}
