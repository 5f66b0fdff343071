//! Bodies of answers, byte for byte as git-annex writes them, and the lines of a keeplocked request.

use serde::Deserialize;

use super::response::number;
use super::route::Api;
use crate::name::Uuid;
use crate::proto::line::{Lines, TooLong};

/// Longest line of a keeplocked request taken, in bytes.
pub const LONGEST_LINE: usize = 4096;

/// `{"present":true}`
pub fn present(present: bool, out: &mut Vec<u8>) {
    field(b"{\"present\":", present, out);
}

/// `{"plusuuids":[],"stored":true}`; `plus` is given in the order to be written, and left out below v2.
pub fn stored(api: Api, stored: bool, plus: &[Uuid], out: &mut Vec<u8>) {
    with_plus(api, plus, out);
    field(b"\"stored\":", stored, out);
}

/// `{"plusuuids":[],"removed":true}`; `plus` as in [`stored`].
pub fn removed(api: Api, removed: bool, plus: &[Uuid], out: &mut Vec<u8>) {
    with_plus(api, plus, out);
    field(b"\"removed\":", removed, out);
}

/// `{"offset":0}`: where a put has to begin, in bytes.
pub fn offset(offset: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"offset\":");
    number(offset, out);
    out.push(b'}');
}

/// `{"alreadyhave":true,"plusuuids":[]}`; `plus` as in [`stored`].
pub fn already_have(api: Api, plus: &[Uuid], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"alreadyhave\":true");
    if api.lists_uuids() {
        out.push(b',');
        list(plus, out);
    }
    out.push(b'}');
}

/// `{"timestamp":1998}`, in seconds.
pub fn timestamp(seconds: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":");
    number(seconds, out);
    out.push(b'}');
}

/// `{"locked":true,"lockid":"..."}`, or `{"locked":false}` where there is no lock.
pub fn locked(id: Option<&[u8]>, out: &mut Vec<u8>) {
    match id {
        Some(id) => {
            out.extend_from_slice(b"{\"locked\":true,\"lockid\":");
            string(id, out);
            out.push(b'}');
        }
        None => field(b"{\"locked\":", false, out),
    }
}

fn with_plus(api: Api, plus: &[Uuid], out: &mut Vec<u8>) {
    out.push(b'{');
    if api.lists_uuids() {
        list(plus, out);
        out.push(b',');
    }
}

fn field(start: &[u8], value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    out.extend_from_slice(if value { b"true}" } else { b"false}" });
}

fn list(uuids: &[Uuid], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"plusuuids\":[");
    for (at, uuid) in uuids.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(uuid.as_bytes(), out);
    }
    out.push(b']');
}

/// A string of JSON; bytes that are no UTF-8 are written in the API's base64 form.
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::to_writer(out, text).expect("a Vec takes all, and text is JSON"),
        Err(_) => out.extend_from_slice(format!("\"{}\"", super::query::wrapped(bytes)).as_bytes()),
    }
}

/// What a keeplocked request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Keep the lock while the connection lasts.
    Keep,
    /// Let go of the lock, and answer `{"locked":false}` without waiting for the end of the body.
    Unlock,
}

/// Reads the body of a keeplocked request: objects `{"unlock":false}`, one a line.
///
/// Any other line asks to unlock: `{"unlock":true}`, and also what is no such object, as it does with git-annex. So does
/// the end of the body, which the caller sees. A connection that breaks is neither: then the lock stays for its time.
#[derive(Debug)]
pub struct KeepLocked(Lines);

#[derive(Deserialize)]
struct Line {
    unlock: bool,
}

impl KeepLocked {
    /// For one request.
    pub fn new() -> Self {
        Self(Lines::new(LONGEST_LINE))
    }

    /// Takes payload as it arrives. Holds at most one line.
    pub fn push(&mut self, bytes: &[u8]) -> Wish {
        // In pieces, so that a large push is not held whole.
        for piece in bytes.chunks(LONGEST_LINE) {
            self.0.push(piece);
            while let Some(line) = self.0.next_line() {
                let keep = line
                    .map_err(|TooLong| ())
                    .and_then(|line| serde_json::from_slice::<Line>(&line).map_err(drop))
                    .is_ok_and(|line| !line.unlock);
                if !keep {
                    return Wish::Unlock;
                }
            }
        }
        Wish::Keep
    }
}

impl Default for KeepLocked {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    fn uuid(bytes: &[u8]) -> Uuid {
        Uuid::parse(bytes).expect("a uuid")
    }

    #[test]
    fn bodies_are_those_of_git_annex() {
        assert_eq!(said(|out| present(true, out)), r#"{"present":true}"#);
        assert_eq!(said(|out| present(false, out)), r#"{"present":false}"#);
        assert_eq!(said(|out| stored(Api::V1, true, &[], out)), r#"{"stored":true}"#);
        assert_eq!(said(|out| stored(Api::V2, false, &[], out)), r#"{"plusuuids":[],"stored":false}"#);
        assert_eq!(said(|out| removed(Api::V0, false, &[], out)), r#"{"removed":false}"#);
        assert_eq!(said(|out| removed(Api::V4, true, &[], out)), r#"{"plusuuids":[],"removed":true}"#);
        assert_eq!(said(|out| offset(10, out)), r#"{"offset":10}"#);
        assert_eq!(said(|out| already_have(Api::V1, &[], out)), r#"{"alreadyhave":true}"#);
        assert_eq!(said(|out| already_have(Api::V3, &[], out)), r#"{"alreadyhave":true,"plusuuids":[]}"#);
        assert_eq!(said(|out| timestamp(1998, out)), r#"{"timestamp":1998}"#);
        assert_eq!(said(|out| locked(None, out)), r#"{"locked":false}"#);
        assert_eq!(said(|out| locked(Some(b"64b3"), out)), r#"{"locked":true,"lockid":"64b3"}"#);
    }

    #[test]
    fn uuids_are_listed_in_the_order_given_and_escaped() {
        let plus = [uuid(b"b002"), uuid(b"a\"001"), uuid(b"\xff")];
        assert_eq!(
            said(|out| stored(Api::V2, true, &plus, out)),
            r#"{"plusuuids":["b002","a\"001","[_w==]"],"stored":true}"#
        );
    }

    #[test]
    fn only_lines_that_say_unlock_false_keep_the_lock() {
        for (body, wish) in [
            (&b""[..], Wish::Keep),
            (b"{\"unlock\":false}\n{\"unlock\": false }\n", Wish::Keep),
            (b"{\"unlock\":false,\"x\":[1]}\n", Wish::Keep),
            (b"  {\"unlock\":false}\r\n", Wish::Keep),
            (b"{\"unlock\":true}", Wish::Keep),
            (b"{\"unlock\":true}\n", Wish::Unlock),
            (b"{\"unlock\":false}\n{\"unlock\":true}\n", Wish::Unlock),
            (b"{\"unlock\":false}{\"unlock\":true}\n", Wish::Unlock),
            (b"junk\n", Wish::Unlock),
            (b"junk", Wish::Keep),
            (b"\n", Wish::Unlock),
            (b"{\"unlock\":0}\n", Wish::Unlock),
            (b"{}\n", Wish::Unlock),
            (&[b' '; LONGEST_LINE + 1], Wish::Unlock),
        ] {
            for step in [1, 3, usize::MAX] {
                let mut reader = KeepLocked::new();
                let unlocked = body.chunks(step.min(body.len().max(1))).any(|piece| reader.push(piece) == Wish::Unlock);
                assert_eq!(unlocked, wish == Wish::Unlock, "{} by {step}", body.escape_ascii());
            }
        }
    }
}
