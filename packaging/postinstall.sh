#!/bin/sh
# Of the .deb and the .rpm. Where there is no systemd (a container) the program works all the same, and there is no service to set up.
set -e
if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers git-annex-remote-stream.conf
  systemd-tmpfiles --create git-annex-remote-stream.conf
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # The sockets stay open meanwhile, and transfers are given time to end. What does not run is not started.
  systemctl try-restart git-annex-p2phttp.service
fi
