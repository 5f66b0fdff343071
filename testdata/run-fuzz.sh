#!/usr/bin/env bash
# run-fuzz.sh SECONDS: each fuzz target in testdata/fuzz for a short while.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "make fuzz: needs cargo-fuzz: cargo install --locked cargo-fuzz" >&2
  exit 1
fi
# libFuzzer's instrumentation is behind an unstable flag; this lets the toolchain at hand use it.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list --fuzz-dir testdata/fuzz); do
  echo "== $target, $1 s"
  cargo fuzz run --fuzz-dir testdata/fuzz "$target" -- -max_total_time="$1"
done
