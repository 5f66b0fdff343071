#!/usr/bin/env bash
# run-fuzz.sh SECONDS [TARGET...]: each fuzz target in testdata/fuzz (or those named) for so long, two side by side.
# run-fuzz.sh check: whether they compile, which leaves the libraries half made for the other.
# run-fuzz.sh build: makes them, and nothing else.
#
# Uses libFuzzer as cargo-fuzz does, but with the cargo and compiler at hand: the flags for coverage are stable ones. There
# is no address sanitizer, which needs a nightly compiler; what is fuzzed has no unsafe code.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
out=target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
if ! command -v c++ >/dev/null; then
  echo "fuzz: libFuzzer needs a C++ compiler (on Debian: apt install g++)" >&2
  exit 1
fi

# With --target, build scripts and macros are left without these flags.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
what=build
if [ "$seconds" = check ]; then what=check; fi
RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 $coverage" \
  cargo $what --quiet --release --locked --manifest-path testdata/fuzz/Cargo.toml --target "$host" --target-dir "$out"
if [ "$seconds" = check ] || [ "$seconds" = build ]; then exit; fi

# run TARGET: 0, and a line about it, unless an input made it fail; that input is kept and shown.
run() {
  local target=$1 log=$out/$1.log
  mkdir -p "$out/corpus/$target" "$out/failed"
  # What is found is kept below target/; the seeds are only read.
  if "$out/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -artifact_prefix="$out/failed/$target-" \
    "$out/corpus/$target" "testdata/fuzz/corpus/$target" >"$log" 2>&1; then
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
  else
    tail -n 30 "$log"
    echo "$target: FAILED; the input is in $out/failed, all that was said in $log"
    return 1
  fi
}

targets=("$@")
if [ $# = 0 ]; then
  for file in testdata/fuzz/fuzz_targets/*.rs; do
    targets+=("$(basename "$file" .rs)")
  done
fi
export -f run
export seconds out host
printf '%s\n' "${targets[@]}" | xargs -P 2 -I TARGET bash -euc 'run TARGET'
