//! What a killed export asked of a slow store is done after the next export has begun: no name that it filled is emptied or
//! filled with something else.

use std::time::{Duration, Instant};

use super::lab::Lab;
use super::stores::Bucket;
use testbed::faulty::What;

/// Seconds that a store may take, here.
const LATE: u64 = 10;

#[test]
fn what_a_killed_export_asked_for_comes_late() {
    let mut bucket = Bucket::new();
    // A late copy may put a file of git beside the tree, where it does no harm.
    bucket.lab.blobs_may_lie_beside = true;
    let mut late = 0;
    for what in [What::Remove, What::Put, What::Remove] {
        bucket.lab.repo.set("STREAM_LATE", LATE.to_string());
        bucket.lab.push_other();
        assert!(bucket.cut_late(what), "{what:?}: it needs none");
        // Back again, so that the names it emptied are filled.
        bucket.lab.push_other();
        let mut hook = bucket.lab.start_hook();
        Lab::tell(&mut hook);
        // One that does not wait has ended by then; one that does waits longer than that.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(LATE / 2)
            && hook.try_wait().expect("it can be waited for").is_none()
        {
            std::thread::yield_now();
        }
        late += bucket.faulty.deliver();
        let (status, said) = Lab::end(hook);
        assert!(status.success(), "{what:?}: {status}: {said}");
        bucket.lab.nothing_is_lost();
        bucket.lab.repo.set("STREAM_LATE", "0");
        bucket.lab.heals();
    }
    assert!(late >= 3, "{late} requests came late");
}
