//! A listing of which one page is read ahead, while whoever asked for it is busy with the page before.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::tree::{Listing, Page};
use crate::{Error, Kind, Op, Result};

/// Reads `listing` so. Who asks for one page only is not given more: the second is read when it is asked for, and each further one
/// once that before it was taken.
pub(crate) fn ahead(listing: Box<dyn Listing>) -> Box<dyn Listing> {
    Box::new(PagesAhead { listing: Some(listing), asked: 0, reading: None, has_ended: false })
}

/// Pages as they come; `None` is the end. That nothing more comes is not.
type Pages = mpsc::Receiver<Result<Option<Page>>>;

struct PagesAhead {
    /// While nothing is read but what is asked for.
    listing: Option<Box<dyn Listing>>,
    asked: u32,
    /// The task that reads.
    reading: Option<(Pages, JoinHandle<()>)>,
    has_ended: bool,
}

impl Drop for PagesAhead {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.reading {
            task.abort();
        }
    }
}

#[async_trait(?Send)]
impl Listing for PagesAhead {
    async fn next(&mut self) -> Result<Option<Page>> {
        if self.has_ended {
            return Ok(None);
        }
        let page = match (&mut self.reading, &mut self.listing) {
            (Some((pages, _)), _) => pages.recv().await.unwrap_or_else(|| Err(cut_short()))?,
            (None, Some(listing)) => {
                let page = listing.next().await?;
                self.asked += 1;
                if self.asked > 1
                    && page.is_some()
                    && let Some(listing) = self.listing.take()
                {
                    let (to, pages) = mpsc::channel(1);
                    self.reading = Some((pages, tokio::task::spawn_local(read(listing, to))));
                }
                page
            }
            (None, None) => return Err(cut_short()),
        };
        self.has_ended = page.is_none();
        Ok(page)
    }
}

/// What is missing of a list is not absent.
fn cut_short() -> Error {
    Error::new(Op::List, Kind::Other, "the list was cut short")
}

/// A page at a time, and none before there is room for it.
async fn read(mut listing: Box<dyn Listing>, to: mpsc::Sender<Result<Option<Page>>>) {
    while let Ok(room) = to.reserve().await {
        let page = listing.next().await;
        let is_last = !matches!(page, Ok(Some(_)));
        room.send(page);
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// So many pages, and how many were read.
    struct Counted {
        left: u32,
        read: Rc<Cell<u32>>,
        end: End,
    }

    #[derive(Clone, Copy)]
    enum End {
        Well,
        Failure,
        /// The task that reads dies.
        Panic,
    }

    #[async_trait(?Send)]
    impl Listing for Counted {
        async fn next(&mut self) -> Result<Option<Page>> {
            let Some(left) = self.left.checked_sub(1) else {
                return match self.end {
                    End::Well => Ok(None),
                    End::Failure => Err(Error::new(Op::List, Kind::Denied, "as asked")),
                    End::Panic => panic!("as asked"),
                };
            };
            self.left = left;
            self.read.set(self.read.get() + 1);
            Ok(Some(Page { skipped: vec![left.to_string()], ..Page::default() }))
        }
    }

    /// What of `pages` came, how many were read when each had, and how it ended.
    fn listed(pages: u32, end: End) -> (Vec<String>, Vec<u32>, Option<Kind>) {
        crate::sys::run(false, async {
            let read = Rc::new(Cell::new(0));
            let mut listing = ahead(Box::new(Counted { left: pages, read: Rc::clone(&read), end }));
            let (mut came, mut counts) = (Vec::new(), Vec::new());
            loop {
                let page = match listing.next().await {
                    Ok(Some(page)) => page,
                    Ok(None) => {
                        assert!(listing.next().await.expect("it has ended").is_none());
                        return (came, counts, None);
                    }
                    Err(e) => return (came, counts, Some(e.kind())),
                };
                came.extend(page.skipped);
                // Whoever is busy with it lets others do what they can.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                counts.push(read.get());
            }
        })
        .expect("a runtime")
    }

    #[test]
    fn one_page_is_read_ahead_once_a_second_was_asked_for() {
        let words = |of: &[&str]| of.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
        assert_eq!(listed(0, End::Well), (vec![], vec![], None));
        assert_eq!(listed(1, End::Well), (words(&["0"]), vec![1], None));
        assert_eq!(listed(5, End::Well), (words(&["4", "3", "2", "1", "0"]), vec![1, 3, 4, 5, 5], None));
        assert_eq!(listed(3, End::Failure), (words(&["2", "1", "0"]), vec![1, 3, 3], Some(Kind::Denied)));
    }

    /// What it has not told of would be taken for absent.
    #[test]
    fn a_list_that_is_cut_short_is_no_end_of_it() {
        let (came, _, end) = listed(3, End::Panic);
        assert_eq!((came.len(), end), (3, Some(Kind::Other)));
    }
}
