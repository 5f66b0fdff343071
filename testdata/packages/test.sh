#!/usr/bin/env bash
# test.sh [PART...]: installs each package of target/packages in a fresh place, and stores, drops and gets a file there.
#
# | part  | where                              | takes beside the packages of `make dist`                  |
# |-------|------------------------------------|-----------------------------------------------------------|
# | wheel | a venv; README's first commands    | PyPI                                                      |
# | deb   | a chroot of Debian, with dpkg      | root, debootstrap (or BASE=DIR, a root that it made)      |
# | rpm   | the same, with rpm                 | rpm too; its dependencies are not looked at there         |
# | apk   | the same, unpacked                 | an .apk                                                   |
# | image | the root of the image              | umoci, and the image of packaging/image.sh                |
# | units | systemd-analyze, on the .deb and on docs/server.md | systemd                                   |
#
# What cannot be tested here is told by a line NOT TESTED, and is an error where CI is set.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
name=git-annex-remote-stream
packages=$top/target/packages
work=$top/target/packages-test
annex=$(sed -n 's/^git-annex==//p' "$top/testdata/peers/requirements.txt")
untested=0

fail() {
  echo "make packages: FAILED: $*" >&2
  exit 1
}

lacking() {
  echo "make packages: NOT TESTED: $*" >&2
  untested=$((untested + 1))
  [ -z "${CI:-}" ] || fail "CI is set, so everything has to be tested"
}

say() { printf '== %-6s %s\n' "$1" "$2"; }

# the_only PATTERN: the newest package of that kind.
the_only() {
  find "$packages" -maxdepth 1 -name "$1" -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d ' ' -f 2-
}

# in_root ROOT COMMAND...: with nothing of this machine but its kernel. What it starts ends with it.
in_root() {
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child "--mount-proc=$root/proc" chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin DEMO_MB="${DEMO_MB:-50}" "$@"
}

# base: the root that all others are copies of.
base() {
  [ "$(id -u)" = 0 ] || { lacking "$1: it takes root"; return 1; }
  [ -z "${BASE:-}" ] || return 0
  BASE=$work/base
  [ ! -e "$BASE.done" ] || return 0
  command -v debootstrap >/dev/null || { lacking "$1: debootstrap is missing: apt install debootstrap"; unset BASE; return 1; }
  rm -rf "$BASE"
  debootstrap --variant=minbase --include=git,ca-certificates,systemd,procps bookworm "$BASE" >"$work/debootstrap.log" 2>&1 ||
    fail "debootstrap: $(tail -n 3 "$work/debootstrap.log")"
  touch "$BASE.done"
}

# git_annex_into ROOT: git-annex's wheel, unpacked: the roots have no Python.
git_annex_into() {
  local wheels=$work/wheels
  python3 -m pip --disable-pip-version-check download --quiet --no-deps --only-binary=:all: --dest "$wheels" "git-annex==$annex"
  mkdir -p "$1/opt/bin" "$1/opt/git-annex"
  python3 -m zipfile -e "$wheels"/git_annex-*.whl "$1/opt/git-annex"
  chmod 755 "$1/opt/git-annex/git_annex/git-annex"
  ln -sf ../git-annex/git_annex/git-annex "$1/opt/bin/git-annex"
  # As a client of HTTP, git-annex asks for the number of tcp.
  [ -e "$1/etc/protocols" ] || printf 'tcp 6 TCP\nudp 17 UDP\n' >"$1/etc/protocols"
}

# job PART ROOT COMMAND...: what `make demo` does, with the program that the package has put there, by way of COMMAND.
job() {
  local found
  git_annex_into "$2"
  mkdir -p "$2/opt/job/testdata"
  cp "$top/testdata/demo.sh" "$top/testdata/demo-steps.sh" "$2/opt/job/testdata/"
  found=$(in_root "$2" bash -c "command -v $name")
  [ "$found" = "/usr/bin/$name" ] || fail "$1: the program is at '$found'"
  in_root "$2" bash -c 'test ! -e /usr/bin/git-annex-shell' || fail "$1: it ships a git-annex-shell"
  in_root "$2" "${@:3}" bash /opt/job/testdata/demo.sh fs || fail "$1: the demo"
  say "$1" "stored, dropped and got ${DEMO_MB:-50} MB in a fresh root"
}

# holds PART ROOT FILE...: each is there and is not empty.
holds() {
  local part=$1 root=$2 file
  shift 2
  for file in "$@"; do
    [ -s "$root/$file" ] || fail "$part: $file is missing or empty"
  done
}

COMMON=(
  usr/share/man/man1/$name.1.gz usr/share/man/man1/$name-install-shell.1.gz
  usr/share/bash-completion/completions/$name usr/share/zsh/site-functions/_$name usr/share/fish/vendor_completions.d/$name.fish
  usr/share/doc/$name/THIRD-PARTY.gz usr/share/doc/$name/LICENSE-MIT usr/share/doc/$name/LICENSE-APACHE
)
SERVICE=(
  usr/lib/systemd/system/git-annex-p2phttp.service usr/lib/systemd/system/git-annex-p2phttp.socket
  usr/lib/sysusers.d/$name.conf usr/lib/tmpfiles.d/$name.conf etc/git-annex-p2phttp/environment
)

fresh() {
  rm -rf "${work:?}/$1"
  cp -a "$BASE" "$work/$1"
}

# expect PART WHAT SHOULD IS
expect() {
  [ "$3" = "$4" ] || fail "$1: $2 is '$4', and should be '$3'"
}

users_are_ready() {
  local part=$1 root=$2 file=/etc/git-annex-p2phttp/users.conf
  expect "$part" "$file" "640 root:annex 0" "$(in_root "$root" stat -c '%a %U:%G %s' $file)"
  in_root "$root" sh -c "echo 'a long password' | $name users add $file alice --rights full" >/dev/null
  expect "$part" "$file after users add" "640 root:annex" "$(in_root "$root" stat -c '%a %U:%G' $file)"
  in_root "$root" $name install-shell /usr/local/bin >/dev/null
  in_root "$root" $name install-shell /usr/local/bin | grep -q 'is there already' || fail "$part: install-shell, once more"
}

# serves PART ROOT: what the unit starts, with the flags of its file but for the ports, is cloned from with the password of alice.
serves() {
  local part=$1 root=$2
  cat >"$root/opt/job/serve.sh" <<'EOF'
set -euo pipefail
as_annex() { setpriv --reuid annex --regid annex --init-groups env HOME=/var/lib/annex GIT_CONFIG_GLOBAL=/dev/null "$@"; }
cd /etc/git-annex-p2phttp
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
chgrp annex key.pem
chmod 640 key.pem
as_annex git init --quiet --bare --initial-branch=main /var/lib/annex/photos.git
(cd /var/lib/annex/photos.git && as_annex git annex init server) >/dev/null
. ./environment
FLAGS=$(sed 's/--admin [^ ]*/--bind 127.0.0.1 --port 0/' <<<"$FLAGS")
cd /var/lib/annex
as_annex git-annex-remote-stream p2phttp $FLAGS 2>/tmp/log &
for _ in $(seq 500); do
  ! grep -q '^listening address=' /tmp/log || break
  sleep 0.02
done
port=$(sed -n 's/^listening address=[^ ]*:\([0-9]*\) .*/\1/p' /tmp/log)
[ -n "$port" ] || { cat /tmp/log; exit 1; }
export GIT_SSL_CAINFO=/etc/git-annex-p2phttp/cert.pem GIT_TERMINAL_PROMPT=0
git clone --quiet "https://alice:a%20long%20password@localhost:$port/photos.git" /tmp/clone
git -C /tmp/clone ls-remote origin | grep -q refs/heads/git-annex
! git clone --quiet "https://alice:wrong@localhost:$port/photos.git" /tmp/other 2>/dev/null
EOF
  in_root "$root" bash /opt/job/serve.sh >"$work/serve.log" 2>&1 || fail "$part: the server: $(cat "$work/serve.log")"
  say "$part" "the service's command serves with TLS, to its user alone"
}

test_deb() {
  local deb root=$work/deb
  deb=$(the_only "${name}_*_$(dpkg --print-architecture).deb")
  [ -n "$deb" ] || { lacking "deb: there is none: make dist"; return; }
  base deb || return 0
  fresh deb
  cp "$deb" "$root/package.deb"
  in_root "$root" dpkg --install /package.deb >"$work/deb.log" 2>&1 || fail "deb: $(cat "$work/deb.log")"
  holds deb "$root" "${COMMON[@]}" "${SERVICE[@]}"
  users_are_ready deb "$root"
  job deb "$root"
  serves deb "$root"
  in_root "$root" dpkg --install /package.deb >"$work/deb.log" 2>&1 || fail "deb, again: $(cat "$work/deb.log")"
  in_root "$root" dpkg --remove $name >"$work/deb.log" 2>&1 || fail "deb, removed: $(cat "$work/deb.log")"
  [ ! -e "$root/usr/bin/$name" ] || fail "deb: the program stays when it is removed"
  [ -s "$root/etc/git-annex-p2phttp/users.conf" ] || fail "deb: the users are gone when it is removed"
}

test_rpm() {
  local rpm root=$work/rpm
  rpm=$(the_only "$name-*.rpm")
  [ -n "$rpm" ] || { lacking "rpm: there is none: make dist"; return; }
  command -v rpm >/dev/null || { lacking "rpm: rpm is missing: apt install rpm"; return; }
  base rpm || return 0
  fresh rpm
  # Its scripts run in there, and systemd's programs ask for /proc.
  unshare --mount sh -euc 'mount -t proc proc "$1/proc" && rpm --root "$1" --install --nodeps "$2"' - "$root" "$rpm" >"$work/rpm.log" 2>&1 ||
    fail "rpm: $(cat "$work/rpm.log")"
  ! grep -q 'scriptlet failed' "$work/rpm.log" || fail "rpm: $(cat "$work/rpm.log")"
  holds rpm "$root" "${COMMON[@]}" "${SERVICE[@]}"
  users_are_ready rpm "$root"
  job rpm "$root"
  rpm --root "$root" --erase --nodeps $name >"$work/rpm.log" 2>&1 || fail "rpm, removed: $(cat "$work/rpm.log")"
  [ ! -e "$root/usr/bin/$name" ] || fail "rpm: the program stays when it is removed"
  lacking "rpm: its dependencies: the root is a Debian, which has no list of them"
}

test_apk() {
  local apk root=$work/apk
  apk=$(the_only "${name}_*.apk")
  [ -n "$apk" ] || { lacking "apk: there is none: TARGET=x86_64-unknown-linux-musl make dist, where cargo has that target"; return; }
  base apk || return 0
  fresh apk
  tar -xzf "$apk" -C "$root" 2>/dev/null
  holds apk "$root" "${COMMON[@]}"
  job apk "$root"
  lacking "apk: Alpine's apk itself, and Alpine's git: the root is a Debian"
}

test_image() {
  local image root=$work/image/rootfs
  image=$(the_only "$name-*-oci.tar")
  [ -n "$image" ] || { lacking "image: there is none: make dist image, as root"; return; }
  command -v umoci >/dev/null || { lacking "image: umoci is missing: apt install umoci"; return; }
  [ "$(id -u)" = 0 ] || { lacking "image: it takes root"; return; }
  rm -rf "$work/image" "$work/layout"
  mkdir -p "$work/layout"
  tar -xf "$image" -C "$work/layout"
  umoci unpack --image "$work/layout:$(umoci list --layout "$work/layout")" "$work/image" >"$work/image.log" 2>&1 ||
    fail "image: $(cat "$work/image.log")"
  python3 - "$work/image/config.json" <<'EOF' || fail "image: its configuration"
import json, sys
process = json.load(open(sys.argv[1]))["process"]
assert process["args"][0] == "git-annex-remote-stream", process["args"]
assert process["user"]["uid"] == 990 and process["cwd"] == "/var/lib/annex", process
EOF
  holds image "$root" "${COMMON[@]}"
  in_root "$root" git --version >/dev/null || fail "image: git"
  # As the user that it runs as.
  job image "$root" setpriv --reuid annex --regid annex --init-groups
}

# systemd reads the units as they lie in the root of the .deb, and as docs/server.md has them.
test_units() {
  local root=$work/units deb unit
  command -v systemd-analyze >/dev/null || { lacking "units: systemd-analyze is missing: apt install systemd"; return; }
  deb=$(the_only "${name}_*_$(dpkg --print-architecture).deb")
  [ -n "$deb" ] || { lacking "units: there is no .deb: make dist"; return; }
  base units || return 0
  fresh units
  cp "$deb" "$root/package.deb"
  in_root "$root" dpkg --install /package.deb >"$work/units.log" 2>&1 || fail "units: $(cat "$work/units.log")"
  analyze units "$root" /usr/lib/systemd/system
  rm -f "$root"/usr/lib/systemd/system/git-annex-p2phttp.*
  install -D "$root/usr/bin/$name" "$root/usr/local/bin/$name"
  for unit in git-annex-p2phttp.socket git-annex-p2phttp.service; do
    awk -v head="\`/etc/systemd/system/$unit\`:" '$0 == head { on = 1; next } on && /^[^ ]/ { exit } on { sub(/^    /, ""); print }' \
      "$top/docs/server.md" >"$root/etc/systemd/system/$unit"
  done
  analyze "units of docs/server.md" "$root" /etc/systemd/system
}

# analyze PART ROOT DIRECTORY: any line that names our units is a complaint. 3.0 is "OK" in systemd's words.
analyze() {
  local said
  said=$(systemd-analyze verify --man=no --root="$2" "$3/git-annex-p2phttp.service" "$3/git-annex-p2phttp.socket" 2>&1) || fail "$1: $said"
  ! grep -q 'git-annex' <<<"$said" || fail "$1: $said"
  said=$(systemd-analyze security --no-pager --offline=true --root="$2" --threshold=30 git-annex-p2phttp.service 2>&1) || fail "$1: $said"
  say units "$1: verified; $(grep 'Overall exposure' <<<"$said" | sed 's/^[^O]*//')"
}

# block N: the Nth block of commands that README.md begins with.
block() {
  awk -v n="$1" '/^## / { on = /^## Two commands/ } on && /^    / { if (!in_block) at++; in_block = 1; if (at == n) print substr($0, 5); next }
    { in_block = 0 }' "$top/README.md"
}

test_wheel() {
  local wheel here=$work/wheel begun ended before server address
  wheel=$(the_only "git_annex_remote_stream-*_$(uname -m).whl")
  [ -n "$wheel" ] || { lacking "wheel: there is none: make dist"; return; }
  ! python3 -m zipfile -l "$wheel" | grep -q '/git-annex-shell ' || fail "wheel: it ships a git-annex-shell"
  chmod -R u+w "$here" 2>/dev/null || true
  rm -rf "$here"
  mkdir -p "$here/home" "$here/photos"
  # A machine with Python and git, and nothing else: no cache, no configuration.
  cat >"$here/machine" <<EOF
exec env -i HOME="$here/home" LC_ALL=C.UTF-8 PATH="$here/venv/bin:/usr/bin:/bin" PIP_NO_CACHE_DIR=1 PIP_FIND_LINKS="$packages" \
  PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CERT="${PIP_CERT:-}" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org \
  GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org "\$@"
EOF
  begun=${EPOCHREALTIME/[.,]/}
  python3 -m venv "$here/venv"
  # The first command of README, then what makes a repository of git-annex with a file, then the second.
  cd "$here/photos"
  sh "$here/machine" bash -euc "$(block 1 | sed -n 1p)" >"$here/log" 2>&1 || fail "wheel: $(block 1 | sed -n 1p): $(cat "$here/log")"
  sh "$here/machine" bash -euc 'git init -q && git annex init && echo hello >greeting && git annex add greeting && git commit -qm greeting' \
    >"$here/log" 2>&1 || fail "wheel: $(cat "$here/log")"
  sh "$here/machine" bash -euc "$(block 1 | sed 1d | sed "s,/mnt/archive,$here/archive,")" >"$here/log" 2>&1 || fail "wheel: $(block 1): $(cat "$here/log")"
  ended=${EPOCHREALTIME/[.,]/}
  [ "$(find "$here/archive" -type f | wc -l)" = 1 ] || fail "wheel: nothing was stored by: $(block 1)"
  say wheel "from nothing to the first stored file: $(((ended - begun) / 1000)) ms, git-annex's download included"
  [ "$(sh "$here/machine" bash -c 'git annex drop greeting && git annex get greeting && cat greeting' | tail -n 1)" = hello ] || fail "wheel: drop and get"

  # git-annex's own git-annex-shell is as it was, and stays.
  before=$(sha256sum "$here/venv/bin/git-annex-shell")
  ! sh "$here/machine" $name install-shell "$here/venv/bin" >"$here/log" 2>&1 || fail "wheel: install-shell replaces git-annex's"
  grep -q 'left alone' "$here/log" || fail "wheel: $(cat "$here/log")"
  expect wheel "git-annex-shell" "$before" "$(sha256sum "$here/venv/bin/git-annex-shell")"
  sh "$here/machine" $name install-shell "$here/home" >"$here/log" 2>&1 || fail "wheel: $(cat "$here/log")"
  [ -s "$here/venv/share/man/man1/$name.1" ] && [ -s "$here/venv/share/doc/$name/THIRD-PARTY" ] || fail "wheel: pages and licences"

  # Two more commands to a served repository; a client clones it, and gets the file.
  cd "$here"
  sh "$here/machine" bash -euc "$(block 2 | sed -n 1p)" <<<"a long password" >"$here/log" 2>&1 || fail "wheel: $(cat "$here/log")"
  : >"$here/server.log"
  # shellcheck disable=SC2046
  sh "$here/machine" $(block 2 | sed -n 2p) --port 0 >"$here/server.log" 2>&1 &
  server=$!
  # shellcheck disable=SC2064
  trap "kill $server 2>/dev/null || true" EXIT
  for _ in $(seq 500); do
    ! grep -q '^listening address=' "$here/server.log" || break
    sleep 0.02
  done
  address=$(sed -n 's/^listening address=\([^ ]*\) .*/\1/p' "$here/server.log")
  [ -n "$address" ] || fail "wheel: $(block 2): $(cat "$here/server.log")"
  printf 'http://alice:a%%20long%%20password@%s\n' "$address" >"$here/home/.git-credentials"
  sh "$here/machine" bash -euc "git config --global credential.helper store
    git config --global annex.security.allowed-ip-addresses 127.0.0.1
    git clone -q http://$address/photos client && cd client && git annex init && git annex get greeting" >"$here/log" 2>&1 || fail "wheel: a client: $(cat "$here/log")"
  expect wheel "what the client got" hello "$(cat "$here/client/greeting")"
  kill "$server"
  trap - EXIT
  say wheel "README's second two commands serve a repository, and a client got the file by its address alone"
  mkdir -p "$here/job/testdata"
  cp "$top/testdata/demo.sh" "$top/testdata/demo-steps.sh" "$here/job/testdata/"
  sh "$here/machine" env DEMO_MB="${DEMO_MB:-50}" bash "$here/job/testdata/demo.sh" fs || fail "wheel: the demo"
  say wheel "stored, dropped and got ${DEMO_MB:-50} MB in a fresh venv"
}

mkdir -p "$work"
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(wheel deb rpm apk image units)
for part in "${parts[@]}"; do
  case $part in
    wheel | deb | rpm | apk | image | units) "test_$part" ;;
    *) fail "no such part: $part" ;;
  esac
  cd "$top"
  # git-annex takes the write permission off what it stores.
  chmod -R u+w "${work:?}/$part" 2>/dev/null || true
  rm -rf "${work:?}/$part" "$work/layout"
done
[ "$untested" -eq 0 ] || echo "make packages: $untested of it NOT TESTED, as told above" >&2
