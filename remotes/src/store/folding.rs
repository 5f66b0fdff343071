//! Trying out which names a store does not distinguish, on a file of our own.

use bytes::Bytes;

use crate::fold::Folding;
use crate::sys::chance;
use crate::{Kind, ObjectName, Result, Store};

/// Where a place is tried out: no tree has files there, and no listing shows them. It folds as the root does.
const PROBE: &str = ".git/annex/stream-tmp";

/// Stores a file of our own, whose name is unlike any other, looks for it by other names as `is_there` does, and
/// removes it. What cannot be asked is told apart.
///
/// # Errors
///
/// The place could not be asked.
pub(crate) async fn probe<S: Store + ?Sized>(
    store: &S,
    is_there: impl AsyncFn(&ObjectName) -> Result<bool>,
) -> Result<Folding> {
    let stem = format!("{PROBE}/probe-{:016x}", chance());
    let name = |ending: &str| ObjectName::new(format!("{stem}-{ending}"));
    let (Ok(dir), Ok(own), Ok(case), Ok(unicode), Ok(endings)) =
        (ObjectName::new(PROBE), name("a\u{e9}"), name("A\u{e9}"), name("ae\u{301}"), name("a\u{e9}."))
    else {
        return Ok(Folding::NONE);
    };
    let mut put = store.put(&own, 1).await?;
    put.write(Bytes::from_static(b"?")).await?;
    put.commit().await?;
    let is_found = async |name: &ObjectName| match is_there(name).await {
        // It can have no file of that name, so none that is taken for another.
        Err(e) if e.kind() == Kind::Unsupported => Ok(false),
        asked => asked,
    };
    let asked = async {
        Ok(Folding {
            case: is_found(&case).await?,
            unicode: is_found(&unicode).await?,
            endings: is_found(&endings).await?,
        })
    };
    let folding = asked.await;
    store.remove(&own).await?;
    if let Some(directories) = store.directories() {
        // Others may be asking; then they are done with it last.
        let _ = directories.remove_dir(&dir).await;
        directories.tidy().await;
    }
    folding
}
