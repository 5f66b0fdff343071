//! All the ways in which git runs a hook: the tree follows what is pushed.

use std::path::Path;

use testbed::annex::{LIMIT, Repo};
use testbed::run::run;

/// In the directory of a repository on a server: initialised, with a remote `tree` whose files lie in `$1`.
const SERVE: &str = r#"
serve() {
    git annex init --quiet server
    git commit --quiet --allow-empty -m first 2>/dev/null || true
    git annex initremote tree type=directory directory="$1" encryption=none exporttree=yes annexobjects=yes >/dev/null
    git config remote.tree.annex-tracking-branch "$2"
    git config remote.tree.annex-proxy true
    # As a hook would run it, with the directory of git as the current one.
    (cd "$(git rev-parse --git-dir)" && GIT_DIR=. git-annex-remote-stream updateproxy)
    (cd "$(git rev-parse --git-dir)" && GIT_DIR=. git-annex-remote-stream gc)
    hook=$(git rev-parse --git-common-dir)/hooks/post-receive
    mkdir -p "$(dirname "$hook")"
    printf '#!/bin/sh\nexec git-annex-remote-stream post-receive\n' >"$hook"
    chmod +x "$hook"
}
"#;

/// Sets up a server by `server`, pushes a file `f` from a client by `push`, and looks for it in the tree.
#[track_caller]
fn follows(branch: &str, server: &str, push: &str) {
    let home = Repo::bare();
    let tree = tempfile::tempdir().expect("a directory");
    let script = format!(
        r#"{SERVE}
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=protocol.file.allow GIT_CONFIG_VALUE_0=always
        TREE={tree} BRANCH={branch}
        mkdir ../work && cd ../work && top=$PWD
        {server}
        cd "$top"
        git clone --quiet "$url" client 2>/dev/null && cd client && git annex init --quiet client
        git checkout --quiet -B main
        echo content >f && git add f && git commit --quiet -m f
        {push} 2>&1
        "#,
        tree = tree.path().display()
    );
    let said = run(home.command(Path::new("sh")).arg("-euc").arg(&script), LIMIT).ok();
    assert_eq!(std::fs::read(tree.path().join("f")).ok().as_deref(), Some(&b"content\n"[..]), "{said:#?}");
    assert!(said.all().contains(&format!("export {branch} to tree: ok")), "{said:#?}");
}

#[test]
fn git_annex_push_to_a_repository_with_a_work_tree_is_followed() {
    let server = r#"git init --quiet -b main server && cd server && serve "$TREE" "$BRANCH" && url=$PWD"#;
    follows("main", server, "git annex push");
    // A branch that is not checked out is pushed as itself.
    follows("pub", server, "git push origin main:pub");
}

#[test]
fn a_push_that_changes_the_work_tree_is_followed() {
    let server = r#"git init --quiet -b main server && cd server && serve "$TREE" "$BRANCH" && url=$PWD
        git config receive.denyCurrentBranch updateInstead"#;
    follows("main", server, "git push origin main");
}

#[test]
fn a_push_to_a_bare_repository_is_followed() {
    let server =
        r#"git init --quiet --bare -b main server.git && cd server.git && serve "$TREE" "$BRANCH" && url=$PWD"#;
    follows("main", server, "git push origin main");
    follows("main", server, "git annex push");
}

#[test]
fn a_push_to_a_linked_work_tree_is_followed() {
    let server = r#"git init --quiet -b main server && cd server && serve "$TREE" "$BRANCH"
        git worktree add --quiet -b other ../linked && url=$top/linked"#;
    follows("pub", server, "git push origin main:pub");
    follows("main", server, "git annex push");
}

#[test]
fn a_push_to_a_submodule_is_followed() {
    let server = r#"git init --quiet -b main sub && git -C sub commit --quiet --allow-empty -m sub
        git init --quiet -b main super && cd super && git submodule --quiet add "$top/sub" sub && cd sub
        serve "$TREE" "$BRANCH" && url=$PWD"#;
    follows("main", server, "git annex push");
    follows("pub", server, "git push origin main:pub");
}

/// Beside a branch that has commits of its own, what is synced waits for git-annex there, and whoever pushes is told.
#[test]
fn what_has_diverged_is_not_followed_and_told() {
    let home = Repo::bare();
    let tree = tempfile::tempdir().expect("a directory");
    let script = format!(
        r#"{SERVE}
        mkdir ../work && cd ../work && top=$PWD
        git init --quiet -b main server && cd server && serve {} main && cd ..
        git clone --quiet server client 2>/dev/null && cd client && git annex init --quiet client
        echo theirs >f && git add f && git commit --quiet -m f
        cd ../server && echo ours >g && git add g && git commit --quiet -m g && cd ../client
        git push origin main:synced/main 2>&1
        "#,
        tree.path().display()
    );
    let said = run(home.command(Path::new("sh")).arg("-euc").arg(&script), LIMIT).ok();
    assert!(said.all().contains("main and synced/main have diverged; tree follows main"), "{said:#?}");
    let has = |name: &str| tree.path().join(name).exists();
    assert_eq!((has("f"), has("g")), (false, true), "{said:#?}");
}

/// Databases and their locks are where `annex.dbdir` says, so each goes on where the other stopped.
#[test]
fn the_database_is_where_git_annex_has_it() {
    let home = Repo::bare();
    let place = tempfile::tempdir().expect("a directory");
    let script = format!(
        r#"{SERVE}
        mkdir ../work && cd ../work && top=$PWD
        git init --quiet --bare -b main server && cd server
        git config annex.dbdir "$top/databases"
        mkdir "$top/databases" && serve {} main && cd ..
        git clone --quiet server client 2>/dev/null && cd client && git annex init --quiet client
        echo 1 >f && git add f && git commit --quiet -m f && git push --quiet origin main 2>/dev/null
        echo "== theirs finds what ours did" && git -C ../server annex export main --to tree
        echo 2 >g && git add g && git commit --quiet -m g
        mv ../server/hooks/post-receive ../hook && git push --quiet origin main
        echo "== theirs goes on" && git -C ../server annex export main --to tree
        mv ../hook ../server/hooks/post-receive
        echo 3 >h && git add h && git commit --quiet -m h
        echo "== ours goes on" && git push origin main 2>&1
        cd .. && find databases server/annex -path '*exportdb*' -name 'db*'
        mv databases gone && cd client && git commit --quiet --allow-empty -m i && git rm -q h && git commit --quiet -m j
        echo "== gone" && git push origin main 2>&1
        "#,
        place.path().display()
    );
    let said = run(home.command(Path::new("sh")).arg("-euc").arg(&script), LIMIT).ok();
    let parts: Vec<&str> = said.stdout.split("== ").collect();
    let [_, theirs, next, ours, gone] = parts[..] else { panic!("{said:#?}") };
    assert!(!theirs.contains("export tree"), "there is nothing to do: {said:#?}");
    assert!(next.contains("export tree g") && !next.contains("tree f"), "{said:#?}");
    assert!(ours.contains("ok, 1 stored"), "{said:#?}");
    let found: Vec<&str> = ours.lines().filter(|line| line.ends_with("/exportdb/db")).collect();
    assert!(matches!(found[..], [one] if one.starts_with("databases/")), "{said:#?}");
    assert!(gone.contains("annex.dbdir"), "{said:#?}");
}
