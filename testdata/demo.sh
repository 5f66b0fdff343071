#!/usr/bin/env bash
# demo.sh fs|s3: a store behind a gateway in a dozen lines, on scratch repositories: a client that has neither credentials
# for the store nor a route to it puts content there and gets it back.
# Expects the build that `make demo` makes, and `make peers`. DEMO_MB is the size of the file.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
store=${1:-fs}
megabytes=${DEMO_MB:-300}

case $store in
  fs) ;;
  s3)
    # serve.py stops the server when this script ends, however it ends.
    if [ -z "${STREAM_TEST_WEED:-}" ]; then
      exec python3 "$top/testdata/peers/serve.py" weed -- "$0" s3
    fi
    ;;
  *) echo "make demo: STORE is fs or s3, not '$store'" >&2; exit 2 ;;
esac

# shellcheck source=testdata/demo-steps.sh
. "$top/testdata/demo-steps.sh"
mkdir "$scratch/server" "$scratch/store"
cd "$scratch/server"

# The server: a repository with a special remote that only it can reach.
new_repository server
if [ "$store" = s3 ]; then
  read -r port AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY <<<"$STREAM_TEST_WEED"
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  options=(scheme=s3 bucket=demo host=127.0.0.1 "port=$port" protocol=http requeststyle=path region=us-east-1)
  where="bucket 'demo' of a SeaweedFS S3 on 127.0.0.1:$port, with credentials"
else
  options=(scheme=fs "directory=$scratch/store")
  where="directory $scratch/store"
fi
say store "$where"
step initremote 0 git annex initremote store type=external externaltype=stream encryption=none "${options[@]}"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
git config remote.store.annex-proxy true
step updateproxy 0 git-annex-remote-stream updateproxy
serve_here
say gateway "annex+http://$address/git-annex/ is a proxy for 'store'"

new_client
head -c "${megabytes}000000" /dev/urandom >random.bin
step add 1 git annex add random.bin
step copy 1 git annex copy --to origin-store random.bin
step drop 0 git annex drop random.bin
step get 1 git annex get random.bin
step fsck 1 git annex fsck --from origin-store random.bin
step whereis 0 git annex whereis random.bin
step "drop there" 0 git annex drop --from origin-store random.bin
of_memory
say done "$megabytes MB of random bytes went there and came back with the same SHA-256; all of it is removed again."
