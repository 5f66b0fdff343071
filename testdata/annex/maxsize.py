#!/usr/bin/env python3
"""Records how `git annex maxsize` shows sizes, for src/cli/maxsize/show.rs: testdata/annex/maxsize.py > testdata/annex/maxsize.txt

Location logs and maxsize.log of made-up repositories are laid into the journal of a new repository; git-annex from PATH is asked.
"""

import hashlib
import os
import subprocess
import sys
import tempfile

SIZES = [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 1049, 1050, 1051, 1099, 1100, 1449, 1450, 1499, 1500, 1501, 1550,
         2499, 2500, 2501, 3500, 9499, 9500, 9949, 9950, 9999, 10000, 10049, 10050, 10500, 11500, 99949, 99950, 99999, 100500,
         999499, 999500, 999501, 999949, 999950, 999999, 1000000, 1499999, 1500000, 2500000, 999999999, 1500000000,
         2500000000, 99999999999, 10**12, 1234567890123456, 10**15, 10**18, 2 * 10**18 + 5 * 10**17, 10**19, 10**21, 10**24,
         2500 * 10**21, 10**26, 10**29, 1, 3, 5, 150, 50]
LIMITS = [lambda s: s, lambda s: s * 2, lambda s: s - 1, lambda s: s + 1, lambda s: 0, lambda s: s * 3, lambda s: s // 3,
          lambda s: int(s / 0.994), lambda s: int(s / 0.995), lambda s: int(s / 0.996), lambda s: s * 200,
          lambda s: int(s / 0.0049), lambda s: int(s / 0.015), lambda s: s * 40, lambda s: None]


def main():
    with tempfile.TemporaryDirectory() as top:
        environment = dict(os.environ, HOME=top, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@e",
                           GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@e")

        def run(*words):
            done = subprocess.run(words, cwd=top, env=environment, capture_output=True, text=True, check=True)
            return done.stdout

        run("git", "init", "--quiet", ".")
        run("git", "config", "annex.uuid", "ffffffff-0000-4000-8000-000000000000")
        run("git-annex", "init", "--quiet", "here of all")
        journal = os.path.join(top, ".git/annex/journal")
        os.makedirs(journal, exist_ok=True)
        names, limits = [run("git", "show", "git-annex:uuid.log")], []
        for number, size in enumerate(SIZES):
            uuid = f"{number:08d}-0000-4000-8000-000000000000"
            key = f"SHA256E-s{size}--x{number}"
            digest = hashlib.md5(key.encode()).hexdigest()
            with open(os.path.join(journal, f"{digest[:3]}_{digest[3:6]}_{key}.log"), "w") as log:
                log.write(f"5s 1 {uuid}\n")
            names.append(f"{uuid} d{number} timestamp=5s\n" if number % 5 else "")
            limit = LIMITS[number % len(LIMITS)](size)
            if limit is not None and limit >= 0:
                limits.append(f"5s {uuid} {limit}\n")
        for name, lines in [("uuid.log", names), ("maxsize.log", limits)]:
            with open(os.path.join(journal, name), "w") as log:
                log.write("".join(lines))
        run("git-annex", "merge")
        version = run("git-annex", "version", "--raw").split("-")[0].strip()
        print(f"# By testdata/annex/maxsize.py, from git-annex {version}.")
        for words in [["--bytes"], []]:
            print("$ git annex maxsize " + " ".join(words))
            sys.stdout.write(run("git-annex", "maxsize", *words))
        for line in limits:
            _, uuid, _ = line.split()
            if names[0] and any(name.startswith(uuid) for name in names):
                print(f"$ git annex maxsize {uuid}")
                sys.stdout.write(run("git-annex", "maxsize", uuid))


main()
