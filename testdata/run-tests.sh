#!/usr/bin/env bash
# All tests, then those of the stores and lanes once more with io_uring refused by the kernel.
# `make test` runs this with the servers up; by hand each test process starts its own.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
  run_tests() { cargo nextest run --locked --no-fail-fast "$@"; }
else
  run_tests() { cargo test --locked --no-fail-fast --all-targets "$@"; }
fi

begun=$SECONDS
echo "== all tests"
run_tests --workspace
echo "== examples in the documentation"
cargo test --quiet --locked --workspace --doc
echo "== stores and lanes with io_uring refused"
(
  export -f run_tests
  python3 testdata/peers/deny-io-uring.py bash -c 'run_tests --package remotes'
)
echo "== every row of the bench, once and small, so that it cannot rot"
cargo run --quiet --locked --package bench -- --quick --binary target/debug/git-annex-remote-stream
echo "== all tests passed in $((SECONDS - begun)) s"
