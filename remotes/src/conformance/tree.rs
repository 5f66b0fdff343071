//! What a store promises of trees of files, as far as it can do any of it.

use std::collections::BTreeMap;

use super::{Exam, pattern};
use crate::{Copies, Directories, Kind, Lists, ObjectName, PAGE, Range, Renames, Write, put_stream};

fn path(text: &str) -> ObjectName {
    ObjectName::new(format!("conformance-tree/{text}")).expect("a good name")
}

impl Exam<'_> {
    pub(super) async fn trees_are_kept(&self) {
        if self.store.capabilities().write == Write::ReadOnly {
            return;
        }
        if let Some(renames) = self.store.renames() {
            self.a_rename_moves_and_replaces(renames).await;
            self.names_that_leave_the_tree_are_refused(renames).await;
        }
        if let Some(copies) = self.store.copies() {
            self.a_copy_leaves_the_original(copies).await;
        }
        if let Some(lists) = self.store.lists() {
            self.a_listing_tells_all(lists).await;
            self.identifiers_change_with_the_content_only(lists).await;
        }
        if let Some(directories) = self.store.directories() {
            self.only_empty_directories_go(directories).await;
        }
        if self.context.tree {
            self.a_directory_is_no_file_of_its_name().await;
            self.a_file_called_tmp_is_a_file().await;
            self.names_that_are_one_do_each_other_no_harm().await;
        }
    }

    /// Leaves no directory of the store's own behind.
    pub(super) async fn directories_are_tidy(&self) {
        if let Some(directories) = self.store.directories() {
            directories.tidy().await;
        }
    }

    async fn a_rename_moves_and_replaces(&self, renames: &dyn Renames) {
        let (from, to, other) = (path("a b/x"), path("c/d/é+&%20"), path("c/other"));
        let (one, two) = (pattern(31, 20_000), pattern(32, 10));
        self.put(&from, &one).await;
        self.put(&other, &two).await;
        renames.rename(&from, &to).await.expect("renamed");
        assert!(!self.present(&from).await, "the old name is gone");
        assert!(self.whole(&to).await.expect("got") == one, "the content has the new name");
        renames.rename(&to, &other).await.expect("renamed over another");
        assert!(self.whole(&other).await.expect("got") == one, "the other was replaced");
        renames.rename(&other, &other).await.expect("its own name is no matter");
        assert!(self.whole(&other).await.expect("got") == one, "it is still there");
        let e = renames.rename(&from, &to).await.expect_err("nothing to rename");
        assert_eq!(e.kind(), Kind::NotFound, "{e}");
        assert!(!self.present(&to).await, "nothing came of it");
        // Two that swap their content, by way of a third name.
        self.put(&from, &two).await;
        for (a, b) in [(&from, &to), (&other, &from), (&to, &other)] {
            renames.rename(a, b).await.expect("renamed");
        }
        assert!(self.whole(&from).await.expect("got") == one && self.whole(&other).await.expect("got") == two);
        for name in [&from, &to, &other] {
            self.remove(name).await;
        }
        self.clean(&["a b", "c/d", "c"]).await;
    }

    /// Removes directories that are empty now.
    async fn clean(&self, dirs: &[&str]) {
        let Some(directories) = self.store.directories() else { return };
        for dir in dirs {
            directories.remove_dir(&path(dir)).await.expect("empty directories can go");
        }
    }

    /// A store without directories may take such a name for one like any other.
    async fn names_that_leave_the_tree_are_refused(&self, renames: &dyn Renames) {
        let inside = path("inside");
        self.put(&inside, &pattern(33, 5)).await;
        for bad in ["../outside", "/outside", "a/../../outside", "a//b", "a/./b"] {
            let outside = ObjectName::new(bad).expect("bytes like others");
            if outside.components().is_err() && renames.rename(&inside, &outside).await.is_ok() {
                assert!(self.present(&outside).await, "{bad} is a name here, or is refused");
                renames.rename(&outside, &inside).await.expect("and back");
            }
        }
        assert!(self.whole(&inside).await.expect("got") == pattern(33, 5), "a refused rename does no harm");
        self.remove(&inside).await;
    }

    async fn a_copy_leaves_the_original(&self, copies: &dyn Copies) {
        let (from, to) = (path("original"), path("twins/copy"));
        let (one, two) = (pattern(34, 20_000), pattern(35, 10));
        self.put(&from, &one).await;
        self.put(&to, &two).await;
        assert_eq!(copies.copy(&from, &to, None).await.expect("copied").len, 20_000);
        assert!(self.whole(&from).await.expect("got") == one && self.whole(&to).await.expect("got") == one);
        let old = self.store.stat(&from).await.expect("a clear answer").expect("present").tag;
        self.put(&from, &pattern(41, 11)).await;
        if let Some(tag) = old {
            let e = copies.copy(&from, &to, Some(&tag)).await.expect_err("it is another object now");
            assert_eq!(e.kind(), Kind::Corrupt, "{e}");
        }
        assert!(self.whole(&to).await.expect("got") == one, "the copy is not the original");
        self.remove(&from).await;
        let e = copies.copy(&from, &to, None).await.expect_err("nothing to copy");
        assert_eq!(e.kind(), Kind::NotFound, "{e}");
        assert!(self.whole(&to).await.expect("got") == one, "a copy that failed does no harm");
        self.remove(&to).await;
        self.clean(&["twins"]).await;
    }

    async fn listed(
        &self,
        lists: &dyn Lists,
        prefix: Option<&ObjectName>,
    ) -> BTreeMap<ObjectName, (u64, Option<String>)> {
        let mut listing = lists.list(prefix).await.expect("listed");
        let mut all = BTreeMap::new();
        while let Some(page) = listing.next().await.expect("a page") {
            assert_eq!(page.skipped, Vec::<String>::new(), "every name here is a good one");
            for entry in page.entries {
                let id = self.store.identify(&entry.name, entry.len, entry.tag.as_deref());
                let same = all.insert(entry.name.clone(), (entry.len, id));
                assert_eq!(same, None, "{} once", entry.name);
            }
        }
        all
    }

    async fn a_listing_tells_all(&self, lists: &dyn Lists) {
        let below = ObjectName::new("conformance-tree").expect("a good name");
        assert!(self.listed(lists, Some(&below)).await.is_empty(), "nothing is listed where nothing is");
        let names = ["a", "a b", "a.b/c", "d/e/f", "d/g", "d/é", "x+y&z", "100%", "tmp/kept", "h/h", "h/i"];
        for (size, text) in names.iter().enumerate() {
            self.put(&path(text), &pattern(36, size)).await;
        }
        let beside = ObjectName::new("conformance-tree2/a").expect("a good name");
        self.put(&beside, &pattern(36, 3)).await;
        let listed = self.listed(lists, Some(&below)).await;
        let lengths: BTreeMap<_, _> = listed.iter().map(|(name, (len, _))| (name.clone(), *len)).collect();
        let expected = names.iter().enumerate().map(|(size, text)| (path(text), size as u64)).collect();
        assert_eq!(lengths, expected, "each with its length");
        let all = self.listed(lists, None).await;
        assert!(listed.iter().all(|found| all.get(found.0) == Some(found.1)), "all holds the parts");
        assert!(all.contains_key(&beside), "and what is beside them");
        for text in names {
            self.remove(&path(text)).await;
        }
        self.remove(&beside).await;
        let many = PAGE + 7;
        if self.store.capabilities().local {
            for n in 0..many {
                self.put(&path(&format!("m/{n}")), &pattern(1, 1)).await;
            }
            assert_eq!(self.listed(lists, Some(&below)).await.len(), many, "more than a page");
            for n in 0..many {
                self.remove(&path(&format!("m/{n}"))).await;
            }
        }
        self.clean(&["a.b", "d/e", "d", "tmp", "h"]).await;
    }

    async fn identifiers_change_with_the_content_only(&self, lists: &dyn Lists) {
        let (name, other) = (path("id/one"), path("id/two"));
        self.put(&name, &pattern(37, 100)).await;
        self.put(&other, &pattern(38, 100)).await;
        let first = self.listed(lists, Some(&path("id"))).await;
        assert_eq!(first, self.listed(lists, Some(&path("id"))).await, "stable while nothing changes");
        let (_, id) = &first[&name];
        // Where nothing is known that changes with the content, there are no imports.
        let Some(id) = id.as_deref() else { return self.clean_identified(&[name, other]).await };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        assert!(id.chars().all(plain) && id.len() < 200, "{id}");
        assert_ne!(first[&name], first[&other], "other content, other identifier");
        let stat = self.store.stat(&name).await.expect("a clear answer").expect("present");
        let told = self.store.identify(&name, stat.len, stat.tag.as_deref());
        assert_eq!(told.as_deref(), Some(id), "a look at one tells the same as a listing");
        if self.store.capabilities().ranges {
            let got = self.range(&name, Range { from: 0, len: None, tag: stat.tag.clone() }).await;
            assert!(got.expect("still the same") == pattern(37, 100));
        }
        self.put(&name, &pattern(39, 101)).await;
        let second = self.listed(lists, Some(&path("id"))).await;
        assert_ne!(second[&name], first[&name], "changed with the content");
        assert_eq!(second[&other], first[&other], "the other did not change");
        self.clean_identified(&[name, other]).await;
    }

    async fn clean_identified(&self, names: &[ObjectName]) {
        for name in names {
            self.remove(name).await;
        }
        self.clean(&["id"]).await;
    }

    async fn only_empty_directories_go(&self, directories: &dyn Directories) {
        let (file_name, dir) = (path("full/deep/file"), path("full"));
        self.put(&file_name, &pattern(40, 10)).await;
        directories.remove_dir(&dir).await.expect("left alone");
        directories.remove_dir(&path("full/deep")).await.expect("left alone");
        assert!(self.present(&file_name).await, "what is in a directory stays");
        self.remove(&file_name).await;
        for dir in ["full/deep", "full", "never-there"] {
            directories.remove_dir(&path(dir)).await.expect("gone, or was not there");
        }
        // Somebody put a file in the place of a directory.
        let content = pattern(39, 10);
        self.put(&dir, &content).await;
        // Whether it is told of or not.
        let _ = directories.remove_dir(&dir).await;
        let kept = self.whole(&dir).await.expect("a file is no empty directory");
        assert!(kept == content, "it is the file that was put there");
        self.remove(&dir).await;
    }

    /// What stages files on their way does so where no file of a tree can be.
    async fn a_file_called_tmp_is_a_file(&self) {
        let streams = self.store.capabilities().write == Write::Stream;
        for text in ["tmp", "stream-tmp"] {
            let top = ObjectName::new(text).expect("a name");
            let below = ObjectName::new(format!("{text}/{text}")).expect("a name");
            for name in [&top, &below] {
                let one = pattern(43, 20);
                self.put(name, &one).await;
                self.put(&path("beside"), &pattern(44, 70_000)).await;
                // Long enough to be resumed later, where anything is.
                match put_stream(&**self.store, &path("beside"), 40 << 20).await {
                    Ok(put) => put.abort().await.expect("aborted"),
                    Err(e) => assert!(!streams, "{e}"),
                }
                assert!(self.whole(name).await.expect("got") == one, "{name} is what it was");
                self.put(name, &one).await;
                if let Some(renames) = self.store.renames() {
                    renames.rename(name, &path("elsewhere")).await.expect("renamed");
                    renames.rename(&path("elsewhere"), name).await.expect("and back");
                }
                if let Some(lists) = self.store.lists() {
                    assert!(self.listed(lists, None).await.contains_key(name), "{name} is listed");
                }
                self.remove(name).await;
                self.remove(&path("beside")).await;
                if let Some(directories) = self.store.directories() {
                    directories.remove_dir(&top).await.expect("an empty directory goes");
                }
            }
        }
    }

    /// Of names that the place takes for one, the first stays what it is.
    async fn names_that_are_one_do_each_other_no_harm(&self) {
        let folding = self.store.folding().await.expect("told");
        let (one, two, other) = (pattern(45, 20), pattern(46, 20), path("fold/other"));
        let pairs = [
            (folding.case, "fold/a", "fold/A"),
            (folding.case, "fold/b/x", "fold/B/x"),
            (folding.unicode, "fold/\u{e9}", "fold/e\u{301}"),
        ];
        for (folds, first, second) in pairs {
            let (first, second) = (path(first), path(second));
            self.put(&first, &one).await;
            self.put(&other, &two).await;
            if folds {
                let mut put = self.open(&second, two.len() as u64).await;
                let stored = put.write(two.clone()).await.is_ok() && put.commit().await.is_ok();
                assert!(!stored, "{second} is not stored over {first}");
                if let Some(renames) = self.store.renames() {
                    renames.rename(&other, &second).await.expect_err("nor renamed to it");
                }
                if let Some(copies) = self.store.copies() {
                    copies.copy(&other, &second, None).await.expect_err("nor copied");
                }
                assert!(self.whole(&other).await.expect("got") == two, "what was refused stays");
            }
            assert!(!self.present(&second).await, "nothing is there by a name that nobody gave");
            assert_eq!(self.whole(&second).await.expect_err("nothing to get").kind(), Kind::NotFound);
            self.remove(&second).await;
            assert!(self.whole(&first).await.expect("got") == one, "{first} is what it was");
            if let Some(renames) = self.store.renames() {
                self.respelled(renames, &first, &second, folds).await;
                assert!(self.whole(&second).await.expect("got") == one, "it is there under the new name");
                assert!(!self.present(&first).await, "and not under the old one");
                self.respelled(renames, &second, &first, folds).await;
                assert!(self.whole(&first).await.expect("got") == one, "it is there under the old name");
            }
            self.remove(&first).await;
            self.remove(&other).await;
            self.clean(&["fold/b", "fold/B", "fold/between", "fold"]).await;
        }
    }

    /// A directory of two spellings would have to be moved with all that is in it, which may be refused.
    async fn respelled(&self, renames: &dyn Renames, from: &ObjectName, to: &ObjectName, folds: bool) {
        let Err(e) = renames.rename(from, to).await else { return };
        assert!(folds && from.as_bytes().ends_with(b"/x"), "another spelling: {e}");
        assert!(self.present(from).await, "what was not renamed stays");
        let between = path("fold/between/x");
        renames.rename(from, &between).await.expect("another name");
        self.clean(&["fold/b", "fold/B"]).await;
        renames.rename(&between, to).await.expect("then the name");
    }

    /// Where there are directories, what is in one survives all that is done to a file of its name.
    async fn a_directory_is_no_file_of_its_name(&self) {
        let (inside, dir, other) = (path("name/inside"), path("name"), path("other"));
        let content = pattern(41, 10);
        self.put(&inside, &content).await;
        assert!(!matches!(self.store.stat(&dir).await, Ok(Some(_))), "no file is there");
        // Some say that it is a directory, to some it is nothing.
        let _ = self.store.remove(&dir).await;
        assert!(self.whole(&inside).await.expect("got") == content, "removed with the name of the directory");
        if let Some(renames) = self.store.renames() {
            renames.rename(&dir, &path("elsewhere")).await.expect_err("no file is there");
            self.put(&other, &pattern(42, 20)).await;
            // To a flat store these are two names like any others.
            let replaced = renames.rename(&other, &dir).await;
            assert!(self.whole(&inside).await.expect("got") == content, "replaced by a file: {replaced:?}");
            self.remove(if replaced.is_ok() { &dir } else { &other }).await;
        }
        if let Ok(mut put) = self.store.put(&dir, 1).await {
            let written = put.write(bytes::Bytes::from_static(b"x")).await;
            let stored = written.is_ok() && put.commit().await.is_ok();
            assert!(self.whole(&inside).await.expect("got") == content, "replaced by what was stored: {stored}");
            if stored {
                self.remove(&dir).await;
            }
        }
        self.remove(&inside).await;
        self.clean(&["name"]).await;
    }
}
