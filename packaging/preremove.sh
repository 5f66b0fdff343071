#!/bin/sh
# Of the .deb and the .rpm. An upgrade runs it too, and then the server goes on: `remove`, or 0, is a removal.
set -e
case ${1:-} in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      systemctl disable --now git-annex-p2phttp.socket git-annex-p2phttp.service
    fi
    ;;
esac
