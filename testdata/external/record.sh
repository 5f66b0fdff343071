#!/bin/sh
# Records conversations with the git-annex in PATH into 20-recorded.txt, or the file named as argument.
# Needs git, git-annex and python3. Works in a temporary directory, which it removes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
'') out=$here/20-recorded.txt ;;
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/home" "$scratch/store" "$scratch/lines" "$scratch/repo"
ln -s "$here/git-annex-remote-transcript" "$scratch/bin/"
export PATH="$scratch/bin:$PATH" HOME="$scratch/home" TRANSCRIPTS="$scratch/lines" LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example
git-annex version --raw >/dev/null

: >"$scratch/out"
# One git-annex command; the processes it starts follow its title in the order they started in.
record() {
    status=0
    git -C "$scratch/repo" annex "$@" >"$scratch/said" 2>&1 || status=$?
    for lines in "$scratch"/lines/*; do
        [ -e "$lines" ] || continue
        printf '== git annex %s\n' "$*" >>"$scratch/out"
        cat "$lines" >>"$scratch/out"
        echo >>"$scratch/out"
        rm "$lines"
    done
    [ "$status" -eq 0 ] || { cat "$scratch/said" >&2; echo "git annex $* failed" >&2; exit 1; }
}

cd "$scratch/repo"
git init -q -b main .
git annex init -q here
git config annex.thin false
for name in one 'two words' three four; do
    printf 'content of %s\n' "$name" >"$name"
done
printf 'bytes\n' >"$(printf 'not\377utf8.x\377')"
git annex add -q .
git commit -q -m files

record initremote s type=external externaltype=transcript encryption=none directory="$scratch/store"
record copy --to s one
record whereis one
record info s
record drop --force --numcopies=0 one
record get one
record fsck --from s one
record drop --from s one
export TRANSCRIPT_EXTENSIONS='INFO ASYNC GETGITREMOTENAME UNAVAILABLERESPONSE'
record copy -J3 --to s .
record drop -J3 --force --numcopies=0 .
record get -J3 .
record drop -J3 --from s .
unset TRANSCRIPT_EXTENSIONS
record testremote --fast --size=1KB s

mkdir "$scratch/tree"
record initremote t type=external externaltype=transcript encryption=none directory="$scratch/tree" exporttree=yes annexobjects=yes
git config annex.dotfiles true
mkdir -p sub/deep
printf 'below\n' >sub/deep/below
git annex add -q sub
printf 'plain\n' >plain
git -c annex.largefiles=nothing add plain
git commit -q -m tree
record export main --to t
git mv one sub/moved
git mv 'two words' swap && git mv three 'two words' && git mv swap three
git rm -q -r sub/deep
git commit -q -m changes
export TRANSCRIPT_EXTENSIONS='INFO ASYNC'
record export -J3 main --to t
unset TRANSCRIPT_EXTENSIONS
record fsck --from t --fast
record drop --force four
record get four --from t

mkdir -p "$scratch/others/in here"
record initremote i type=external externaltype=transcript encryption=none directory="$scratch/others" importtree=yes
printf 'others 1\n' >"$scratch/others/in here/a b"
printf 'others 2\n' >"$scratch/others/$(printf 'not\377utf8')"
record import main:imported --from i
printf 'changed\n' >"$scratch/others/in here/a b"
export TRANSCRIPT_EXTENSIONS='INFO ASYNC'
record import -J2 main:imported --from i
export TRANSCRIPT_EXTENSIONS='INFO IMPORTKEY'
printf 'others 3\n' >"$scratch/others/c"
record import --no-content main:imported --from i
unset TRANSCRIPT_EXTENSIONS
git merge -q --allow-unrelated-histories -m imported i/main
record get imported/c
record fsck --fast --from i 'imported/in here'

sed "s|$scratch||g" "$scratch/out" >"$out"
echo "$(grep -c '^== ' "$out") conversations in $out"
