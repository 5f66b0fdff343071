#!/usr/bin/env python3
"""record.py cases|grammar|globs|refused [FILE]: asks the git-annex in PATH again, and rewrites the answers in FILE.

cases:    situations and expressions; see cases.txt for the form. Each situation gets a fresh repository.
grammar:  an answer (0 matches, 1 does not) and words, a tab between; asked with matchexpression.
globs:    a glob and, for each name of the first line, 0, 1, or FAIL where git-annex stops at the glob.
refused:  an expression and what is wrong with it, a tab between; `ok` where nothing is.
balanced.txt is not recorded again here: it has forty keys in one repository, and cases.txt has the like of each table.
Everything happens in a directory that is removed at the end.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MEMBER = "00000000-0000-4000-8000-00000000d0{:02}"
OWN = "00000000-0000-4000-8000-00000000a001"


class Repository:
    def __init__(self, top):
        self.top = Path(tempfile.mkdtemp(dir=top))
        self.env = dict(os.environ, HOME=str(top), LANG="C.UTF-8", GIT_AUTHOR_NAME="x", GIT_AUTHOR_EMAIL="x@x",
                        GIT_COMMITTER_NAME="x", GIT_COMMITTER_EMAIL="x@x")
        self.run("git", "init", "-q")
        self.run("git", "config", "annex.uuid", OWN)
        self.run("git", "annex", "init", "-q", "own")
        self.journal = self.top / ".git/annex/journal"

    def run(self, *words):
        return subprocess.run(words, cwd=self.top, env=self.env, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)

    def log(self, name, lines):
        self.journal.mkdir(exist_ok=True)
        (self.journal / name.replace("/", "_")).write_text("".join(line + "\n" for line in lines))

    def key_log(self, key, suffix, lines):
        found = self.run("git", "annex", "examinekey", key, "--format=${hashdirlower}").stdout.decode()
        self.log(found + key.replace("&", "&a").replace("/", "%").replace(":", "&c") + suffix, lines)

    def add(self, file, key):
        name = key.replace("&", "&a").replace("%", "&s").replace("/", "%").replace(":", "&c")
        at = self.top / file
        at.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * file.count("/")
        at.symlink_to(f"{up}.git/annex/objects/xx/yy/{name}/{name}")
        self.run("git", "add", "-f", file)


def uuid(name):
    return OWN if name == "own" else MEMBER.format(int(name[1:]))


def values(words):
    return dict(word.split("=", 1) for word in words if "=" in word)


def situation(top, lines):
    """Answers the lines that begin with `?` and gives all back."""
    repository = Repository(top)
    repos, logs, fills, options = [], {}, {}, []
    key, file, holders, urls, wanted, attributes = None, "f", [], [], {}, None
    for line in lines:
        word, _, rest = line.partition(" ")
        words = rest.split(" ")
        if word == "repo":
            repos.append((words[0], values(words[1:])))
        elif word == "required":
            logs.setdefault("required-content.log", []).append(f"{uuid(words[0])} {' '.join(words[1:])} timestamp=1s")
        elif word == "wanted":
            wanted[words[0]] = " ".join(words[1:])
        elif word == "groupwanted":
            logs.setdefault("group-preferred-content.log", []).append(f"1s {rest}")
        elif word == "numcopies" or word == "mincopies":
            logs[word + ".log"] = [f"1s {rest}"]
        elif word == "attributes":
            attributes = rest
        elif word == "threshold":
            repository.run("git", "config", "annex.fullybalancedthreshhold", rest)
        elif word == "rebalance":
            options = ["--rebalance"]
        elif word == "key":
            key = rest
        elif word == "file":
            file = rest
        elif word == "has":
            holders = [name for name in words if name]
        elif word == "fill":
            fills[words[0]] = int(words[1])
        elif word == "url":
            urls.append(rest)
        elif word == "metadata":
            field, _, value = rest.partition("=")
            logs.setdefault("metadata", []).append((field, value))
    log = lambda name, field, form: repository.log(
        name, [form.format(uuid(name), had[field].replace(",", " ")) for name, had in repos if field in had])
    log("group.log", "groups", "{} {} timestamp=1s")
    log("trust.log", "trust", "{} {} timestamp=1s")
    log("maxsize.log", "maxsize", "1s {} {}")
    log("remote.log", "dir", "{0} name=x preferreddir={1} type=directory timestamp=1s")
    repository.log("uuid.log", [f"{OWN} own timestamp=1s"] + [f"{uuid(name)} {name} timestamp=1s" for name, _ in repos])
    for name, lines_of in logs.items():
        if name != "metadata":
            repository.log(name, lines_of)
    for name, size in fills.items():
        repository.key_log(f"SHA256-s{size}--{name}", ".log", [f"1s 1 {uuid(name)}"])
    repository.key_log(key, ".log", [f"1s 1 {uuid(name)}" for name in holders])
    if urls:
        repository.key_log(key, ".log.web", [f"1s 1 {url}" for url in urls])
    repository.add(file, key)
    if attributes is not None:
        (repository.top / ".gitattributes").write_text(attributes + "\n")
    for field, value in logs.get("metadata", []):
        done = repository.run("git", "annex", "metadata", "--force", "-q", "-s", f"{field}+={value}", file)
        assert done.returncode == 0, done.stderr
    answered = []
    for line in lines:
        if line.startswith("? "):
            question = line.partition(" => ")[0]
            _, name, expression = question.split(" ", 2)
            now = dict(wanted, **{name: expression})
            if expression == "-":
                now = wanted
            repository.log("preferred-content.log", [f"{uuid(who)} {what} timestamp=1s" for who, what in now.items()])
            got = []
            for ask in "get", "drop":
                done = repository.run("git", "annex", "find", *options, f"--want-{ask}-by={uuid(name)}", file)
                got.append("FAIL" if b"failed to compile" in done.stderr else "yes" if done.stdout.strip() else "no")
            line = f"{question} => get {got[0]} drop {got[1]}"
        answered.append(line)
    subprocess.run(["chmod", "-R", "u+w", repository.top])
    return answered


def cases(top, file):
    blocks = file.read_text().strip("\n").split("\n\n")
    for at, block in enumerate(blocks):
        lines = block.split("\n")
        if any(line.startswith("? ") for line in lines):
            blocks[at] = "\n".join(situation(top, lines))
        # What is answered is kept when it is interrupted.
        file.write_text("\n\n".join(blocks) + "\n")


def matches(repository, expression, file):
    done = repository.run("git", "annex", "matchexpression", expression, f"--file={file}")
    return "FAIL" if b"failed to compile" in done.stderr else str(done.returncode)


def grammar(top, file):
    repository = Repository(top)
    lines = [line.split("\t")[1] for line in file.read_text().splitlines()]
    file.write_text("".join(f"{matches(repository, words, 'x')}\t{words}\n" for words in lines))


def globs(top, file):
    repository = Repository(top)
    names, *lines = file.read_text().splitlines()
    with open(file, "w") as out:
        print(names, file=out)
        for line in lines:
            glob = line.split("\t")[0]
            # The first name is the empty one.
            row = [matches(repository, f"include={glob}", name) for name in names.split(" ")]
            print(glob, "FAIL" if "FAIL" in row else "".join(row), sep="\t", file=out)


def refused(top, file):
    repository = Repository(top)
    expressions = [line.split("\t")[0] for line in file.read_text().splitlines()]
    with open(file, "w") as out:
        for expression in expressions:
            done = repository.run("git", "annex", "matchexpression", expression, "--file=f.mp3", "--key=SHA256-s100--x")
            _, bad, rest = done.stderr.decode().partition("bad expression: Parse failure: ")
            # Of several faults the first.
            print(expression, rest.split(" Parse failure: ")[0].strip() if bad else "ok", sep="\t", file=out)


if __name__ == "__main__":
    if subprocess.run(["git", "annex", "version"], capture_output=True).returncode:
        sys.exit("there is no git-annex in PATH")
    what = {"cases": cases, "grammar": grammar, "globs": globs, "refused": refused}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as top:
        what(top, Path(sys.argv[2]) if len(sys.argv) > 2 else HERE / f"{sys.argv[1]}.txt")
        subprocess.run(["chmod", "-R", "u+w", top])
