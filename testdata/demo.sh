#!/usr/bin/env bash
# demo.sh fs|s3: a store behind a gateway in a dozen lines, on scratch repositories: a client that has neither credentials
# for the store nor a route to it puts content there and gets it back.
# Expects the build that `make demo` makes, and `make peers`. DEMO_MB is the size of the file.
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
gateway=
cleanup() { [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true; chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Cut off from the user's own configuration and credentials.
unset "${!GIT_@}" "${!AWS_@}" "${!RCLONE_@}" "${!STREAM_URING@}" 2>/dev/null || true
export PATH="$top/target/demo:$top/target/peers/bin:$PATH" MAGIC="$top/target/peers/magic.mgc"
export HOME="$scratch/home" GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.org GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.org
mkdir "$HOME" "$scratch/server" "$scratch/store"
cd "$scratch/server"

say() { printf '%-11s %s\n' "$1" "$2"; }

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
    printf "%-11s %6.2f s %s   %s\n", word, us / 1e6, rate, command }'
}

# The server: a repository with a special remote that only it can reach.
git init --quiet --initial-branch=main
git annex init --quiet server >"$scratch/said" 2>&1
git commit --quiet --allow-empty --message demo
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
git config remote.store.annex-proxy true
step updateproxy 0 git-annex-remote-stream updateproxy
git-annex-remote-stream p2phttp --wideopen --bind 127.0.0.1 --port 0 >"$scratch/log" 2>&1 &
gateway=$!
for _ in $(seq 100); do
  address=$(sed -n 's/^listening address=\([^ ]*\) .*/\1/p' "$scratch/log")
  [ -z "$address" ] || break
  sleep 0.1
done
if [ -z "$address" ]; then
  echo "make demo: the gateway does not listen" >&2
  cat "$scratch/log" >&2
  exit 1
fi
say gateway "annex+http://$address/git-annex/ is a proxy for 'store'"

# The client: a clone that knows where the gateway is before git-annex begins in it.
git clone --quiet "$scratch/server" "$scratch/client"
uuid=$(git config annex.uuid)
cd "$scratch/client"
git config remote.origin.annexUrl "annex+http://$address/git-annex/"
git config remote.origin.annex-uuid "$uuid"
git config annex.security.allowed-ip-addresses 127.0.0.1
git annex init --quiet client >"$scratch/said" 2>&1
head -c "${megabytes}000000" /dev/urandom >random.bin
step add 1 git annex add random.bin
step copy 1 git annex copy --to origin-store random.bin
step drop 0 git annex drop random.bin
step get 1 git annex get random.bin
step fsck 1 git annex fsck --from origin-store random.bin
step whereis 0 git annex whereis random.bin
step "drop there" 0 git annex drop --from origin-store random.bin
peak=$(awk '/^VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$gateway/status")
left=$(find "$scratch/server/.git/annex" -size +1M | wc -l)
say memory "the gateway held $peak MiB at most, and $left files larger than 1 MiB on its disk"
if [ "$left" -ne 0 ]; then
  echo "make demo: the gateway keeps content on its disk" >&2
  exit 1
fi
say done "$megabytes MB of random bytes went there and came back with the same SHA-256; all of it is removed again."
