//! The keys that requests are signed with here, and how long they hold.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use tokio::time::Instant;

/// How long keys are used that do not say when they expire: files and the environment of others may change. The SDK asks as often.
const HOLD: Duration = Duration::from_secs(15 * 60);

/// So long before they expire keys are asked for anew.
const SPARE: Duration = Duration::from_secs(30);

/// How long whoever gives keys may take. The SDK waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of one provider.
#[derive(Default)]
pub(super) struct Keys(RefCell<Option<(Instant, Credentials)>>);

impl Keys {
    /// Its keys as they are now. `None` where it has none, or they expire at once: the SDK asks again then, and says why.
    pub(super) async fn of(&self, provider: &SharedCredentialsProvider) -> Option<Credentials> {
        if let Some((until, keys)) = &*self.0.borrow()
            && Instant::now() < *until
        {
            return Some(keys.clone());
        }
        let keys = tokio::time::timeout(PATIENCE, provider.provide_credentials()).await.ok()?.ok()?;
        let hold = hold(keys.expiry(), SystemTime::now())?;
        self.0.replace(Some((Instant::now() + hold, keys.clone())));
        Some(keys)
    }
}

/// How long keys hold that expire at `expiry`.
fn hold(expiry: Option<SystemTime>, now: SystemTime) -> Option<Duration> {
    let Some(expiry) = expiry else { return Some(HOLD) };
    let left = expiry.duration_since(now).ok()?.checked_sub(SPARE)?;
    Some(left.min(HOLD))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::future;

    use super::*;

    #[test]
    fn keys_hold_until_shortly_before_they_expire() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let seconds = Duration::from_secs;
        for (expiry, expected) in [
            (None, Some(HOLD)),
            (Some(now + seconds(24 * 3600)), Some(HOLD)),
            (Some(now + seconds(90)), Some(seconds(60))),
            (Some(now + seconds(29)), None),
            (Some(now - seconds(1)), None),
        ] {
            assert_eq!(hold(expiry, now), expected, "{expiry:?}");
        }
    }

    /// Gives other keys each time, the first few times.
    #[derive(Debug)]
    struct Few(Arc<AtomicUsize>, usize);

    impl ProvideCredentials for Few {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let n = self.0.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::ready(if n < self.1 {
                Ok(Credentials::new(format!("id{n}"), "secret", None, None, "test"))
            } else {
                Err(CredentialsError::not_loaded("as asked"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_asked_again_when_its_keys_do_not_hold_any_more() {
        let asked = Arc::new(AtomicUsize::new(0));
        let provider = SharedCredentialsProvider::new(Few(Arc::clone(&asked), 2));
        let keys = Keys::default();
        let id = async || keys.of(&provider).await.map(|keys| keys.access_key_id().to_string());
        assert_eq!((id().await.as_deref(), id().await.as_deref()), (Some("id0"), Some("id0")));
        tokio::time::advance(HOLD).await;
        assert_eq!((id().await.as_deref(), id().await.as_deref()), (Some("id1"), Some("id1")));
        tokio::time::advance(HOLD).await;
        assert_eq!((id().await, id().await, asked.load(Ordering::SeqCst)), (None, None, 4));
    }
}
