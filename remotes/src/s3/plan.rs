//! One PUT or many parts: a pure choice, made before the first byte.

use crate::Kind;

/// S3's smallest part, in bytes; the last may be smaller.
pub const PART_MIN: u64 = 5 << 20;
/// S3's largest part and largest single PUT, in bytes.
pub const PART_MAX: u64 = 5 << 30;
/// S3's most parts of an object.
pub const PARTS_MAX: u64 = 10_000;

/// Part size where the length allows it: the fastest of those measured (docs/dataplane.md).
const PART: u64 = 8 << 20;
/// Parts that suffice: beyond, parts grow, because each costs a request.
const PARTS_WISHED: u64 = 1000;

/// Most bytes one PUT carries from a file on a plain connection. It was the fastest form on every server measured, and a
/// failure sends no more than this again.
pub const SINGLE_FILE: u64 = 1 << 30;
/// Most bytes one PUT carries where the network is far away (TLS, Amazon): parts then travel side by side.
pub const SINGLE_FAR: u64 = 16 << 20;
/// Most bytes one PUT carries from memory, where they are held until the commit.
pub const SINGLE_MEMORY: u64 = 8 << 20;
/// Most bytes one PUT carries from a stream. Longer ones cost a server more than parts do, and could not be kept to be sent
/// again, nor resumed.
pub const SINGLE_STREAM: u64 = 8 << 20;

/// Where the bytes are while they travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// In a file that can be read again, near a server on a plain connection.
    FileNear,
    /// In a file that can be read again, with TLS or a long way before them.
    FileFar,
    /// In memory: a part is kept until it is stored.
    Memory,
    /// On their way here, once: what has to come again is what was not stored in a part.
    Stream,
}

/// How an object is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadPlan {
    /// One PUT.
    Single,
    /// Equal parts of so many bytes; the last may be smaller.
    Parts(u64),
}

/// How `len` bytes are uploaded; `wished` is the user's part size.
///
/// # Errors
///
/// Longer than S3 can keep.
pub fn plan(len: u64, from: From, wished: Option<u64>) -> Result<UploadPlan, Kind> {
    if len > PART_MAX * PARTS_MAX {
        return Err(Kind::TooLarge);
    }
    let single = match (from, wished) {
        (From::Memory, _) => SINGLE_MEMORY,
        (_, Some(size)) => size,
        (From::Stream, None) => SINGLE_STREAM,
        (From::FileNear, None) => SINGLE_FILE,
        (From::FileFar, None) => SINGLE_FAR,
    };
    if len <= single {
        return Ok(UploadPlan::Single);
    }
    let least = len.div_ceil(PARTS_MAX).next_multiple_of(1 << 20);
    let size = match (from, wished) {
        (_, Some(size)) => size,
        // Parts held in memory stay as small as the count allows.
        (From::Memory, None) => PART,
        (_, None) => PART.max(len.div_ceil(PARTS_WISHED).next_multiple_of(1 << 20)),
    };
    Ok(UploadPlan::Parts(size.max(least).clamp(PART_MIN, PART_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn the_usual_lengths() {
        for (len, from, wished, upload) in [
            (0, From::FileNear, None, UploadPlan::Single),
            (GIB, From::FileNear, None, UploadPlan::Single),
            (GIB + 1, From::FileNear, None, UploadPlan::Parts(8 * MIB)),
            (17 * MIB, From::FileFar, None, UploadPlan::Parts(8 * MIB)),
            (100 * GIB, From::FileFar, None, UploadPlan::Parts(103 * MIB)),
            (8 * MIB, From::Memory, None, UploadPlan::Single),
            (9 * MIB, From::Memory, None, UploadPlan::Parts(8 * MIB)),
            (8 * MIB, From::Stream, None, UploadPlan::Single),
            (8 * MIB + 1, From::Stream, None, UploadPlan::Parts(8 * MIB)),
            (100 * GIB, From::Stream, None, UploadPlan::Parts(103 * MIB)),
            (50 * MIB, From::Stream, Some(50 * MIB), UploadPlan::Single),
            (100 * MIB, From::FileNear, Some(50 * MIB), UploadPlan::Parts(50 * MIB)),
            (50 * MIB, From::FileNear, Some(50 * MIB), UploadPlan::Single),
            // The user's 16 TB file: the wish cannot be granted.
            (16_000 * GIB, From::FileFar, Some(100 * MIB), UploadPlan::Parts(1639 * MIB)),
        ] {
            assert_eq!(plan(len, from, wished), Ok(upload), "{len} {from:?} {wished:?}");
        }
        assert_eq!(plan(PART_MAX * PARTS_MAX + 1, From::FileFar, None), Err(Kind::TooLarge));
    }

    proptest! {
        #[test]
        fn no_plan_breaks_a_rule_of_s3(len in 0..=PART_MAX * PARTS_MAX, wish in proptest::option::of(PART_MIN..=PART_MAX)) {
            for from in [From::FileNear, From::FileFar, From::Memory, From::Stream] {
                match plan(len, from, wish).expect("short enough") {
                    UploadPlan::Single => prop_assert!(len <= PART_MAX),
                    UploadPlan::Parts(size) => {
                        prop_assert!((PART_MIN..=PART_MAX).contains(&size));
                        prop_assert!(len.div_ceil(size) <= PARTS_MAX);
                    }
                }
            }
        }
    }
}
