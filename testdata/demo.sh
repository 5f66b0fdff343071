#!/usr/bin/env bash
# demo.sh fs|s3: the first ten minutes of a new user in ten lines, on a scratch repository.
# Expects the release build and `make peers`. DEMO_MB is the size of the file.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
store=${1:-fs}
megabytes=${DEMO_MB:-300}

case $store in
  fs) ;;
  s3)
    # serve.py stops the server when this script ends, however it ends.
    if [ -z "${STREAM_TEST_WEED:-}" ]; then
      exec python3 "$top/testdata/peers/serve.py" weed -- "$0" s3
    fi
    ;;
  *) echo "make demo: STORE is fs or s3, not '$store'" >&2; exit 2 ;;
esac

scratch=$(mktemp -d "${TMPDIR:-/tmp}/stream-demo.XXXXXX")
# git-annex takes the write permission off what it stores.
cleanup() { chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Cut off from the user's own configuration and credentials.
unset "${!GIT_@}" "${!AWS_@}" "${!RCLONE_@}" "${!STREAM_URING@}" 2>/dev/null || true
export PATH="$top/target/release:$top/target/peers/bin:$PATH" MAGIC="$top/target/peers/magic.mgc"
export HOME="$scratch/home" GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.org GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.org
mkdir "$HOME" "$scratch/repository" "$scratch/store"
cd "$scratch/repository"

say() { printf '%-10s %s\n' "$1" "$2"; }

# step WORD BYTES-MOVED? COMMAND...: run it in silence, say how long it took; show all it said if it fails.
step() {
  local word=$1 moved=$2 begun ended
  shift 2
  begun=${EPOCHREALTIME/[.,]/}
  if ! "$@" >"$scratch/said" 2>&1; then
    echo "make demo: failed: $*" >&2
    cat "$scratch/said" >&2
    exit 1
  fi
  ended=${EPOCHREALTIME/[.,]/}
  awk -v word="$word" -v moved="$moved" -v us=$((ended - begun)) -v mb="$megabytes" -v command="$*" 'BEGIN {
    rate = moved ? sprintf("%7.0f MB/s", mb / (us / 1e6)) : sprintf("%12s", "")
    printf "%-10s %6.2f s %s   %s\n", word, us / 1e6, rate, command }'
}

git init --quiet
git annex init --quiet demo >"$scratch/said" 2>&1
if [ "$store" = s3 ]; then
  read -r port AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY <<<"$STREAM_TEST_WEED"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  options=(scheme=s3 bucket=demo host=127.0.0.1 "port=$port" protocol=http requeststyle=path region=us-east-1)
  where="bucket 'demo' of a SeaweedFS S3 on 127.0.0.1:$port, with credentials"
else
  options=(scheme=fs "directory=$scratch/store")
  where="directory $scratch/store"
fi
say store "$where"
step initremote 0 git annex initremote store type=external externaltype=stream encryption=none "${options[@]}"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
head -c "${megabytes}000000" /dev/urandom >random.bin
step add 1 git annex add random.bin
step copy 1 git annex copy --to store random.bin
step drop 0 git annex drop random.bin
step get 1 git annex get random.bin
step fsck 1 git annex fsck --from store random.bin
step whereis 0 git annex whereis random.bin
say done "$megabytes MB of random bytes went there and came back with the same SHA-256; all of it is removed again."
