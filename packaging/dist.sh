#!/usr/bin/env bash
# dist.sh: builds the packages below target/packages, and tells their sizes. Installs its tools (tools.txt) below target/.
#
# TARGET is one of cargo's, such as x86_64-unknown-linux-musl; that of this machine by default. A static one (musl) makes an .apk, a
# .tar.gz and a wheel; another one a .deb, an .rpm and a wheel. An .apk of a program that needs glibc would not run on Alpine.
# JOBS is cargo's. SOURCE_DATE_EPOCH is the time of what is packed, that of the last commit by default.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
name=git-annex-remote-stream
host=$(rustc -vV | sed -n 's/^host: //p')
target=${TARGET:-$host}
out=$top/target/packages
stage=$top/target/packages-stage/$target
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# C inside of packages is compiled anew where this is another than before, and then nearly all else.
unset SOURCE_DATE_EPOCH

fail() {
  echo "make dist: $*" >&2
  exit 1
}

case $target in
  x86_64-*) ARCH=amd64 ;;
  aarch64-*) ARCH=arm64 ;;
  *) fail "TARGET=$target: packages are for x86_64 and aarch64" ;;
esac
VERSION=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
export ARCH VERSION

tools=$top/target/tools
if ! cmp -s packaging/tools.txt "$tools/stamp"; then
  python3 -m venv "$tools"
  "$tools/bin/python3" -m pip --disable-pip-version-check install --quiet --only-binary=:all: -r packaging/tools.txt
  cp packaging/tools.txt "$tools/stamp"
fi

# A build for this machine has the directory of `cargo build`, so that maturin finds it done.
flags=(--release --locked ${JOBS:+--jobs "$JOBS"})
built=$top/target/release/$name
if [ "$target" != "$host" ]; then
  flags+=(--target "$target")
  built=$top/target/$target/release/$name
fi
# --package: with the features of the other crates of the workspace, maturin would build it all again.
cargo build "${flags[@]}" --package "$name"

# The program writes its own pages and completions. One for another machine cannot, and its twin for this one does.
writer=$built
"$writer" --version >/dev/null 2>&1 || writer=${WRITER:-$top/target/release/$name}
[ "$("$writer" --version)" = "$name $VERSION" ] || fail "$writer does not run, or is not $VERSION: run make dist without TARGET first"

rm -rf "$stage"
mkdir -p "$stage"/{man,completions,doc,systemd,scripts} "$out"
install -m 755 "$built" "$stage/$name"
"$writer" man "$stage/man"
"$writer" completions bash >"$stage/completions/$name"
"$writer" completions zsh >"$stage/completions/_$name"
"$writer" completions fish >"$stage/completions/$name.fish"
packaging/licences.py >"$stage/doc/THIRD-PARTY"
cp LICENSE LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md "$stage/doc/"
cp LICENSE "$stage/doc/copyright"
cp packaging/systemd/* "$stage/systemd/"
cp packaging/{postinstall,preremove,postremove}.sh "$stage/scripts/"

# The wheel takes them from here; see pyproject.toml.
data=$top/git_annex_remote_stream.data
trap 'rm -rf "$data"' EXIT
rm -rf "$data"
share=$data/data/share
mkdir -p "$share"/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d,"doc/$name"}
cp "$stage"/man/*.1 "$share/man/man1/"
cp "$stage/completions/$name" "$share/bash-completion/completions/"
cp "$stage/completions/_$name" "$share/zsh/site-functions/"
cp "$stage/completions/$name.fish" "$share/fish/vendor_completions.d/"
cp "$stage/doc/THIRD-PARTY" "$share/doc/$name/"
"$tools/bin/maturin" build "${flags[@]}" --compression-level 9 --out "$stage/wheel"
wheel=$(ls "$stage"/wheel/*.whl)
python3 -m zipfile -e "$wheel" "$stage/unpacked"
! find "$stage/unpacked" | grep -q '/git-annex-shell$' || fail "the wheel ships a git-annex-shell"
# What maturin tells of the packages inside.
cp "$stage"/unpacked/*.dist-info/sboms/*.json "$out/$name-$VERSION-$target.cyclonedx.json" || fail "the wheel has no SBOM"
mv "$wheel" "$out/"
rm -rf "$stage/unpacked" "$stage/wheel" "$data"

gzip -9n "$stage"/man/*.1
gzip -9n "$stage"/doc/{THIRD-PARTY,CHANGELOG.md}
cd "$stage"
case $target in
  *-musl)
    ! ldd "$name" 2>/dev/null | grep -q '=>' || fail "$built is not static"
    kinds=(apk)
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --transform "s,^\.,$name-$VERSION," --exclude ./systemd --exclude ./scripts -c . |
      gzip -9n >"$out/$name-$VERSION-$target.tar.gz"
    ;;
  *)
    GLIBC=$(objdump -T "$name" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
    export GLIBC
    echo "make dist: the program asks for glibc $GLIBC"
    kinds=(deb rpm)
    echo "make dist: NOT BUILT: .apk, which takes a static program: TARGET=x86_64-unknown-linux-musl" >&2
    ;;
esac
for kind in "${kinds[@]}"; do
  SOURCE_DATE_EPOCH=$epoch "$tools/bin/nfpm" package --config "$top/packaging/nfpm.yaml" --packager "$kind" --target "$out"
done
cd "$out"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
ls -l --block-size=1 "$stage/$name" ./* | awk '{ printf "%10.1f MB  %s\n", $5 / 1e6, $NF }'
