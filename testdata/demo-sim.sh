#!/usr/bin/env bash
# demo-sim.sh: four disks and two copies of everything, from a sim file to a configuration that is proved, in a dozen lines.
# Expects the build that `make demo` makes, and `make peers`.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
export megabytes=0

# shellcheck source=testdata/demo-steps.sh
. "$top/testdata/demo-steps.sh"
mkdir "$scratch/laptop"
cd "$scratch/laptop"
new_repository laptop
cat >disks.sim <<'SIM'
init laptop
initremote disk1
initremote disk2
initremote disk3
initremote disk4
connect disk1 <- laptop -> disk2
connect disk3 <- laptop -> disk4
numcopies 2
group disk1 disks
group disk2 disks
group disk3 disks
group disk4 disks
wanted laptop not copies=disks:2
wanted disk1 balanced=disks:2
wanted disk2 balanced=disks:2
wanted disk3 balanced=disks:2
wanted disk4 balanced=disks:2
SIM
step prove 0 git-annex-remote-stream sim prove disks.sim
# Each must succeed: the shell does not look at that in what a step runs.
configure() {
  local disk
  for disk in disk1 disk2 disk3 disk4; do
    mkdir "$scratch/$disk" &&
      git annex initremote "$disk" type=directory "directory=$scratch/$disk" encryption=none &&
      git annex group "$disk" disks &&
      git annex wanted "$disk" balanced=disks:2 || return
  done
  git annex numcopies 2 && git annex wanted here 'not copies=disks:2'
}
step configure 0 configure
step check 0 git-annex-remote-stream sim check
for number in 1 2 3 4 5 6 7 8; do head -c 1000 /dev/urandom >"file$number"; done
git annex add --quiet .
git commit --quiet --message files
step whatif 0 git-annex-remote-stream sim whatif --as-it-is
step satisfy 0 git annex satisfy --quiet
step whereis 0 git annex whereis --copies=2 file1
echo "Two copies of each file, as it was proved."
