#!/usr/bin/env bash
# demo-cluster.sh: an S3, a WebDAV, a directory and a git repository as one remote, in a dozen lines: the repository's server is
# killed while a client uploads, and the client does not notice.
# Expects the build that `make demo` makes, and `make peers`. DEMO_MB is the size of the file, at most 60: a WebDAV keeps it in memory.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
megabytes=${DEMO_MB:-48}
if [ -z "${STREAM_TEST_RCLONE_WEBDAV:-}" ]; then
  # serve.py stops the servers when this script ends, however it ends.
  exec python3 "$top/testdata/peers/serve.py" weed rclone-webdav -- "$0"
fi

# shellcheck source=testdata/demo-steps.sh
. "$top/testdata/demo-steps.sh"
mkdir "$scratch/server" "$scratch/far" "$scratch/disk"

# serve_far PORT: the server of the repository that is a node; sets $far, and $port, where it listens.
serve_far() {
  (cd "$scratch/far" && exec git-annex-remote-stream p2phttp --wideopen --bind 127.0.0.1 --port "$1") >"$scratch/far.log" 2>&1 &
  far=$!
  started+=("$far")
  disown "$far"
  until_so "the server of the node does not listen" 10 grep -q '^listening address=' "$scratch/far.log"
  port=$(sed -n 's/^listening address=[^ ]*:\([0-9]*\) .*/\1/p' "$scratch/far.log")
}

cd "$scratch/far"
new_repository far
serve_far 0
cd "$scratch/server"
new_repository server
remote() {
  local name=$1
  shift
  git annex initremote "$name" type=external externaltype=stream encryption=none "$@"
}
# Each must succeed: the shell does not look at that in what a step runs.
make_nodes() {
  local s3 dav user
  read -r s3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY <<<"$STREAM_TEST_WEED"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  read -r dav user password <<<"$STREAM_TEST_RCLONE_WEBDAV"
  remote bucket scheme=s3 bucket=cluster host=127.0.0.1 "port=$s3" protocol=http requeststyle=path region=us-east-1 &&
    remote dav scheme=webdav "endpoint=http://127.0.0.1:$dav" root=/demo "username=$user" "password=$password" &&
    remote disk scheme=fs "directory=$scratch/disk" &&
    git remote add far "$scratch/far" && git fetch --quiet far &&
    git config remote.far.annexUrl "annex+http://127.0.0.1:$port/git-annex/" &&
    git config remote.far.annex-uuid "$(git -C "$scratch/far" config annex.uuid)" &&
    git config remote.far.annex-bwlimit "$((megabytes / 3))MB"
}
step nodes 0 make_nodes
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
step initcluster 0 git-annex-remote-stream initcluster demo
declare -A uuids
for node in bucket dav disk far; do
  git config "remote.$node.annex-cluster-node" demo
  uuids[$node]=$(git config "remote.$node.annex-uuid")
done
step update 0 git-annex-remote-stream updatecluster
serve_here --timeout 10
say gateway "annex+http://$address/git-annex/: S3 'bucket', WebDAV 'dav', directory 'disk' and repository 'far', a slow one, as one remote"

# has NODE...: whether these and no other nodes have the content, as the client's git-annex has recorded it.
has() {
  local told wanted
  told=$(git annex whereis --json random.bin | python3 -c '
import json, sys
places = [place["uuid"] for place in json.load(sys.stdin)["whereis"]]
print(" ".join(sorted(uuid for uuid in places if uuid in sys.argv[1:])))' "${uuids[@]}")
  wanted=$(for node in "$@"; do echo "${uuids[$node]}"; done | sort | paste -sd ' ')
  [ "$told" = "$wanted" ]
}

# partly: whether a quarter of the content is on the slow node.
partly() { find "$scratch/far/.git/annex/tmp" -name "$key" -size "+$((megabytes / 4))M" | grep -q .; }
kill_far() {
  until_so "the upload does not begin" 60 partly
  kill -9 "$far"
}

new_client
head -c "${megabytes}000000" /dev/urandom >random.bin
sum=$(sha256sum <random.bin)
step add 1 git annex add random.bin
key=$(git annex lookupkey random.bin)
kill_far &
killer=$!
step upload 1 git annex copy --to origin-demo random.bin
wait "$killer" || fail "nothing was killed"
cp "$scratch/log" "$scratch/said"
parted=$(grep -o 'node far is left out of this upload: .*' "$scratch/log" | head -n 1)
[ -n "$parted" ] || fail "the node was not killed in the middle"
say killed "kill -9 of the server of 'far' once it had a quarter; the gateway: ${parted%%:*}"
has bucket dav disk || fail "not on bucket, dav and disk alone"
say whereis "on bucket, dav and disk, and nobody says that it is on far"

step drop 0 git annex drop random.bin
step get 1 git annex get random.bin
[ "$(sha256sum <random.bin)" = "$sum" ] || fail "what came is not what was sent"

serve_far "$port"
step heal 1 git annex copy --to origin-far random.bin
has bucket dav disk far || fail "not on all nodes"
until_so "the gateway does not notice that far is back" 60 git annex fsck --fast --from origin-demo random.bin
step "drop there" 0 git annex drop --from origin-demo random.bin
has || fail "it is recorded somewhere"
for place in "$scratch/disk" "$scratch/far/.git/annex"; do
  [ -z "$(find "$place" -size +1M)" ] || fail "content is left in $place"
done
for node in bucket dav; do
  there=0
  git annex checkpresentkey "$key" "origin-$node" >"$scratch/said" 2>&1 || there=$?
  [ "$there" -eq 1 ] || fail "whether $node has it: $there, and not 1, which is no"
done
of_memory
say done "$megabytes MB went to the nodes that were alive and came back with the same SHA-256; all of it is removed again."
