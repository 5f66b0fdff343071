#!/usr/bin/env bash
# run-fuzz.sh TOOLCHAIN SECONDS: each fuzz target in testdata/fuzz for a short while.
set -euo pipefail
cd "$(dirname "$0")/fuzz"

if ! cargo "+$1" fuzz --version >/dev/null 2>&1; then
  echo "make fuzz: needs the $1 toolchain and cargo-fuzz: rustup toolchain install $1 && cargo install cargo-fuzz" >&2
  exit 1
fi
for target in $(cargo "+$1" fuzz list --fuzz-dir .); do
  echo "== $target, $2 s"
  cargo "+$1" fuzz run --fuzz-dir . "$target" -- -max_total_time="$2" -print_final_stats=0
done
