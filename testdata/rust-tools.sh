#!/usr/bin/env bash
# rustfmt and clippy come with most installations of cargo; where they do not, say how to get them.
set -euo pipefail

for tool in fmt clippy; do
  cargo "$tool" --version >/dev/null 2>&1 && continue
  component=${tool/fmt/rustfmt}
  if command -v rustup >/dev/null; then
    rustup component add "$component"
  else
    echo "make test: 'cargo $tool' is missing: install $component from where cargo came from" >&2
    exit 1
  fi
done
