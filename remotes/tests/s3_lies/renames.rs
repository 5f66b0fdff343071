//! Renames where a store is believed, and where it is not any more.

use std::rc::Rc;
use std::sync::Arc;

use remotes::{Context, Error, Kind, Store};

use crate::client::{LANES, context, liar, name, on, open};
use crate::liar::{Liar, document};

/// Renames `count` objects twice, as an export by git-annex does: to a name between, and to the new one.
async fn rename_all(store: &Rc<dyn Store>, count: usize) -> Result<(), Error> {
    let renames = store.renames().expect("it can");
    for n in 0..count {
        renames.rename(&name(&format!("old{n}")), &name(&format!("between{n}"))).await?;
        renames.rename(&name(&format!("between{n}")), &name(&format!("new{n}"))).await?;
    }
    Ok(())
}

fn with_old(liar: Liar, count: usize) -> Liar {
    (0..count).for_each(|n| liar.put(&format!("old{n}"), format!("content {n}").as_bytes()));
    liar
}

/// One that has shown that it tells the truth is not asked about every copy: each of the two renames of a file takes a
/// copy and a removal. What they are called before is listed, many at once.
#[test]
fn renames_take_few_requests_where_the_store_has_shown_what_it_does() {
    const COUNT: usize = 100;
    for lane in LANES {
        let store = with_old(liar(|_| None), COUNT);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, COUNT)).expect("renamed");
        for n in 0..COUNT {
            let content = format!("content {n}").into_bytes();
            assert_eq!((store.get(&format!("new{n}")), store.get(&format!("old{n}"))), (Some(content), None));
            assert_eq!(store.get(&format!("between{n}")), None);
        }
        let operations = ["HeadObject", "CopyObject", "DeleteObject", "ListObjects"];
        let counts = operations.map(|operation| store.count(operation));
        // What is tried first, and a sample, come to a few.
        assert!(counts[0] <= 25 && counts[1] <= 2 * COUNT + 3 && counts[2] <= 2 * COUNT + 1, "{counts:?}");
        assert!(counts[3] <= 3, "{counts:?}");
    }
}

/// One that honours no condition is never believed, whatever else it says.
#[test]
fn every_copy_is_looked_at_where_conditions_are_ignored() {
    const COUNT: usize = 20;
    for lane in LANES {
        let store = with_old(Liar::start(|_| None).careless(), COUNT);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, COUNT)).expect("renamed");
        assert!(store.count("HeadObject") >= 4 * COUNT, "{}", store.count("HeadObject"));
        assert_eq!(store.get("new7").as_deref(), Some(&b"content 7"[..]));
    }
}

/// A copy that is not of the original is looked at, and found out, however long the store told the truth.
#[test]
fn belief_ends_with_the_first_copy_that_is_another() {
    for lane in LANES {
        let copied = std::sync::atomic::AtomicUsize::new(0);
        let tells = "<CopyObjectResult><ETag>\"another\"</ETag></CopyObjectResult>";
        let store = Liar::start(move |request| {
            let is_late =
                request.operation() == "CopyObject" && copied.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 30;
            is_late.then(|| document(tells))
        });
        let store = with_old(store, 40);
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        let e = on(rename_all(&opened, 40)).expect_err("it does not copy any more");
        assert_ne!(e.kind(), Kind::NotFound, "{e}");
        for n in 0..40 {
            let names = ["old", "between", "new"].map(|what| store.get(&format!("{what}{n}")));
            assert!(names.into_iter().flatten().any(|is| is == format!("content {n}").into_bytes()), "{n} is lost");
        }
    }
}

/// What somebody puts under the old name while it is renamed is theirs.
#[test]
fn a_rename_does_not_remove_what_came_under_the_old_name() {
    for lane in LANES {
        let wait = Arc::new(std::sync::Mutex::new(None::<Arc<Liar>>));
        let theirs = Arc::clone(&wait);
        let store = Arc::new(with_old(
            Liar::start(move |request| {
                if request.operation() == "DeleteObject" && request.key == "old9" {
                    let store = theirs.lock().expect("no panic").clone();
                    store.expect("it is known").put("old9", b"somebody else's");
                }
                None
            }),
            10,
        ));
        *wait.lock().expect("no panic") = Some(Arc::clone(&store));
        let opened = open(store.port, lane, &Context { tree: true, ..context() });
        on(rename_all(&opened, 10)).expect("renamed");
        assert_eq!(store.get("old9").as_deref(), Some(&b"somebody else's"[..]));
        assert_eq!(store.get("new9").as_deref(), Some(&b"content 9"[..]));
    }
}
