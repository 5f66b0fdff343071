#!/usr/bin/env bash
# All tests, then those of the stores and lanes once more with io_uring refused by the kernel.
# `make test` runs this with the servers up; by hand each test process starts its own.
set -euo pipefail
cd "$(dirname "$0")/.."

# Most tests wait for programs and servers more than they compute.
threads=$(($(nproc) * 3))
if cargo nextest --version >/dev/null 2>&1; then
  run_tests() { cargo nextest run --locked --no-fail-fast --test-threads "$threads" "$@"; }
  # Chosen so, and not by --package, they are built with the features that all else needs, which is once.
  remotes=(--workspace -E 'package(remotes)')
else
  run_tests() { RUST_TEST_THREADS=$threads cargo test --locked --no-fail-fast --all-targets "$@"; }
  remotes=(--package remotes)
fi

begun=$SECONDS
took() { echo "== $((SECONDS - begun)) s so far: $1"; }
cargo build --quiet --locked --workspace --all-targets

# Where there is memory enough, repositories of tests are in it: a tenth of the time goes to looking for inodes and to waiting for
# a disk. Servers keep their data on the disk, and stores and lanes are tested there once more below.
scratch=
if [ -w /dev/shm ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 8000000 ] &&
  [ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -gt 12000000 ]; then
  scratch=$(mktemp -d /dev/shm/tests.XXXXXX)
fi
bench=
told=$(mktemp)
trap 'rm -rf "$told" ${scratch:+"$scratch"}; test -z "$bench" || kill "$bench" 2>/dev/null' EXIT

took "all tests${scratch:+, in memory}"
TMPDIR=${scratch:-${TMPDIR:-/tmp}} run_tests --workspace
rm -rf ${scratch:+"$scratch"}

# It mostly waits, and measures nothing here: so it is done beside what follows.
took "every row of the bench, once and small, so that it cannot rot; beside it:"
target/debug/bench --quick --binary target/debug/git-annex-remote-stream >"$told" 2>&1 &
bench=$!
took "examples in the documentation"
cargo test --quiet --locked --workspace --doc
took "stores and lanes with io_uring refused"
(
  export -f run_tests
  export threads
  python3 testdata/peers/deny-io-uring.py bash -c 'run_tests "$@"' -- "${remotes[@]}"
)
took "the rest of the bench"
benched=0
wait "$bench" || benched=$?
bench=
cat "$told"
[ "$benched" = 0 ] || { echo "bench --quick failed: $benched" >&2; exit "$benched"; }
echo "== all tests passed in $((SECONDS - begun)) s"
