#!/usr/bin/env bash
# image.sh: an OCI image of target/packages/*.deb on a small Debian, as target/packages/git-annex-remote-stream-VERSION-ARCH-oci.tar.
#
# As root, with debootstrap and umoci (Debian: apt install debootstrap umoci). BASE=DIR is a root that debootstrap has made before; with
# it nothing is fetched. The image has git, for p2phttp --git, and no git-annex.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
name=git-annex-remote-stream
suite=bookworm
out=$top/target/packages
work=$top/target/packages-stage/image

fail() {
  echo "make image: $*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root: a root is made for another system"
for tool in umoci debootstrap; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt install $tool"
done
ARCH=$(dpkg --print-architecture)
deb=$(ls "$out/${name}"_*_"$ARCH".deb) || fail "there is no package for $ARCH: run make dist first"
VERSION=$(dpkg-deb --field "$deb" Version)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}

rm -rf "$work"
mkdir -p "$work"
root=$work/root
if [ -n "${BASE:-}" ]; then
  cp -a "$BASE" "$root"
else
  debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root"
fi
cp "$deb" "$root/package.deb"
chroot "$root" dpkg --install /package.deb
# Whom it runs as. Its number is fixed, for whoever mounts repositories.
chroot "$root" useradd --system --uid 990 --create-home --home-dir /var/lib/annex --shell /bin/sh annex 2>/dev/null ||
  chroot "$root" usermod --uid 990 annex
chroot "$root" chown annex: /var/lib/annex
# What a running system would have, and what differs from build to build.
rm -rf "$root"/package.deb "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/* "$root"/tmp/* "$root"/etc/machine-id
find "$root/usr/share/doc" -mindepth 2 -type f ! -name copyright ! -path "*/$name/*" -delete
rm -rf "$root"/usr/share/locale/* "$root/etc/resolv.conf" "$root/etc/hostname"

tar --sort=name --numeric-owner --clamp-mtime --mtime="@$SOURCE_DATE_EPOCH" --xattrs -C "$root" -cf "$work/layer.tar" .
layout=$work/layout
umoci init --layout "$layout"
umoci new --image "$layout:$VERSION"
umoci raw add-layer --image "$layout:$VERSION" "$work/layer.tar"
umoci config --image "$layout:$VERSION" --config.user annex --config.workingdir /var/lib/annex --config.exposedports 9417 \
  --config.volume /var/lib/annex --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --config.entrypoint git-annex-remote-stream --config.cmd p2phttp --config.cmd --help --architecture "$ARCH" --os linux \
  --config.label org.opencontainers.image.title="$name" --config.label org.opencontainers.image.version="$VERSION" \
  --config.label "org.opencontainers.image.licenses=MIT OR Apache-2.0"
umoci gc --layout "$layout"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$layout" -cf "$out/$name-$VERSION-$ARCH-oci.tar" .
rm -rf "$root" "$work/layer.tar"
cd "$out"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
ls -l --block-size=1 "$out/$name-$VERSION-$ARCH-oci.tar" | awk '{ printf "%10.1f MB  %s\n", $5 / 1e6, $NF }'
