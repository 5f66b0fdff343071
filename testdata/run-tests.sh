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
took "all tests"
run_tests --workspace
took "examples in the documentation"
cargo test --quiet --locked --workspace --doc
took "stores and lanes with io_uring refused"
(
  export -f run_tests
  export threads
  python3 testdata/peers/deny-io-uring.py bash -c 'run_tests "$@"' -- "${remotes[@]}"
)
took "every row of the bench, once and small, so that it cannot rot"
target/debug/bench --quick --binary target/debug/git-annex-remote-stream
echo "== all tests passed in $((SECONDS - begun)) s"
