#!/usr/bin/env python3
"""Writes a git fast-import stream: a git-annex branch with many keys.

    git init --bare R && testdata/gen-branch.py --keys 1000000 | git -C R fast-import --quiet
    git -C R config annex.uuid 00000000-0000-4000-8000-0000000000aa
    git -C R config annex.version 10 && mkdir -p R/annex

Key number N is SHA256E-s1024--<N in 64 hexadecimal digits>, present in --uuid and, when N is odd, in a second repository.
The branch is one commit with uuid.log and a location log for each key.
"""

import argparse
import hashlib
import sys


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--keys", type=int, default=1000)
    options.add_argument("--uuid", default="00000000-0000-4000-8000-0000000000aa")
    options.add_argument("--ref", default="refs/heads/git-annex")
    chosen = options.parse_args()
    other = "00000000-0000-4000-8000-0000000000bb"
    out = sys.stdout.buffer

    # Only two logs differ, so two blobs do for all keys; the trees are what makes a branch large.
    logs = [f"1795387138s 1 {chosen.uuid}\n", f"1795387138s 1 {chosen.uuid}\n1795387139s 1 {other}\n"]
    for mark, log in enumerate(logs, 1):
        out.write(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(log), log.encode()))
    out.write(b"commit %s\ncommitter gen-branch <gen@example.org> 1795387140 +0000\ndata 6\nupdate\n" % chosen.ref.encode())
    repositories = f"{chosen.uuid} generated timestamp=1795387138s\n{other} other timestamp=1795387138s\n".encode()
    out.write(b"M 100644 inline uuid.log\ndata %d\n%s\n" % (len(repositories), repositories))
    names = []
    for number in range(chosen.keys):
        key = b"SHA256E-s1024--%064x" % number
        digest = hashlib.md5(key).hexdigest()
        names.append((digest[:3], digest[3:6], key, 1 + number % 2))
    # Sorted, because fast-import keeps only the tree it is at in memory.
    names.sort()
    for upper, lower, key, mark in names:
        out.write(b"M 100644 :%d %s/%s/%s.log\n" % (mark, upper.encode(), lower.encode(), key))
    out.write(b"\n")


if __name__ == "__main__":
    main()
