//! Building lines, so that none can contain a newline.

use std::borrow::Cow;

use super::misuse::Misuse;
use super::name::Key;

/// One parameter of a line. The constructors are the only way to bytes on the wire, and none lets a newline through.
pub(super) struct Param<'a>(Cow<'a, [u8]>);

impl<'a> Param<'a> {
    /// A word of the protocol itself.
    pub(super) fn word(word: &'static str) -> Self {
        debug_assert!(!word.contains('\n'));
        Self(Cow::Borrowed(word.as_bytes()))
    }

    pub(super) fn key(key: &'a Key) -> Self {
        Self(Cow::Borrowed(key.as_bytes()))
    }

    pub(super) fn number(number: u64) -> Self {
        Self(Cow::Owned(number.to_string().into_bytes()))
    }

    /// Text for people: control characters become spaces.
    pub(super) fn text(text: &'a [u8]) -> Self {
        if text.iter().any(u8::is_ascii_control) {
            Self(Cow::Owned(text.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }).collect()))
        } else {
            Self(Cow::Borrowed(text))
        }
    }

    /// A value that must arrive as it is, as the last parameter: refused when it holds a newline.
    pub(super) fn value(value: &'a [u8]) -> Result<Self, Misuse> {
        if value.contains(&b'\n') { Err(Misuse::Newline) } else { Ok(Self(Cow::Borrowed(value))) }
    }

    /// A value that another parameter follows: refused when it holds a space or a newline.
    pub(super) fn inner(value: &'a [u8]) -> Result<Self, Misuse> {
        if value.contains(&b' ') { Err(Misuse::Space) } else { Self::value(value) }
    }

    /// The name of a setting: a value with no space, and not empty.
    pub(super) fn setting(name: &'a [u8]) -> Result<Self, Misuse> {
        if name.is_empty() { Err(Misuse::NoName) } else { Self::inner(name) }
    }
}

/// Whole lines, all with the tag of the same job.
pub(super) struct Message {
    tag: Vec<u8>,
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(tag: Vec<u8>) -> Self {
        Self { tag, bytes: Vec::new() }
    }

    pub(super) fn line(&mut self, command: &'static str, parameters: &[Param<'_>]) {
        self.bytes.extend_from_slice(&self.tag);
        self.bytes.extend_from_slice(command.as_bytes());
        for parameter in parameters {
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(&parameter.0);
        }
        self.bytes.push(b'\n');
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
