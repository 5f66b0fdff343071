//! gc on a real S3 server: an upload that broke off is listed, and nothing is left of it.

use git_annex_remote_stream::annex::remote::remotes_of;
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::annex::unfinished::{Ledgers, Taken};
use git_annex_remote_stream::name::Key;
use git_annex_remote_stream::resolve::{Destination, destination};
use remotes::{Context, ObjectName, registry, sys};

use testbed::annex::{LIMIT, Repo};
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::run::{Done, run};

const LEN: u64 = 64 << 20;

fn gc(repo: &Repo, words: &[&str]) -> Done {
    run(repo.command(product()).arg("gc").args(words), LIMIT)
}

/// Begins an upload to the remote `s3`, and leaves it with some of its parts stored.
fn break_off(repo: &Repo, key: &Key) {
    let repository = Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}"));
    let remote = remotes_of(&repository).expect("read").pop().expect("it is there");
    let Destination::Store(config) = destination(&remote, |_| None).unwrap_or_else(|e| panic!("{e}")) else {
        panic!("{remote:?}")
    };
    let object = ObjectName::new(config.naming.name(key)).expect("a name");
    let left = sys::run(false, async {
        let store = registry::open(config.scheme.name, &config.options, &Context::default())?;
        let mut put = remotes::put_stream(&*store, &object, LEN).await?;
        for _ in 0..40 {
            put.write(vec![7; 1 << 20].into()).await?;
        }
        let resumption = put.resumption();
        remotes::Result::Ok((resumption, put.suspend().await?))
    });
    let (resumption, marks) = left.expect("a runtime").unwrap_or_else(|e| panic!("{e}"));
    let resumption = resumption.expect("it can be gone on with");
    assert!(!marks.is_empty());
    let Ok(Taken::Free(mut ledger)) = Ledgers::new(repository.annex_dir()).take(&remote.uuid, key) else {
        panic!("somebody is at it")
    };
    ledger.begin(object.as_bytes(), LEN, &resumption.token, resumption.step).expect("remembered");
    for mark in &marks {
        ledger.mark(mark.end, &mark.tag, b"").expect("remembered");
    }
}

#[test]
fn an_upload_that_broke_off_is_listed_and_leaves_no_part() {
    for whose in [Whose::Ours, Whose::Theirs] {
        let (repo, place) = (Repo::new(), Place::weed());
        repo.initremote("s3", &place, whose, &[]).ok();
        assert_eq!(gc(&repo, &["--all"]).ok().stdout, "No unfinished uploads.\n");
        let key = Key::parse(format!("WORM-s{LEN}--x").as_bytes()).expect("a key");
        break_off(&repo, &key);
        assert!(place.uploads().contains("UploadId"), "{}", place.uploads());
        let listed = gc(&repo, &[]).ok().stdout;
        assert!(listed.contains("s3  WORM-s67108864--x  ") && listed.contains(" of 64 MiB  "), "{listed}");
        let json = gc(&repo, &["--all", "--dry-run", "--json"]).ok().stdout;
        assert!(json.contains("\"state\": \"would be undone\"") && json.contains("\"total\": 67108864"), "{json}");
        assert!(place.uploads().contains("UploadId"));
        let done = gc(&repo, &["--all"]).ok().stdout;
        assert!(done.ends_with("undone\n"), "{done}");
        assert!(!place.uploads().contains("UploadId"), "{}", place.uploads());
        assert_eq!(gc(&repo, &["--all"]).ok().stdout, "No unfinished uploads.\n");
        assert!(place.names().iter().all(|name| !name.contains("WORM")), "{:?}", place.names());
    }
}

#[test]
fn a_remote_that_is_gone_is_told_and_forgotten_by_force() {
    let (repo, place) = (Repo::new(), Place::weed());
    repo.initremote("s3", &place, Whose::Ours, &[]).ok();
    break_off(&repo, &Key::parse(format!("WORM-s{LEN}--x").as_bytes()).expect("a key"));
    repo.git(&["config", "--remove-section", "remote.s3"]).ok();
    let told = gc(&repo, &["--older-than", "0"]).failed();
    assert!(told.stdout.contains("its remote is gone"), "{}", told.all());
    assert!(gc(&repo, &["--older-than", "0", "--force"]).ok().stdout.ends_with("forgotten\n"));
    assert_eq!(gc(&repo, &[]).ok().stdout, "No unfinished uploads.\n");
    repo.git(&["config", "annex.stream.keep", "soon"]).ok();
    assert!(gc(&repo, &[]).failed().stderr.contains("annex.stream.keep"));
}
