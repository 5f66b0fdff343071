#!/usr/bin/env bash
# nginx, fcgiwrap and wrk for the bench, from the system's packages. Does nothing where both are there.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in nginx fcgiwrap wrk; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "make rivals: ${missing[*]} not installed. On Debian and Ubuntu:" >&2
  echo "    sudo apt install ${missing[*]/#nginx/nginx-light}" >&2
  echo "(the nginx of the package may stay stopped and disabled: the bench starts its own)" >&2
  exit 1
fi

# The bench starts its own nginx; that of the package must not take port 80.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
echo "make rivals: installing ${missing[*]}"
apt-get install -y -q --no-install-recommends "${missing[@]/#nginx/nginx-light}" || {
  echo "make rivals: apt-get could not install them (is 'apt-get update' due?)" >&2
  exit 1
}
