//! Trees on a store that takes names for one: a WebDAV server that folds case and forms of Unicode.

use testbed::annex::Repo;
use testbed::place::{Place, Whose};
use testbed::run::Done;
use testbed::season::{self, Tree, tree_of};
use testbed::tracked::{NAME, SEEN, Tracked, Wire};

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(name, content)| (name.as_bytes().to_vec(), content.as_bytes().to_vec())).collect()
}

/// Content first, so that a push settles all.
#[track_caller]
fn push(gateway: &mut Tracked, client: &Repo, script: &str) -> Done {
    season::act(client, &format!("{script}\ngit annex add --quiet .\ngit commit --quiet --all --message change"));
    client.annex(&["copy", "--quiet", "--all", "--to", SEEN]).ok();
    let said = gateway.push(client);
    assert!(!said.all().contains("failed"), "{said:#?}");
    said
}

#[test]
fn names_that_are_one_on_the_store_are_refused_by_name_and_lose_nothing() {
    let mut gateway = Tracked::new(Whose::Ours, Place::folding(), Whose::Ours, "main", Wire::Ssh);
    gateway.repo.annex(&["wanted", ".", "nothing"]).ok();
    let client = gateway.client();
    let holds = |gateway: &Tracked, files: &[(&str, &str)], said: &Done| {
        season::same("the tree", &tree_of(&gateway.place), &tree(files), said);
    };
    let said = push(&mut gateway, &client, "echo one >a; echo else >other; echo x >tmp");
    holds(&gateway, &[("a", "one\n"), ("other", "else\n"), ("tmp", "x\n")], &said);
    // Of the same length: nothing but the name tells them apart.
    let said = push(&mut gateway, &client, "echo two >A; echo more >more; git rm --quiet tmp");
    assert!(said.all().contains("1 file left out") && said.all().contains("A (as a)"), "{said:#?}");
    holds(&gateway, &[("a", "one\n"), ("other", "else\n"), ("more", "more\n")], &said);
    // The one that was there leaves: the other has its name. Then it changes its case.
    let said = push(&mut gateway, &client, "git rm --quiet a");
    assert!(!said.all().contains("left out"), "{said:#?}");
    holds(&gateway, &[("A", "two\n"), ("other", "else\n"), ("more", "more\n")], &said);
    let said = push(&mut gateway, &client, "git mv A a; git mv more MORE");
    holds(&gateway, &[("a", "two\n"), ("other", "else\n"), ("MORE", "more\n")], &said);
    // Two that come at once, two forms of Unicode, and a file that is a directory to the store.
    let script =
        "mkdir d; echo 1 >x; echo 2 >X; printf 3 >\"$(printf 'e\\314\\201')\"; printf 4 >\"$(printf '\\303\\251')\"
                  echo 5 >D; echo 6 >d/f; git rm --quiet other";
    let said = push(&mut gateway, &client, script);
    assert!(said.all().contains("5 files left out") && said.all().contains("D (as d/f)"), "{said:#?}");
    holds(&gateway, &[("a", "two\n"), ("MORE", "more\n"), ("d/f", "6\n")], &said);
    let said =
        push(&mut gateway, &client, "git mv d e; git mv e d2; mkdir d; git mv d2/f d/f; mkdir d/G; echo 8 >d/G/h");
    holds(&gateway, &[("a", "two\n"), ("MORE", "more\n"), ("d/f", "6\n"), ("d/G/h", "8\n")], &said);
    let said = push(&mut gateway, &client, "mkdir d/g; git mv d/G/h d/g/h");
    holds(&gateway, &[("a", "two\n"), ("MORE", "more\n"), ("d/f", "6\n"), ("d/g/h", "8\n")], &said);
    let said = push(&mut gateway, &client, "git rm --quiet d/g/h");
    holds(&gateway, &[("a", "two\n"), ("MORE", "more\n"), ("d/f", "6\n")], &said);
    // A push of nothing says it again, and does nothing.
    let said = push(&mut gateway, &client, "echo 7 >seven");
    assert!(said.all().contains("5 files left out"), "{said:#?}");
    let said = push(&mut gateway, &client, "git mv D E; git mv X y");
    assert!(said.all().contains("2 files left out"), "{said:#?}");
    let files = [
        ("a", "two\n"),
        ("MORE", "more\n"),
        ("d/f", "6\n"),
        ("seven", "7\n"),
        ("E", "5\n"),
        ("x", "1\n"),
        ("y", "2\n"),
    ];
    holds(&gateway, &files, &said);
    // Nothing that ever came is lost.
    client.annex(&["drop", "--quiet", "--force", "--all"]).ok();
    client.annex(&["get", "--quiet", "--all", "--from", SEEN]).ok();
    client.annex(&["fsck", "--quiet", "--all", "--numcopies=0"]).ok();
    let left = gateway.repo.annex(&["fsck", "--all", "--from", NAME]).all();
    assert!(!left.contains("content is missing") && !left.contains("Bad file"), "{left}");
}

#[test]
fn the_special_remote_says_so_at_initremote_and_refuses_what_would_replace_another() {
    let (repo, place) = (Repo::new(), Place::folding());
    let said = repo.initremote("pub", &place, Whose::Ours, &["exporttree=yes"]).ok();
    assert!(said.all().contains("does not tell all names apart (case, forms of Unicode)"), "{said:#?}");
    season::act(
        &repo,
        "echo one >a; echo two >A; mkdir d; echo x >d/x; git annex add --quiet .; git commit --quiet --message one",
    );
    let said = repo.annex(&["export", "main", "--to", "pub"]);
    assert!(!said.status.success(), "{said:#?}");
    assert!(said.all().contains("one of the two must be renamed"), "{said:#?}");
    let held = tree_of(&place);
    let x = ("d/x", "x\n");
    assert!(held == tree(&[("a", "one\n"), x]) || held == tree(&[("A", "two\n"), x]), "{held:?}");
    season::act(&repo, "git mv A b; git commit --quiet --message two");
    repo.annex(&["export", "main", "--to", "pub"]).ok();
    assert_eq!(tree_of(&place), tree(&[("a", "one\n"), ("b", "two\n"), x]));
    season::act(&repo, "git mv a A; git mv d e; git mv e D; git commit --quiet --message three");
    repo.annex(&["export", "main", "--to", "pub"]).ok();
    assert_eq!(tree_of(&place), tree(&[("A", "one\n"), ("b", "two\n"), ("D/x", "x\n")]));
    repo.annex(&["fsck", "--quiet", "--from", "pub"]).ok();
    // Asked of the place again, in another clone for one.
    let said = repo.enableremote("pub", &place, &[]).ok();
    assert!(said.all().contains("does not tell all names apart"), "{said:#?}");
}
