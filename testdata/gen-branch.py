#!/usr/bin/env python3
"""Writes a git fast-import stream: a git-annex branch with many keys.

    git init --bare R && testdata/gen-branch.py --keys 1000000 | git -C R fast-import --quiet
    git -C R config annex.uuid 00000000-0000-4000-8000-0000000000aa
    git -C R config annex.version 10 && mkdir -p R/annex

Key number N is SHA256E-s1024--<N in 64 hexadecimal digits>, present in --uuid and, when N is odd, in a second repository.
The branch is one commit with uuid.log and a location log for each key. With --own-logs no two logs are the same: their times differ,
and a third and a fourth repository have a half and a quarter of the keys.

    testdata/gen-branch.py --own-logs --change 1000 | git -C R fast-import --quiet

adds a commit to that branch, in which so many keys from number --first on are in the second repository where they were not,
and no more where they were.
"""

import argparse
import hashlib
import sys


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--keys", type=int, default=1000)
    options.add_argument("--uuid", default="00000000-0000-4000-8000-0000000000aa")
    options.add_argument("--ref", default="refs/heads/git-annex")
    options.add_argument("--own-logs", action="store_true")
    options.add_argument("--change", type=int, default=0)
    options.add_argument("--first", type=int, default=0, help="the number of the first key that changes")
    chosen = options.parse_args()
    other = "00000000-0000-4000-8000-0000000000bb"
    out = sys.stdout.buffer

    if chosen.change:
        change(chosen, other, out)
        return
    # Only two logs differ, so two blobs do for all keys; the trees are what makes a branch large.
    logs = [f"1795387138s 1 {chosen.uuid}\n", f"1795387138s 1 {chosen.uuid}\n1795387139s 1 {other}\n"]
    for mark, log in enumerate(logs, 1):
        out.write(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(log), log.encode()))
    commit(chosen, out)
    repositories = f"{chosen.uuid} generated timestamp=1795387138s\n{other} other timestamp=1795387138s\n".encode()
    out.write(b"M 100644 inline uuid.log\ndata %d\n%s\n" % (len(repositories), repositories))
    # Sorted, because fast-import keeps only the tree it is at in memory.
    for path, number in sorted(map(place, range(chosen.keys))):
        if chosen.own_logs:
            log = own_log(chosen.uuid, other, number, number % 2).encode()
            out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(log), log))
        else:
            out.write(b"M 100644 :%d %s\n" % (1 + number % 2, path))
    out.write(b"\n")


def change(chosen, other, out):
    """A commit in which keys come to the second repository, or go."""
    commit(chosen, out)
    out.write(b"from %s^0\n" % chosen.ref.encode())
    for path, number in sorted(map(place, range(chosen.first, chosen.first + chosen.change))):
        log = own_log(chosen.uuid, other, number, 1 - number % 2).encode()
        out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(log), log))
    out.write(b"\n")


def commit(chosen, out):
    out.write(b"commit %s\ncommitter gen-branch <gen@example.org> 1795387140 +0000\ndata 6\nupdate\n" % chosen.ref.encode())


def place(number):
    """Where the log of a key is, and its number."""
    key = b"SHA256E-s1024--%064x" % number
    digest = hashlib.md5(key).hexdigest().encode()
    return b"%s/%s/%s.log" % (digest[:3], digest[3:6], key), number


def own_log(uuid, other, number, in_other):
    more = [other[:-2] + end for end, rest in [("cc", 2), ("dd", 4)] if number % rest == 0]
    lines = [f"{1700000000 + number}s 1 {uuid}\n", f"{1700000000 + number}s {in_other} {other}\n"]
    return "".join(lines + [f"{1700000000 + number}s 1 {another}\n" for another in more])


if __name__ == "__main__":
    main()
