//! The region that requests are signed for, which is learnt anew where a server names another one.
//!
//! Amazon answers 301, 307, 400 or 403 to who asks in the wrong region, with the right one in `x-amz-bucket-region`. To a HEAD it
//! says nothing else.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often another region is believed: a server that names one after another is none of S3.
const MOST: usize = 2;

/// The header that names it.
pub(super) const HEADER: &str = "x-amz-bucket-region";

/// The region of a bucket, as far as it is known.
#[derive(Debug)]
pub(super) struct Region(Mutex<Known>);

#[derive(Debug)]
struct Known {
    name: String,
    learnt: usize,
}

impl Region {
    /// As the options say.
    pub(super) fn new(name: &str) -> Self {
        Self(Mutex::new(Known { name: name.into(), learnt: 0 }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is one step, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> String {
        self.known().name.clone()
    }

    /// The name, where it is not what the options say.
    pub(super) fn learnt(&self) -> Option<String> {
        let known = self.known();
        (known.learnt > 0).then(|| known.name.clone())
    }

    /// An answer to a request that was signed for `signed` names a region. True where the request is to be made again.
    pub(super) fn told(&self, status: u16, signed: &str, named: &str) -> bool {
        // It becomes part of host names.
        let good = (1..=32).contains(&named.len())
            && named.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good || named == signed || !matches!(status, 301 | 307 | 400 | 403) {
            return false;
        }
        let mut known = self.known();
        if known.name == named {
            // Another request has learnt it meanwhile.
            return true;
        }
        if known.learnt == MOST {
            return false;
        }
        *known = Known { name: named.into(), learnt: known.learnt + 1 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_learnt_from_refusals_that_name_another() {
        let region = Region::new("us-east-1");
        assert!(!region.told(200, "us-east-1", "eu-west-1"), "no refusal");
        assert!(!region.told(404, "us-east-1", "eu-west-1"));
        assert!(!region.told(403, "us-east-1", "us-east-1"), "a refusal for another reason");
        for odd in ["", "evil.example.org/", "EU", "a b", &"x".repeat(33)] {
            assert!(!region.told(301, "us-east-1", odd), "{odd}");
        }
        assert_eq!(region.learnt(), None);
        assert!(region.told(400, "us-east-1", "eu-west-1"));
        assert_eq!((region.learnt().as_deref(), region.name().as_str()), (Some("eu-west-1"), "eu-west-1"));
        assert!(region.told(301, "us-east-1", "eu-west-1"), "a request that was under way");
        assert!(!region.told(301, "eu-west-1", "eu-west-1"));
        assert!(region.told(301, "eu-west-1", "eu-west-2"));
        assert!(!region.told(301, "eu-west-2", "eu-west-1"), "no ring");
    }
}
