# What the demos share; sourced by them. Afterwards $scratch is a directory that goes when the demo ends, HOME is in it, and
# programs started are ended by their ids in `started`. Expects `top`, and `megabytes`, the size of the file.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/stream-demo.XXXXXX")
started=()
# git-annex takes the write permission off what it stores.
cleanup() {
  for id in "${started[@]}"; do kill -9 "$id" 2>/dev/null || true; done
  chmod -R u+w "$scratch" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Cut off from the user's own configuration and credentials.
unset "${!GIT_@}" "${!AWS_@}" "${!RCLONE_@}" "${!WEBDAV_@}" "${!STREAM_URING@}" 2>/dev/null || true
export PATH="$top/target/demo:$top/target/peers/bin:$PATH" MAGIC="$top/target/peers/magic.mgc"
export HOME="$scratch/home" GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.org GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.org
mkdir "$HOME"

say() { printf '%-11s %s\n' "$1" "$2"; }

# fail WORDS: what was said last goes with it.
fail() {
  echo "make demo: $*" >&2
  [ ! -f "$scratch/said" ] || cat "$scratch/said" >&2
  exit 1
}

# step WORD BYTES-MOVED? COMMAND...: run it in silence, say how long it took; show all it said if it fails.
step() {
  local word=$1 moved=$2 begun ended
  shift 2
  begun=${EPOCHREALTIME/[.,]/}
  "$@" >"$scratch/said" 2>&1 || fail "failed: $*"
  ended=${EPOCHREALTIME/[.,]/}
  awk -v word="$word" -v moved="$moved" -v us=$((ended - begun)) -v mb="$megabytes" -v command="$*" 'BEGIN {
    rate = moved ? sprintf("%7.0f MB/s", mb / (us / 1e6)) : sprintf("%12s", "")
    printf "%-11s %6.2f s %s   %s\n", word, us / 1e6, rate, command }'
}

# until_so WORDS SECONDS COMMAND...: tries until it succeeds.
until_so() {
  local words=$1 tries=$(($2 * 50))
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "$words"
    sleep 0.02
  done
}

# new_repository DESCRIPTION: in the current directory.
new_repository() {
  git init --quiet --initial-branch=main
  git annex init --quiet "$1" >"$scratch/said" 2>&1
  git commit --quiet --allow-empty --message demo
}

# serve_here FLAG...: starts the gateway to the repository here; sets $gateway and $address.
serve_here() {
  git-annex-remote-stream p2phttp --wideopen --bind 127.0.0.1 --port 0 "$@" >"$scratch/log" 2>&1 &
  gateway=$!
  started+=("$gateway")
  # Or the shell tells how it ended.
  disown "$gateway"
  until_so "the gateway does not listen: $(cat "$scratch/log")" 10 grep -q '^listening address=' "$scratch/log"
  address=$(sed -n 's/^listening address=\([^ ]*\) .*/\1/p' "$scratch/log")
}

# new_client: goes to a clone that knows where the gateway is before git-annex begins in it.
new_client() {
  local uuid
  uuid=$(git config annex.uuid)
  git clone --quiet . "$scratch/client"
  cd "$scratch/client"
  git config remote.origin.annexUrl "annex+http://$address/git-annex/"
  git config remote.origin.annex-uuid "$uuid"
  git config annex.security.allowed-ip-addresses 127.0.0.1
  git annex init --quiet client >"$scratch/said" 2>&1
}

# of_memory: says what the gateway took, and fails where it has content on its own disk.
of_memory() {
  local peak left
  peak=$(awk '/^VmHWM/ { printf "%d", $2 / 1024 }' "/proc/$gateway/status")
  left=$(find "$scratch/server/.git/annex" -size +1M | wc -l)
  say memory "the gateway held $peak MiB at most, and $left files larger than 1 MiB on its disk"
  [ "$left" -eq 0 ] || fail "the gateway keeps content on its disk"
}
