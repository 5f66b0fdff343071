#!/bin/sh
# record.sh [FILE]: exports commits with git-annex's own S3 type to a bucket with versions, and writes what it says and what it
# records of the versions. Needs git, git-annex and rclone in PATH; starts SeaweedFS by itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/versions.txt}
case $out in /*) ;; *) out=$PWD/$out ;; esac
if [ -z "${STREAM_TEST_WEED:-}" ]; then
    exec python3 "$here/../peers/serve.py" weed -- "$0" "$out"
fi
# shellcheck disable=SC2086 # three words
set -- $STREAM_TEST_WEED
port=$1 AWS_ACCESS_KEY_ID=$2 AWS_SECRET_ACCESS_KEY=$3
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED=true
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@example.org
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
export HOME="$scratch"
raw=$scratch/raw

fresh() { # fresh DIRECTORY OPTION...: a repository with a remote "cloud"
    mkdir "$scratch/$1" && cd "$scratch/$1" && bucket=record-$$-$1 && shift
    git init -q -b main && git config annex.security.allowed-ip-addresses 127.0.0.1
    git config annex.backend SHA256 && git annex init -q here
    git annex initremote -q cloud type=S3 encryption=none versioning=yes signature=v2 requeststyle=path protocol=http \
        host=127.0.0.1 port="$port" bucket="$bucket" publicurl="http://127.0.0.1:$port/$bucket" fileprefix=pre/ "$@"
    uuid=$(git config remote.cloud.annex-uuid)
}
commit() { git annex add -q . && git commit -qm x; }
key() { git annex lookupkey "$1"; }
say() { printf '\n## %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    status=0
    { "$@" 2>&1 || status=$?; echo "= $status"; } | tr '\r' '\n' | grep -v 'magic file\|%  \|recording state\|^ *$\|^\[' | sed 's/ *$//'
}
logs() {
    git annex merge -q
    git ls-tree -r --name-only git-annex | grep 'rmet$' | while read -r file; do
        echo "> $file"
        git cat-file -p "git-annex:$file"
    done
}
shown() {
    echo "bucket:"
    RCLONE_CONFIG_T_TYPE=s3 RCLONE_CONFIG_T_PROVIDER=Other RCLONE_CONFIG_T_ENDPOINT=http://127.0.0.1:$port \
        RCLONE_CONFIG_T_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID RCLONE_CONFIG_T_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY \
        rclone lsf -R --files-only "t:$bucket" 2>/dev/null | sort
}

tree() {
    say a tree, and keys beside it
    fresh tree exporttree=yes annexobjects=yes
    echo one > a; cp a twin; echo two > b; mkdir d; echo three > 'd/sp ace'; echo four > 'ä'; echo five > '!x#+'; commit
    one=$(key a)
    run git annex export main --to cloud
    logs
    say edited, renamed, removed
    rm a; echo other > a; git mv b b2; git rm -q twin; commit
    run git annex export main --to cloud
    logs
    shown
    say what was replaced
    run git annex checkpresentkey "$one" cloud
    git annex dropkey -q --force "$one"
    run git annex get --from cloud --key "$one"
    run git annex whereis --key "$one"
    say drop: in the tree, not in it, never there
    run git annex drop --from cloud a
    run git annex drop --from cloud --key "$one"
    run git annex checkpresentkey "$one" cloud
    shown
    echo new > new; commit
    run git annex drop --from cloud --force new
    run git annex checkpresentkey "$(key new)" cloud
    run git annex copy --to cloud new
    say stored by key without a look before, then exported
    run git annex copy --fast --to cloud new
    logs | grep "$(key new)"
    run git annex export main --to cloud
    logs | grep "$(key new)"
}

no_objects() {
    say a tree without annexobjects
    fresh plain exporttree=yes
    echo one > a; echo two > b; commit
    one=$(key a)
    run git annex export main --to cloud
    git rm -q a; commit
    run git annex export main --to cloud
    run git annex drop --from cloud b
    run git annex drop --from cloud --key "$one"
    run git annex checkpresentkey "$one" cloud
}

keys() {
    say keys alone
    fresh keys
    echo one > a; commit
    run git annex copy --to cloud a
    logs
    run git annex drop --from cloud a
    run git annex checkpresentkey "$(key a)" cloud
}

{
    echo "# $(git annex version --raw | sed 's/-g.*//'), SeaweedFS; written by record.sh"
    for part in tree no_objects keys; do
        (
            $part > "$raw" 2>&1 || true
            sed "s/$uuid/REMOTE/g; s/127.0.0.1:$port/HOST/g; s/$bucket/BUCKET/g; s/$(git config annex.uuid)/HERE/g" "$raw"
        )
    done
} > "$scratch/all"
mv "$scratch/all" "$out"
