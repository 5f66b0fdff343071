#!/usr/bin/env bash
# Certificates for the tests of TLS: two for localhost that last a hundred years. Keys of no value to anyone.
set -euo pipefail
cd "$(dirname "$0")"
for name in first second; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=$name" \
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost \
    -keyout "$name.key" -out "$name.pem" 2>/dev/null
done
